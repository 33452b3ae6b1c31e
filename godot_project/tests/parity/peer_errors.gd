extends "res://tests/support/parity_test.gd"
## What a multiplayer peer answers to every call in the wrong state or with wrong arguments.
## Only `--server=` counts: there is no other end.


func _test() -> void:
	_unconfigured()
	_properties()
	_arguments()
	_as_server()
	_as_client()
	_as_mesh()
	_again()


func _unconfigured() -> void:
	var peer: MultiplayerPeer = make(server_class())
	_walk("unconfigured", peer)


func _walk(key: String, peer: MultiplayerPeer) -> void:
	observe(key + ".max_packet_size", peer.call("get_max_packet_size") if peer.has_method("get_max_packet_size") else 0)
	walk_unconnected(key, peer, func() -> void:
		observe(key + ".unique_id", name_of(peer.get_unique_id()))
		observe(key + ".host", peer.host == null)
		observe(key + ".get_host", peer.get_host() == null)
		for id: int in [1, 0, 99]:
			observe("%s.get_peer_%d" % [key, id], peer.get_peer(id) == null)
		peer.disconnect_peer(1)
		peer.disconnect_peer(1, true)
		observe(key + ".add_mesh_null", peer.add_mesh_peer(5, null))
		var connection: Object = make(connection_class(server_class()))
		observe(key + ".add_mesh_inactive", peer.add_mesh_peer(5, connection)))


func _properties() -> void:
	var peer: MultiplayerPeer = make(server_class())
	for mode in 3:
		peer.transfer_mode = mode
		observe("property.mode_%d" % mode, peer.transfer_mode)
	for channel: int in [0, 1, 3, 254, 255, 256, -1, 100000]:
		peer.transfer_channel = channel
		observe("property.channel_%d" % channel, peer.transfer_channel)
	peer.refuse_new_connections = true
	observe("property.refuse", peer.is_refusing_new_connections())
	peer.encode_buffer_max_size = 4096
	observe("property.encode_buffer_max_size", peer.encode_buffer_max_size)
	peer.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
	peer.transfer_channel = 2
	observe("property.create", peer.create_server(0))
	# Made anew, it takes connections again; how packets go stays.
	observe("property.refuse_after_create", peer.refuse_new_connections)
	observe("property.mode_after_create", peer.transfer_mode)
	observe("property.channel_after_create", peer.transfer_channel)
	peer.close()
	observe("property.mode_after_close", peer.transfer_mode)
	observe("property.channel_after_close", peer.transfer_channel)
	var ids := {}
	for _turn in 20:
		var id := peer.generate_unique_id()
		check(id > 1 and id <= 0x7FFFFFFF, "a unique id is positive and not the server's: %d" % id)
		ids[id] = true
		OS.delay_usec(50)
	observe("property.ids_differ", ids.size() > 15)


func _arguments() -> void:
	var peer: MultiplayerPeer = make(server_class())
	expecting_errors(func() -> void:
		for port: int in [-1, 65536, 1 << 20]:
			observe("server.port_%d" % port, peer.create_server(port))
		for clients: int in [0, -1, 4096, 100000]:
			observe("server.clients_%d" % clients, peer.create_server(0, clients))
		observe("server.in_bandwidth_negative", peer.create_server(0, 32, 0, -1, 0))
		peer.close()
		observe("server.out_bandwidth_negative", peer.create_server(0, 32, 0, 0, -1))
		observe("server.after_errors", status_of(peer))
		for port: int in [0, -1, 65536]:
			observe("client.port_%d" % port, peer.create_client(LOCALHOST, port))
			observe("client.port_%d.status" % port, status_of(peer))
		observe("client.in_bandwidth_negative", peer.create_client(LOCALHOST, 4, 0, -1))
		observe("client.out_bandwidth_negative", peer.create_client(LOCALHOST, 4, 0, 0, -1))
		observe("client.local_port_70000", peer.create_client(LOCALHOST, 4, 0, 0, 0, 70000))
		observe("client.local_port_negative", peer.create_client(LOCALHOST, 4, 0, 0, 0, -4))
		observe("client.after_errors", status_of(peer))
		observe("client.after_errors.id", name_of(peer.get_unique_id()))
		for id: int in [0, -1, -2147483648]:
			observe("mesh.id_%d" % id, peer.create_mesh(id))
		observe("mesh.after_errors", status_of(peer))
		peer.set_bind_ip("nonsense"))
	observe("server.clients_4095", peer.create_server(0, 4095))
	peer.close()
	expecting_errors(func() -> void: observe("server.channels_negative", peer.create_server(0, 1, -4)))
	peer.close()
	observe("server.channels_200", peer.create_server(0, 1, 200))
	peer.close()
	# A bind address that is none left the one before as it was.
	observe("bind.after_nonsense", peer.create_server(0))
	peer.close()
	peer.set_bind_ip(LOCALHOST)
	observe("bind.localhost", peer.create_server(0))
	peer.close()
	peer.set_bind_ip("127.0.0.2")
	observe("bind.another", peer.create_server(0))
	peer.close()
	peer.set_bind_ip("192.0.2.1")
	expecting_errors(func() -> void: observe("bind.not_ours", peer.create_server(0)))
	observe("bind.not_ours.status", status_of(peer))
	peer.set_bind_ip("*")
	observe("bind.any", peer.create_server(0))
	peer.close()
	observe("client.channels_300", peer.create_client(LOCALHOST, 4, 300))
	observe("client.channels_300.status", status_of(peer))
	observe("client.channels_300.channels", peer.get_peer(1).get_channels())
	peer.close()
	observe("client.channels_negative", peer.create_client(LOCALHOST, 4, -3))
	peer.close()


func _as_server() -> void:
	var peer: MultiplayerPeer = make(server_class())
	observe("server.create", peer.create_server(0))
	var port: int = peer.host.get_local_port()
	check(port > 0, "the system chose a port")
	observe("server.id", peer.get_unique_id())
	_second_create("server", peer)
	_walk("server", peer)
	observe("server.host_is_the_same", peer.host == peer.get_host())
	observe("server.host_class", peer.host.get_class().trim_prefix("Ferry"))
	observe("server.max_channels", peer.host.get_max_channels())
	observe("server.peers", peer.host.get_peers())
	var other: MultiplayerPeer = make(server_class())
	expecting_errors(func() -> void: observe("server.port_in_use", other.create_server(port)))
	observe("server.port_in_use.status", status_of(other))
	expecting_errors(func() -> void: observe("client.port_in_use", other.create_client(LOCALHOST, 4, 0, 0, 0, port)))
	observe("client.port_in_use.status", status_of(other))
	peer.close()
	observe("server.closed.status", status_of(peer))
	# The port is free as soon as it is closed.
	var again: Error = other.create_server(port)
	observe("server.port_free", again)
	observe("server.port_free.port_is_the_same", again == OK and other.host.get_local_port() == port)
	other.close()
	_walk("closed", peer)


func _as_client() -> void:
	var peer: MultiplayerPeer = make(server_class())
	# Nobody answers: nothing is polled here, so that nothing arrives either.
	observe("client.create", peer.create_client(LOCALHOST, 4))
	name_id(peer.get_unique_id(), "client")
	check(peer.get_unique_id() > 1, "a client has an id at once")
	observe("client.peer_state", peer.get_peer(1).get_state())
	observe("client.peer_active", peer.get_peer(1).is_active())
	_second_create("client", peer)
	observe("client.host_is_the_same", peer.host == peer.get_host())
	observe("client.max_channels", peer.host.get_max_channels())
	observe("client.peers", peer.host.get_peers().size())
	observe("client.available", peer.get_available_packet_count())
	expecting_errors(func() -> void:
		observe("client.get_peer_2", peer.get_peer(2) == null)
		for target: int in [0, 1, -1, 5]:
			peer.set_target_peer(target)
			observe("client.put_while_connecting_to_%d" % target, peer.put_packet(payload(3)))
		observe("client.get_packet_error", peer.get_packet().size() + peer.get_packet_error())
		peer.disconnect_peer(5))
	var connection: Object = peer.get_peer(1)
	var host: Object = peer.host
	peer.close()
	observe("client.closed.status", status_of(peer))
	observe("client.closed.peer_active", connection.is_active())
	observe("client.closed.peer_state", connection.get_state())
	expecting_errors(func() -> void:
		observe("client.closed.host_port", host.get_local_port())
		observe("client.closed.id", name_of(peer.get_unique_id())))
	# A client that gives up while it connects, forced and not.
	peer.create_client(LOCALHOST, 4)
	peer.disconnect_peer(1, true)
	observe("client.forced.status", status_of(peer))
	peer.create_client(LOCALHOST, 4)
	peer.disconnect_peer(1)
	observe("client.gave_up.status", status_of(peer))
	peer.close()


func _as_mesh() -> void:
	var peer: MultiplayerPeer = make(server_class())
	observe("mesh.create", peer.create_mesh(1))
	observe("mesh.id", peer.get_unique_id())
	_second_create("mesh", peer)
	_walk("mesh", peer)
	expecting_errors(func() -> void: observe("mesh.host", peer.host == null))
	peer.close()
	observe("mesh.closed.status", status_of(peer))
	observe("mesh.create_42", peer.create_mesh(42))
	observe("mesh.id_42", peer.get_unique_id())
	peer.close()


func _second_create(key: String, peer: MultiplayerPeer) -> void:
	expecting_errors(func() -> void:
		observe(key + ".second_server", peer.create_server(0))
		observe(key + ".second_client", peer.create_client(LOCALHOST, 4))
		observe(key + ".second_mesh", peer.create_mesh(3))
		observe(key + ".second_server_bad_port", peer.create_server(-1))
		observe(key + ".second_mesh_bad_id", peer.create_mesh(0)))
	observe(key + ".second.status", status_of(peer))


func _again() -> void:
	var peer: MultiplayerPeer = make(server_class())
	for turn in 5:
		observe("again.server_%d" % turn, peer.create_server(0))
		peer.poll()
		peer.close()
		observe("again.client_%d" % turn, peer.create_client(LOCALHOST, 4))
		peer.close()
		observe("again.mesh_%d" % turn, peer.create_mesh(2))
		peer.close()
	# Dropped while it stands.
	peer.create_server(0)
	peer = null

extends "res://tests/support/parity_test.gd"
## From create_client to two ends that know each other: statuses, signals, ids, ports, figures.


func _test() -> void:
	await _connects()
	await _many_connect()
	await _address_and_ports()
	await _full()
	await _refusing()
	await _invalid_ids()
	await _connection_objects()


func _connects() -> void:
	var server := new_server()
	observe("first.server", status_of(server))
	var client := new_client(server, "client")
	var id := client.get_unique_id()
	observe("first.client", status_of(client))
	observe("first.nothing_before_poll", [log.server, log.client])
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
	observe_log("connected", "server")
	observe_log("connected", "client")
	observe("connected.id_stays", client.get_unique_id() == id)
	observe("connected.server_id", server.get_unique_id())
	observe("connected.relay", [server.is_server_relay_supported(), client.is_server_relay_supported()])
	observe("connected.client_knows", [client.get_peer(1) != null, client.host.get_peers().size()])
	observe("connected.server_knows", [server.get_peer(id) != null, server.host.get_peers().size()])
	expecting_errors(func() -> void:
		observe("connected.not_known", [client.get_peer(id) == null, server.get_peer(1) == null]))
	observe("connected.same_object", [client.get_peer(1) == client.get_peer(1), server.get_peer(id) == server.host.get_peers()[0]])
	observe("connected.class", [client.get_peer(1).get_class(), client.host.get_class()])
	expecting_errors(func() -> void:
		observe("connected.second_server", client.create_server(0))
		observe("connected.second_client", client.create_client(LOCALHOST, 4)))
	observe("connected.second_status", status_of(client))
	# Polled twice a frame, and with nothing to do.
	for _turn in 5:
		client.poll()
		server.poll()
		client.poll()
	observe("connected.quiet", [log.server, log.client])
	clean()


func _many_connect() -> void:
	var server := new_server()
	var clients := []
	for number in 8:
		clients.append(new_client(server, "client %d" % number))
	await until(func() -> bool: return log.server.size() == 8 and clients.all(is_connected_peer), "all eight")
	var joined: Array = log.server.duplicate()
	joined.sort()
	observe("many.joined", joined)
	for number in 8:
		observe("many.client_%d" % number, log["client %d" % number])
	observe("many.peers", server.host.get_peers().size())
	clients.clear()
	clean()


func _address_and_ports() -> void:
	var spare: MultiplayerPeer = make(client_class())
	spare.create_server(0)
	var port: int = spare.host.get_local_port()
	spare.close()
	var server := new_server()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.set_bind_ip("127.0.0.1")
	# A host name this time, channels, bandwidths and a port of its own.
	observe("address.create", client.create_client("localhost", server.host.get_local_port(), 4, 0, 0, port))
	polled.append(client)
	observe("address.local_port", client.host.get_local_port() == port)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
	var there: Object = server.get_peer(client.get_unique_id())
	observe("address.remote_port", there.get_remote_port() == port)
	observe("address.remote_address", there.get_remote_address())
	observe("address.server_port", client.get_peer(1).get_remote_port() == server.host.get_local_port())
	observe("address.server_address", client.get_peer(1).get_remote_address())
	observe("address.channels", [there.get_channels(), client.get_peer(1).get_channels()])
	clean()
	# Bound to one address, a server is found there.
	server = make(server_class())
	watch(server, "server")
	server.set_bind_ip("127.0.0.2")
	observe("address.bound", server.create_server(0))
	polled.append(server)
	client = make(client_class())
	watch(client, "client")
	client.create_client("127.0.0.2", server.host.get_local_port())
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client), "connected to the bound address")
	observe("address.bound.server_address", client.get_peer(1).get_remote_address())
	clean()


func _full() -> void:
	var server := new_server(1)
	var first := await connected_client(server, "first")
	var second := new_client(server, "second")
	# The built-in says nothing, and the client would try for half a minute.
	await happens(func() -> bool: return is_gone(second), 1.0)
	observe("full.second", status_of(second))
	observe("full.second.signals", log.second)
	observe("full.first", status_of(first))
	second.close()
	# A place that became free is given again.
	first.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(first)"), "first gone")
	var third := await connected_client(server, "third")
	observe("full.third", status_of(third))
	observe_log("full", "server")
	clean()


func _refusing() -> void:
	var server := new_server()
	var before := await connected_client(server, "before")
	expecting_errors(func() -> void: server.refuse_new_connections = true)
	observe("refusing", server.refuse_new_connections)
	var refused := new_client(server, "refused")
	await happens(func() -> bool: return is_gone(refused), 0.7)
	observe("refusing.server_heard", log.server)
	observe("refusing.before", status_of(before))
	# The built-in lets the client believe it is connected, or keeps it waiting: that depends on how it was built.
	observe("refusing.is_told", is_gone(refused))
	refused.close()
	expecting_errors(func() -> void: server.refuse_new_connections = false)
	await connected_client(server, "after")
	observe("refusing.over", log.server.has("peer_connected(after)"))
	clean()


# The id of a client travels as the connection's data; a server takes no id below 2 and none that is taken.
func _invalid_ids() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	for id: Array in [["zero", 0], ["one", 1], ["taken", client.get_unique_id()], ["valid", 4711]]:
		name_id(4711, "4711")
		var connection: Object = make(connection_class(client_class()))
		connection.create_host(1)
		var peer: Object = connection.connect_to_host(LOCALHOST, server.host.get_local_port(), 2, id[1])
		log.server.clear()
		await happens(func() -> bool:
			connection.service()
			return log.server.size() > 0, 0.3 if id[0] != "valid" else SOON)
		observe("id.%s" % id[0], log.server)
		# A server may have said no.
		if peer.is_active():
			peer.reset()
		connection.destroy()
	observe("id.client", status_of(client))
	clean()


func _connection_objects() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	var there: Object = server.get_peer(id)
	var here: Object = client.get_peer(1)
	observe("object.states", [there.get_state(), here.get_state()])
	observe("object.active", [there.is_active(), here.is_active()])
	observe("object.no_packets", [there.get_available_packet_count(), here.get_available_packet_count()])
	expecting_errors(func() -> void:
		observe("object.get_packet", here.get_packet())
		observe("object.flags", here.get_packet_flags()))
	# Through the connection's own object: channel 0, reliable.
	observe("object.put", here.put_packet(payload(50)))
	await until(func() -> bool: return server.get_available_packet_count() > 0, "the packet")
	observe("object.arrives", describe_next(server, payload(50)))
	for flags: int in [0, 1, 2, 8, 10]:
		observe("object.send_%d" % flags, here.send(4, payload(50), flags))
		await until(func() -> bool: return server.get_available_packet_count() > 0, "the packet")
		observe("object.send_%d.arrives" % flags, describe_next(server, payload(50)))
	client.host.broadcast(1, payload(51), 1)
	await until(func() -> bool: return server.get_available_packet_count() > 0, "the broadcast")
	observe("object.broadcast.arrives", describe_next(server, payload(51)))
	server.close()
	observe("object.closed.active", [there.is_active(), there.get_state()])
	await until(func() -> bool: return is_gone(client), "the client alone")
	observe("object.lost.active", [here.is_active(), here.get_state()])
	expecting_errors(func() -> void:
		observe("object.lost.put", here.put_packet(payload(3)))
		observe("object.lost.send", here.send(0, payload(3), 1))
		observe("object.lost.port", here.get_remote_port())
		observe("object.lost.address", here.get_remote_address())
		observe("object.lost.channels", here.get_channels())
		observe("object.lost.rtt", here.get_statistic(3))
		here.peer_disconnect()
		here.peer_disconnect_now()
		here.peer_disconnect_later()
		here.ping()
		here.reset())
	clean()

extends "res://tests/support/webrtc_peers_test.gd"
## What a WebRTC peer answers that is not open, is opened wrongly, or gets a connection that it cannot use. Nothing is connected.


func _test() -> void:
	_not_open()
	_opened_wrongly()
	_channels()
	_opened()
	_open_already()
	_additions()
	_not_connected()
	_removals()
	_refusing()


func _not_open() -> void:
	var peer: MultiplayerPeer = make(server_class())
	_walk("closed", peer)
	peer.poll()
	peer.close()
	observe("closed.status", status_of(peer))
	observe("closed.transfer", [peer.transfer_mode, peer.transfer_channel, peer.refuse_new_connections])
	expecting_errors(func() -> void:
		observe("closed.add", peer.add_peer(new_connection(), 2))
		observe("closed.add_null", peer.add_peer(null, 2)))


func _walk(key: String, peer: MultiplayerPeer) -> void:
	expecting_errors(func() -> void:
		observe(key + ".id", peer.get_unique_id())
		observe(key + ".relay", peer.is_server_relay_supported())
		observe(key + ".available", peer.get_available_packet_count())
		observe(key + ".packet", peer.get_packet())
		observe(key + ".packet_error", peer.get_packet_error())
		observe(key + ".packet_peer", peer.get_packet_peer())
		observe(key + ".packet_channel", peer.get_packet_channel())
		observe(key + ".packet_mode", peer.get_packet_mode())
		observe(key + ".peers", peer.get_peers())
		observe(key + ".get_peer", peer.get_peer(5))
		observe(key + ".has_peer", [peer.has_peer(5), peer.has_peer(0), peer.has_peer(-1)])
		peer.remove_peer(5)
		peer.disconnect_peer(5)
		peer.disconnect_peer(5, true)
		for target: int in [0, 1, 5, -5]:
			peer.set_target_peer(target)
			observe("%s.put_to_%d" % [key, target], peer.put_packet(payload(3)))
		peer.set_target_peer(0))
	observe(key + ".status_after", status_of(peer))


func _opened_wrongly() -> void:
	var peer: MultiplayerPeer = make(server_class())
	expecting_errors(func() -> void:
		for id: int in [1, 0, -1, -2147483648, 2147483648]:
			observe("client_id.%d" % id, peer.create_client(id))
		for id: int in [0, -1, -2147483648, 2147483648]:
			observe("mesh_id.%d" % id, peer.create_mesh(id))
		for channels: Array in [["reliable"], [3], [-1], [2.0], [null], [2, 1, 7], [[2]], [2, "x"]]:
			observe("channels.server.%s" % [channels], peer.create_server(channels))
			observe("channels.client.%s" % [channels], peer.create_client(2, channels))
			observe("channels.mesh.%s" % [channels], peer.create_mesh(2, channels)))
	observe("wrong.status", status_of(peer))


func _channels() -> void:
	var typed: Array[int] = [2, 1, 0]
	for channels: Array in [[], [0], [2, 2, 2], typed, Array(PackedInt64Array([1, 2]))]:
		var peer: MultiplayerPeer = make(server_class())
		observe("channels.good.%s" % [channels], peer.create_server(channels))
		check_eq(peer.add_peer(new_connection(), 2), OK, "add_peer")
		var told := []
		for channel: WebRTCDataChannel in peer.get_peer(2).channels:
			told.append([channel.get_label(), channel.get_id(), channel.is_negotiated(), channel.is_ordered(), channel.get_max_packet_life_time(), channel.get_ready_state()])
		observe("channels.made.%s" % [channels], told)
		peer.close()


func _opened() -> void:
	for role: Array in [["server", [[]]], ["client", [2, []]], ["client", [2147483647]], ["mesh", [1]], ["mesh", [2]], ["mesh", [2147483647]]]:
		var key := "open.%s.%s" % [role[0], role[1]]
		var peer: MultiplayerPeer = make(server_class())
		observe(key, peer.callv("create_" + role[0], role[1]))
		observe(key + ".status", status_of(peer))
		_walk(key, peer)
		peer.poll()
		observe(key + ".polled", status_of(peer))
		peer.close()
		observe(key + ".closed", status_of(peer))
		_walk(key + ".closed", peer)


func _open_already() -> void:
	var peer: MultiplayerPeer = make(server_class())
	peer.create_mesh(7)
	expecting_errors(func() -> void:
		observe("again.server", peer.create_server())
		observe("again.client", peer.create_client(3))
		observe("again.mesh", peer.create_mesh(4)))
	peer.close()
	observe("again.closed", [peer.create_client(3), peer.get_unique_id(), status_of(peer)])
	peer.close()


func _additions() -> void:
	for role: Array in [["server", []], ["client", [9]], ["mesh", [9]]]:
		var peer: MultiplayerPeer = make(server_class())
		peer.callv("create_" + role[0], role[1])
		expecting_errors(func() -> void:
			for id: int in [1, 2, 9, 2147483647, 0, -1, -2147483648]:
				observe("add.%s.%d" % [role[0], id], peer.add_peer(new_connection(), id))
			observe("add.%s.null" % role[0], peer.add_peer(null, 1 if role[0] == "client" else 5))
			observe("add.%s.lifetime" % role[0], peer.add_peer(new_connection(), 1 if role[0] == "client" else 5, -1))
			observe("add.%s.lifetime_0" % role[0], peer.add_peer(new_connection(), 1 if role[0] == "client" else 5, 0)))
		var ids: Array = peer.get_peers().keys()
		ids.sort()
		observe("add.%s.peers" % role[0], ids)
		peer.close()
		observe("add.%s.closed" % role[0], peer.get_peers())
	# Connections that were used before.
	var peer: MultiplayerPeer = make(server_class())
	peer.create_mesh(9)
	var connection := new_connection()
	observe("used.first", peer.add_peer(connection, 2))
	expecting_errors(func() -> void: observe("used.twice", peer.add_peer(connection, 3)))
	connection = new_connection()
	connection.create_data_channel("own", {"negotiated": true, "id": 77})
	observe("used.own_channel", peer.add_peer(connection, 4))
	connection = new_connection()
	connection.create_data_channel("own", {"negotiated": true, "id": 2})
	expecting_errors(func() -> void: observe("used.number", peer.add_peer(connection, 5)))
	connection = new_connection()
	connection.create_data_channel("own")
	connection.create_offer()
	expecting_errors(func() -> void: observe("used.offered", peer.add_peer(connection, 5)))
	connection = new_connection()
	connection.close()
	expecting_errors(func() -> void: observe("used.closed", peer.add_peer(connection, 5)))
	var ids: Array = peer.get_peers().keys()
	ids.sort()
	observe("used.peers", ids)
	peer.close()


func _not_connected() -> void:
	var peer: MultiplayerPeer = make(server_class())
	peer.create_server([1])
	var connection := new_connection()
	peer.add_peer(connection, 2)
	var known: Dictionary = peer.get_peer(2)
	observe("awaited.keys", known.keys())
	observe("awaited.same", [known.connection == connection, known.connected, known.channels.size()])
	observe("awaited.again", peer.get_peer(2).channels == known.channels)
	observe("awaited.peers", peer.get_peers().keys())
	observe("awaited.all", peer.get_peers()[2].connection == connection)
	observe("awaited.has", peer.has_peer(2))
	expecting_errors(func() -> void:
		observe("awaited.put_all", peer.put_packet(payload(3)))
		peer.set_target_peer(-2)
		observe("awaited.put_but", peer.put_packet(payload(3)))
		peer.set_target_peer(3)
		observe("awaited.put_unknown", peer.put_packet(payload(3)))
		peer.set_target_peer(0)
		peer.transfer_channel = 2
		observe("awaited.put_channel", peer.put_packet(payload(3))))
	peer.poll()
	observe("awaited.status", [status_of(peer), connection.get_connection_state()])
	peer.close()


func _removals() -> void:
	for role: Array in [["server", [], 2], ["client", [9], 1], ["mesh", [9], 2]]:
		var told := []
		var peer: MultiplayerPeer = make(server_class())
		peer.peer_disconnected.connect(func(id: int) -> void: told.append(id))
		peer.callv("create_" + role[0], role[1])
		peer.add_peer(new_connection(), role[2])
		peer.remove_peer(role[2])
		observe("removed.%s" % role[0], [told, status_of(peer), peer.has_peer(role[2]), peer.get_peers()])
		observe("removed.%s.again" % role[0], peer.add_peer(new_connection(), role[2]))
		peer.disconnect_peer(role[2], true)
		observe("removed.%s.forced" % role[0], [told, status_of(peer), peer.has_peer(role[2])])
		peer.close()
		observe("removed.%s.told" % role[0], told)


func _refusing() -> void:
	var peer: MultiplayerPeer = make(server_class())
	peer.refuse_new_connections = true
	peer.create_server()
	observe("refusing.kept", peer.refuse_new_connections)
	expecting_errors(func() -> void:
		observe("refusing.add", peer.add_peer(new_connection(), 2))
		observe("refusing.add_null", peer.add_peer(null, 2))
		observe("refusing.add_wrong", peer.add_peer(new_connection(), 1)))
	peer.refuse_new_connections = false
	observe("refusing.not", peer.add_peer(new_connection(), 2))
	peer.refuse_new_connections = true
	observe("refusing.there", peer.has_peer(2))
	peer.close()
	observe("refusing.after", peer.refuse_new_connections)

extends "res://tests/support/webrtc_peers_test.gd"
## How connections over WebRTC end: removed, disconnected, forced or not, closed, by the connection or a channel of its own; what
## each side hears, and what its handlers may do.


func _test() -> void:
	for who: String in ["server", "client"]:
		for how: String in ["removed", "disconnected", "forced", "closed", "dropped", "connection_closed", "channel_closed"]:
			await _ended_by(who, how)
	await _in_a_mesh()
	await _one_of_three()
	await _packets_before_the_end()
	await _inside_a_signal()


func _ended_by(who: String, how: String) -> void:
	var key := "%s.%s" % [who, how]
	var server := new_server()
	var client := await connected_client_with(server, "client", [])
	log.server.clear()
	log.client.clear()
	_watch_more(server, "server", 2)
	_watch_more(client, "client", 1)
	var peer := server if who == "server" else client
	var id := 2 if who == "server" else 1
	_end(peer, id, how)
	if how == "dropped":
		polled.erase(peer)
		if who == "server":
			server = null
		else:
			client = null
		peer = null
	else:
		observe(key + ".at_once", [status_of(server), status_of(client), server.has_peer(2), client.has_peer(1)])
		observe(key + ".at_once.log", [log.server, log.client])
	await until(func() -> bool: return (
			(client == null or is_gone(client))
			and (server == null or is_gone(server) or not server.has_peer(2))), "the end")
	await linger(0.03)
	observe_log(key, "server")
	observe_log(key, "client")
	if server != null:
		observe(key + ".server", [status_of(server), server.has_peer(2), server.get_peers().size()])
	if client != null:
		observe(key + ".client", [status_of(client), client.has_peer(1), client.get_peers().size()])
		expecting_errors(func() -> void:
			client.set_target_peer(1)
			observe(key + ".put", client.put_packet(payload(3)) != OK))
	clean()


# On its own, since a function holds on to what it has had in hand.
func _end(peer: MultiplayerPeer, id: int, how: String) -> void:
	match how:
		"removed":
			peer.remove_peer(id)
		"disconnected":
			peer.disconnect_peer(id)
		"forced":
			peer.disconnect_peer(id, true)
		"closed":
			peer.close()
		"connection_closed":
			peer.get_peer(id).connection.close()
		"channel_closed":
			peer.get_peer(id).channels[1].close()


# What a handler of the last signal sees.
func _watch_more(peer: MultiplayerPeer, name: String, id: int) -> void:
	var weak: WeakRef = weakref(peer)
	var entries: Array = log[name]
	peer.peer_disconnected.connect(func(_who: int) -> void:
		var me: MultiplayerPeer = weak.get_ref()
		entries.append("status %s, there: %s" % [status_of(me), me.has_peer(id)]))


func _in_a_mesh() -> void:
	var mesh := await new_mesh()
	for id: int in mesh:
		log["peer %d" % id].clear()
	mesh[3].remove_peer(4)
	await until(func() -> bool: return log["peer 3"].size() > 0 and log["peer 4"].size() > 0, "3 and 4 apart")
	mesh[2].disconnect_peer(3)
	await until(func() -> bool: return log["peer 2"].size() > 0 and log["peer 3"].size() > 1, "2 and 3 apart")
	for id: int in mesh:
		observe_log("mesh.apart", "peer %d" % id)
		observe("mesh.apart.%d" % id, [status_of(mesh[id]), mesh[id].get_peers().keys()])
	introduce(mesh[3], mesh[4])
	await until(func() -> bool: return log["peer 3"].size() > 0 and log["peer 4"].size() > 0, "3 and 4 together")
	mesh[4].close()
	await until(func() -> bool: return log["peer 2"].size() > 0 and log["peer 3"].size() > 1, "4 gone")
	for id: int in mesh:
		observe_log("mesh.left", "peer %d" % id)
		observe("mesh.left.%d" % id, [status_of(mesh[id]), mesh[id].get_peers().keys()])
	clean()


func _one_of_three() -> void:
	var server := new_server()
	var clients := {}
	for name: String in ["anna", "ben", "cleo"]:
		clients[name] = await connected_client_with(server, name, [])
	for name: String in log:
		log[name].clear()
	server.disconnect_peer(3)
	await until(func() -> bool: return is_gone(clients.ben) and not server.has_peer(3), "ben gone")
	address(server, 0)
	server.put_packet(payload(9))
	for name: String in ["anna", "cleo"]:
		await until(func() -> bool: return clients[name].get_available_packet_count() > 0, "%s is there" % name)
		observe("three." + name, describe_next(clients[name], payload(9)))
	for name: String in ["server", "anna", "ben", "cleo"]:
		observe_log("three", name)
	clean()


# Ferry's are told of the end when the packets have been read; how many the built-in still reads is left to luck.
func _packets_before_the_end() -> void:
	var server := new_server()
	var client := await connected_client_with(server, "client", [])
	address(client, 1)
	for number in 10:
		client.put_packet(payload(10, number))
	await until(func() -> bool: return server.get_available_packet_count() == 10, "ten packets")
	client.disconnect_peer(1)
	await until(func() -> bool: return is_gone(client), "the client is gone")
	await linger(0.05)
	observe("before.there", [server.has_peer(2), server.get_available_packet_count()])
	while server.get_available_packet_count() > 0:
		server.get_packet()
	await until(func() -> bool: return not server.has_peer(2), "gone")
	observe_log("before", "server")
	# A peer that this end removes takes its packets along.
	client = await connected_client_with(server, "client", [])
	address(client, 1)
	client.put_packet(payload(10))
	await until(func() -> bool: return server.get_available_packet_count() == 1, "a packet")
	server.remove_peer(client.get_unique_id())
	observe("removed.available", server.get_available_packet_count())
	clean()


func _inside_a_signal() -> void:
	for what: String in ["remove", "disconnect", "force", "close", "poll"]:
		var server := new_server()
		var weak: WeakRef = weakref(server)
		server.peer_connected.connect(func(id: int) -> void: _do(weak.get_ref(), id, what))
		var client := new_client(server, "client")
		await until(func() -> bool: return log.server.size() > 0, "the server knows")
		if what != "poll":
			await until(func() -> bool: return not server.has_peer(2), "the client is sent away")
			await linger(0.1)
			# Whether it had been connected by then is left to luck.
			observe("inside.%s.client" % what, log.client.size() in [0, 2])
		observe_log("inside." + what, "server")
		observe("inside.%s.status" % what, [status_of(server), server.get_peers().size()])
		clean()


func _do(me: MultiplayerPeer, id: int, what: String) -> void:
	match what:
		"remove":
			me.remove_peer(id)
		"disconnect":
			me.disconnect_peer(id)
		"force":
			me.disconnect_peer(id, true)
		"close":
			me.close()
		"poll":
			me.poll()

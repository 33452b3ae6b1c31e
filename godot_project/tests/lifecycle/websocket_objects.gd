extends "res://tests/support/ferry_test.gd"
## What the objects behind a WebSocket peer are worth once it has ended, and what they keep: nothing.


func _test() -> void:
	await _kept_sockets_keep_no_port()
	await _a_socket_is_dropped_in_its_own_poll()
	await _sockets_without_owners_say_goodbye()


# A script holds the sockets of all clients, and drops the server.
func _kept_sockets_keep_no_port() -> void:
	var server := new_server()
	var port := port_of(server)
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	var kept: PacketPeer = server.get_peer(id)
	check(kept != null and kept == server.get_peer(id), "always the same object")
	check_eq(kept.get_ready_state(), WebSocketPeer.STATE_OPEN, "while it stands")
	var told := watch_reasons(client)
	polled = [client]
	let_go(server)
	server = null
	await until(func() -> bool: return is_gone(client), "the client hears of it")
	check_eq(told, ["lost REMOTE_CLOSE", "server gone REMOTE_CLOSE"], "what it is told")
	check(kept.get_ready_state() != WebSocketPeer.STATE_OPEN, "nothing stands any more")
	errors_expected(true)
	check(kept.put_packet(payload(3)) != OK, "a put afterwards")
	errors_expected(false)
	var again: MultiplayerPeer = make(server_class())
	check_eq(again.create_server(port), OK, "the port is free again")
	again.close()
	clean()


# The only reference goes while its poll runs: nothing is emitted, but the call is not over.
func _a_socket_is_dropped_in_its_own_poll() -> void:
	var server := new_server()
	var box := {"socket": make("FerryWebSocketPeer")}
	var watcher: WeakRef = weakref(box.socket)
	check_eq(box.socket.connect_to_url("ws://127.0.0.1:%d" % port_of(server)), OK, "connect_to_url")
	server.peer_connected.connect(func(_id: int) -> void: box.clear())
	await until(func() -> bool:
		if box.has("socket"):
			(box.socket as Object).call(&"poll")
		return box.is_empty(), "it came")
	await until(func() -> bool: return watcher.get_ref() == null and log.server.size() == 2, "it went, and the server heard")
	clean()


func _sockets_without_owners_say_goodbye() -> void:
	var server := new_server()
	var gone := watch_reasons(server)
	var sockets := []
	for number in 8:
		# A variable of this function's would hold the last one.
		sockets.append(make("FerryWebSocketPeer"))
		check_eq(sockets[-1].connect_to_url("ws://127.0.0.1:%d" % port_of(server)), OK, "connect_to_url")
	polled = [server] + sockets
	await until(func() -> bool: return sockets.all(func(socket: PacketPeer) -> bool: return socket.get_available_packet_count() == 1), "each has its id")
	sockets.map(_say_last_word)
	sockets.clear()
	polled = [server]
	var packets := [0]
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			server.get_packet()
			packets[0] += 1
		return gone.size() == 8, "all have gone")
	check_eq(packets[0], 8, "last words")
	check(gone.all(func(one: String) -> bool: return one == "lost REMOTE_CLOSE"), "why: %s" % [gone])
	clean()


func _say_last_word(socket: PacketPeer) -> void:
	check_eq(socket.get_packet().size(), 4, "the id")
	check_eq(socket.put_packet(payload(50)), OK, "its last word")

extends "res://tests/support/ferry_test.gd"
## The life of single WebSockets: carried over a stream of the game's, used on threads, dropped at any moment.

const MESSAGES := 200


func _test() -> void:
	await _carried_over_a_stream()
	await _carried_over_tls()
	await _on_a_thread()
	await _dropped_at_any_moment()
	await _a_server_of_single_sockets_goes_in_the_frame_of_a_send()
	await _many_wait_in_a_sleeping_game()


## Two ends of one connection, of Ferry's class: one by URL, one over an accepted stream.
func _pair(door: TCPServer, options: TLSOptions = null) -> Array:
	var caller: PacketPeer = make("FerryWebSocketPeer")
	var callee: PacketPeer = make("FerryWebSocketPeer")
	var trust: TLSOptions = null if options == null else TLSOptions.client(options.get_own_certificate())
	var url := url_of(door.get_local_port(), "", "ws" if options == null else "wss")
	check_eq(caller.connect_to_url(url, trust), OK, "connect_to_url")
	polled.append(caller)
	var stream: StreamPeer = await taken(door)
	if options != null:
		var secure := StreamPeerTLS.new()
		check_eq(secure.accept_stream(stream, options), OK, "TLS")
		await until(func() -> bool:
			secure.poll()
			return secure.get_status() == StreamPeerTLS.STATUS_CONNECTED, "TLS")
		stream = secure
	check_eq(callee.accept_stream(stream), OK, "accept_stream")
	polled.append(callee)
	await until(func() -> bool: return is_open(caller) and is_open(callee), "open")
	return [caller, callee]


func _converse(ends: Array) -> void:
	for from: int in [0, 1]:
		for number in MESSAGES:
			check_eq(ends[from].put_packet(payload(500, number)), OK, "put")
		check_eq(ends[from].put_packet(payload(300_000, 5)), OK, "a long one")
	for to: int in [0, 1]:
		await until(func() -> bool: return ends[to].get_available_packet_count() == MESSAGES + 1, "all messages at %d" % to)
		var right := 0
		for number in MESSAGES:
			right += int(ends[to].get_packet() == payload(500, number))
		check_eq(right, MESSAGES, "messages in order at %d" % to)
		check(ends[to].get_packet() == payload(300_000, 5), "the long one at %d" % to)


func _carried_over_a_stream() -> void:
	var ends: Array = await _pair(listening())
	await _converse(ends)
	ends[1].close(4444, "enough")
	await until(func() -> bool: return is_closed(ends[0]) and is_closed(ends[1]), "closed")
	check_eq([ends[0].get_close_code(), ends[0].get_close_reason()], [4444, "enough"], "what the other end is told")
	clean()


func _carried_over_tls() -> void:
	var options: TLSOptions = ClassDB.class_call_static(&"FerryTLS", &"self_signed")
	var ends: Array = await _pair(listening(), options)
	await _converse(ends)
	ends[0].close()
	await until(func() -> bool: return is_closed(ends[0]) and is_closed(ends[1]), "closed")
	check_eq(ends[1].get_close_code(), 1000, "what the other end is told")
	clean()


# One end is polled, read and written on a thread, the other here.
func _on_a_thread() -> void:
	var ends: Array = await _pair(listening())
	var here: PacketPeer = ends[0]
	var there: PacketPeer = ends[1]
	polled = [here]
	var thread := Thread.new()
	thread.start(func() -> int:
		var echoed := 0
		var deadline := Time.get_ticks_msec() + 15_000
		while echoed < MESSAGES and Time.get_ticks_msec() < deadline:
			there.poll()
			while there.get_available_packet_count() > 0:
				echoed += int(there.put_packet(there.get_packet()) == OK)
			OS.delay_usec(300)
		# So that the last ones leave: nobody else polls it.
		there.poll()
		return echoed)
	for number in MESSAGES:
		check_eq(here.put_packet(payload(100, number)), OK, "put")
	await until(func() -> bool: return not thread.is_alive(), "the thread's end", 20.0)
	check_eq(thread.wait_to_finish(), MESSAGES, "echoes")
	polled = [here, there]
	await until(func() -> bool: return here.get_available_packet_count() == MESSAGES, "what came back")
	clean()


# Connecting, in the handshake, open, with messages under way, closing: the other end only hears of it.
func _dropped_at_any_moment() -> void:
	var server := new_server()
	for turns in 60:
		var box := [make("FerryWebSocketPeer")]
		check_eq(box[0].connect_to_url(url_of(port_of(server))), OK, "connect_to_url")
		for _turn in turns / 3:
			server.poll()
			box[0].poll()
			if is_open(box[0]):
				box[0].put_packet(payload(1000))
			OS.delay_usec(turns * 20)
		if turns % 5 == 0:
			box[0].close()
		box.clear()
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			server.get_packet()
		return server.get_stats().peers == 0 and log.server.size() % 2 == 0, "all have gone")
	await connected_client(server, "afterwards")
	clean()


# The objects of a server's clients send by themselves, and the server goes in the same frame.
func _a_server_of_single_sockets_goes_in_the_frame_of_a_send() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var told := watch_reasons(client)
	polled = [client]
	server.get_peer(client.get_unique_id()).put_packet(payload(70, 1))
	server.get_peer(client.get_unique_id()).put_packet(payload(70, 2))
	let_go(server)
	server = null
	await until(func() -> bool: return client.get_available_packet_count() == 2, "both packets")
	check(client.get_packet() == payload(70, 1) and client.get_packet() == payload(70, 2), "as they were")
	await until(func() -> bool: return is_gone(client), "the server's end")
	check_eq(told, ["lost REMOTE_CLOSE", "server gone REMOTE_CLOSE"], "what it is told")
	clean()


# They come, speak and wait while no frame ends; then all are there, each with what it said.
func _many_wait_in_a_sleeping_game() -> void:
	const CLIENTS := 30
	var server := new_server(CLIENTS)
	server.poll()
	var clients: Array[MultiplayerPeer] = []
	var thread := Thread.new()
	var port := port_of(server)
	thread.start(func() -> int:
		for number in CLIENTS:
			var client: MultiplayerPeer = ClassDB.instantiate(client_class())
			client.create_client("ws://127.0.0.1:%d" % port)
			clients.append(client)
		var greeted := {}
		var deadline := Time.get_ticks_msec() + 8000
		while greeted.size() < CLIENTS and Time.get_ticks_msec() < deadline:
			for client in clients:
				if not is_gone(client):
					client.poll()
				if is_connected_peer(client) and not greeted.has(client):
					client.set_target_peer(1)
					client.put_packet("hello".to_utf8_buffer())
					client.poll()
					greeted[client] = true
			OS.delay_msec(1)
		return greeted.size())
	# The game thread loads a level.
	OS.delay_msec(2500)
	server.poll()
	await until(func() -> bool: return not thread.is_alive(), "the thread's end")
	check_eq(thread.wait_to_finish(), CLIENTS, "clients that came in while nobody polled the server, or since")
	polled.append_array(clients)
	await until(func() -> bool: return server.get_available_packet_count() == CLIENTS, "what they said")
	check_eq(server.get_stats().peers, CLIENTS, "peers")
	clean()

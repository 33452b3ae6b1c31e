extends "res://tests/support/ferry_test.gd"
## When things leave and in which order they come, frame by frame.

const PACKETS := 50

# Figures are older than what they count by less than this.
const FIGURES_MS := 100

# Between two checks of one round there is less than this.
const ROUND_MS := 200


func _test() -> void:
	# Over WebRTC, nobody says anything before there is a connection to say it on.
	if not is_webrtc():
		await _a_client_says_nothing_before_its_first_poll()
		await _a_client_that_is_not_polled_starts_at_the_frames_end()
	await _a_server_answers_nobody_before_its_first_poll()
	await _packets_come_before_their_senders_end()
	await _unread_packets_hold_back_their_senders_end()
	await _a_frame_leaves_together(0)
	await _a_frame_leaves_together(8)
	await _a_paused_game_sends()


# Somebody who has a port and says nothing.
func _listener() -> RefCounted:
	if is_websocket():
		var door := TCPServer.new()
		check_eq(door.listen(0, LOCALHOST), OK, "a socket")
		return door
	var socket := PacketPeerUDP.new()
	check_eq(socket.bind(0, LOCALHOST), OK, "a socket")
	return socket


func _has_heard(socket: RefCounted) -> bool:
	return socket.is_connection_available() if socket is TCPServer else socket.get_available_packet_count() > 0


func _a_client_says_nothing_before_its_first_poll() -> void:
	var socket := _listener()
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, socket.get_local_port()), OK, "create_client")
	# No frame ends meanwhile.
	OS.delay_msec(150)
	check_eq(_has_heard(socket), false, "something before the first poll")
	client.poll()
	check(_comes_in_this_frame(socket), "something after the first poll")
	client.close()


func _comes_in_this_frame(socket: RefCounted) -> bool:
	var deadline := Time.get_ticks_msec() + 3000
	while Time.get_ticks_msec() < deadline:
		if _has_heard(socket):
			return true
		OS.delay_msec(1)
	return false


func _a_client_that_is_not_polled_starts_at_the_frames_end() -> void:
	var socket := _listener()
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, socket.get_local_port()), OK, "create_client")
	await process_frame
	await process_frame
	check(_comes_in_this_frame(socket), "something after the frame's end")
	client.close()


func _a_server_answers_nobody_before_its_first_poll() -> void:
	var server: MultiplayerPeer = make(server_class())
	check_eq(open_server(server), OK, "create_server")
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, port_of(server)), OK, "create_client")
	for _turn in 20:
		_poll(client)
		OS.delay_msec(10)
	check_eq(status_of(client), "connecting", "while the server is only configured")
	polled = [server, client]
	await until(func() -> bool: return is_connected_peer(client), "connected once the server is polled")
	clean()


func _packets_come_before_their_senders_end() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	for number in PACKETS:
		check_eq(client.put_packet(payload(700, number)), OK, "put")
	client.close()
	polled = [server]
	var progress := {}
	var at_the_end := [-1]
	server.peer_disconnected.connect(func(_id: int) -> void: at_the_end[0] = progress.get("packets", 0))
	await until(func() -> bool:
		read_numbered(server, 700, progress)
		return at_the_end[0] >= 0, "the sender's end")
	check_eq(at_the_end[0], PACKETS, "packets read when the sender's end is told")
	check(progress.get("in_order", false), "in order")
	clean()


# SceneMultiplayer reads packets after polling, and drops those of ids that are gone.
func _unread_packets_hold_back_their_senders_end() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	for number in 3:
		client.put_packet(payload(70, number))
	client.close()
	polled.clear()
	# Everything is here, the goodbye too, and nobody has read or polled.
	OS.delay_msec(150)
	server.poll()
	check_eq(server.get_available_packet_count(), 3, "packets after one poll")
	check(not log.server.has("peer_disconnected(client)"), "not gone while its packets wait")
	for number in 3:
		check_eq(describe_next(server, payload(70, number)), "from client, reliable, channel 0, 70 bytes", "packet %d" % number)
	server.poll()
	check(log.server.has("peer_disconnected(client)"), "gone with the poll after they were read")
	polled = [server]
	clean()


# Packets of a frame for one peer leave in as few datagrams as hold them, also when the frame takes its time.
func _a_frame_leaves_together(pause_ms: int) -> void:
	const FRAMES := 6
	const PUTS := 3
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	var fewest := FRAMES * PUTS
	# One a frame; two more for a ping, or for a frame that was late.
	const MOST := FRAMES + 2
	# A machine that takes the processor away in the middle of a frame makes that frame a late one: hence more tries.
	for _attempt in 5:
		if is_webrtc():
			await _has_checked_its_paths(client)
		polled.clear()
		# Frames of this kind with nothing to send: how long frames are is learned from the last ones. Meanwhile the figures
		# come to rest, and do not count what left before.
		var rested := Time.get_ticks_msec() + FIGURES_MS
		while Time.get_ticks_msec() < rested:
			await _frame(client, server, PUTS, pause_ms, false)
		var before: int = client.get_stats().datagrams_sent
		for _frame_number in FRAMES:
			await _frame(client, server, PUTS, pause_ms, true)
		polled = [server, client]
		await until(func() -> bool: return server.get_available_packet_count() == FRAMES * PUTS, "all of them")
		while server.get_available_packet_count() > 0:
			server.get_packet()
		await linger(FIGURES_MS / 1000.0)
		fewest = mini(fewest, client.get_stats().datagrams_sent - before)
		if fewest <= MOST:
			break
	print("FRAMES %d datagrams for %d frames of %d puts, %d ms apart" % [fewest, FRAMES, PUTS, pause_ms])
	check(fewest <= MOST, "%d datagrams for %d frames with pauses of %d ms" % [fewest, FRAMES, pause_ms])
	clean()


func _frame(client: MultiplayerPeer, server: MultiplayerPeer, puts: int, pause_ms: int, sends: bool) -> void:
	client.poll()
	server.poll()
	for number in puts:
		if sends:
			check_eq(client.put_packet(payload(100, number)), OK, "put")
		OS.delay_msec(pause_ms)
	await process_frame


# Each end of a connection over WebRTC asks each second whether its paths are still there, and answers the other end: two
# datagrams for each pair of addresses, which would be counted with the frames. Behind such a round there is time until the
# next. While the connection is young the next comes sooner: then the first try is in vain.
func _has_checked_its_paths(client: MultiplayerPeer) -> void:
	var before: int = client.get_stats().datagrams_sent
	await until(func() -> bool: return client.get_stats().datagrams_sent > before, "a check of its paths")
	var last := {"sent": before, "at": 0}
	await until(func() -> bool:
		var sent: int = client.get_stats().datagrams_sent
		if sent > last.sent:
			last.sent = sent
			last.at = Time.get_ticks_msec()
		return Time.get_ticks_msec() > last.at + ROUND_MS, "the round is over")


func _a_paused_game_sends() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	polled = [server]
	paused = true
	Engine.time_scale = 0.0
	for number in 5:
		client.put_packet(payload(40, number))
		await until(func() -> bool: return server.get_available_packet_count() == number + 1, "packet %d of a paused game" % number)
	Engine.time_scale = 1.0
	paused = false
	polled = [server, client]
	clean()

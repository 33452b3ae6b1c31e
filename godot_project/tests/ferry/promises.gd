extends "res://tests/support/parity_test.gd"
## What Ferry promises beyond the built-in's behaviour, in one process.

## As long as a game may load; more than the time-out set for it.
const LOADING_MS := 3000


func server_class() -> String:
	return "FerryENetMultiplayerPeer"


func client_class() -> String:
	return "FerryENetMultiplayerPeer"


func _test() -> void:
	await _armed_by_the_first_poll()
	await _packets_come_before_their_senders_end()
	await _a_frame_leaves_together(0)
	await _a_frame_leaves_together(8)
	await _a_loading_game_keeps_its_players()
	await _nothing_is_thinned_out()
	await _a_full_queue()
	await _two_polls_a_frame()
	await _many_come_and_go()


# Until then it is only configured: a client that is polled by nobody sends nothing.
func _armed_by_the_first_poll() -> void:
	var socket := PacketPeerUDP.new()
	socket.bind(0, LOCALHOST)
	var client: MultiplayerPeer = make(client_class())
	client.create_client(LOCALHOST, socket.get_local_port())
	client.host.compress(1)
	# Not a frame passes: at its end, the peer would be armed.
	OS.delay_msec(100)
	check_eq(socket.get_available_packet_count(), 0, "datagrams before the first poll")
	client.poll()
	await until(func() -> bool: return socket.get_available_packet_count() > 0, "a datagram after it")
	client.close()


# SceneMultiplayer drops packets of ids that it no longer knows.
func _packets_come_before_their_senders_end() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	polled.clear()
	address(client, 1)
	for number in 10:
		client.put_packet(payload(50, number))
	client.close()
	OS.delay_msec(100)
	log.server.clear()
	var read := 0
	var read_at_signal := -1
	for _turn in 100:
		server.poll()
		if not log.server.is_empty():
			read_at_signal = read
			break
		while server.get_available_packet_count() > 0:
			server.get_packet()
			read += 1
		await process_frame
	check_eq(read_at_signal, 10, "packets read when the sender's end is told")
	clean()
	server.close()


# Packets of a frame for one peer leave in as few datagrams as hold them, also when the frame takes its time.
func _a_frame_leaves_together(pause_ms: int) -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	await linger(0.1)
	address(client, 1)
	var before: int = client.get_stats().datagrams_sent
	await process_frame
	client.poll()
	server.poll()
	for number in 10:
		client.put_packet(payload(100, number))
		OS.delay_msec(pause_ms)
	await until(func() -> bool: return server.get_available_packet_count() == 10, "all of them")
	var sent: int = client.get_stats().datagrams_sent - before
	# One for the packets, a few for pings and acknowledgements; without pauses.
	var bound := 3 if pause_ms == 0 else 10
	check(sent <= bound, "%d datagrams with pauses of %d ms" % [sent, pause_ms])
	clean()


func _a_loading_game_keeps_its_players() -> void:
	var server := new_server()
	server.peer_timeout = 1.0
	var client := await connected_client(server, "client")
	client.peer_timeout = 1.0
	address(client, 1)
	address(server, client.get_unique_id())
	for number in 50:
		client.put_packet(payload(200, number))
		server.put_packet(payload(200, number))
	# Neither end is polled meanwhile.
	OS.delay_msec(LOADING_MS)
	await until(func() -> bool: return server.get_available_packet_count() == 50 and client.get_available_packet_count() == 50, "all that was sent before")
	for peer: MultiplayerPeer in [server, client]:
		check_eq(status_of(peer), "connected", "after loading")
	check_eq(log.server, ["peer_connected(client)"], "the server's signals")
	clean()


func connected_client(server: MultiplayerPeer, name: String, channels := 0) -> MultiplayerPeer:
	# As the parity scenes do, but with the throttle as it comes.
	var client := new_client(server, name, channels)
	await until(func() -> bool: return is_connected_peer(client) and log["server"].has("peer_connected(%s)" % name), "%s connected" % name)
	return client


func _nothing_is_thinned_out() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1, MultiplayerPeer.TRANSFER_MODE_UNRELIABLE)
	var got := 0
	for number in 300:
		client.put_packet(payload(64, number))
		await process_frame
		server.poll()
		client.poll()
		while server.get_available_packet_count() > 0:
			server.get_packet()
			got += 1
	var deadline := Time.get_ticks_msec() + 2000
	while got < 300 and Time.get_ticks_msec() < deadline:
		await process_frame
		server.poll()
		while server.get_available_packet_count() > 0:
			server.get_packet()
			got += 1
	check_eq(got, 300, "unreliable packets")
	clean()


# A reliable packet that does not fit is an error, and ends the connection unless that is asked for otherwise.
func _a_full_queue() -> void:
	for overflow in 2:
		var server := new_server()
		server.outbound_queue_limit = 300000
		server.reliable_overflow = overflow
		var client := await connected_client(server, "client")
		var id := client.get_unique_id()
		address(server, id)
		var failed := OK
		errors_expected(true)
		for number in 40:
			failed = server.put_packet(payload(100000))
			if failed != OK:
				break
		errors_expected(false)
		check_eq(failed, ERR_OUT_OF_MEMORY, "a put that does not fit")
		if overflow == 0:
			await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "the end of it")
			check_eq(server.get_disconnect_reason(id), ClassDB.class_get_integer_constant(&"FerryDisconnect", &"QUEUE_FULL"), "why")
		else:
			await linger(0.2)
			check_eq(status_of(client), "connected", "as asked for")
		clean()


func _two_polls_a_frame() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	polled = [server, client, server, client]
	client.put_packet(payload(9))
	await until(func() -> bool: return server.get_available_packet_count() == 1, "the packet")
	check_eq(describe_next(server, payload(9)), "from client, reliable, channel 0, 9 bytes", "the packet")
	clean()


# The runtime is neither worn out nor left over.
func _many_come_and_go() -> void:
	for turn in 30:
		var server := new_server()
		var client := await connected_client(server, "client %d" % turn)
		if turn % 3 == 0:
			client.close()
		clean()
	check(true, "")

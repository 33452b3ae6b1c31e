extends "res://tests/support/ferry_test.gd"
## The limit of a peer's outgoing queue, reached while the other end does not read.

const LIMIT := 100_000
const SIZE := 10_000


func _test() -> void:
	await _a_full_queue_ends_the_connection()
	await _a_full_queue_is_an_error_only()
	await _unreliable_packets_are_dropped_and_counted()
	await _a_broadcast_goes_to_all_that_have_room()
	await _an_empty_queue_takes_any_packet()
	await _a_game_that_does_not_read_holds_up_its_senders()


# Within a frame nothing leaves, so that it fills whatever the machine does.
func _fill(server: MultiplayerPeer) -> Dictionary:
	var seen := {"accepted": 0, "error": OK}
	errors_expected(true)
	for number in 4 * LIMIT / SIZE:
		seen.error = server.put_packet(payload(SIZE, seen.accepted))
		if seen.error != OK:
			break
		seen.accepted += 1
	errors_expected(false)
	return seen


func _a_full_queue_ends_the_connection() -> void:
	var server := new_server()
	server.outbound_queue_limit = LIMIT
	check_eq(server.outbound_queue_limit, LIMIT, "the limit")
	var ends := watch_reasons(server)
	var client := await connected_client(server, "client")
	var other := await connected_client(server, "other")
	var told := watch_reasons(client)
	var id := client.get_unique_id()
	address(server, id)
	var seen := _fill(server)
	check_eq(seen.error, ERR_OUT_OF_MEMORY, "the put that does not fit")
	check(seen.accepted >= LIMIT / SIZE - 2 and seen.accepted <= LIMIT / SIZE + 4, "%d packets fit" % seen.accepted)
	await until(func() -> bool: return ends.size() == 1 and is_gone(client), "ended")
	check_eq(ends, ["lost QUEUE_FULL"], "what the server is told")
	check_eq(reason_name(server.get_disconnect_reason(id)), "QUEUE_FULL", "the reason")
	check_eq(told, ["lost QUEUE_FULL", "server gone QUEUE_FULL"], "what the client is told")
	check(is_connected_peer(other), "the other stays")
	clean()


func _a_full_queue_is_an_error_only() -> void:
	var server := new_server()
	server.outbound_queue_limit = LIMIT
	server.reliable_overflow = ClassDB.class_get_integer_constant(server_class(), &"OVERFLOW_RETURN_ERROR")
	check_eq(server.reliable_overflow, 1, "as set")
	var ends := watch_reasons(server)
	var client := await connected_client(server, "client")
	address(server, client.get_unique_id())
	var seen := _fill(server)
	check_eq(seen.error, ERR_OUT_OF_MEMORY, "the put that does not fit")
	var progress := {}
	await until(func() -> bool: return read_numbered(client, SIZE, progress) >= seen.accepted, "all that were accepted")
	check_eq(progress, {"in_order": true, "packets": seen.accepted}, "what came")
	# There is room again.
	await until(func() -> bool: return server.get_peer_stats(client.get_unique_id()).queued_bytes == 0, "the queue is empty")
	check_eq(server.put_packet(payload(SIZE, 99)), OK, "a put afterwards")
	await until(func() -> bool: return client.get_available_packet_count() == 1, "its packet")
	check_eq(ends, [], "nobody was lost")
	clean()


func _unreliable_packets_are_dropped_and_counted() -> void:
	var server := new_server()
	server.outbound_queue_limit = LIMIT
	var ends := watch_reasons(server)
	var client := await connected_client(server, "client")
	address(server, client.get_unique_id(), MultiplayerPeer.TRANSFER_MODE_UNRELIABLE)
	for number in 4 * LIMIT / 1000:
		check_eq(server.put_packet(payload(1000)), OK, "an unreliable put")
	await linger(0.2)
	check_eq(ends, [], "nobody was lost")
	check(is_connected_peer(client), "connected")
	clean()


func _a_broadcast_goes_to_all_that_have_room() -> void:
	var server := new_server()
	server.outbound_queue_limit = LIMIT
	server.reliable_overflow = 1
	var client := await connected_client(server, "client")
	var other := await connected_client(server, "other")
	address(server, client.get_unique_id())
	var seen := _fill(server)
	address(server, 0)
	errors_expected(true)
	check_eq(server.put_packet(payload(SIZE, 77)), ERR_OUT_OF_MEMORY, "the broadcast")
	errors_expected(false)
	await until(func() -> bool: return other.get_available_packet_count() == 1, "the other has it")
	check(other.get_packet() == payload(SIZE, 77), "the other has it")
	var progress := {}
	await until(func() -> bool: return read_numbered(client, SIZE, progress) >= seen.accepted, "the one without room has the rest")
	await linger(0.1)
	check_eq(read_numbered(client, SIZE, progress), seen.accepted, "and no more")
	clean()


func _an_empty_queue_takes_any_packet() -> void:
	var server := new_server()
	server.outbound_queue_limit = 0
	server.reliable_overflow = 1
	var client := await connected_client(server, "client")
	address(server, client.get_unique_id())
	errors_expected(true)
	check_eq(server.put_packet(payload(SIZE, 1)), OK, "the first")
	check_eq(server.put_packet(payload(SIZE, 2)), ERR_OUT_OF_MEMORY, "the second")
	errors_expected(false)
	await until(func() -> bool: return client.get_available_packet_count() == 1, "the first")
	check_eq(describe_next(client, payload(SIZE, 1)), "from server, reliable, channel 0, %d bytes" % SIZE, "the first")
	clean()


# Reliable packets wait where they come from; nothing is lost, and the other end's memory stays small.
func _a_game_that_does_not_read_holds_up_its_senders() -> void:
	# Encrypted by a library that was not built for speed, on a busy machine.
	var packets := 500 if is_webrtc() else 1500
	var server := new_server()
	server.inbound_queue_limit = LIMIT
	var ends := watch_reasons(server)
	var client := await connected_client(server, "client")
	address(client, 1)
	for number in packets:
		check_eq(client.put_packet(payload(SIZE, number)), OK, "put")
	await linger(0.5)
	var waiting := server.get_available_packet_count()
	# Besides the limit, what stands between the threads; the protocol keeps another megabyte or two of each peer.
	check(waiting >= 1 and waiting <= 3 * LIMIT / SIZE, "%d packets wait to be read" % waiting)
	check(client.get_peer_stats(1).queued_bytes > packets * SIZE / 2, "the rest waits at the sender: %d" % client.get_peer_stats(1).queued_bytes)
	var progress := {}
	await until(func() -> bool: return read_numbered(server, SIZE, progress) >= packets, "all of them once they are read")
	check_eq(progress, {"in_order": true, "packets": packets}, "what came")
	check_eq(ends, [], "nobody was lost")
	clean()

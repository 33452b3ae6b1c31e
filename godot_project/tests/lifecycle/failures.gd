extends "res://tests/support/ferry_test.gd"
## How connections fail, that the game hears why, and that no wrong use does more than an error.

## A frame that takes longer was held up by something; far above what a busy machine needs.
const LONGEST_FRAME_MS := 100


func _test() -> void:
	await _a_refusal_comes_at_once("SERVER_FULL")
	await _a_refusal_comes_at_once("REFUSED")
	await _there_is_room_again()
	await _nobody_answers()
	await _a_closed_port()
	await _an_unknown_name()
	await _a_name_that_is_known()
	await _kicked()
	_closed_peers()
	_numbers_out_of_range()
	await _wrong_use_while_open()


func _a_refusal_comes_at_once(why: String) -> void:
	var server := new_server(1 if why == "SERVER_FULL" else 32)
	if why == "SERVER_FULL":
		await connected_client(server, "first")
	else:
		server.refuse_new_connections = true
	var start := Time.get_ticks_msec()
	var client := new_client(server, "client")
	var told := watch_reasons(client)
	await until(func() -> bool: return is_gone(client), "told " + why)
	var took := Time.get_ticks_msec() - start
	check(took < 1000, "%s after %d ms" % [why, took])
	check_eq(told, ["failed " + why], "what the client is told")
	check_eq(reason_name(client.get_disconnect_reason(1)), why, "afterwards")
	check_eq(server.get_stats().connections_refused, 1, "as the server counts")
	clean()


func _there_is_room_again() -> void:
	var server := new_server(1)
	var first := await connected_client(server, "first")
	first.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(first)"), "the place is free")
	await connected_client(server, "second")
	clean()


func _nobody_answers() -> void:
	# Somebody has the port and says nothing: a closed port is another thing.
	var socket := PacketPeerUDP.new()
	check_eq(socket.bind(0, LOCALHOST), OK, "a socket")
	var client: MultiplayerPeer = make(client_class())
	client.connect_timeout = 1.5
	var told := watch_reasons(client)
	var start := Time.get_ticks_msec()
	check_eq(client.create_client(LOCALHOST, socket.get_local_port()), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "given up")
	var took := Time.get_ticks_msec() - start
	check(took >= 1400 and took < 2500, "given up after %d ms" % took)
	check_eq(told, ["failed CONNECT_TIMEOUT"], "what it is told")
	check(socket.get_available_packet_count() >= 2, "it tried more than once")
	clean()


func _a_closed_port() -> void:
	var socket := PacketPeerUDP.new()
	socket.bind(0, LOCALHOST)
	var port := socket.get_local_port()
	socket.close()
	var client: MultiplayerPeer = make(client_class())
	client.connect_timeout = 1.0
	var told := watch_reasons(client)
	check_eq(client.create_client(LOCALHOST, port), OK, "create_client")
	polled.append(client)
	# What the system says of the port does not end it: a server that starts meanwhile is still found.
	await until(func() -> bool: return is_gone(client), "given up", 4.0)
	check_eq(told, ["failed CONNECT_TIMEOUT"], "what it is told")
	clean()


func _an_unknown_name() -> void:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	var slowest := {"ms": 0}
	var last := {"at": Time.get_ticks_msec()}
	check_eq(client.create_client("nobody.invalid", 4000), OK, "create_client")
	check_eq(status_of(client), "connecting", "at first")
	polled.append(client)
	await until(func() -> bool:
		var now := Time.get_ticks_msec()
		slowest.ms = maxi(slowest.ms, now - last.at)
		last.at = now
		return is_gone(client), "the look-up's end", 15.0)
	check(slowest.ms < LONGEST_FRAME_MS, "a frame took %d ms" % slowest.ms)
	# Where no resolver answers at all, the time to connect is over first.
	check(told in [["failed RESOLVE"], ["failed CONNECT_TIMEOUT"]], "what it is told: %s" % [told])
	if told == ["failed RESOLVE"]:
		check(client.get_disconnect_text(1).contains("nobody.invalid"), "the text names it: " + client.get_disconnect_text(1))
	clean()


func _a_name_that_is_known() -> void:
	var server := new_server()
	for name: String in ["localhost", " localhost ", "127.0.0.1"]:
		var client: MultiplayerPeer = make(client_class())
		check_eq(client.create_client(name, server.host.get_local_port()), OK, "create_client")
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client), "connected to `%s`" % name)
	clean()


func _kicked() -> void:
	for force: bool in [false, true]:
		var server := new_server()
		var client := await connected_client(server, "client")
		var told := watch_reasons(client)
		var start := Time.get_ticks_msec()
		server.disconnect_peer(client.get_unique_id(), force)
		await until(func() -> bool: return is_gone(client), "out (force %s)" % force)
		check(Time.get_ticks_msec() - start < 1000, "at once")
		check_eq(told, ["lost KICKED", "server gone KICKED"], "what it is told (force %s)" % force)
		clean()


# Errors, and nothing else: a closed peer stays as it was.
func _closed_peers() -> void:
	var peer: MultiplayerPeer = make(server_class())
	errors_expected(true)
	for round_number in 2:
		peer.poll()
		peer.set_target_peer(1)
		check_eq(peer.put_packet(payload(5)), ERR_UNCONFIGURED, "put")
		check_eq(peer.get_packet(), PackedByteArray(), "get")
		check_eq(peer.get_packet_error(), ERR_UNAVAILABLE, "get's error")
		check_eq(peer.get_available_packet_count(), 0, "packets")
		peer.disconnect_peer(1)
		peer.disconnect_peer(1, true)
		peer.disconnect_peer(-7)
		check(peer.get_peer(1) == null, "get_peer")
		check(peer.host == null, "host")
		check_eq(peer.get_unique_id(), 0, "its id")
		check_eq(peer.get_peer_stats(1), {}, "figures of nobody")
		check_eq(peer.get_stats().peers, 0, "peers")
		check_eq(peer.add_mesh_peer(2, null), ERR_INVALID_PARAMETER, "add_mesh_peer")
		peer.close()
		peer.close()
		check_eq(status_of(peer), "disconnected", "its status")
		# The second time, after it has been open.
		if round_number == 0:
			check_eq(peer.create_server(0), OK, "create_server")
			peer.close()
	errors_expected(false)


func _numbers_out_of_range() -> void:
	var peer: MultiplayerPeer = make(server_class())
	var huge := 1 << 40
	errors_expected(true)
	for wrong: Array in [[-1], [65536], [huge], [-huge], [0, 0], [0, -1], [0, 4096], [0, huge], [0, 32, -1], [0, 32, 254], [0, 32, huge],
			[0, 32, 0, -1], [0, 32, 0, 0, -1]]:
		check_eq(peer.callv("create_server", wrong), ERR_INVALID_PARAMETER, "create_server%s" % [wrong])
	for wrong: Array in [["127.0.0.1", 0], ["127.0.0.1", -1], ["127.0.0.1", 65536], ["127.0.0.1", huge], ["", 4000], ["  ", 4000]]:
		check_eq(peer.callv("create_client", wrong), ERR_CANT_CREATE, "create_client%s" % [wrong])
	for wrong: Array in [["127.0.0.1", 4000, 0, -1], ["127.0.0.1", 4000, 0, 0, -1], ["127.0.0.1", 4000, 0, 0, 0, -1],
			["127.0.0.1", 4000, 0, 0, 0, 65536]]:
		check_eq(peer.callv("create_client", wrong), ERR_INVALID_PARAMETER, "create_client%s" % [wrong])
	for wrong: int in [0, -1, huge]:
		check_eq(peer.create_mesh(wrong), ERR_INVALID_PARAMETER, "create_mesh(%d)" % wrong)
	peer.set_bind_ip("nonsense")
	peer.set_bind_ip("")
	errors_expected(false)
	check_eq(status_of(peer), "disconnected", "after all that")
	# The peer is as it was.
	check_eq(peer.create_server(0), OK, "create_server")
	peer.close()
	for wrong: float in [-1.0, 0.0, NAN, INF, -INF, 1e300]:
		for property: String in ["connect_timeout", "peer_timeout"]:
			peer.set(property, wrong)
			var kept: float = peer.get(property)
			check(is_finite(kept) and kept > 0.0, "%s of %s is kept as %s" % [property, wrong, kept])
	for property: String in ["outbound_queue_limit", "inbound_queue_limit"]:
		peer.set(property, -5)
		check(peer.get(property) >= 0, "%s of -5 is kept as %d" % [property, peer.get(property)])
	errors_expected(true)
	peer.reliable_overflow = 7
	errors_expected(false)
	check_eq(peer.reliable_overflow, 0, "an overflow that is none")


func _wrong_use_while_open() -> void:
	var server := new_server()
	var client := new_client(server, "client")
	errors_expected(true)
	check_eq(client.put_packet(payload(5)), ERR_UNCONFIGURED, "put while connecting")
	check_eq(client.create_server(0), ERR_ALREADY_IN_USE, "a second create")
	check_eq(client.create_mesh(5), ERR_ALREADY_IN_USE, "a second create")
	errors_expected(false)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() == 1, "connected all the same")
	errors_expected(true)
	for target: int in [12345, -12345, -2147483648, 2147483647]:
		server.set_target_peer(target)
		check_eq(server.put_packet(payload(5)), ERR_INVALID_PARAMETER, "put to %d" % target)
	for id: int in [0, -1, 12345, 1 << 40]:
		check(server.get_peer(id) == null, "get_peer(%d)" % id)
		check_eq(server.get_peer_stats(id), {}, "get_peer_stats(%d)" % id)
		check_eq(server.get_disconnect_reason(id), 0, "get_disconnect_reason(%d)" % id)
		server.disconnect_peer(id)
		server.disconnect_peer(id, true)
	check_eq(server.get_packet(), PackedByteArray(), "get with nothing there")
	errors_expected(false)
	await linger(0.05)
	check(is_connected_peer(client) and is_connected_peer(server), "still connected")
	clean()

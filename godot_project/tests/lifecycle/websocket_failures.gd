extends "res://tests/lifecycle/failures.gd"
## As `failures`, over WebSocket: what fails in the same way, fails there; what TCP, HTTP and URLs add, is here.


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


# Somebody has the port and says nothing.
func _nobody_answers() -> void:
	for scheme: String in ["ws", "wss"]:
		var door := TCPServer.new()
		check_eq(door.listen(0, LOCALHOST), OK, "a port that listens")
		var client: MultiplayerPeer = make(client_class())
		client.connect_timeout = 1.0
		var told := watch_reasons(client)
		var start := Time.get_ticks_msec()
		check_eq(client.create_client("%s://127.0.0.1:%d" % [scheme, door.get_local_port()]), OK, "create_client")
		polled.append(client)
		await until(func() -> bool: return is_gone(client), "given up")
		var took := Time.get_ticks_msec() - start
		check(took >= 900 and took < 2500, "given up after %d ms" % took)
		check_eq(told, ["failed CONNECT_TIMEOUT"], "what it is told over " + scheme)
		clean()


# There the system itself says no, and at once.
func _a_closed_port() -> void:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	var start := Time.get_ticks_msec()
	check_eq(open_client(client, free_port()), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "given up", 4.0)
	check(Time.get_ticks_msec() - start < 1000, "at once")
	check_eq(told, ["failed UNREACHABLE"], "what it is told")
	clean()


func _an_unknown_name() -> void:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	check_eq(open_client_to(client, "nobody.invalid", 4000), OK, "create_client")
	check_eq(status_of(client), "connecting", "at first")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "the look-up's end", 15.0)
	# Where no resolver answers at all, the time to connect is over first.
	check(told in [["failed RESOLVE"], ["failed CONNECT_TIMEOUT"]], "what it is told: %s" % [told])
	if told == ["failed RESOLVE"]:
		check(client.get_disconnect_text(1).contains("nobody.invalid"), "the text names it: " + client.get_disconnect_text(1))
	clean()


func _a_name_that_is_known() -> void:
	var server := new_server()
	var port := port_of(server)
	for url: String in ["ws://localhost:%d", "localhost:%d", "ws://LOCALHOST:%d/a/path?with=more", "ws://127.0.0.1:%d/"]:
		var client: MultiplayerPeer = make(client_class())
		check_eq(client.create_client(url % port), OK, "create_client")
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client), "connected to `%s`" % url)
	clean()


# Nothing but errors, where there are any: a closed peer stays as it was.
func _closed_peers() -> void:
	var peer: MultiplayerPeer = make(server_class())
	errors_expected(true)
	for round_number in 2:
		peer.poll()
		peer.set_target_peer(1)
		check(peer.put_packet(payload(5)) != OK, "put")
		check_eq(peer.get_packet(), PackedByteArray(), "get")
		check(peer.get_packet_error() != OK, "get's error")
		check_eq(peer.get_available_packet_count(), 0, "packets")
		peer.disconnect_peer(1)
		peer.disconnect_peer(1, true)
		peer.disconnect_peer(-7)
		check(peer.get_peer(1) == null, "get_peer")
		check_eq(peer.get_peer_address(1), "", "an address of nobody")
		check_eq(peer.get_peer_port(1), 0, "a port of nobody")
		check_eq(peer.get_local_port(), 0, "its port")
		check_eq(peer.get_peer_stats(1), {}, "figures of nobody")
		check_eq(peer.get_stats().peers, 0, "peers")
		check_eq(peer.set_tls_server_options(_own_options()), ERR_UNCONFIGURED, "another certificate")
		check_eq(peer.set_tls_server_options(null), ERR_INVALID_PARAMETER, "no certificate")
		peer.close()
		peer.close()
		check_eq(status_of(peer), "disconnected", "its status")
		# The second time, after it has been open.
		if round_number == 0:
			check_eq(open_server(peer), OK, "create_server")
			peer.close()
	errors_expected(false)


func _own_options() -> TLSOptions:
	return ClassDB.class_call_static(&"FerryTLS", &"self_signed")


func _numbers_out_of_range() -> void:
	var peer: MultiplayerPeer = make(server_class())
	var huge := 1 << 40
	errors_expected(true)
	for wrong: Array in [[-1], [65536], [huge], [-huge], [0, "nonsense"], [0, ""], [0, "1.2.3"], [0, "*", TLSOptions.client_unsafe()]]:
		check_eq(peer.callv("create_server", wrong), ERR_INVALID_PARAMETER, "create_server%s" % [wrong])
	for wrong: Array in [[""], ["ws://"], ["ftp://a"], ["ws://a:0x"], ["ws://a:65536"], ["ws://127.0.0.1:4000", _own_options()]]:
		check_eq(peer.callv("create_client", wrong), ERR_INVALID_PARAMETER, "create_client%s" % [wrong])
	for wrong: int in [0, -1, 4096, huge]:
		peer.max_clients = wrong
		check_eq(peer.max_clients, 4095, "max_clients of %d" % wrong)
	for wrong: float in [0.0, -1.0, NAN]:
		peer.handshake_timeout = wrong
		check_eq(peer.handshake_timeout, 3.0, "handshake_timeout of %s" % wrong)
	for wrong: String in ["nobody", "10.0.0.0/33", "10.0.0.0/", "::/129", ""]:
		peer.trusted_proxies = PackedStringArray([wrong])
		check_eq(peer.trusted_proxies, PackedStringArray(), "trusted_proxies of `%s`" % wrong)
	peer.proxy_header = "X-Real-IP"
	check_eq(peer.proxy_header, "X-Forwarded-For", "a header that is not known")
	errors_expected(false)
	check_eq(status_of(peer), "disconnected", "after all that")
	# The peer is as it was.
	check_eq(open_server(peer), OK, "create_server")
	peer.close()
	for wrong: float in [-1.0, 0.0, NAN, INF, -INF, 1e300]:
		for property: String in ["connect_timeout", "peer_timeout"]:
			peer.set(property, wrong)
			var kept: float = peer.get(property)
			check(is_finite(kept) and kept > 0.0, "%s of %s is kept as %s" % [property, wrong, kept])
	for property: String in ["outbound_queue_limit", "inbound_queue_limit", "inbound_buffer_size", "outbound_buffer_size", "max_queued_packets"]:
		for wrong: int in [-5, 0, huge]:
			errors_expected(true)
			peer.set(property, wrong)
			var opened: Error = open_server(peer)
			errors_expected(false)
			check(opened in [OK, ERR_INVALID_PARAMETER], "create_server with %s of %d: %s" % [property, wrong, error_string(opened)])
			peer.close()
		peer.set(property, 100_000)
	errors_expected(true)
	peer.reliable_overflow = 7
	errors_expected(false)
	check_eq(peer.reliable_overflow, 0, "an overflow that is none")


func _wrong_use_while_open() -> void:
	var server := new_server()
	var client := new_client(server, "client")
	errors_expected(true)
	check(client.put_packet(payload(5)) != OK, "put while connecting")
	check_eq(client.create_server(0), ERR_ALREADY_IN_USE, "a second create")
	check_eq(client.create_client("ws://127.0.0.1:4000"), ERR_ALREADY_IN_USE, "a second create")
	check_eq(client.set_tls_server_options(_own_options()), ERR_UNCONFIGURED, "a client's certificate")
	check_eq(server.set_tls_server_options(_own_options()), ERR_UNCONFIGURED, "a certificate for a server without TLS")
	errors_expected(false)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() == 1, "connected all the same")
	errors_expected(true)
	for target: int in [12345, 2147483647]:
		server.set_target_peer(target)
		check_eq(server.put_packet(payload(5)), ERR_INVALID_PARAMETER, "put to %d" % target)
	for id: int in [0, -1, 12345, 1 << 40]:
		check(server.get_peer(id) == null, "get_peer(%d)" % id)
		check_eq(server.get_peer_address(id), "", "get_peer_address(%d)" % id)
		check_eq(server.get_peer_stats(id), {}, "get_peer_stats(%d)" % id)
		check_eq(server.get_disconnect_reason(id), 0, "get_disconnect_reason(%d)" % id)
		server.disconnect_peer(id)
		server.disconnect_peer(id, true)
	check_eq(server.get_packet(), PackedByteArray(), "get with nothing there")
	# Another server cannot have the port, and says so at once.
	var second: MultiplayerPeer = make(server_class())
	check_eq(second.create_server(port_of(server)), ERR_ALREADY_IN_USE, "a port in use")
	errors_expected(false)
	await linger(0.05)
	check(is_connected_peer(client) and is_connected_peer(server), "still connected")
	clean()

extends "res://tests/support/ferry_test.gd"
## What Ferry promises of WebSocket beyond the built-in's behaviour: settings of a server that is open, proxies, figures,
## and that what was taken arrives.


func _test() -> void:
	await _max_clients_at_any_time()
	await _proxies_tell_addresses()
	await _figures_of_sockets()
	await _long_packets()
	await _a_packet_that_is_too_long_to_put()
	await _everything_taken_arrives()
	await _other_settings_for_those_to_come()


func _max_clients_at_any_time() -> void:
	var server := new_server(2)
	await connected_client(server, "one")
	var two := await connected_client(server, "two")
	check_eq(await _refusal(server), "failed SERVER_FULL", "the third")
	server.max_clients = 3
	await connected_client(server, "three")
	# Fewer than there are: nobody is thrown out, and nobody comes in.
	server.max_clients = 1
	await linger(0.1)
	check_eq(server.get_stats().peers, 3, "all are still there")
	check_eq(await _refusal(server), "failed SERVER_FULL", "the fourth")
	two.close()
	await until(func() -> bool: return server.get_stats().peers == 2, "one has gone")
	check_eq(await _refusal(server), "failed SERVER_FULL", "still too many")
	check_eq(server.get_stats().connections_refused, 3, "as the server counts")
	clean()


func _refusal(server: MultiplayerPeer) -> String:
	var client := client_of(port_of(server))
	var told := watch_reasons(client)
	await until(func() -> bool: return is_gone(client), "refused")
	polled.erase(client)
	return told[0] if told.size() == 1 else str(told)


## The address that the server takes a client for which says this in its handshake.
func _address_with(server: MultiplayerPeer, header_line: String) -> String:
	var client: MultiplayerPeer = make(client_class())
	client.handshake_headers = PackedStringArray([header_line])
	var came := []
	var note := func(id: int) -> void: came.append(id)
	server.peer_connected.connect(note)
	check_eq(open_client(client, port_of(server)), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return came.size() == 1 and is_connected_peer(client), "connected")
	server.peer_connected.disconnect(note)
	var seen: String = server.get_peer_address(came[0])
	check_eq(server.get_peer_stats(came[0]).address, seen, "the same in its figures")
	client.close()
	polled.erase(client)
	return seen


func _proxies_tell_addresses() -> void:
	var server := new_server()
	const TOLD := "X-Forwarded-For: 203.0.113.9"
	check_eq(await _address_with(server, TOLD), LOCALHOST, "nobody is trusted by default")
	server.trusted_proxies = PackedStringArray(["10.0.0.0/8"])
	check_eq(await _address_with(server, TOLD), LOCALHOST, "somebody else is trusted")
	for trusted: String in [LOCALHOST, "127.0.0.0/8"]:
		server.trusted_proxies = PackedStringArray([trusted])
		check_eq(await _address_with(server, TOLD), "203.0.113.9", "trusted as " + trusted)
		check_eq(await _address_with(server, "Forwarded: for=203.0.113.10"), LOCALHOST, "the other header")
		check_eq(await _address_with(server, "X-Forwarded-For: 198.51.100.1, 203.0.113.11"), "203.0.113.11", "the last of them")
		check_eq(await _address_with(server, "X-Forwarded-For: nonsense"), LOCALHOST, "nonsense")
	server.proxy_header = "Forwarded"
	check_eq(await _address_with(server, "Forwarded: for=203.0.113.10;proto=https"), "203.0.113.10", "the other header, once it is named")
	check_eq(await _address_with(server, TOLD), LOCALHOST, "the first one, then")
	clean()


func _figures_of_sockets() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	address(server, id)
	for number in 50:
		check_eq(server.put_packet(payload(1000, number)), OK, "put")
	await until(func() -> bool: return client.get_available_packet_count() == 50, "packets")
	await until(func() -> bool: return (server.get_peer_stats(id).packets_sent == 50 and client.get_peer_stats(1).packets_received == 50
			and server.get_peer_stats(id).rtt > 0.0 and server.get_peer_stats(id).queued_bytes == 0), "figures")
	var figures: Dictionary = server.get_peer_stats(id)
	check(figures.bytes_sent > 50_000 and figures.bytes_sent < 55_000, "bytes: %d" % figures.bytes_sent)
	check(figures.rtt < 0.1, "rtt: %s" % figures.rtt)
	check_eq([figures.transport, figures.encrypted, figures.address, figures.port],
			["websocket", false, LOCALHOST, server.get_peer_port(id)], "who and how")
	check_eq(server.get_peer_stats(12345), {}, "of nobody")
	client.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "gone")
	check_eq(server.get_peer_stats(id).packets_sent, 50, "the last figures")
	clean()


func _long_packets() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	address(server, 0)
	for size: int in [65_535, 65_536, 1 << 20, 16 << 20]:
		var packet := payload(size, 3)
		check_eq(client.put_packet(packet), OK, "put of %d" % size)
		check_eq(server.put_packet(packet), OK, "put of %d" % size)
		await until(func() -> bool: return client.get_available_packet_count() == 1 and server.get_available_packet_count() == 1, "%d bytes" % size)
		check(client.get_packet() == packet and server.get_packet() == packet, "%d bytes are the same" % size)
	clean()


func _a_packet_that_is_too_long_to_put() -> void:
	var server := new_server()
	# Counts for those who come from now on.
	server.outbound_buffer_size = 5000
	var client := await connected_client(server, "client")
	address(server, client.get_unique_id())
	check_eq(server.put_packet(payload(5000)), OK, "just right")
	check_eq(expecting_errors(func() -> Error: return server.put_packet(payload(5001))), ERR_OUT_OF_MEMORY, "one too many")
	check_eq(server.put_packet(payload(10)), OK, "the connection lives on")
	await until(func() -> bool: return client.get_available_packet_count() == 2, "both that fit")
	check(is_connected_peer(client), "connected")
	clean()


# A receiver that is slow: the rest waits, in order, and nobody is lost.
func _everything_taken_arrives() -> void:
	const PACKETS := 3000
	const SIZE := 5000
	var server := new_server()
	var client := await connected_client(server, "client")
	client.inbound_queue_limit = 100_000
	address(server, client.get_unique_id())
	for number in PACKETS:
		check_eq(server.put_packet(payload(SIZE, number)), OK, "put")
	polled = [server]
	await linger(0.3)
	polled = [server, client]
	var progress := {}
	await until(func() -> bool: return read_numbered(client, SIZE, progress) >= PACKETS, "all of them")
	check_eq(progress, {"in_order": true, "packets": PACKETS}, "what came")
	clean()


func _other_settings_for_those_to_come() -> void:
	var server := new_server()
	var first := await connected_client(server, "first")
	server.supported_protocols = PackedStringArray(["later"])
	check_eq(await _refusal(server), "failed HANDSHAKE", "without the sub-protocol")
	check(is_connected_peer(first), "who is in stays in")
	server.supported_protocols = PackedStringArray()
	server.refuse_new_connections = true
	check_eq(await _refusal(server), "failed REFUSED", "while it refuses")
	server.refuse_new_connections = false
	await connected_client(server, "second")
	clean()

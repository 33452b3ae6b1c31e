extends "res://tests/support/websocket_test.gd"
## From create_client to two WebSocket ends that know each other: statuses, signals, ids, addresses, sub-protocols,
## headers, and everything that can keep a connection from being made.

const SHORT_TIMEOUT := 0.4


func _test() -> void:
	await _connects()
	await _many_connect()
	await _addresses()
	await _bind_addresses()
	await _refusing()
	await _sub_protocols()
	await _what_the_client_says()
	await _what_the_server_says()
	await _silence()
	await _nobody()
	await _no_websocket()
	await _wrong_ids()


func _connects() -> void:
	var server := new_server()
	observe("first.server", status_of(server))
	var client := new_client(server, "client")
	observe("first.client", [status_of(client), client.get_unique_id()])
	observe("first.nothing_before_poll", [log.server, log.client])
	_watch_status(server, "server")
	_watch_status(client, "client")
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
	observe_log("connected", "server")
	observe_log("connected", "client")
	var id := client.get_unique_id()
	observe("connected.id_is_the_servers", name_of(id))
	check(id > 1, "a client's id is no server's: %d" % id)
	observe("connected.server_id", server.get_unique_id())
	observe("connected.relay", [server.is_server_relay_supported(), client.is_server_relay_supported()])
	observe("connected.knows", [client.get_peer(1) != null, server.get_peer(id) != null])
	expecting_errors(func() -> void:
		observe("connected.not_known", [client.get_peer(id) == null, server.get_peer(1) == null, server.get_peer(0) == null])
		observe("connected.second_server", client.create_server(free_port()))
		observe("connected.second_client", client.create_client(url_of(free_port()))))
	observe("connected.same_object", [client.get_peer(1) == client.get_peer(1), server.get_peer(id) == server.get_peer(id)])
	observe("connected.class", [client.get_peer(1).get_class(), server.get_peer(id).get_class()])
	observe("connected.state", [state_of(client.get_peer(1)), state_of(server.get_peer(id))])
	observe("connected.protocol", [client.get_peer(1).get_selected_protocol(), server.get_peer(id).get_selected_protocol()])
	observe("connected.close_code", [client.get_peer(1).get_close_code(), client.get_peer(1).get_close_reason()])
	observe("connected.no_packets", [client.get_available_packet_count(), server.get_available_packet_count()])
	# Polled twice a frame, and with nothing to do.
	for _turn in 5:
		client.poll()
		server.poll()
		client.poll()
	observe("connected.quiet", [log.server, log.client, status_of(client)])
	clean()


# What a handler of peer_connected sees.
func _watch_status(peer: MultiplayerPeer, name: String) -> void:
	var weak: WeakRef = weakref(peer)
	peer.peer_connected.connect(func(id: int) -> void:
		var me: MultiplayerPeer = weak.get_ref()
		log[name].append("%s, I am %s, there: %s" % [status_of(me), name_of(me.get_unique_id()), me.get_peer(id) != null]))


func _many_connect() -> void:
	var server := new_server()
	var clients := []
	for number in 8:
		clients.append(new_client(server, "client %d" % number))
	await until(func() -> bool: return log.server.size() == 8 and clients.all(is_connected_peer), "all eight")
	var joined: Array = log.server.duplicate()
	joined.sort()
	observe("many.joined", joined)
	for number in 8:
		observe("many.client_%d" % number, log["client %d" % number])
	var ids := {}
	for client: MultiplayerPeer in clients:
		ids[client.get_unique_id()] = server.get_peer(client.get_unique_id()) != null
	observe("many.ids", ids.values())
	clients.clear()
	clean()


func _addresses() -> void:
	# A host name this time.
	var server := new_server()
	var port := port_of(server)
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	observe("address.create", client.create_client(url_of(port, "/room?key=1", "ws", "localhost")))
	expect(client, "client")
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected by name")
	var id := client.get_unique_id()
	observe("address.server_port", client.get_peer_port(1) == port)
	observe("address.client_port", server.get_peer_port(id) > 1023)
	observe("address.of_the_peer", [
		server.get_peer(id).get_connected_port() == server.get_peer_port(id),
		server.get_peer(id).get_connected_host() == server.get_peer_address(id),
		client.get_peer(1).get_connected_port() == port,
		client.get_peer(1).get_connected_host() == client.get_peer_address(1)])
	observe("address.url", [client.get_peer(1).get_requested_url() == url_of(port, "/room?key=1", "ws", "localhost"),
			server.get_peer(id).get_requested_url() == url_of(port, "/room?key=1", "ws", "localhost")])
	expecting_errors(func() -> void:
		observe("address.unknown", [client.get_peer_address(2), client.get_peer_port(2), server.get_peer_address(1), server.get_peer_port(1)]))
	clean()
	server = new_server()
	client = await connected_client(server, "client")
	observe("address.by_number", [client.get_peer_address(1), server.get_peer_address(client.get_unique_id())])
	observe("address.by_number.url", server.get_peer(client.get_unique_id()).get_requested_url() == url_of(port_of(server), "/"))
	clean()


func _bind_addresses() -> void:
	for pair: Array in [["127.0.0.1", "127.0.0.1"], ["127.0.0.2", "127.0.0.2"], ["0.0.0.0", "127.0.0.1"], ["::1", "[::1]"], ["*", "[::1]"]]:
		var server: MultiplayerPeer = make(server_class())
		name_newcomers(server)
		watch(server, "server")
		check_eq(open_server(server, [pair[0]]), OK, "bound to %s" % pair[0])
		polled.append(server)
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		client.create_client(url_of(port_of(server), "", "ws", pair[1]))
		expect(client, "client")
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected to %s" % pair[1])
		var key := "bound.%s.%s" % pair
		observe(key, [client.get_peer_address(1), server.get_peer_address(client.get_unique_id())])
		observe(key + ".url", server.get_peer(client.get_unique_id()).get_requested_url().replace(str(port_of(server)), "PORT"))
		clean()


func _refusing() -> void:
	var server := new_server()
	var first := await connected_client(server, "first")
	server.refuse_new_connections = true
	log.server.clear()
	var second: MultiplayerPeer = make(client_class())
	watch(second, "second")
	second.handshake_timeout = SHORT_TIMEOUT * 3
	open_client(second, port_of(server))
	polled.append(second)
	observe("refusing.is_told", await happens(func() -> bool: return is_gone(second), SHORT_TIMEOUT))
	await until(func() -> bool: return is_gone(second), "the second gives up")
	observe_log("refusing", "server")
	observe_log("refusing", "second")
	observe("refusing.first_stays", status_of(first))
	server.refuse_new_connections = false
	var third := await connected_client(server, "third")
	observe("refusing.no_more", status_of(third))
	third.put_packet(payload(4))
	await until(func() -> bool: return server.get_available_packet_count() > 0, "a packet from the third")
	clean()


func _sub_protocols() -> void:
	for pair: Array in [
		[["chess"], ["chess"]], [["chess", "go"], ["go", "chess"]], [["chess", "go"], ["shogi", "go"]],
		[["go"], ["chess"]], [["chess"], []], [[], ["chess"]], [["chess "], [" chess"]], [["Chess"], ["chess"]], [[], []],
	]:
		var key := "protocol.%s.%s" % [var_to_str(pair[0]), var_to_str(pair[1])]
		var server: MultiplayerPeer = make(server_class())
		server.supported_protocols = PackedStringArray(pair[0])
		name_newcomers(server)
		watch(server, "server")
		check_eq(open_server(server), OK, "create_server")
		polled.append(server)
		var client: MultiplayerPeer = make(client_class())
		client.supported_protocols = PackedStringArray(pair[1])
		watch(client, "client")
		open_client(client, port_of(server))
		expect(client, "client")
		polled.append(client)
		errors_expected(true)
		await until(func() -> bool: return is_gone(client) or (is_connected_peer(client) and log.server.size() > 0), key)
		errors_expected(false)
		if is_connected_peer(client):
			observe(key, [client.get_peer(1).get_selected_protocol(), server.get_peer(client.get_unique_id()).get_selected_protocol()])
		else:
			observe(key, status_of(client))
		observe_log(key, "server")
		observe_log(key, "client")
		clean()


# The request, as a server by hand reads it.
func _what_the_client_says() -> void:
	var socket := listening()
	var port := socket.get_local_port()
	for path: String in ["", "/", "/a/b?c=d&e=%20f", "/a#fragment"]:
		var client: MultiplayerPeer = make(client_class())
		client.handshake_headers = PackedStringArray(["X-Ferry: yes", "Cookie: a=b; c=d"])
		client.supported_protocols = PackedStringArray(["one", "two"])
		client.create_client("ws://user:word@localhost:%d%s" % [port, path])
		polled.append(client)
		var head := await read_head(await taken(socket))
		var key := "request.%s" % var_to_str(path)
		observe(key, head[0])
		observe(key + ".host", header(head, "Host").replace(str(port), "PORT"))
		observe(key + ".headers", header_names(head))
		for name: String in ["Upgrade", "Connection", "Sec-WebSocket-Version", "X-Ferry", "Cookie"]:
			observe("%s.%s" % [key, name], header(head, name))
		observe(key + ".protocols", header(head, "Sec-WebSocket-Protocol").replace(" ", ""))
		observe(key + ".key_length", Marshalls.base64_to_raw(header(head, "Sec-WebSocket-Key")).size())
		clean()
	# The server's id, from a server by hand; then the client is connected.
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.create_client(url_of(port))
	polled.append(client)
	var stream := await taken(socket)
	await answer_upgrade(stream, "X-Unknown: whatever\r\n")
	await linger(0.1)
	observe("by_hand.without_id", [status_of(client), state_of(client.get_peer(1)), log.client])
	stream.put_data([0x82, 0x04, 0x2A, 0x00, 0x00, 0x00])
	await until(func() -> bool: return is_connected_peer(client), "connected to a server by hand")
	observe("by_hand.id", client.get_unique_id())
	observe_log("by_hand", "client")
	stream.put_data([0x82, 0x03, 0x01, 0x02, 0x03])
	await until(func() -> bool: return client.get_available_packet_count() > 0, "a packet by hand")
	observe("by_hand.packet", client.get_packet())
	clean()


# The answer, as a client by hand reads it.
func _what_the_server_says() -> void:
	for wants: String in ["", "Sec-WebSocket-Protocol: none, two ,one\r\n"]:
		var server: MultiplayerPeer = make(server_class())
		watch(server, "server")
		server.handshake_headers = PackedStringArray(["X-Ferry: yes", "Set-Cookie: a=b"])
		server.supported_protocols = PackedStringArray([] if wants.is_empty() else ["one", "two"])
		check_eq(open_server(server), OK, "create_server")
		polled.append(server)
		var stream := await plain_stream(port_of(server))
		var head := await ask_upgrade(stream, wants)
		var key := "answer" if wants.is_empty() else "answer.protocol"
		observe(key, head[0])
		observe(key + ".headers", header_names(head))
		for name: String in ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "X-Ferry", "Set-Cookie"]:
			observe("%s.%s" % [key, name], header(head, name))
		# The id: one binary message of four bytes.
		await until(func() -> bool:
			stream.poll()
			return stream.get_available_bytes() >= 6, "the id")
		observe(key + ".id", [stream.get_u8(), stream.get_u8()])
		var id := stream.get_32()
		check(id > 1, "an id")
		await until(func() -> bool: return log.server.size() > 0, "the server knows")
		name_id(id, "by hand")
		observe(key + ".known", server.get_peer(id) != null)
		stream.put_data([0x82, 0x83, 0, 0, 0, 0, 7, 8, 9])
		await until(func() -> bool: return server.get_available_packet_count() > 0, "a packet by hand")
		observe(key + ".from", server.get_packet_peer() == id)
		observe(key + ".packet", server.get_packet())
		clean()


# One end connects and says nothing: the other gives up when handshake_timeout is over.
func _silence() -> void:
	var socket := listening()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.handshake_timeout = SHORT_TIMEOUT
	client.create_client(url_of(socket.get_local_port()))
	polled.append(client)
	var begun := Time.get_ticks_msec()
	await until(func() -> bool: return is_gone(client), "the client gives up")
	_observe_patience("silent_server", begun)
	observe_log("silent_server", "client")
	clean()
	# A server by hand that upgrades and never sends an id.
	client = make(client_class())
	watch(client, "client")
	client.handshake_timeout = SHORT_TIMEOUT
	socket = listening()
	client.create_client(url_of(socket.get_local_port()))
	polled.append(client)
	await answer_upgrade(await taken(socket))
	observe("no_id.gives_up", await happens(func() -> bool: return is_gone(client), SHORT_TIMEOUT + 1.5))
	observe_log("no_id", "client")
	clean()
	var server := new_server()
	server.handshake_timeout = SHORT_TIMEOUT
	begun = Time.get_ticks_msec()
	var stream := await plain_stream(port_of(server))
	await until(func() -> bool: return hung_up(stream), "the server gives up")
	_observe_patience("silent_client", begun)
	stream = await plain_stream(port_of(server))
	begun = Time.get_ticks_msec()
	stream.put_data("GET / HTTP/1.1\r\nHost: localhost\r\n".to_ascii_buffer())
	await until(func() -> bool: return hung_up(stream), "the server gives up on half a request")
	_observe_patience("half_a_request", begun)
	observe_log("silent_client", "server")
	clean()


# About as long as it was told to wait, and not much longer.
func _observe_patience(key: String, begun: int) -> void:
	var seconds := (Time.get_ticks_msec() - begun) / 1000.0
	observe(key, "too soon" if seconds < SHORT_TIMEOUT * 0.9 else "too late" if seconds > SHORT_TIMEOUT + 1.5 else "in time")


# Nobody listens there, or nobody has that name.
func _nobody() -> void:
	for url: String in [url_of(free_port()), url_of(free_port(), "", "ws", "localhost"), "ws://nobody.invalid:4000"]:
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		# Whether create_client already knows depends on the engine's cache of names.
		client.create_client(url)
		polled.append(client)
		await until(func() -> bool: return is_gone(client), url)
		observe_log("nobody.%s" % url.get_slice(":", 1), "client")
		clean()


# There is somebody, but no WebSocket.
func _no_websocket() -> void:
	for answer: String in [
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: x\r\nDate: today\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nServer: x\r\n\r\n",
		"SSH-2.0-OpenSSH_9\r\nthat is\r\nno HTTP\r\nat all\r\n\r\n",
		"",
	]:
		var socket := listening()
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		client.create_client(url_of(socket.get_local_port()))
		polled.append(client)
		var stream := await taken(socket)
		await read_head(stream)
		errors_expected(true)
		if not answer.is_empty():
			stream.put_data(answer.to_ascii_buffer())
		else:
			stream.disconnect_from_host()
		var key := "no_websocket.%s" % var_to_str(answer.get_slice("\r\n", 0) + answer.get_slice("\r\n", 3))
		await until(func() -> bool: return is_gone(client), key)
		errors_expected(false)
		observe(key, status_of(client))
		observe_log(key, "client")
		clean()
	# And the reverse: clients that are no WebSockets. Whether they get an answer differs; they do not get in.
	var server := new_server()
	for request: String in [
		"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nAccept: */*\r\n\r\nhi",
		"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
	]:
		var stream := await plain_stream(port_of(server))
		stream.put_data(request.to_ascii_buffer())
		errors_expected(true)
		await until(func() -> bool: return hung_up(stream), "sent away")
		errors_expected(false)
	observe_log("no_websocket_client", "server")
	await connected_client(server, "client")
	observe_log("no_websocket_client.and_then", "server")
	clean()


# A server by hand whose first message is no id.
func _wrong_ids() -> void:
	var socket := listening()
	for frame: Array in [
		[0x82, 0x04, 0x01, 0, 0, 0], [0x82, 0x04, 0, 0, 0, 0], [0x82, 0x04, 0xFF, 0xFF, 0xFF, 0xFF],
		[0x82, 0x03, 0x2A, 0, 0], [0x82, 0x05, 0x2A, 0, 0, 0, 0], [0x82, 0x00],
	]:
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		client.handshake_timeout = 1.0
		client.create_client(url_of(socket.get_local_port()))
		polled.append(client)
		var stream := await taken(socket)
		await answer_upgrade(stream)
		errors_expected(true)
		stream.put_data(frame)
		await until(func() -> bool: return is_gone(client), "a wrong id: %s" % [frame])
		errors_expected(false)
		observe_log("wrong_id.%s" % [frame], "client")
		clean()

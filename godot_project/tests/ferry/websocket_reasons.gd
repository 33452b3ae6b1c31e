extends "res://tests/ferry/reasons.gd"
## As `reasons`, over WebSocket, where either end may be something else: a page, the engine's own class, a web server, a
## program that breaks the rules. What is told, and in which words.

const MASKED := 0x80

# A client between its handshake and its first message says nothing for this long.
const PATIENCE := 1.0


func _test() -> void:
	await _succeeds_and_is_kicked()
	await _leaves()
	await _server_closes()
	await _full_and_refusing()
	await _no_such_name()
	await _figures()
	await _kicked_by_number()
	await _closes_with_a_code()
	await _silent_client()
	await _silent_server()
	await _server_without_an_id()
	await _too_slow()
	await _too_large()
	await _web_servers()
	await _web_visitors()
	await _sub_protocols()
	await _broken_frames()
	await _hangs_up()


func _text(peer: MultiplayerPeer, id: int, parts: Array) -> void:
	var text: String = peer.get_disconnect_text(id)
	for part: String in parts:
		check(text.contains(part), "the text of `%s` has no `%s`" % [text, part])


## A single WebSocket, Ferry's or the engine's, that is in; polled. Its id is the server's newest.
func _socket(server: MultiplayerPeer, socket_class: String) -> Dictionary:
	var socket: PacketPeer = make(socket_class)
	expect_next("socket")
	check_eq(socket.connect_to_url(url_of(port_of(server))), OK, "connect_to_url")
	polled.append(socket)
	await until(func() -> bool: return socket.get_available_packet_count() == 1 and log.server.size() > 0, "in with " + socket_class)
	log.server.clear()
	return {"socket": socket, "id": socket.get_packet().decode_s32(0)}


func expect_next(name: String) -> void:
	_expected.append(name)


func _kicked_by_number() -> void:
	for socket_class: String in ["FerryWebSocketPeer", "WebSocketPeer"]:
		var server := new_server()
		var one: Dictionary = await _socket(server, socket_class)
		server.disconnect_peer(one.id)
		await until(func() -> bool: return is_closed(one.socket) and log.server.size() >= 3, "kicked")
		# As close codes tell a page: 4000 and the reason's number, and its words.
		check_eq(one.socket.get_close_code(), 4003, "its code at " + socket_class)
		check_eq(one.socket.get_close_reason(), "kicked by the server", "its text")
		_logged("server", ["peer_disconnected(socket)", "LOCAL_CLOSE already known", "lost socket LOCAL_CLOSE"])
		server.close()
		clean()
		server = new_server()
		one = await _socket(server, socket_class)
		server.close()
		await until(func() -> bool: return is_closed(one.socket), "the server went")
		check_eq(one.socket.get_close_code(), 1001, "its code at " + socket_class)
		clean()


func _closes_with_a_code() -> void:
	for socket_class: String in ["FerryWebSocketPeer", "WebSocketPeer"]:
		var server := new_server()
		var details := []
		server.peer_lost.connect(func(_id: int, _reason: int, detail: String) -> void: details.append(detail))
		var one: Dictionary = await _socket(server, socket_class)
		one.socket.close(4321, "so long")
		await until(func() -> bool: return log.server.size() >= 3, "it went")
		_logged("server", ["peer_disconnected(socket)", "REMOTE_CLOSE already known", "lost socket REMOTE_CLOSE"])
		check(details.size() == 1 and details[0].contains("4321") and details[0].contains("so long"), "the detail: %s" % [details])
		_text(server, one.id, ["4321", "so long"])
		clean()
		# A number of Ferry's that a page gives means what it says.
		server = new_server()
		one = await _socket(server, socket_class)
		one.socket.close(4012, "")
		await until(func() -> bool: return log.server.size() >= 3, "it went")
		_logged("server", ["peer_disconnected(socket)", "PACKET_TOO_LARGE already known", "lost socket PACKET_TOO_LARGE"])
		clean()


## Has the handshake behind it, and the id; then it is only a TCP connection that somebody holds.
func _raw_client(server: MultiplayerPeer) -> StreamPeerTCP:
	expect_next("raw")
	var stream := await plain_stream(port_of(server))
	await ask_upgrade(stream)
	await until(func() -> bool: return log.server.size() > 0, "the raw client is in")
	log.server.clear()
	return stream


# It answers no ping, and nobody hangs up.
func _silent_client() -> void:
	var server: MultiplayerPeer = new_server()
	server.peer_timeout = PATIENCE
	var stream: StreamPeerTCP = await _raw_client(server)
	var start := Time.get_ticks_msec()
	await until(func() -> bool: return log.server.size() >= 3, "its silence noticed")
	var took := Time.get_ticks_msec() - start
	check(took > 500 and took < 3000, "after %d ms" % took)
	_logged("server", ["peer_disconnected(raw)", "TIMEOUT already known", "lost raw TIMEOUT"])
	await until(func() -> bool: return hung_up(stream), "hung up")
	clean()


func _silent_server() -> void:
	var door := listening()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	_watch_all(client, "client")
	client.peer_timeout = PATIENCE
	check_eq(open_client(client, door.get_local_port()), OK, "create_client")
	polled.append(client)
	var stream := await taken(door)
	await answer_upgrade(stream)
	# A binary frame with the id 77.
	stream.put_data(PackedByteArray([0x82, 4, 77, 0, 0, 0]))
	await until(func() -> bool: return is_connected_peer(client), "connected")
	check_eq(client.get_unique_id(), 77, "its id")
	await until(func() -> bool: return is_gone(client), "the silence noticed")
	_logged("client", ["peer_connected(server)", "succeeded, connected", "peer_disconnected(server)", "TIMEOUT already known",
		"lost server TIMEOUT", "server gone TIMEOUT, disconnected"])
	clean()


func _server_without_an_id() -> void:
	var door := listening()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	_watch_all(client, "client")
	client.connect_timeout = PATIENCE
	check_eq(open_client(client, door.get_local_port()), OK, "create_client")
	polled.append(client)
	await answer_upgrade(await taken(door))
	await until(func() -> bool: return is_gone(client), "given up")
	_logged("client", ["failed CONNECT_TIMEOUT, disconnected"])
	clean()


# Somebody takes nothing in, while the server goes on sending.
func _too_slow() -> void:
	var server := new_server()
	server.outbound_queue_limit = 1_000_000
	var stream: StreamPeerTCP = await _raw_client(server)
	var other := await connected_client(server, "other")
	log.server.clear()
	address(server, 0)
	var packet := payload(200_000)
	errors_expected(true)
	await until(func() -> bool:
		# No faster than the other takes it in.
		if server.get_peer_stats(other.get_unique_id()).queued_bytes == 0:
			server.put_packet(packet)
		while other.get_available_packet_count() > 0:
			other.get_packet()
		return log.server.size() >= 3, "its queue is full", 25.0)
	errors_expected(false)
	_logged("server", ["peer_disconnected(raw)", "QUEUE_FULL already known", "lost raw QUEUE_FULL"])
	check(is_connected_peer(other), "the other stays")
	check(stream.get_status() == StreamPeerTCP.STATUS_CONNECTED, "the slow one still has not looked")
	clean()


func _too_large() -> void:
	for sender: String in ["client", "server"]:
		var server := new_server()
		var receiver_limit := 100_000
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		_watch_all(client, "client")
		(server if sender == "client" else client).inbound_buffer_size = receiver_limit
		check_eq(open_client(client, port_of(server)), OK, "create_client")
		expect(client, "client")
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
		var from := client if sender == "client" else server
		address(from, 0 if sender == "server" else 1)
		from.outbound_buffer_size = 16 * 1024 * 1024
		check_eq(from.put_packet(payload(receiver_limit)), OK, "just right")
		check_eq(from.put_packet(payload(receiver_limit + 1)), OK, "too large for the other end")
		var to := server if sender == "client" else client
		await until(func() -> bool: return to.get_available_packet_count() == 1, "what is just right")
		check_eq(to.get_packet().size(), receiver_limit, "what is just right")
		await until(func() -> bool: return is_gone(client) and log.server.size() >= 4, "ended")
		_logged("client", ["peer_connected(server)", "succeeded, connected", "peer_disconnected(server)", "PACKET_TOO_LARGE already known",
			"lost server PACKET_TOO_LARGE", "server gone PACKET_TOO_LARGE, disconnected"])
		_logged("server", ["peer_connected(client)", "peer_disconnected(client)", "PACKET_TOO_LARGE already known", "lost client PACKET_TOO_LARGE"])
		clean()


# Something else than a game's server.
func _web_servers() -> void:
	for answer: Array in [
		["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HANDSHAKE", "404"],
		["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", "HANDSHAKE", "503"],
		["HTTP/1.1 301 Moved Permanently\r\nLocation: http://elsewhere\r\nContent-Length: 0\r\n\r\n", "HANDSHAKE", "301"],
		["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HANDSHAKE", "200"],
		["HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: nonsense\r\n\r\n", "HANDSHAKE", "Sec-WebSocket-Accept"],
		["220 mail.example.org ESMTP\r\n\r\n", "HANDSHAKE", "no HTTP"],
	]:
		var door := listening()
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		_watch_all(client, "client")
		check_eq(open_client(client, door.get_local_port()), OK, "create_client")
		polled.append(client)
		var stream := await taken(door)
		await read_head(stream)
		stream.put_data(answer[0].to_ascii_buffer())
		await until(func() -> bool: return is_gone(client), "an answer that is no WebSocket's")
		check(log.client == ["failed %s, disconnected" % answer[1]], "after `%s`: %s" % [answer[0].left(30), log.client])
		_text(client, 1, [answer[2]])
		clean()


func _web_visitors() -> void:
	var server := new_server()
	for question: Array in [
		["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 4"],
		["GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "HTTP/1.1 4"],
	]:
		var stream := await plain_stream(port_of(server))
		stream.put_data(question[0].to_ascii_buffer())
		var head := await read_head(stream)
		check(head[0].begins_with(question[1]), "the answer to a browser's visit: %s" % [head])
		await until(func() -> bool: return hung_up(stream), "hung up")
	_logged("server", [])
	clean()


func _sub_protocols() -> void:
	var server: MultiplayerPeer = make(server_class())
	name_newcomers(server)
	watch(server, "server")
	server.supported_protocols = PackedStringArray(["one", "two"])
	check_eq(open_server(server), OK, "create_server")
	polled.append(server)
	for wanted: Array in [[["three"], ""], [[], ""], [["three", "two"], "two"]]:
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		_watch_all(client, "client")
		client.supported_protocols = PackedStringArray(wanted[0])
		check_eq(open_client(client, port_of(server)), OK, "create_client")
		polled.append(client)
		if wanted[1] == "":
			await until(func() -> bool: return is_gone(client), "refused")
			_logged("client", ["failed HANDSHAKE, disconnected"])
			_text(client, 1, ["protocol"])
		else:
			await until(func() -> bool: return is_connected_peer(client), "connected")
			check_eq(client.get_peer(1).get_selected_protocol(), wanted[1], "the sub-protocol")
		polled.erase(client)
		client.close()
		log.erase("client")
	clean()
	# The other way round: a client with some, a server with none.
	server = new_server()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	_watch_all(client, "client")
	client.supported_protocols = PackedStringArray(["one"])
	check_eq(open_client(client, port_of(server)), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "not taken")
	_logged("client", ["failed HANDSHAKE, disconnected"])
	_text(client, 1, ["protocol"])
	clean()


func _broken_frames() -> void:
	for frame: Array in [
		# Not masked; a reserved bit; a text that is no UTF-8.
		[[0x82, 1, 7], "PROTOCOL"],
		[[0xC2, MASKED | 1, 0, 0, 0, 0, 7], "PROTOCOL"],
		[[0x81, MASKED | 1, 0, 0, 0, 0, 0xFF], "PROTOCOL"],
	]:
		var server := new_server()
		var stream: StreamPeerTCP = await _raw_client(server)
		stream.put_data(PackedByteArray(frame[0]))
		await until(func() -> bool: return log.server.size() >= 3, "ended after %s" % [frame[0]])
		_logged("server", ["peer_disconnected(raw)", "%s already known" % frame[1], "lost raw %s" % frame[1]])
		await until(func() -> bool: return hung_up(stream), "hung up")
		clean()


# No goodbye, but the system tells.
func _hangs_up() -> void:
	var server := new_server()
	var stream: StreamPeerTCP = await _raw_client(server)
	stream.disconnect_from_host()
	await until(func() -> bool: return log.server.size() >= 3, "its end noticed")
	check(log.server[2] in ["lost raw REMOTE_CLOSE", "lost raw NETWORK"], "why: %s" % [log.server])
	clean()

extends "res://tests/support/parity_test.gd"
## What the scenes about WebSocket share: single WebSockets, and plain TCP ends that play one by hand.

const STATE_NAMES := ["connecting", "open", "closing", "closed"]

## What a server appends to a client's key (RFC 6455, section 4.2.2).
const ACCEPT_GUID := "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const HEAD_END := "\r\n\r\n"

# Streams that a TLS handshake is still going on under, or that a scene only keeps open.
var _streams: Array[StreamPeer] = []


func server_class() -> String:
	return options.get("server", "WebSocketMultiplayerPeer")


func client_class() -> String:
	return options.get("client", "WebSocketMultiplayerPeer")


func url_of(port: int, path := "", scheme := "ws", host := LOCALHOST) -> String:
	return "%s://%s:%d%s" % [scheme, host, port, path]


func state_of(socket: Object) -> String:
	return STATE_NAMES[socket.get_ready_state()]


func is_open(socket: Object) -> bool:
	return socket.get_ready_state() == WebSocketPeer.STATE_OPEN


func is_closed(socket: Object) -> bool:
	return socket.get_ready_state() == WebSocketPeer.STATE_CLOSED


## A port of this machine that accepts connections, and does nothing more by itself.
func listening() -> TCPServer:
	var socket := TCPServer.new()
	check_eq(socket.listen(0, LOCALHOST), OK, "a port that listens")
	return socket


## The next connection to that port.
func taken(socket: TCPServer) -> StreamPeerTCP:
	await until(socket.is_connection_available, "a connection to take")
	var stream := socket.take_connection()
	_streams.append(stream)
	return stream


## A connection of plain TCP to a port of this machine.
func plain_stream(port: int) -> StreamPeerTCP:
	var stream := StreamPeerTCP.new()
	check_eq(stream.connect_to_host(LOCALHOST, port), OK, "a plain connection")
	_streams.append(stream)
	await until(func() -> bool:
		stream.poll()
		return stream.get_status() == StreamPeerTCP.STATUS_CONNECTED, "connected by plain TCP")
	return stream


## Whether the other end of a plain connection has hung up. What it said before is thrown away: it would hide the end.
func hung_up(stream: StreamPeerTCP) -> bool:
	stream.poll()
	while stream.get_status() == StreamPeerTCP.STATUS_CONNECTED and stream.get_available_bytes() > 0:
		stream.get_data(stream.get_available_bytes())
		stream.poll()
	return stream.get_status() != StreamPeerTCP.STATUS_CONNECTED


## The head of an HTTP request or answer that comes on this stream: its lines.
func read_head(stream: StreamPeerTCP) -> PackedStringArray:
	var text := []
	await until(func() -> bool:
		stream.poll()
		while stream.get_available_bytes() > 0 and not "".join(text).ends_with(HEAD_END):
			text.append(char(stream.get_u8()))
		return "".join(text).ends_with(HEAD_END), "the head of a message")
	return "".join(text).trim_suffix(HEAD_END).split("\r\n")


## The value of a header; empty if there is none.
func header(head: PackedStringArray, name: String) -> String:
	for line in head:
		if line.to_lower().begins_with(name.to_lower() + ":"):
			return line.substr(name.length() + 1).strip_edges()
	return ""


## The names of a head's headers, in lower case and sorted.
func header_names(head: PackedStringArray) -> Array:
	var names := Array(head.slice(1)).map(func(line: String) -> String: return line.get_slice(":", 0).to_lower())
	names.sort()
	return names


## Plays the server's part of the handshake by hand.
func answer_upgrade(stream: StreamPeerTCP, more := "") -> void:
	var head := await read_head(stream)
	var accept := Marshalls.raw_to_base64((header(head, "Sec-WebSocket-Key") + ACCEPT_GUID).sha1_buffer())
	stream.put_data(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			+ "Sec-WebSocket-Accept: " + accept + "\r\n" + more + "\r\n").to_ascii_buffer())


## Plays the client's part of the handshake by hand; gives the head of the answer.
func ask_upgrade(stream: StreamPeerTCP, more := "", path := "/") -> PackedStringArray:
	stream.put_data(("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" % path
			+ "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + more + "\r\n").to_ascii_buffer())
	return await read_head(stream)


func clean() -> void:
	super()
	_streams.clear()

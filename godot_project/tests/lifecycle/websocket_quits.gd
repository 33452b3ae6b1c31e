extends "res://tests/support/ferry_test.gd"
## A process that quits while a handshake hangs: its own with a server that says nothing, or that of visitors who do not
## go on. `--role=` says which. The Rust side measures how long the quit takes.

const VISITORS := 40

# Long enough that nothing but the quit can end a handshake.
const PATIENCE := 60.0

# The beginning of a TLS hello that announces 512 bytes.
const HALF_A_HELLO := [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]

# Whatever has to stay open until the end.
var _kept := []


func _test() -> void:
	match options.get("role", ""):
		"silent_tls":
			await _join_a_silent_server("wss")
		"silent_upgrade":
			await _join_a_silent_server("ws")
		"silent_visitors":
			await _be_visited([], "GET / HTTP/1.1\r\nHost: a\r\n".to_ascii_buffer())
		"secure_visitors":
			var options: Variant = ClassDB.class_call_static(&"FerryTLS", &"self_signed")
			await _be_visited(["*", options], PackedByteArray(HALF_A_HELLO))


func _join_a_silent_server(scheme: String) -> void:
	var door := TCPServer.new()
	check_eq(door.listen(0, LOCALHOST), OK, "a port that listens")
	var client: MultiplayerPeer = make(client_class())
	client.handshake_timeout = PATIENCE
	check_eq(client.create_client("%s://localhost:%d" % [scheme, door.get_local_port()]), OK, "create_client")
	polled.append(client)
	await until(door.is_connection_available, "somebody at the door")
	var stream := door.take_connection()
	_kept.append(stream)
	await until(func() -> bool:
		stream.poll()
		return stream.get_available_bytes() > 0, "its first word")
	check_eq(status_of(client), "connecting", "while the server says nothing")


func _be_visited(arguments: Array, first_word: PackedByteArray) -> void:
	var server: MultiplayerPeer = make(server_class())
	server.handshake_timeout = PATIENCE
	check_eq(open_server(server, arguments), OK, "create_server")
	polled.append(server)
	var visitors: Array[StreamPeerTCP] = []
	for number in VISITORS:
		var visitor := StreamPeerTCP.new()
		check_eq(visitor.connect_to_host(LOCALHOST, port_of(server)), OK, "a visitor")
		visitors.append(visitor)
	await until(func() -> bool: return visitors.all(_stands), "all stand at the door")
	# Every second says how it begins; the others say nothing.
	for number in range(0, VISITORS, 2):
		visitors[number].put_data(first_word)
	await linger(0.3)
	check(visitors.all(_stands), "all still stand there")
	_kept.append(visitors)


func _stands(visitor: StreamPeerTCP) -> bool:
	visitor.poll()
	return visitor.get_status() == StreamPeerTCP.STATUS_CONNECTED

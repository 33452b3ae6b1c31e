@tool
extends EditorPlugin
## Loads Ferry's library anew, three times, while peers are connected and have something to send, and while others are in
## the middle of a handshake. Run by the editor, in a copy of the project that the test has made this a plugin of.

const Introduction := preload("res://tests/support/introduction.gd")

const LOCALHOST := "127.0.0.1"
const MANIFEST := "res://addons/ferry/ferry.gdextension"

var _failures := PackedStringArray()


func _enter_tree() -> void:
	_reload.call_deferred()


func _reload() -> void:
	# The editor is at work of its own in its first frames.
	await get_tree().create_timer(2.0).timeout
	for _round in 3:
		var clients: Array[Object] = []
		# All of them are held until the library has gone.
		var held := [_enet(clients), _websocket(clients, "ws", []), _websocket(clients, "wss", ["*", _secure_options()])]
		held.append_array(_webrtc(clients))
		held.append_array(_hanging_handshakes())
		held.append_array(_gathering())
		for _turn in 3000:
			for subject: Object in _flat(held):
				if subject.has_method("poll"):
					subject.call("poll")
			if clients.all(_is_open):
				break
			OS.delay_msec(1)
		if not clients.all(_is_open):
			_failures.append("not connected: %s" % [clients.map(_is_open)])
		# To leave at the end of a frame that the library does not live to see.
		for client: PacketPeer in clients:
			client.put_packet("last words".to_utf8_buffer())
		if GDExtensionManager.reload_extension(MANIFEST) != GDExtensionManager.LOAD_STATUS_OK:
			_failures.append("not loaded anew")
		await get_tree().create_timer(0.2).timeout
		if clients.any(_is_open):
			_failures.append("what was open before is open still: %s" % [clients.map(_is_open)])
	print("FERRY_TEST_END ", "ok reload" if _failures.is_empty() else "failed reload: " + ", ".join(_failures))
	get_tree().quit()


func _is_open(peer: Object) -> bool:
	if peer is MultiplayerPeer:
		return peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED
	if peer is WebRTCDataChannel:
		return peer.get_ready_state() == WebRTCDataChannel.STATE_OPEN
	return peer.get_ready_state() == WebSocketPeer.STATE_OPEN


func _flat(held: Array) -> Array:
	var all := []
	for part: Variant in held:
		if part is Array:
			all.append_array(part)
		else:
			all.append(part)
	return all


func _enet(clients: Array[Object]) -> Array:
	var server: MultiplayerPeer = ClassDB.instantiate(&"FerryENetMultiplayerPeer")
	var client: MultiplayerPeer = ClassDB.instantiate(&"FerryENetMultiplayerPeer")
	_must_be_ok(server.create_server(0))
	_must_be_ok(client.create_client(LOCALHOST, server.host.get_local_port()))
	clients.append(client)
	return [server, client]


# A server, a game's client and a single WebSocket.
func _websocket(clients: Array[Object], scheme: String, arguments: Array) -> Array:
	var server: MultiplayerPeer = ClassDB.instantiate(&"FerryWebSocketMultiplayerPeer")
	var client: MultiplayerPeer = ClassDB.instantiate(&"FerryWebSocketMultiplayerPeer")
	var socket: PacketPeer = ClassDB.instantiate(&"FerryWebSocketPeer")
	_must_be_ok(server.callv("create_server", [0] + arguments))
	var url := "%s://%s:%d" % [scheme, LOCALHOST, server.get_local_port()]
	_must_be_ok(client.create_client(url, TLSOptions.client_unsafe()))
	_must_be_ok(socket.connect_to_url(url, TLSOptions.client_unsafe()))
	clients.append(client)
	clients.append(socket)
	return [server, client, socket]


# A server and a client, and two connections by themselves, whose ends both are among those to be open.
func _webrtc(clients: Array[Object]) -> Array:
	var server: MultiplayerPeer = ClassDB.instantiate(&"FerryWebRTCMultiplayerPeer")
	var client: MultiplayerPeer = ClassDB.instantiate(&"FerryWebRTCMultiplayerPeer")
	_must_be_ok(server.create_server())
	_must_be_ok(client.create_client(2))
	var ends := [_connection(), _connection()]
	_must_be_ok(server.add_peer(ends[0], 2))
	_must_be_ok(client.add_peer(ends[1], 1))
	clients.append(client)
	var pair := [_connection(), _connection()]
	for one: WebRTCPeerConnection in pair:
		clients.append(one.create_data_channel("chat", {"negotiated": true, "id": 1}))
	for two: Array in [ends, pair]:
		Introduction.introduce(two[0], two[1])
		_must_be_ok(two[1].create_offer())
	return [server, client] + pair


func _connection() -> WebRTCPeerConnection:
	var connection: WebRTCPeerConnection = ClassDB.instantiate(&"FerryWebRTCPeerConnection")
	_must_be_ok(connection.initialize({"ferry": {"loopback": "always"}}))
	return connection


# Connections that ask servers which say nothing.
func _gathering() -> Array:
	var silent := PacketPeerUDP.new()
	_must_be_ok(silent.bind(0, LOCALHOST))
	var door := TCPServer.new()
	_must_be_ok(door.listen(0, LOCALHOST))
	var connection: WebRTCPeerConnection = ClassDB.instantiate(&"FerryWebRTCPeerConnection")
	_must_be_ok(connection.initialize({"iceServers": [
		{"urls": "stun:%s:%d" % [LOCALHOST, silent.get_local_port()]},
		{"urls": "turns:%s:%d" % [LOCALHOST, door.get_local_port()], "username": "me", "credential": "secret"},
	]}))
	connection.session_description_created.connect(_set_local.bind(weakref(connection)))
	connection.create_data_channel("chat")
	_must_be_ok(connection.create_offer())
	return [silent, door, connection]


func _set_local(type: String, text: String, connection: WeakRef) -> void:
	_must_be_ok(connection.get_ref().set_local_description(type, text))


func _secure_options() -> TLSOptions:
	return ClassDB.class_call_static(&"FerryTLS", &"self_signed")


# Clients of a server that says nothing, and a visitor of ours who says nothing.
func _hanging_handshakes() -> Array:
	var door := TCPServer.new()
	_must_be_ok(door.listen(0, LOCALHOST))
	var all := [door]
	for scheme: String in ["ws", "wss"]:
		var client: MultiplayerPeer = ClassDB.instantiate(&"FerryWebSocketMultiplayerPeer")
		client.handshake_timeout = 60.0
		_must_be_ok(client.create_client("%s://%s:%d" % [scheme, LOCALHOST, door.get_local_port()]))
		all.append(client)
	var server: MultiplayerPeer = ClassDB.instantiate(&"FerryWebSocketMultiplayerPeer")
	_must_be_ok(server.create_server(0))
	var visitor := StreamPeerTCP.new()
	_must_be_ok(visitor.connect_to_host(LOCALHOST, server.get_local_port()))
	all.append_array([server, visitor])
	return all


func _must_be_ok(error: Error) -> void:
	if error != OK:
		_failures.append("not created: " + error_string(error))

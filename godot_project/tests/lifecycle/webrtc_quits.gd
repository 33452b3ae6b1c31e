extends "res://tests/support/webrtc_test.gd"
## A process that quits at a bad moment of its connections; `--role=` says at which. The Rust side measures how long it takes from the
## word to the end.

const WORD := "QUITS now"
const CONNECTIONS := 4

# Whatever has to stay open until the end.
var _kept := []


func _test() -> void:
	match options.get("role", ""):
		"gathering":
			await _while_servers_are_asked()
		"looking_up":
			await _while_a_server_is_looked_up()
		"connecting":
			await _while_nobody_answers()
		"connected":
			await _while_connected()
		"talking":
			await _while_much_is_under_way()
	print(WORD)


# STUN and TURN servers that say nothing, by datagrams and by streams.
func _while_servers_are_asked() -> void:
	var silent := PacketPeerUDP.new()
	check_eq(silent.bind(0, "127.0.0.1"), OK, "a socket")
	var door := TCPServer.new()
	check_eq(door.listen(0, "127.0.0.1"), OK, "a port that listens")
	_kept = [silent, door]
	_begin({"iceServers": [
		{"urls": ["stun:127.0.0.1:%d" % silent.get_local_port()]},
		{"urls": [
			"turn:127.0.0.1:%d" % silent.get_local_port(), "turn:127.0.0.1:%d?transport=tcp" % door.get_local_port(),
			"turns:127.0.0.1:%d" % door.get_local_port()], "username": "me", "credential": "secret"},
	], "ferry": {"loopback": "always"}})
	await until(func() -> bool: return silent.get_available_packet_count() > 0 and door.is_connection_available(), "servers are asked")


func _while_a_server_is_looked_up() -> void:
	_begin({"iceServers": [{"urls": ["stun:nobody.invalid:3478", "turns:nobody.invalid"], "username": "me", "credential": "secret"}]})
	await until(func() -> bool: return polled.all(func(one: WebRTCPeerConnection) -> bool:
		return one.get_gathering_state() != WebRTCPeerConnection.GATHERING_STATE_NEW), "gathering")


func _begin(configuration: Dictionary) -> void:
	for number in CONNECTIONS:
		var connection := WebRTCPeerConnection.new()
		connection.session_description_created.connect(_set_local.bind(weakref(connection)))
		check_eq(connection.initialize(configuration), OK, "initialize")
		connection.create_data_channel("chat")
		check_eq(connection.create_offer(), OK, "create_offer")
		_kept.append(connection)
		polled.append(connection)


func _set_local(type: String, sdp: String, connection: WeakRef) -> void:
	check_eq(connection.get_ref().set_local_description(type, sdp), OK, "set_local_description")


# The other ends are known and not polled, so that they stay where they are: no description of theirs is set.
func _while_nobody_answers() -> void:
	for number in CONNECTIONS:
		var pair := new_pair()
		_kept.append(pair)
		for connection in pair:
			connection.create_data_channel("chat", {"negotiated": true, "id": 1})
		check_eq(pair[0].create_offer(), OK, "create_offer")
	await until(func() -> bool:
		return _kept.any(func(pair: Array) -> bool: return pair[0].get_connection_state() == WebRTCPeerConnection.STATE_CONNECTING), "connecting")


func _while_connected() -> void:
	await _connect_all()


func _connect_all() -> Array[WebRTCDataChannel]:
	var ends: Array[WebRTCDataChannel] = []
	for number in CONNECTIONS:
		var pair := new_pair()
		_kept.append(pair)
		for connection in pair:
			ends.append(connection.create_data_channel("chat", {"negotiated": true, "id": 1}))
		check_eq(pair[0].create_offer(), OK, "create_offer")
	_kept.append(ends)
	await until(func() -> bool: return ends.all(is_open), "connected")
	return ends


# Much more than can leave in the time that a quit may take.
func _while_much_is_under_way() -> void:
	var bytes := PackedByteArray()
	bytes.resize(200_000)
	for channel in await _connect_all():
		for number in 40:
			check_eq(channel.put_packet(bytes), OK, "put")

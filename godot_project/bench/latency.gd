extends "res://bench/bench.gd"
## Round trips between two peers as a game sees them: from the put to the answer that it reads. And the round trip that the
## transport itself tells, if it does.
##
## Both ends turn `--rate=` times a second, in two processes (`--role=`), as games do. With `--rate=0` both turn in one tight
## loop of one process (`--role=both`): two of them, and the network's thread, would be more than two cores.

const BYTES := 32

var _server: MultiplayerPeer
var _client: MultiplayerPeer
var _times := PackedInt64Array()


func _measure() -> void:
	Engine.max_fps = number("rate", 60)
	var role: String = options.role
	if role != "clients":
		_server = open_server(1)
		_server.transfer_mode = number("mode", MultiplayerPeer.TRANSFER_MODE_RELIABLE)
		_server.poll()
		print(MARK, "_OPEN")
	if role == "server":
		await _answer_one_guest()
	else:
		await _ask_for_a_while()


func _answer_one_guest() -> void:
	var guests := [0, 0]
	_server.peer_connected.connect(func(_id: int) -> void: guests[0] += 1)
	_server.peer_disconnected.connect(func(_id: int) -> void: guests[1] += 1)
	while guests[1] == 0:
		_answer()
		await process_frame
	_server.close()


func _ask_for_a_while() -> void:
	var trips := number("trips", 300)
	_client = open_client()
	while not is_connected_peer(_client):
		_turn()
		await process_frame
	_client.transfer_mode = number("mode", MultiplayerPeer.TRANSFER_MODE_RELIABLE)
	_client.set_target_peer(1)
	_ask()
	await _trips(trips / 10 + 5)
	_times.clear()
	await _trips(trips)
	tell("p50_ms", median(_times) / 1000.0)
	tell("p99_ms", at_share(_times, 0.99) / 1000.0)
	var own := _own_ms()
	if not is_nan(own):
		tell("own_ms", own)
	_client.close()
	if _server != null:
		_server.close()


func _trips(count: int) -> void:
	while _times.size() < count and is_connected_peer(_client):
		_turn()
		if Engine.max_fps > 0:
			await process_frame


func _turn() -> void:
	if _server != null:
		_answer()
	_client.poll()
	while _client.get_available_packet_count() > 0:
		_times.append(Time.get_ticks_usec() - _client.get_packet().decode_u64(0))
		_ask()


func _answer() -> void:
	_server.poll()
	while _server.get_available_packet_count() > 0:
		var from := _server.get_packet_peer()
		var packet := _server.get_packet()
		_server.set_target_peer(from)
		_server.put_packet(packet)


func _ask() -> void:
	var packet := PackedByteArray()
	packet.resize(BYTES)
	packet.encode_u64(0, Time.get_ticks_usec())
	_client.put_packet(packet)


# In ms, or NAN where nobody counts.
func _own_ms() -> float:
	if _client.has_method("get_peer_stats"):
		var stats: Variant = _client.call("get_peer_stats", 1)
		return stats.rtt * 1000.0
	if _client.has_method("get_peer"):
		var link: Object = _client.call("get_peer", 1)
		if link.has_method("get_statistic"):
			# ENetPacketPeer.PEER_ROUND_TRIP_TIME
			return link.call("get_statistic", 3)
	return NAN

extends "res://bench/pair.gd"
## Large reliable packets from one peer to another in the same process, for `--seconds=`: MB/s that are read, and what the
## process takes for them. Both are polled `--rate=` times a second, or in a tight loop with `--rate=0`.
##
## Between put and read there are never more than `--window=` bytes: a game that sends a level or a replay does as much.

var _under_way := 0
var _received := 0
var _payload := PackedByteArray()
var _window := 0


func _measure() -> void:
	var rate := number("rate", 60)
	_payload.resize(number("size", 16384))
	_window = number("window", 8 << 20)
	Engine.max_fps = rate
	await _connect()
	var warm := Time.get_ticks_msec() + 500
	while Time.get_ticks_msec() < warm:
		_turn()
		if rate > 0:
			await process_frame
	var lasts := number("seconds", 3) * 1000000
	var begin := Time.get_ticks_usec()
	var cpu := process_cpu()
	_received = 0
	while Time.get_ticks_usec() - begin < lasts and is_connected_peer(_client):
		_turn()
		if rate > 0:
			await process_frame
	var seconds := (Time.get_ticks_usec() - begin) / 1e6
	var megabytes := _received / 1e6
	tell("mb_per_s", megabytes / seconds)
	tell("cpu_ms_per_mb", process_cpu_since(cpu) / 1e6 / maxf(megabytes, 0.001))
	_disconnect()


func _turn() -> void:
	_client.poll()
	while _under_way + _payload.size() <= _window and is_connected_peer(_client):
		# No two in a row are the same.
		_payload.encode_u32(0, _under_way)
		if _client.put_packet(_payload) != OK:
			break
		_under_way += _payload.size()
	_server.poll()
	while _server.get_available_packet_count() > 0:
		var bytes := _server.get_packet().size()
		_under_way -= bytes
		_received += bytes

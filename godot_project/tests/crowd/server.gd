extends "res://tests/support/scene_test.gd"
## A server at 60 Hz for a crowd that the Rust side plays: counts what arrives, sends each client `--down=` packets a tick,
## and tells what its own thread had to do for it. With `--silent_ticks=`, only polls, so often, once all are in.

var _server: MultiplayerPeer
var _expected_clients: int
var _packets_each: int
var _down: int
var _silent_ticks: int
var _last_poll_us := 0
var _received := {}
var _complete := 0
var _ids: Array[int] = []
var _payload := PackedByteArray()
var _poll_us := PackedInt64Array()
var _send_us := PackedInt64Array()


func _test() -> void:
	Engine.max_fps = 60
	OS.low_processor_usage_mode_sleep_usec = 1000
	_expected_clients = int(options.get("clients", 64))
	_packets_each = int(options.get("packets", 120))
	_down = int(options.get("down", 0))
	_silent_ticks = int(options.get("silent_ticks", 0))
	_payload.resize(64)
	_server = make(options.get("class", "FerryENetMultiplayerPeer"))
	if _server == null:
		return
	_server.peer_connected.connect(func(id: int) -> void: _ids.append(id))
	_server.peer_disconnected.connect(func(id: int) -> void: _ids.erase(id))
	if _server.has_method("get_local_port"):
		check_eq(_server.create_server(0), OK, "create_server")
		print("CROWD port=", _server.get_local_port())
	else:
		check_eq(_server.create_server(0, _expected_clients), OK, "create_server")
		print("CROWD port=", _server.host.get_local_port())
	_server.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
	if _silent_ticks > 0:
		await _stay_silent()
		_server.close()
		return
	var arrived := await until(func() -> bool: return _tick() and _complete == _expected_clients, "everything from everybody", _bound - 5.0)
	if not arrived:
		var total := 0
		for id: int in _received:
			total += _received[id]
		print("CROWD received %d of %d from %d" % [total, _expected_clients * _packets_each, _received.size()])
	_tell_cost()
	_server.close()


## What a poll costs with everybody there, beside what it costs with nobody.
func _stay_silent() -> void:
	var alone := PackedInt64Array()
	await until(func() -> bool: return _tick() and _note(alone) >= _silent_ticks, "so many ticks alone", _bound - 5.0)
	alone.sort()
	print("CROWD_ALONE poll_us=%d" % _median(alone))
	await until(func() -> bool: return _tick() and _poll_us.size() >= _silent_ticks, "so many ticks with everybody", _bound - 5.0)
	_tell_cost()


func _note(polls: PackedInt64Array) -> int:
	polls.push_back(_last_poll_us)
	return polls.size()


func _tell_cost() -> void:
	_poll_us.sort()
	_send_us.sort()
	print("CROWD_COST poll_us=%d send_us=%d ticks=%d" % [_median(_poll_us), _median(_send_us), _poll_us.size()])


func _tick() -> bool:
	var begin := Time.get_ticks_usec()
	_server.poll()
	while _server.get_available_packet_count() > 0:
		var from := _server.get_packet_peer()
		_server.get_packet()
		_received[from] = _received.get(from, 0) + 1
		if _received[from] == _packets_each:
			_complete += 1
	var between := Time.get_ticks_usec()
	if _down > 0:
		for number in _down:
			for id in _ids:
				_server.set_target_peer(id)
				_server.put_packet(_payload)
	var end := Time.get_ticks_usec()
	_last_poll_us = between - begin
	# Only with everybody there.
	if _ids.size() == _expected_clients:
		_poll_us.append(between - begin)
		_send_us.append(end - between)
	return true


func _median(values: PackedInt64Array) -> int:
	return values[values.size() / 2] if values.size() > 0 else -1

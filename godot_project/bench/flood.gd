extends "res://bench/pair.gd"
## `--packets=` small reliable packets, no two in a row the same, from one peer to another in the same process, polled at 60 Hz.
## They are put `--burst=` a tick; what is refused is put in the next one. Packets a second from the first put to the last
## read, and the longest that the game's thread was kept in a tick: by puts, and by polling and reading.

const BYTES := 32

## Different packets, by their first byte.
const KINDS := 256

var _payloads: Array[PackedByteArray] = []
var _next := 0
var _read := 0
var _out_of_order := 0


func _measure() -> void:
	var packets := number("packets", 200000)
	var burst := number("burst", packets)
	for kind in KINDS:
		var payload := PackedByteArray()
		payload.resize(BYTES)
		payload[0] = kind
		_payloads.append(payload)
	await _connect()
	for frame in 60:
		_client.poll()
		_server.poll()
		await process_frame
	# The machine's own caches, queues and pages are warm for both.
	await _flood(packets / 10, burst)
	var cpu := process_cpu()
	var begin := Time.get_ticks_usec()
	var worst := await _flood(packets, burst)
	var seconds := (Time.get_ticks_usec() - begin) / 1e6
	tell("packets_per_s", _read / seconds)
	tell("arrived", _read)
	tell("out_of_order", _out_of_order)
	tell("worst_put_ms", worst[0] / 1000.0)
	tell("worst_read_ms", worst[1] / 1000.0)
	tell("worst_tick_ms", worst[2] / 1000.0)
	tell("cpu_us_per_packet", process_cpu_since(cpu) / 1000.0 / maxi(_read, 1))
	_disconnect()


func _flood(packets: int, burst: int) -> PackedInt64Array:
	_next = 0
	_read = 0
	var worst := PackedInt64Array([0, 0, 0])
	var deadline := Time.get_ticks_msec() + 30000
	while _read < packets and is_connected_peer(_client) and Time.get_ticks_msec() < deadline:
		var begin := Time.get_ticks_usec()
		_client.poll()
		_put(mini(burst, packets - _next))
		var between := Time.get_ticks_usec()
		_server.poll()
		while _server.get_available_packet_count() > 0:
			var packet := _server.get_packet()
			if packet[0] != _read % KINDS:
				_out_of_order += 1
			_read += 1
		var end := Time.get_ticks_usec()
		worst[0] = maxi(worst[0], between - begin)
		worst[1] = maxi(worst[1], end - between)
		worst[2] = maxi(worst[2], end - begin)
		await process_frame
	return worst


func _put(count: int) -> void:
	var client := _client
	var payloads := _payloads
	var first := _next
	for number in range(first, first + count):
		if client.put_packet(payloads[number % KINDS]) != OK:
			_next = number
			return
	_next = first + count

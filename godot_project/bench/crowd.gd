extends "res://bench/bench.gd"
## A server and many clients, in two processes. Each client sends `--up=` packets a tick; the server sends each client
## `--down=` packets a tick, one by one, or with `--to_all` one for all. `--size=` bytes, `--mode=` of MultiplayerPeer.
##
## The server lets everybody in, then says "go" to each, takes part in `--warm=` ticks and measures `--ticks=` more.
## Without packets either way it is a silent crowd; `--at_once=` clients are connecting at any moment.

const GO := 71

## A crowd that does not grow any more is all there will be: frames.
const PATIENCE_FRAMES := 240

## The first one may take longer: his process starts only now.
const PATIENCE_FOR_ANYBODY_FRAMES := 840

## What is under way when everybody has come, or sent his last, comes within this: frames.
const LAST_FRAMES := 30

## So many are in when memory begins to count.
const FIRST := 16

var _peer: MultiplayerPeer
var _ids: Array[int] = []
var _lost := 0
var _received := 0
var _put := 0
var _payload := PackedByteArray()
var _down := 0
var _up := 0
var _to_all := false
var _poll_us := PackedInt64Array()
var _read_us := PackedInt64Array()
var _send_us := PackedInt64Array()


func _measure() -> void:
	_payload.resize(number("size", 64))
	_down = number("down", 0)
	_up = number("up", 0)
	_to_all = options.has("to_all")
	if options.role == "server":
		await _serve()
	else:
		await _attend()


func _serve() -> void:
	var expected := number("n", 1)
	await look_at_empty_loop()
	_peer = open_server(expected)
	_host()
	_poll()
	print(MARK, "_OPEN")
	# What a class needs once, whoever comes, is no cost of a connection: memory counts from the first few on.
	var first := 0
	var resident := 0
	var waited := 0
	while _ids.size() < expected and waited < (PATIENCE_FOR_ANYBODY_FRAMES if _ids.is_empty() else PATIENCE_FRAMES):
		var before := _ids.size()
		_poll()
		_read()
		if first == 0 and _ids.size() >= FIRST:
			first = _ids.size()
			resident = resident_kb()
		waited = waited + 1 if _ids.size() == before else 0
		await process_frame
	for frame in LAST_FRAMES:
		_poll()
		_read()
		await process_frame
	tell("joined", _ids.size())
	_received = 0
	_say_go()
	for tick in number("warm", 40):
		_tick()
		await process_frame
	await _measured_ticks(number("ticks", 240))
	if _ids.size() > first:
		tell("kb_per_connection", float(resident_kb() - resident) / (_ids.size() - first))
	# Nobody is sent anything any more; what is under way still comes.
	_down = 0
	var silent := 0
	while silent < number("last", LAST_FRAMES):
		var before := _received
		_tick()
		silent = silent + 1 if _received == before else 0
		await process_frame
	tell("put", _put)
	tell("received", _received)
	tell("lost", _lost)
	_peer.close()
	await look_at_empty_loop()
	tell_cost()


func _measured_ticks(ticks: int) -> void:
	_poll_us.clear()
	_read_us.clear()
	_send_us.clear()
	var before := wire()
	start_clocks()
	for tick in ticks:
		_tick()
		await process_frame
	stop_clocks(ticks)
	var seconds := clocked_seconds()
	tell("poll_ms", median(_poll_us) / 1000.0)
	tell("read_ms", median(_read_us) / 1000.0)
	tell("send_ms", median(_send_us) / 1000.0)
	tell("ticks_per_s", ticks / seconds)
	var after := wire()
	tell("wire_packets", (after[0] - before[0]) / seconds)
	tell("wire_kb", (after[1] - before[1]) / 1000.0 / seconds)


## Begins to take notice of the server's clients.
func _host() -> void:
	_peer.peer_connected.connect(_on_peer_connected)
	_peer.peer_disconnected.connect(_on_peer_disconnected)


func _say_go() -> void:
	_peer.transfer_mode = MultiplayerPeer.TRANSFER_MODE_RELIABLE
	_peer.set_target_peer(0)
	_peer.put_packet(PackedByteArray([GO]))
	_peer.transfer_mode = number("mode", MultiplayerPeer.TRANSFER_MODE_UNRELIABLE)


func _tick() -> void:
	var begin := Time.get_ticks_usec()
	_poll()
	var polled := Time.get_ticks_usec()
	_read()
	var read := Time.get_ticks_usec()
	_send()
	var sent := Time.get_ticks_usec()
	_put += _down * _ids.size()
	_poll_us.append(polled - begin)
	_read_us.append(read - polled)
	_send_us.append(sent - read)


func _poll() -> void:
	_peer.poll()


func _read() -> void:
	while _peer.get_available_packet_count() > 0:
		_peer.get_packet()
		_received += 1


func _send() -> void:
	# No two in a row are the same: a class may have been made to notice.
	var payload := _payload
	var kind := 0
	var targets := _ids
	if _to_all:
		targets = [0]
	for packet in _down:
		for target in targets:
			kind = (kind + 1) & 255
			payload[0] = kind
			_peer.set_target_peer(target)
			_peer.put_packet(payload)


func _on_peer_connected(id: int) -> void:
	_ids.append(id)


func _on_peer_disconnected(id: int) -> void:
	_ids.erase(id)
	_lost += 1


func _attend() -> void:
	var wanted := number("n", 1)
	var at_once := number("at_once", 16)
	var rounds := number("warm", 40) + number("ticks", 240)
	var clients: Array[Client] = []
	var connecting := 0
	var begin := Time.get_ticks_usec()
	var joined_us := 0
	var joined := 0
	var over := false
	while not over:
		while clients.size() < wanted and connecting < at_once:
			clients.append(Client.new(open_client(), rounds * int(_up > 0), number("mode", 0)))
			connecting += 1
		connecting = 0
		var now_joined := 0
		over = clients.size() == wanted
		for client in clients:
			client.turn(_payload, _up)
			connecting += int(client.is_connecting())
			now_joined += int(client.has_joined)
			over = over and client.is_over()
		if now_joined > joined:
			joined = now_joined
			joined_us = Time.get_ticks_usec() - begin
		await process_frame
	var put := 0
	var received := 0
	for client in clients:
		put += client.put
		received += client.received
	tell("join_ms", joined_us / 1000.0)
	tell("joined_clients", joined)
	tell("put", put)
	tell("received", received)


## One of them.
class Client:
	var peer: MultiplayerPeer
	var has_joined := false
	var put := 0
	var received := 0
	var _rounds: int
	var _going := false
	var _mode: int

	func _init(of: MultiplayerPeer, rounds: int, mode: int) -> void:
		peer = of
		_rounds = rounds
		_mode = mode

	func turn(payload: PackedByteArray, up: int) -> void:
		if is_over():
			return
		peer.poll()
		if not has_joined:
			has_joined = peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED
			if not has_joined:
				return
			peer.set_target_peer(1)
			peer.transfer_mode = _mode as MultiplayerPeer.TransferMode
		while peer.get_available_packet_count() > 0:
			var packet := peer.get_packet()
			if _going:
				received += 1
			elif packet.size() == 1 and packet[0] == GO:
				_going = true
		if _going and _rounds > 0:
			_rounds -= 1
			for number in up:
				payload[0] = put & 255
				put += int(peer.put_packet(payload) == OK)

	func is_connecting() -> bool:
		return peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTING

	func is_over() -> bool:
		return peer.get_connection_status() == MultiplayerPeer.CONNECTION_DISCONNECTED

extends "res://bench/bench.gd"
## A server whose game does nothing for `--stall=` seconds, as in a loading screen, while `--n=` clients in another process
## go on sending a reliable packet a tick: who is lost, and whether everything arrives.

const GO := 71

var _peer: MultiplayerPeer
var _ids: Array[int] = []
var _lost := 0


func _measure() -> void:
	if options.role == "server":
		await _serve()
	else:
		await _attend()


func _serve() -> void:
	var expected := number("n", 8)
	_peer = open_server(expected)
	_peer.peer_connected.connect(func(id: int) -> void: _ids.append(id))
	_peer.peer_disconnected.connect(func(_id: int) -> void: _lost += 1)
	_peer.poll()
	print(MARK, "_OPEN")
	while _ids.size() < expected:
		_peer.poll()
		await process_frame
	_peer.set_target_peer(0)
	_peer.put_packet(PackedByteArray([GO]))
	var received := 0
	for tick in 60:
		received += _turn()
		await process_frame
	OS.delay_msec(number("stall", 3) * 1000)
	var begin := Time.get_ticks_usec()
	received += _turn()
	tell("first_tick_ms", (Time.get_ticks_usec() - begin) / 1000.0)
	var silent := 0
	while silent < 60:
		var now := _turn()
		received += now
		silent = silent + 1 if now == 0 else 0
		await process_frame
	tell("received", received)
	tell("lost", _lost)
	_peer.close()


func _turn() -> int:
	var read := 0
	_peer.poll()
	while _peer.get_available_packet_count() > 0:
		_peer.get_packet()
		read += 1
	return read


func _attend() -> void:
	var clients: Array[MultiplayerPeer] = []
	for index in number("n", 8):
		clients.append(open_client())
	var payload := PackedByteArray()
	payload.resize(64)
	var going: Array[MultiplayerPeer] = []
	var ticks := 60 * (number("stall", 3) + 2)
	var put := 0
	var lost := 0
	while clients.any(is_connected_or_connecting):
		for client in clients.filter(is_connected_or_connecting):
			client.poll()
			while client.get_available_packet_count() > 0:
				client.get_packet()
				client.set_target_peer(1)
				going.append(client)
		if not going.is_empty() and ticks > 0:
			ticks -= 1
			lost = going.size() - going.filter(is_connected_or_connecting).size()
			for client in going.filter(is_connected_or_connecting):
				put += int(client.put_packet(payload) == OK)
		await process_frame
	tell("put", put)
	tell("lost", lost)


static func is_connected_or_connecting(peer: MultiplayerPeer) -> bool:
	return peer.get_connection_status() != MultiplayerPeer.CONNECTION_DISCONNECTED

extends "res://bench/bench.gd"
## WebRTC, a server and its `--n=` clients in one process: `--what=` is connect, messages, bulk, paced, frame or memory.
##
## The multiplayer peer's class is named; the connections below it are `WebRTCPeerConnection.new()`, made by whichever
## plugin is there. Descriptions go straight from one to the other; candidates as well where connecting is what is measured,
## elsewhere when both ends have both descriptions: some stacks now and then fail otherwise.

const CONNECT_BOUND_US := 5000000

var _server: MultiplayerPeer
var _clients: Array[MultiplayerPeer] = []
## Connections of all, so that they live.
var _connections: Array[WebRTCPeerConnection] = []
var _arrived := {}
## Candidates that wait: for whom, and what.
var _held: Array[Array] = []


func _measure() -> void:
	Engine.max_fps = 0 if options.what in ["connect", "messages", "bulk"] else 60
	match options.what:
		"connect":
			_connect_again_and_again()
		"messages":
			await _stream(number("packets", 50000), 64, 1 << 18)
		"bulk":
			await _stream(2048, 16384, 4 << 20)
		"paced":
			await _paced()
		"frame":
			await _frame()
		"memory":
			await _memory()


func _open(clients: int) -> void:
	_server = make(options.server)
	_server.call("create_server")
	_server.peer_connected.connect(func(id: int) -> void: _arrived[id] = true)
	for index in clients:
		_join(index + 2)


func _join(id: int) -> void:
	var client := make(options.clients)
	client.call("create_client", id)
	var here := WebRTCPeerConnection.new()
	var there := WebRTCPeerConnection.new()
	for connection: WebRTCPeerConnection in [here, there]:
		var other := there if connection == here else here
		connection.initialize({})
		connection.session_description_created.connect(_on_description.bind(connection, other))
		connection.ice_candidate_created.connect(_on_candidate.bind(other))
		_connections.append(connection)
	_server.call("add_peer", there, id)
	client.call("add_peer", here, 1)
	_clients.append(client)
	here.create_offer()


func _on_description(type: String, sdp: String, connection: WebRTCPeerConnection, other: WebRTCPeerConnection) -> void:
	connection.set_local_description(type, sdp)
	other.set_remote_description(type, sdp)
	if type == "answer":
		for waiting in _held.filter(func(held: Array) -> bool: return held[0] in [connection, other]):
			waiting[0].add_ice_candidate(waiting[1], waiting[2], waiting[3])
			_held.erase(waiting)
		connection.set_meta("answered", true)
		other.set_meta("answered", true)


func _on_candidate(media: String, index: int, name: String, other: WebRTCPeerConnection) -> void:
	if options.what == "connect" or other.has_meta("answered"):
		other.add_ice_candidate(media, index, name)
	else:
		_held.append([other, media, index, name])


func _poll() -> void:
	for client in _clients:
		client.poll()
	_server.poll()


# How many it had. A plugin that counts what it has without a lock may announce one that is not there.
func _read(peer: MultiplayerPeer) -> int:
	var read := 0
	while peer.get_available_packet_count() > 0:
		read += int(not peer.get_packet().is_empty())
	return read


func _all_there() -> bool:
	return _arrived.size() == _clients.size() and _clients.all(is_connected_peer)


func _close() -> void:
	for client in _clients:
		client.close()
	_server.close()
	for connection in _connections:
		connection.close()
	_clients.clear()
	_connections.clear()
	_arrived.clear()


# One pair after the other, both polled without a pause: how long until both say that they are connected.
func _connect_again_and_again() -> void:
	var times := PackedInt64Array()
	var failed := 0
	for attempt in number("tries", 100):
		var begin := Time.get_ticks_usec()
		_open(1)
		while not _all_there() and Time.get_ticks_usec() - begin < CONNECT_BOUND_US:
			_poll()
		if _all_there():
			times.append(Time.get_ticks_usec() - begin)
		else:
			failed += 1
		_close()
	tell("connect_ms", median(times) / 1000.0)
	tell("connect_p99_ms", at_share(times, 0.99) / 1000.0)
	tell("failed", failed)


func _wait_for_all() -> void:
	var deadline := Time.get_ticks_msec() + 30000
	while not _all_there() and Time.get_ticks_msec() < deadline:
		_poll()
		await process_frame
	for client in _clients:
		client.set_target_peer(1)


# Reliable packets as quickly as they go, with so many bytes between put and read.
func _stream(packets: int, bytes: int, window: int) -> void:
	_open(1)
	await _wait_for_all()
	var client := _clients[0]
	client.transfer_mode = MultiplayerPeer.TRANSFER_MODE_RELIABLE
	var payload := PackedByteArray()
	payload.resize(bytes)
	for phase: int in [packets / 10, packets]:
		var begin := Time.get_ticks_usec()
		var cpu := process_cpu()
		var put := 0
		var read := 0
		while read < phase and Time.get_ticks_usec() - begin < 60000000:
			client.poll()
			while put < phase and (put - read) * bytes < window:
				payload.encode_u32(0, put)
				if client.put_packet(payload) != OK:
					break
				put += 1
			_server.poll()
			read += _read(_server)
		if phase == packets:
			var seconds := (Time.get_ticks_usec() - begin) / 1e6
			tell("messages_per_s", read / seconds)
			tell("mb_per_s", read * bytes / 1e6 / seconds)
			tell("cpu_us_per_message", process_cpu_since(cpu) / 1000.0 / maxi(read, 1))
			tell("arrived", 100.0 * read / packets)
	_close()


# 1000 unreliable packets a second, at 60 Hz, each way.
func _paced() -> void:
	_open(1)
	await _wait_for_all()
	_server.set_target_peer(_clients[0].get_unique_id())
	var payload := PackedByteArray()
	payload.resize(64)
	var put := 0
	var read := 0
	var ends: Array[MultiplayerPeer] = [_server, _clients[0]]
	for tick in 360:
		_poll()
		for end in ends:
			end.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
			for packet in 17 * int(tick < 300):
				payload[0] = put & 255
				put += int(end.put_packet(payload) == OK)
			read += _read(end)
		await process_frame
	tell("arrived", 100.0 * read / put)
	_close()


# As `crowd.gd`, but with both ends here: what the game's thread and the process spend for server and clients together.
func _frame() -> void:
	await look_at_empty_loop()
	_open(number("n", 16))
	await _wait_for_all()
	var payload := PackedByteArray()
	payload.resize(64)
	var ticks := number("ticks", 300)
	var put := 0
	var read := 0
	_server.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
	for tick in ticks + 120:
		if tick == 60:
			start_clocks()
		if tick == 60 + ticks:
			stop_clocks(ticks)
		var silent := tick >= 60 + ticks
		_poll()
		for client in _clients:
			read += _read(client)
			if not silent:
				client.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
				payload[0] = put & 255
				put += int(client.put_packet(payload) == OK)
		read += _read(_server)
		for packet in 4 * int(not silent):
			for client in _clients:
				_server.set_target_peer(client.get_unique_id())
				payload[0] = put & 255
				put += int(_server.put_packet(payload) == OK)
		await process_frame
	tell("arrived", 100.0 * read / put)
	tell("joined", _arrived.size())
	_close()
	await look_at_empty_loop()
	tell_cost()


# Memory of the process for a connection, of which both ends are here: halved.
func _memory() -> void:
	# What the first connection needs once stays out of it.
	_open(1)
	await _wait_for_all()
	_close()
	for frame in 60:
		await process_frame
	var resident := resident_kb()
	var begin := Time.get_ticks_usec()
	_open(number("n", 64))
	await _wait_for_all()
	tell("all_connected_ms", (Time.get_ticks_usec() - begin) / 1000.0)
	tell("joined", _arrived.size())
	for frame in 60:
		_poll()
		await process_frame
	tell("kb_per_connection", float(resident_kb() - resident) / number("n", 64) / 2.0)
	_close()

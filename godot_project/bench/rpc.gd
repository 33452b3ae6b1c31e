extends "res://bench/crowd.gd"
## The crowd of `crowd.gd` with SceneMultiplayer on the peers: each client calls the server `--up=` times a tick, the server
## calls all clients `--down=` times. Every client has a multiplayer and a node of its own.

## What is called: `size` bytes, unreliable.
class Called extends Node:
	var calls := 0
	var go := false
	## So many ticks it still calls in.
	var rounds := 0

	@rpc("any_peer", "call_remote", "unreliable")
	func hear(_payload: PackedByteArray) -> void:
		calls += 1

	@rpc("any_peer", "call_remote", "reliable")
	func start() -> void:
		go = true

var _node: Called


func _serve() -> void:
	await look_at_empty_loop()
	_peer = open_server(number("n", 1))
	_node = _world("server", _peer)
	_node.multiplayer.peer_connected.connect(func(id: int) -> void: _ids.append(id))
	_node.multiplayer.peer_disconnected.connect(_on_peer_disconnected)
	_node.multiplayer.poll()
	print(MARK, "_OPEN")
	var waited := 0
	while _ids.size() < number("n", 1) and waited < PATIENCE_FRAMES + 600 * int(_ids.is_empty()):
		var before := _ids.size()
		_node.multiplayer.poll()
		waited = waited + 1 if _ids.size() == before else 0
		await process_frame
	tell("joined", _ids.size())
	_node.start.rpc()
	# The first call to everybody carries the node's path, and is answered.
	_node.hear.rpc(_payload)
	for tick in number("warm", 40):
		_tick()
		await process_frame
	_poll_us.clear()
	_send_us.clear()
	await _measured_ticks(number("ticks", 240))
	_down = 0
	var silent := 0
	while silent < number("last", LAST_FRAMES):
		var before := _node.calls
		_tick()
		silent = silent + 1 if _node.calls == before else 0
		await process_frame
	tell("put", _put)
	tell("received", _node.calls)
	tell("lost", _lost)
	_peer.close()
	await look_at_empty_loop()
	tell_cost(number("ticks", 240), _seconds, _thread_us, _process_us)


# Calls come, and are carried out, as the multiplayer is polled.
func _tick() -> void:
	var begin := Time.get_ticks_usec()
	_node.multiplayer.poll()
	var polled := Time.get_ticks_usec()
	for call in _down:
		_node.hear.rpc(_payload)
	_put += _down * _ids.size()
	_poll_us.append(polled - begin)
	_read_us.append(0)
	_send_us.append(Time.get_ticks_usec() - polled)


func _attend() -> void:
	var wanted := number("n", 1)
	var clients: Array[Called] = []
	var put := 0
	while clients.size() < wanted or not clients.all(is_alone):
		var connecting := clients.filter(is_connecting).size()
		while clients.size() < wanted and connecting < number("at_once", 16):
			clients.append(_world("client%d" % clients.size(), open_client()))
			clients.back().rounds = number("warm", 40) + number("ticks", 240)
			connecting += 1
		for client in clients:
			if is_alone(client):
				continue
			client.multiplayer.poll()
			if client.go and client.rounds > 0 and not is_alone(client):
				client.rounds -= 1
				put += _up
				for call in _up:
					client.hear.rpc_id(1, _payload)
		await process_frame
	var received := 0
	for client in clients:
		# The one that came with the path.
		received += client.calls - int(client.go)
	tell("put", put)
	tell("received", received)


static func is_alone(client: Called) -> bool:
	return client.multiplayer.multiplayer_peer.get_connection_status() == MultiplayerPeer.CONNECTION_DISCONNECTED


static func is_connecting(client: Called) -> bool:
	return client.multiplayer.multiplayer_peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTING


func _world(name: String, peer: MultiplayerPeer) -> Called:
	var world := Node.new()
	world.name = name
	root.add_child(world)
	var api := SceneMultiplayer.new()
	api.server_relay = false
	set_multiplayer(api, world.get_path())
	multiplayer_poll = false
	api.multiplayer_peer = peer
	var node := Called.new()
	node.name = "Called"
	world.add_child(node)
	return node

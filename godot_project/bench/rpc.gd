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


func _host() -> void:
	_node = _world("server", _peer)
	_node.multiplayer.peer_connected.connect(_on_peer_connected)
	_node.multiplayer.peer_disconnected.connect(_on_peer_disconnected)


func _say_go() -> void:
	_node.calls = 0
	_node.start.rpc()
	# The first call to everybody carries the node's path, and is answered.
	_node.hear.rpc(_payload)


# Calls come, and are carried out, as the multiplayer is polled.
func _poll() -> void:
	_node.multiplayer.poll()


func _read() -> void:
	_received = _node.calls


func _send() -> void:
	for call in _down:
		_node.hear.rpc(_payload)


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

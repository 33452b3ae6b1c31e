extends "res://tests/support/webrtc_test.gd"
## The engine's own WebRTCMultiplayerPeer on Ferry's connections, with no other plugin: a server with two clients, a mesh of
## three, packets of all modes, RPCs, and who leaves.

## Ids of a mesh, or of a server and its clients.
const MESH := [11, 22, 33]
const STAR := [1, 22, 33]


class Player extends Node:
	## What was called here: by whom, and with what.
	var called := []

	@rpc("any_peer", "call_remote", "reliable")
	func greet(word: String, bytes: PackedByteArray) -> void:
		called.append([multiplayer.get_remote_sender_id(), word, bytes.size()])

	@rpc("any_peer", "call_remote", "unreliable")
	func move(number: int) -> void:
		called.append([multiplayer.get_remote_sender_id(), "move", number])

	@rpc("any_peer", "call_remote", "unreliable_ordered", 1)
	func turn(number: int) -> void:
		called.append([multiplayer.get_remote_sender_id(), "turn", number])


func _test() -> void:
	for ids: Array in [MESH, STAR]:
		var is_mesh := ids == MESH
		var players := _game(ids, is_mesh)
		var pairs := _join_all(ids, players, is_mesh)
		await until(func() -> bool: return ids.all(func(id: int) -> bool:
			return _peers_of(players[id]) == _others(ids, id)), "all have met")
		await _call_each_other(ids, players)
		# Unreliable calls of one who has left may come, by the server, after the word that he has: an error of the engine's.
		errors_expected(true)
		await _leave(ids, players, pairs, is_mesh)
		for id: int in ids:
			var path: NodePath = players[id].get_parent().get_path()
			(get_multiplayer(path) as SceneMultiplayer).multiplayer_peer = null
			set_multiplayer(null, path)
			players[id].get_parent().free()
		errors_expected(false)


## Whom it meets: of clients, the server passes on who is there.
func _others(ids: Array, id: int) -> Array:
	return ids.filter(func(other: int) -> bool: return other != id)


func _peers_of(player: Player) -> Array:
	var peers := Array(player.multiplayer.get_peers())
	peers.sort()
	return peers


func _peer_of(player: Player) -> WebRTCMultiplayerPeer:
	return player.multiplayer.multiplayer_peer


func _game(ids: Array, is_mesh: bool) -> Dictionary:
	var players := {}
	for id: int in ids:
		var world := Node.new()
		world.name = "World%d" % id
		root.add_child(world)
		var api := SceneMultiplayer.new()
		set_multiplayer(api, world.get_path())
		var player := Player.new()
		player.name = "Player"
		world.add_child(player)
		players[id] = player
		var peer := WebRTCMultiplayerPeer.new()
		var channels := [MultiplayerPeer.TRANSFER_MODE_UNRELIABLE_ORDERED]
		if is_mesh:
			check_eq(peer.create_mesh(id, channels), OK, "create_mesh")
		elif id == 1:
			check_eq(peer.create_server(channels), OK, "create_server")
		else:
			check_eq(peer.create_client(id, channels), OK, "create_client")
		api.multiplayer_peer = peer
	return players


## A connection for each two that are to have one.
func _join_all(ids: Array, players: Dictionary, is_mesh: bool) -> Array:
	var pairs := []
	for place in ids.size():
		for other_place in range(place + 1, ids.size()):
			if not is_mesh and place > 0:
				continue
			var pair := [WebRTCPeerConnection.new(), WebRTCPeerConnection.new()]
			for connection: WebRTCPeerConnection in pair:
				check_eq(connection.initialize(LOCAL), OK, "initialize")
			join(pair[0], pair[1])
			var one: int = ids[place]
			var other: int = ids[other_place]
			check_eq(_peer_of(players[one]).add_peer(pair[0], other, 100), OK, "add_peer")
			check_eq(_peer_of(players[other]).add_peer(pair[1], one, 100), OK, "add_peer")
			check_eq(pair[1].create_offer(), OK, "create_offer")
			pairs.append(weakref(pair[0]))
	return pairs


func _call_each_other(ids: Array, players: Dictionary) -> void:
	var bytes := PackedByteArray()
	bytes.resize(50_000)
	for id: int in ids:
		players[id].greet.rpc("hello", bytes)
	for id: int in ids:
		for other: int in _others(ids, id):
			await until(func() -> bool: return players[id].called.has([other, "hello", 50_000]), "the long call of %d at %d" % [other, id])
	# These may get lost on a busy machine; so they are made until some have come.
	var number := [0]
	await until(func() -> bool:
		number[0] += 1
		for id: int in ids:
			players[id].move.rpc(number[0])
			players[id].turn.rpc(number[0])
		return ids.all(func(id: int) -> bool:
			return _others(ids, id).all(func(other: int) -> bool:
				return _numbers(players[id], other, "move").size() > 5 and _numbers(players[id], other, "turn").size() > 5)), "unreliable calls")
	for id: int in ids:
		for other: int in _others(ids, id):
			var numbers := _numbers(players[id], other, "turn")
			var sorted := numbers.duplicate()
			sorted.sort()
			check_eq(numbers, sorted, "calls of turn of %d at %d are in order" % [other, id])


## With what a method was called by this one.
func _numbers(player: Player, by: int, method: String) -> Array:
	var calls := player.called.filter(func(call_of: Array) -> bool: return call_of[0] == by and call_of[1] == method)
	return calls.map(func(call_of: Array) -> int: return call_of[2])


## The last one goes, by closing, and the others hear of it.
func _leave(ids: Array, players: Dictionary, pairs: Array, is_mesh: bool) -> void:
	var gone: int = ids.back()
	_peer_of(players[gone]).close()
	var rest := ids.slice(0, -1)
	await until(func() -> bool: return rest.all(func(id: int) -> bool:
		return not _peers_of(players[id]).has(gone)), "the others know that one has left")
	check_eq(_peers_of(players[rest[0]]), [rest[1]], "who is left")
	players[rest[1]].greet.rpc("still here", PackedByteArray())
	await until(func() -> bool: return players[rest[0]].called.has([rest[1], "still here", 0]), "a call after that")
	check_eq(pairs.size(), 3 if is_mesh else 2, "connections that there were")

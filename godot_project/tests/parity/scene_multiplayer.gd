extends "res://tests/support/parity_test.gd"
## SceneMultiplayer on top of the peers: RPC, spawner, synchronizer, relay between clients, authentication.
## A server and two clients live in one process, each below a node with a multiplayer of its own.

const World := preload("res://tests/support/world.gd")

var worlds := {}
var apis := {}
var _port := 0


func _test() -> void:
	await _joins()
	await _calls()
	await _relayed_calls()
	await _replicates()
	await _sends_bytes()
	await _leaves_and_kicks()
	_end_world()
	await _authenticates(true)
	await _authenticates(false)
	await _without_relay()
	await _closes_in_a_call()
	# The built-in WebSocket server would go on in memory that is no longer its own.
	if server_class() != "WebSocketMultiplayerPeer":
		await _dropped_in_a_signal()


func _add_world(name: String) -> void:
	var world := World.new()
	world.name = name
	root.add_child(world)
	var api := SceneMultiplayer.new()
	set_multiplayer(api, world.get_path())
	world.names = _names
	world.listen(api)
	world.build()
	worlds[name] = world
	apis[name] = api


func _host() -> void:
	_add_world("server")
	var peer: MultiplayerPeer = make(server_class())
	check_eq(open_server(peer), OK, "create_server")
	_port = port_of(peer)
	name_newcomers(peer)
	apis.server.multiplayer_peer = peer


func _join(name: String) -> void:
	_add_world(name)
	var peer: MultiplayerPeer = make(client_class())
	check_eq(open_client(peer, _port), OK, "create_client")
	expect(peer, name)
	apis[name].multiplayer_peer = peer


func _end_world() -> void:
	for name: String in worlds:
		if apis[name].multiplayer_peer != null:
			apis[name].multiplayer_peer.close()
		apis[name].multiplayer_peer = null
		var path: NodePath = worlds[name].get_path()
		worlds[name].free()
		set_multiplayer(null, path)
	worlds.clear()
	apis.clear()


# What was noted since the last time.
func _tell(key: String, sorted := false) -> void:
	for name: String in worlds:
		var lines: Array = worlds[name].entries.duplicate()
		if sorted:
			lines.sort()
		observe("%s.%s" % [key, name], lines)
		worlds[name].entries.clear()


func _heard(name: String, line: String) -> bool:
	return worlds[name].entries.has(line)


func _all_hear(what: String, lines: Dictionary) -> void:
	await until(func() -> bool:
		return lines.keys().all(func(name: String) -> bool:
			return lines[name].all(func(line: String) -> bool: return _heard(name, line))), what)


func _id(name: String) -> int:
	return apis[name].get_unique_id()


func _joins() -> void:
	_host()
	_join("anna")
	await _all_hear("anna joined", {"server": ["peer_connected anna"], "anna": ["connected_to_server"]})
	_tell("join.anna")
	_join("ben")
	await _all_hear("ben joined", {"server": ["peer_connected ben"], "ben": ["connected_to_server", "peer_connected anna"], "anna": ["peer_connected ben"]})
	_tell("join.ben")
	for name: String in apis:
		var peers: Array = Array(apis[name].get_peers()).map(name_of)
		peers.sort()
		observe("join.peers.%s" % name, peers)
		observe("join.is_server.%s" % name, apis[name].is_server())


func _calls() -> void:
	worlds.anna.say.rpc_id(1, "hello", 1)
	worlds.server.say.rpc_id(_id("anna"), "welcome", 2)
	worlds.server.announce.rpc("start")
	worlds.ben.ask.rpc_id(1, 21)
	await _all_hear("calls", {
		"server": ["say hello 1 from anna", "ask 21 from ben"],
		"anna": ["say welcome 2 from server", "announce start from server"],
		"ben": ["announce start from server", "answer 42 from server"],
	})
	_tell("call", true)
	var bytes := payload(50000)
	worlds.anna.bulk.rpc_id(1, bytes)
	worlds.server.bulk.rpc(bytes)
	var line := "bulk 50000 %d from " % hash(bytes)
	await _all_hear("bulk", {"server": [line + "anna"], "anna": [line + "server"], "ben": [line + "server"]})
	_tell("bulk", true)
	# Unreliable ones: again and again, until one of them arrives.
	await until(func() -> bool:
		worlds.anna.drift.rpc_id(1, 1)
		worlds.server.stream.rpc(2)
		return _heard("server", "drift 1 from anna") and _heard("anna", "stream 2 from server") and _heard("ben", "stream 2 from server"),
		"unreliable calls")
	await linger(0.05)
	for name: String in worlds:
		worlds[name].entries.clear()
	# Nobody but the authority may call this, and nobody who is not there.
	expecting_errors(func() -> void:
		observe("call.unknown", worlds.server.rpc_id(77, &"say", "nobody", 0)))
	errors_expected(true)
	worlds.anna.announce.rpc("not mine")
	worlds.server.say.rpc("behind", 3)
	await _all_hear("the word behind", {"anna": ["say behind 3 from server"], "ben": ["say behind 3 from server"]})
	await linger(0.05)
	errors_expected(false)
	_tell("call.behind", true)


func _relayed_calls() -> void:
	worlds.anna.say.rpc_id(_id("ben"), "psst", 1)
	worlds.ben.ask.rpc_id(_id("anna"), 4)
	worlds.anna.say.rpc("all of you", 2)
	await _all_hear("relayed calls", {
		"server": ["say all of you 2 from anna"],
		"anna": ["ask 4 from ben"],
		"ben": ["say psst 1 from anna", "answer 8 from anna", "say all of you 2 from anna"],
	})
	_tell("relay", true)


func _replicates() -> void:
	var spawner: MultiplayerSpawner = worlds.server.get_node("Spawner")
	spawner.spawn({"name": "ship", "at": Vector2(3, 4)})
	spawner.spawn({"name": "boat", "at": Vector2(5, 6)})
	await _all_hear("the spawned", {"anna": ["spawned ship", "spawned boat"], "ben": ["spawned ship", "spawned boat"]})
	_tell("spawn")
	for name: String in ["anna", "ben"]:
		observe("spawn.at.%s" % name, [worlds[name].avatar("ship").position, worlds[name].avatar("boat").position])
	worlds.server.avatar("ship").position = Vector2(30, 40)
	worlds.server.avatar("boat").rotation = 1.5
	await until(func() -> bool:
		return ["anna", "ben"].all(func(name: String) -> bool:
			return worlds[name].avatar("ship").position == Vector2(30, 40) and worlds[name].avatar("boat").rotation == 1.5), "the new positions")
	# A client with the authority moves it for everybody, through the server. What is still under way from the one
	# before is an error to the engine.
	errors_expected(true)
	for name: String in worlds:
		worlds[name].avatar("boat").get_node("Synchronizer").set_multiplayer_authority(_id("anna"))
	worlds.anna.avatar("boat").position = Vector2(7, 7)
	await until(func() -> bool:
		return worlds.server.avatar("boat").position == Vector2(7, 7) and worlds.ben.avatar("boat").position == Vector2(7, 7), "anna's boat")
	for name: String in worlds:
		worlds[name].avatar("boat").get_node("Synchronizer").set_multiplayer_authority(1)
	await linger(0.05)
	errors_expected(false)
	# Who joins late sees it all.
	_join("cleo")
	await _all_hear("cleo joined", {"cleo": ["connected_to_server", "spawned ship", "spawned boat"], "server": ["peer_connected cleo"], "anna": ["peer_connected cleo"], "ben": ["peer_connected cleo"]})
	observe("spawn.late", [worlds.cleo.avatar("ship").position, worlds.cleo.avatar("boat").position])
	_tell("late", true)
	worlds.server.avatar("boat").queue_free()
	await _all_hear("the despawned", {"anna": ["despawned boat"], "ben": ["despawned boat"], "cleo": ["despawned boat"]})
	_tell("despawn", true)


func _sends_bytes() -> void:
	for mode: int in [0, 1, 2]:
		await until(func() -> bool:
			apis.anna.send_bytes(payload(11), 1, mode)
			apis.server.send_bytes(payload(12), 0, mode, 2)
			apis.ben.send_bytes(payload(13), _id("anna"), mode)
			return (_heard("server", "packet of 11 from anna") and _heard("ben", "packet of 12 from server")
					and _heard("cleo", "packet of 12 from server") and _heard("anna", "packet of 13 from ben")), "bytes in mode %d" % mode)
		await linger(0.03)
		for name: String in worlds:
			var kinds := {}
			for line: String in worlds[name].entries:
				kinds[line] = true
			var seen := kinds.keys()
			seen.sort()
			observe("bytes.%d.%s" % [mode, name], seen)
			worlds[name].entries.clear()
	expecting_errors(func() -> void:
		observe("bytes.empty", apis.anna.send_bytes(PackedByteArray()))
		observe("bytes.unknown", apis.server.send_bytes(payload(2), 77)))


func _leaves_and_kicks() -> void:
	apis.ben.multiplayer_peer.close()
	await _all_hear("ben left", {"server": ["peer_disconnected ben"], "anna": ["peer_disconnected ben"], "cleo": ["peer_disconnected ben"], "ben": ["server_disconnected"]})
	_tell("leave", true)
	# A multiplayer that disconnects somebody does not tell itself.
	apis.server.disconnect_peer(_id("cleo"))
	await _all_hear("cleo kicked", {"anna": ["peer_disconnected cleo"], "cleo": ["server_disconnected"]})
	_tell("kick", true)
	# Nobody is there any more to spawn for.
	observe("kick.peers", Array(apis.anna.get_peers()).map(name_of))
	apis.server.multiplayer_peer.close()
	await _all_hear("the server gone", {"anna": ["server_disconnected"]})
	_tell("server_quits", true)
	observe("server_quits.spawned", worlds.anna.avatar("ship") != null)
	observe("server_quits.peers", apis.anna.get_peers())


func _authenticates(accepted: bool) -> void:
	var key := "auth.accepted" if accepted else "auth.refused"
	_host()
	var server: SceneMultiplayer = apis.server
	var words: Array[String] = worlds.server.entries
	var id_names := _names
	server.auth_callback = func(id: int, word: PackedByteArray) -> void:
		words.append("auth %s from %s" % [word.get_string_from_utf8(), id_names.get(id)])
		if word == "open".to_utf8_buffer():
			server.send_auth(id, "come in".to_utf8_buffer())
			server.complete_auth(id)
		else:
			server.disconnect_peer(id)
	_join("anna")
	var anna: SceneMultiplayer = apis.anna
	var annas: Array[String] = worlds.anna.entries
	anna.auth_callback = func(id: int, word: PackedByteArray) -> void:
		annas.append("auth %s from %s" % [word.get_string_from_utf8(), id_names.get(id)])
		anna.complete_auth(id)
	anna.peer_authenticating.connect(func(id: int) -> void: anna.send_auth(id, ("open" if accepted else "wrong").to_utf8_buffer()))
	if accepted:
		await _all_hear("both know each other", {"server": ["peer_connected anna"], "anna": ["connected_to_server"]})
		worlds.server.say.rpc("hello", 1)
		await _all_hear("a call", {"anna": ["say hello 1 from server"]})
		observe(key + ".peers", Array(server.get_peers()).map(name_of))
	else:
		await until(func() -> bool: return words.size() >= 2 and annas.size() >= 2 and is_gone(anna.multiplayer_peer), "refused")
		await linger(0.05)
		observe(key + ".peers", Array(server.get_peers()).map(name_of))
	_tell(key)
	server.auth_callback = Callable()
	anna.auth_callback = Callable()
	for connection: Dictionary in anna.peer_authenticating.get_connections():
		anna.peer_authenticating.disconnect(connection.callable)
	_end_world()


func _without_relay() -> void:
	_host()
	apis.server.server_relay = false
	for name: String in ["anna", "ben"]:
		_join(name)
		apis[name].server_relay = false
		await _all_hear("%s joined" % name, {"server": ["peer_connected " + name], name: ["connected_to_server"]})
	await linger(0.05)
	_tell("no_relay")
	observe("no_relay.peers", Array(apis.anna.get_peers()).map(name_of))
	_end_world()


# A call that ends the connection it came through.
func _closes_in_a_call() -> void:
	_host()
	_join("anna")
	await _all_hear("anna joined", {"server": ["peer_connected anna"], "anna": ["connected_to_server"]})
	var server: SceneMultiplayer = apis.server
	server.peer_packet.connect(func(_id: int, _packet: PackedByteArray) -> void: server.multiplayer_peer.close(), CONNECT_ONE_SHOT)
	apis.anna.send_bytes(payload(5), 1)
	apis.anna.send_bytes(payload(6), 1)
	await _all_hear("the end", {"server": ["server_disconnected"], "anna": ["server_disconnected"]})
	_tell("close_in_a_call")
	_end_world()


# The multiplayer holds the last reference, and lets go of it in a handler that the peer itself calls.
func _dropped_in_a_signal() -> void:
	_host()
	_join("anna")
	var server: SceneMultiplayer = apis.server
	server.peer_connected.connect(func(_id: int) -> void: server.multiplayer_peer = null, CONNECT_ONE_SHOT)
	await _all_hear("anna was there", {"server": ["peer_connected anna"]})
	await happens(func() -> bool: return _heard("anna", "server_disconnected") or _heard("anna", "connection_failed"), 1.0)
	observe("dropped.server", worlds.server.entries)
	observe("dropped.server.peer", server.multiplayer_peer == null)
	_end_world()

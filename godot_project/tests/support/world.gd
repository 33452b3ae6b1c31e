extends Node
## One end of a small multiplayer world: it notes what is called on it, spawned in it and told by its multiplayer.
##
## Several of these live in one process, each with a multiplayer of its own.

## What was called, spawned and told, in order.
var entries: Array[String] = []

## Turns ids into names that stay the same from run to run.
var names := {}


func build() -> void:
	var avatars := Node.new()
	avatars.name = "Avatars"
	add_child(avatars)
	var spawner := MultiplayerSpawner.new()
	spawner.name = "Spawner"
	spawner.spawn_function = make_avatar
	add_child(spawner)
	spawner.spawn_path = NodePath("../Avatars")
	spawner.spawned.connect(func(node: Node) -> void: entries.append("spawned %s" % node.name))
	spawner.despawned.connect(func(node: Node) -> void: entries.append("despawned %s" % node.name))


func listen(api: SceneMultiplayer) -> void:
	api.peer_connected.connect(func(id: int) -> void: entries.append("peer_connected %s" % name_of(id)))
	api.peer_disconnected.connect(func(id: int) -> void: entries.append("peer_disconnected %s" % name_of(id)))
	api.connected_to_server.connect(func() -> void: entries.append("connected_to_server"))
	api.connection_failed.connect(func() -> void: entries.append("connection_failed"))
	api.server_disconnected.connect(func() -> void: entries.append("server_disconnected"))
	api.peer_authenticating.connect(func(id: int) -> void: entries.append("peer_authenticating %s" % name_of(id)))
	api.peer_authentication_failed.connect(func(id: int) -> void: entries.append("peer_authentication_failed %s" % name_of(id)))
	api.peer_packet.connect(func(id: int, packet: PackedByteArray) -> void: entries.append("packet of %d from %s" % [packet.size(), name_of(id)]))


func name_of(id: int) -> String:
	return names.get(id, "unknown")


## Runs wherever an avatar is spawned.
func make_avatar(data: Variant) -> Node:
	var avatar := Node2D.new()
	avatar.name = data.name
	avatar.position = data.at
	var synchronizer := MultiplayerSynchronizer.new()
	synchronizer.name = "Synchronizer"
	var config := SceneReplicationConfig.new()
	config.add_property(^".:position")
	config.property_set_replication_mode(^".:position", SceneReplicationConfig.REPLICATION_MODE_ALWAYS)
	config.add_property(^".:rotation")
	config.property_set_replication_mode(^".:rotation", SceneReplicationConfig.REPLICATION_MODE_ON_CHANGE)
	synchronizer.replication_config = config
	avatar.add_child(synchronizer)
	return avatar


func avatar(which: String) -> Node2D:
	return get_node_or_null("Avatars/" + which)


func note(what: String) -> void:
	entries.append("%s from %s" % [what, name_of(multiplayer.get_remote_sender_id())])


@rpc("any_peer", "call_remote", "reliable")
func say(word: String, number: int) -> void:
	note("say %s %d" % [word, number])


@rpc("authority", "call_local", "reliable")
func announce(word: String) -> void:
	note("announce %s" % word)


@rpc("any_peer", "call_remote", "unreliable", 2)
func drift(number: int) -> void:
	note("drift %d" % number)


@rpc("any_peer", "call_remote", "unreliable_ordered", 3)
func stream(number: int) -> void:
	note("stream %d" % number)


@rpc("any_peer", "call_remote", "reliable", 1)
func bulk(bytes: PackedByteArray) -> void:
	note("bulk %d %d" % [bytes.size(), hash(bytes)])


@rpc("any_peer", "call_remote", "reliable")
func ask(number: int) -> void:
	note("ask %d" % number)
	answer.rpc_id(multiplayer.get_remote_sender_id(), number * 2)


@rpc("any_peer", "call_remote", "reliable")
func answer(number: int) -> void:
	note("answer %d" % number)

class_name Match
extends Node2D
## A small game over Ferry: everybody steers a boat, the server says where it is.
##
## Calls go both ways: players tell the server who they are and where they steer, the server tells them what happens,
## and players greet each other through the server. A [MultiplayerSpawner] brings the boats to everybody, a
## [MultiplayerSynchronizer] in each boat brings its place.
##
## Without arguments a menu opens. With them (after [code]--[/code]) it starts at once:
## [code]--role=server|client --name=anna --port=7000 --address=127.0.0.1 --transport=enet|websocket|webrtc
## --class=ENetMultiplayerPeer[/code].
## [code]--script=demo[/code], or no display, plays the scripted match of [code]script.gd[/code].

## Somebody can play, or can no more. On a client these tell of the others, too.
signal player_entered(id: int, player_name: String)
signal player_left(id: int, player_name: String)

## The server has let us in.
signal entered
## A word of the server to all.
signal announced(word: String)
## Another player said hello.
signal greeted(from: int, word: String)
## The server's answer to [method ask].
signal answered(sum: int)
## On the server: a player tells how the match goes.
signal reported(from: int, text: String)
## The connection ended, or could not be made. Why is Ferry's own word for it.
signal ended(why: String)

const DEFAULT_PORT := 7000
const MAX_PLAYERS := 32
const MAX_NAME := 16

## The channels beside the usual one: over WebRTC, each is of one mode. `_steer` goes by the first.
const CHANNELS := [MultiplayerPeer.TRANSFER_MODE_UNRELIABLE_ORDERED]

const WATER := Rect2(40.0, 60.0, 880.0, 500.0)

## How often a second the figure line changes.
const FIGURES_PER_SECOND := 2.0

var options := {}
var peer: MultiplayerPeer

## Names by peer id. The server knows all, a client those whose boats it has seen.
var players := {}

# Over WebRTC, players are introduced to each other before they connect.
var _signaling: Signaling
# A person plays, not the script.
var _by_hand := true
var _last_heading := Vector2.ZERO
var _figures_due := 0.0

@onready var avatars: Node2D = $Avatars
@onready var spawner: MultiplayerSpawner = $Spawner
@onready var _menu: Control = $Screen/Menu
@onready var _figures: Label = $Screen/Figures


func _ready() -> void:
	for argument in OS.get_cmdline_user_args():
		var parts := argument.trim_prefix("--").split("=", true, 1)
		options[parts[0]] = parts[1] if parts.size() > 1 else "true"
	multiplayer.peer_disconnected.connect(_on_peer_disconnected)
	multiplayer.connected_to_server.connect(_on_connected)
	multiplayer.connection_failed.connect(_on_ended)
	multiplayer.server_disconnected.connect(_on_ended)
	spawner.spawned.connect(func(node: Node) -> void: _on_boat(node as Avatar))
	spawner.despawned.connect(func(node: Node) -> void: _on_boat_gone(node as Avatar))
	_menu.choose_transport(options.get("transport", "enet"))
	_menu.host_asked.connect(func(who: String, port: int) -> void: _host_from_menu(who, port))
	_menu.join_asked.connect(func(_who: String, address: String, port: int) -> void: _join_from_menu(address, port))
	_by_hand = options.get("script", "demo" if DisplayServer.get_name() == "headless" else "") != "demo"
	if not _by_hand:
		add_child(preload("res://match/script.gd").new())
	match options.get("role", ""):
		"server":
			if host(int(options.get("port", DEFAULT_PORT))).is_empty() and _by_hand:
				_admit(1, own_name())
		"client":
			join(options.get("address", "127.0.0.1"), int(options.get("port", DEFAULT_PORT)))
		_:
			_menu.open("")


## Opens as a server. An empty text, or what went wrong.
func host(port: int) -> String:
	peer = _new_peer()
	var error: Error
	match _transport():
		"enet":
			error = peer.create_server(port, MAX_PLAYERS)
		"websocket":
			if port == 0 and not peer.has_method("get_local_port"):
				port = _free_port()
			error = peer.create_server(port)
		"webrtc":
			peer.create_server(CHANNELS)
			_signaling = Signaling.new()
			_signaling.max_players = MAX_PLAYERS
			error = _signaling.serve(peer, port)
	if error != OK:
		return _not_started("Cannot listen on port %d: %s" % [port, error_string(error)])
	_start()
	print("FERRY_MATCH port=%d" % _local_port(port))
	return ""


## Opens as a client. An empty text, or what went wrong.
func join(address: String, port: int) -> String:
	peer = _new_peer()
	var error: Error
	match _transport():
		"enet":
			error = peer.create_client(address, port)
		"websocket":
			error = peer.create_client(_url(address, port))
		"webrtc":
			peer.create_client(peer.generate_unique_id(), CHANNELS)
			_signaling = Signaling.new()
			_signaling.failed.connect(_on_not_introduced)
			error = _signaling.call_server(peer, _url(address, port))
	if error != OK:
		return _not_started("Cannot connect to %s, port %d: %s" % [address, port, error_string(error)])
	_start()
	return ""


## Ends it for us. A server that leaves ends it for all.
func leave() -> void:
	# Nobody is to be told of the boats that go with us.
	multiplayer.multiplayer_peer = OfflineMultiplayerPeer.new()
	peer.close()
	_signaling = null
	_clear()


## The name that we play under.
func own_name() -> String:
	var chosen: String = options.get("name", $Screen/Menu/PlayerName.text)
	return chosen.left(MAX_NAME)


## Tells the server where we steer; only changes travel.
func steer(heading: Vector2) -> void:
	if heading != _last_heading:
		_last_heading = heading
		_steer.rpc_id(1, heading)


## Asks the server for a sum. It [signal answered] some time later.
func ask(a: int, b: int) -> void:
	_ask.rpc_id(1, a, b)


## Says hello to another player.
func greet(id: int, word: String) -> void:
	_greet.rpc_id(id, word)


## Tells the server how it goes.
func report(text: String) -> void:
	_report.rpc_id(1, text)


## As the server: a word to all.
func announce(word: String) -> void:
	_announce.rpc(word)


## Somebody's boat, or null.
func boat_of(id: int) -> Avatar:
	return avatars.get_node_or_null(str(id))


## The figures of the connection to a peer: Ferry's, or what the built-in class tells.
func figures_of(id: int) -> Dictionary:
	if peer.has_method("get_peer_stats"):
		return peer.get_peer_stats(id)
	if peer.get_connection_status() != MultiplayerPeer.CONNECTION_CONNECTED:
		return {}
	# The other built-in classes have no figures.
	if _transport() != "enet":
		return {}
	var connection := peer.get_peer(id) as ENetPacketPeer
	if connection == null or not connection.is_active():
		return {}
	return {"rtt": connection.get_statistic(ENetPacketPeer.PEER_ROUND_TRIP_TIME) / 1000.0}


## Why the connection to a peer ended: Ferry's word, or what there is to say without it.
func reason_of(id: int) -> String:
	if peer.has_method("get_disconnect_text"):
		return peer.get_disconnect_text(id)
	return "disconnected"


func is_playing() -> bool:
	return peer != null and peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED


func _process(_delta: float) -> void:
	if _signaling != null:
		_signaling.poll()


func _physics_process(delta: float) -> void:
	if not is_playing():
		return
	if multiplayer.is_server():
		for boat: Avatar in avatars.get_children():
			boat.sail(delta, WATER)
	if _by_hand:
		_play_by_hand()
		_show_figures(delta)


func _play_by_hand() -> void:
	var heading := Input.get_vector("ui_left", "ui_right", "ui_up", "ui_down")
	if not multiplayer.is_server():
		steer(heading)
	elif boat_of(1) != null:
		boat_of(1).heading = heading


func _show_figures(delta: float) -> void:
	_figures_due -= delta
	if _figures_due > 0.0:
		return
	_figures_due = 1.0 / FIGURES_PER_SECOND
	var parts := PackedStringArray(["%s, %d boats" % [peer.get_class(), avatars.get_child_count()]])
	var ids: Array = multiplayer.get_peers() if multiplayer.is_server() else [1]
	for id: int in ids:
		var figures := figures_of(id)
		parts.append("%s %.1f ms" % [players.get(id, "server"), figures.get("rtt", 0.0) * 1000.0])
	_figures.text = "   ".join(parts)


func _draw() -> void:
	draw_rect(WATER.grow(Avatar.RADIUS), Color(0.16, 0.32, 0.5))


func _new_peer() -> MultiplayerPeer:
	# Ferry's, or the one that an argument names: the game is the same.
	var chosen: String = options.get("class", "")
	_last_heading = Vector2.ZERO
	if not chosen.is_empty():
		return ClassDB.instantiate(chosen)
	match options.get("transport", "enet"):
		"websocket":
			var websocket: MultiplayerPeer = Ferry.websocket_peer()
			if "max_clients" in websocket:
				websocket.max_clients = MAX_PLAYERS
			return websocket
		"webrtc":
			return Ferry.webrtc_peer()
	return Ferry.enet_peer()


# The transports are opened a little differently; everything else is the same.
func _transport() -> String:
	var known := {"WebSocket": "websocket", "WebRTC": "webrtc"}
	for part: String in known:
		if peer.get_class().contains(part):
			return known[part]
	return "enet"


func _url(address: String, port: int) -> String:
	if address.contains("://"):
		return address
	return "ws://%s:%d" % ["[%s]" % address if address.contains(":") else address, port]


func _local_port(asked: int) -> int:
	match _transport():
		"enet":
			return peer.host.get_local_port()
		"webrtc":
			return _signaling.get_local_port()
	return peer.get_local_port() if peer.has_method("get_local_port") else asked


# The built-in WebSocket server does not tell which port the system chose.
func _free_port() -> int:
	var server := TCPServer.new()
	server.listen(0)
	return server.get_local_port()


func _start() -> void:
	multiplayer.multiplayer_peer = peer
	_menu.hide()


func _not_started(what: String) -> String:
	peer = null
	_signaling = null
	printerr(what)
	_menu.open(what)
	ended.emit(what)
	return what


func _host_from_menu(who: String, port: int) -> void:
	options.transport = _menu.transport()
	if host(port).is_empty():
		# Who hosts plays, too.
		_admit(1, who)


func _join_from_menu(address: String, port: int) -> void:
	options.transport = _menu.transport()
	join(address, port)


# The server was not found, or takes nobody: there is no connection that could fail.
func _on_not_introduced(why: String) -> void:
	leave()
	ended.emit(why)
	if _by_hand:
		_menu.open("Could not connect: %s" % why)


func _on_connected() -> void:
	_enter.rpc_id(1, own_name())


func _on_peer_disconnected(id: int) -> void:
	if not multiplayer.is_server() or not players.has(id):
		return
	var who: String = players[id]
	players.erase(id)
	if boat_of(id) != null:
		boat_of(id).queue_free()
	player_left.emit(id, who)


func _on_ended() -> void:
	var why := reason_of(1)
	_clear()
	ended.emit(why)
	if _by_hand:
		_menu.open("The connection ended: %s" % why)


func _clear() -> void:
	players.clear()
	for boat in avatars.get_children():
		boat.queue_free()


func _on_boat(boat: Avatar) -> void:
	players[boat.player()] = boat.player_name
	player_entered.emit(boat.player(), boat.player_name)
	if boat.player() == multiplayer.get_unique_id():
		entered.emit()


func _on_boat_gone(boat: Avatar) -> void:
	players.erase(boat.player())
	player_left.emit(boat.player(), boat.player_name)


# On the server: gives a player a boat. The spawner brings it to everybody.
func _admit(id: int, who: String) -> void:
	players[id] = who
	var boat: Avatar = preload("res://match/avatar.tscn").instantiate()
	boat.name = str(id)
	boat.player_name = who
	boat.colour = Color.from_hsv(fmod(players.size() * 0.29, 1.0), 0.6, 0.95)
	boat.position = WATER.position + Vector2(120.0 * players.size(), WATER.size.y / 2.0)
	avatars.add_child(boat, true)
	player_entered.emit(id, who)


# A player tells its name. Names come from strangers: they are cut, and one each.
@rpc("any_peer", "call_remote", "reliable")
func _enter(who: String) -> void:
	var id := multiplayer.get_remote_sender_id()
	if multiplayer.is_server() and not players.has(id):
		_admit(id, who.strip_edges().left(MAX_NAME))


# A player steers. Only the newest counts, so an old one may be lost.
@rpc("any_peer", "call_remote", "unreliable_ordered", 1)
func _steer(heading: Vector2) -> void:
	var boat := boat_of(multiplayer.get_remote_sender_id())
	if multiplayer.is_server() and boat != null and heading.is_finite():
		boat.heading = heading.limit_length(1.0)


@rpc("any_peer", "call_remote", "reliable")
func _ask(a: int, b: int) -> void:
	if multiplayer.is_server():
		_answer.rpc_id(multiplayer.get_remote_sender_id(), a + b)


@rpc("authority", "call_remote", "reliable")
func _answer(sum: int) -> void:
	answered.emit(sum)


@rpc("authority", "call_remote", "reliable")
func _announce(word: String) -> void:
	announced.emit(word)


@rpc("any_peer", "call_remote", "reliable")
func _greet(word: String) -> void:
	greeted.emit(multiplayer.get_remote_sender_id(), word.left(64))


@rpc("any_peer", "call_remote", "reliable")
func _report(text: String) -> void:
	if multiplayer.is_server():
		reported.emit(multiplayer.get_remote_sender_id(), text.left(200))

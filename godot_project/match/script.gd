extends Node
## The match as a script, without a person: three players come, sail and talk; anna is thrown out, ben leaves, cleo
## loses the server.
##
## Every end checks that what should happen did happen, and says so at its end: a line [code]FERRY_MATCH_ROW[/code] with the
## figures of each connection, then [code]FERRY_MATCH_END ok[/code] or what failed. Whoever started the processes reads that.

const PLAYERS: Array[String] = ["anna", "ben", "cleo"]

## What takes a moment; three processes start on a machine that may be busy.
const SOON := 20.0

## The whole of it.
const MATCH_BOUND := 50.0

## How far a boat has to sail to count as moved.
const FAR := 60.0

## How long the players sail, so that there are figures to show.
const SAIL_SECONDS := 2.0

var game: Match

var _failures := PackedStringArray()
var _ended := false
# The last figures of each connection, and why it ended, by peer id.
var _figures := {}
var _reasons := {}
var _names := {}
# What was heard, in order.
var _greetings := {}
var _words: Array[String] = []
var _reports := {}
var _left: Array[String] = []
var _answer := 0
var _heading := Vector2.ZERO
var _why := ""


func _ready() -> void:
	game = get_parent()
	game.player_entered.connect(_on_player_entered)
	game.player_left.connect(_on_player_left)
	game.announced.connect(func(word: String) -> void: _words.append(word))
	game.answered.connect(func(sum: int) -> void: _answer = sum)
	game.greeted.connect(func(from: int, word: String) -> void: _greetings[game.players.get(from, "?")] = word)
	game.reported.connect(func(from: int, text: String) -> void: _reports[game.players.get(from, "?")] = text)
	game.ended.connect(func(why: String) -> void: _why = why)
	_run.call_deferred()


func _run() -> void:
	if game.options.get("role") == "server":
		await _as_server()
	else:
		await _as_client()
	_end()


func _process(_delta: float) -> void:
	if game.is_playing():
		var ids: Array = game.multiplayer.get_peers() if game.multiplayer.is_server() else [1]
		for id: int in ids:
			_note_figures(id)
	if Time.get_ticks_msec() > MATCH_BOUND * 1000.0 and not _ended:
		_fail("the match took too long")
		_end()


func _as_server() -> void:
	if not game.is_playing():
		_fail("the server did not start: %s" % _why)
		return
	print("listens with %s" % game.peer.get_class())
	if not await _until(func() -> bool: return game.players.size() == PLAYERS.size(), "all players in"):
		return
	var places := {}
	for id: int in game.players:
		places[id] = game.boat_of(id).position
	game.announce("this is %s" % game.peer.get_class())
	game.announce("sail")
	await _until(func() -> bool: return _reports.size() == PLAYERS.size(), "a report from each")
	for who: String in _reports:
		_check(_reports[who] == "all is well", "%s reports: %s" % [who, _reports[who]])
	for id: int in places:
		_check(places[id].distance_to(game.boat_of(id).position) > FAR, "%s steered" % game.players[id])
	print("throws anna out")
	var thrown_out := _id_of("anna")
	game.peer.disconnect_peer(thrown_out)
	# With her boat: what is announced afterwards is heard after it has gone.
	await _until(func() -> bool: return _left.has("anna") and game.boat_of(thrown_out) == null, "anna gone")
	game.announce("ben may go")
	await _until(func() -> bool: return _left.has("ben"), "ben gone")
	_check(_left == (["anna", "ben"] as Array[String]), "who left: %s" % [_left])
	await _until(func() -> bool: return _reports.get("cleo") == "alone", "cleo knows that she is alone")
	var last := _id_of("cleo")
	_note_figures(last)
	print("closes, with cleo still in")
	game.leave()
	_reasons[last] = game.reason_of(last)


func _as_client() -> void:
	var me := game.own_name()
	await _until(func() -> bool: return game.is_playing() or not _why.is_empty(), "connected")
	if not _check(_why.is_empty(), "could not connect: %s" % _why):
		return
	if not await _until(func() -> bool: return game.players.size() == PLAYERS.size() and _words.has("sail"), "everybody's boat"):
		return
	print("sails")
	await _sail()
	await _talk(me)
	game.report("all is well" if _failures.is_empty() else "; ".join(_failures))
	match me:
		"ben":
			await _until(func() -> bool: return _words.has("ben may go"), "leave to go")
			_check(_left == (["anna"] as Array[String]), "ben saw who left: %s" % [_left])
			print("leaves")
			_note_figures(1)
			game.leave()
			_reasons[1] = game.reason_of(1)
		"anna":
			await _until(func() -> bool: return not _why.is_empty(), "thrown out")
			# Only Ferry's server says why.
			_check_reason("anna", "KICKED" if _server_is_ferrys() else "REMOTE_CLOSE")
		"cleo":
			await _until(func() -> bool: return _left.has("anna") and _left.has("ben"), "alone")
			_check(game.avatars.get_child_count() == 1, "only cleo's boat is left")
			game.report("alone")
			await _until(func() -> bool: return not _why.is_empty(), "without a server")
			_check_reason("cleo", "REMOTE_CLOSE")
		_:
			await _until(func() -> bool: return not _why.is_empty(), "the end")


func _sail() -> void:
	var places := {}
	for id: int in game.players:
		places[id] = game.boat_of(id).position
	# Each in a direction of its own.
	_heading = Vector2.UP.rotated(PLAYERS.find(game.own_name()) * 2.0)
	var start := Time.get_ticks_msec()
	await _until(func() -> bool:
		# Always a new one: what is lost on the way does not count.
		_heading = _heading.rotated(0.02)
		game.steer(_heading)
		var moved := game.players.keys().all(func(id: int) -> bool:
			return game.boat_of(id) != null and places[id].distance_to(game.boat_of(id).position) > FAR)
		return moved and Time.get_ticks_msec() - start > SAIL_SECONDS * 1000.0, "every boat moving")
	game.steer(Vector2.ZERO)


func _talk(me: String) -> void:
	game.ask(20, 22)
	for id: int in game.players:
		if id != game.multiplayer.get_unique_id():
			game.greet(id, "ahoy from %s" % me)
	await _until(func() -> bool: return _answer == 42 and _greetings.size() == PLAYERS.size() - 1, "an answer and greetings")
	for who: String in _greetings:
		_check(_greetings[who] == "ahoy from %s" % who, "a greeting: %s" % _greetings[who])
	print("heard %s" % ", ".join(PackedStringArray(_greetings.values())))


func _server_is_ferrys() -> bool:
	return _words.any(func(word: String) -> bool: return word.begins_with("this is Ferry"))


# The built-in classes know no reasons.
func _check_reason(who: String, wanted: String) -> void:
	print("lost the server: %s" % _why)
	if game.peer.has_method("get_disconnect_reason"):
		var seen: int = game.peer.get_disconnect_reason(1)
		var number := ClassDB.class_get_integer_constant(&"FerryDisconnect", wanted)
		_check(seen == number, "%s was told why: %d, %s" % [who, seen, _why])


func _on_player_entered(id: int, who: String) -> void:
	_names[id] = who
	if id != game.multiplayer.get_unique_id():
		print("sees %s" % who)


func _on_player_left(id: int, who: String) -> void:
	if id == game.multiplayer.get_unique_id():
		return
	_left.append(who)
	if game.multiplayer.is_server():
		_note_figures(id)
		_reasons[id] = game.reason_of(id)
		print("%s is gone: %s" % [who, _reasons[id]])
	else:
		print("%s is gone" % who)


func _note_figures(id: int) -> void:
	var figures := game.figures_of(id)
	if not figures.is_empty():
		_figures[id] = figures


func _id_of(who: String) -> int:
	return game.players.find_key(who)


func _check(holds: bool, what: String) -> bool:
	if not holds:
		_fail(what)
	return holds


func _fail(what: String) -> void:
	_failures.append(what)
	print("FAILED: %s" % what)


func _until(condition: Callable, what: String) -> bool:
	var deadline := Time.get_ticks_msec() + SOON * 1000.0
	while not _ended:
		if condition.call():
			return true
		# Who lost the server waits in vain.
		if Time.get_ticks_msec() > deadline:
			break
		await get_tree().process_frame
	return _check(_ended, "in %d s: not %s" % [SOON, what])


func _end() -> void:
	if _ended:
		return
	_ended = true
	var ids := _figures.keys()
	ids.sort_custom(func(one: int, other: int) -> bool: return _names.get(one, "") < _names.get(other, ""))
	for id: int in ids:
		print("FERRY_MATCH_ROW ", JSON.stringify(_row(id, _figures[id])))
	print("FERRY_MATCH_END ok" if _failures.is_empty() else "FERRY_MATCH_END failed: %s" % "; ".join(_failures))
	get_tree().quit(0 if _failures.is_empty() else 1)


func _row(id: int, figures: Dictionary) -> Dictionary:
	var as_server: bool = game.options.get("role") == "server"
	var view: String = "server's view of %s" % _names.get(id, "?") if as_server else "%s's view of the server" % game.own_name()
	return {
		"who": view,
		"peer": id,
		"rtt_ms": snappedf(figures.get("rtt", 0.0) * 1000.0, 0.001),
		"packets_sent": int(figures.get("packets_sent", 0)),
		"packets_received": int(figures.get("packets_received", 0)),
		"bytes_sent": int(figures.get("bytes_sent", 0)),
		"bytes_received": int(figures.get("bytes_received", 0)),
		"left": _reasons.get(id, _why if not _why.is_empty() else "still there"),
	}

extends "res://tests/support/ferry_test.gd"
## What handlers may do to the very peer whose signal they handle: close it, drop it, open it again, throw somebody out.

var _dropped := {}

# Over WebRTC: whether clients fail, and who introduces those that nothing here may hold.
var _failing := false
var _introducers: Array[RefCounted] = []


func _test() -> void:
	await _close_inside_peer_connected()
	await _close_inside_peer_disconnected()
	await _close_inside_connection_failed()
	await _create_again_inside_connection_failed()
	await _create_again_inside_server_disconnected()
	await _drop_inside_every_signal()
	await _disconnect_inside_peer_connected()
	await _put_and_poll_inside_a_handler()
	await _handlers_at_work_while_others_come()
	await _a_tree_loses_its_peer_inside_its_signals()


## Lets those fail who want to connect. Over WebRTC, servers refuse nobody by themselves: there, their connections are closed.
func _refuse(server: MultiplayerPeer, yes: bool) -> void:
	server.refuse_new_connections = yes and not is_webrtc()
	_failing = yes and is_webrtc()


func _reason_of_failure() -> String:
	return "LOCAL_CLOSE" if is_webrtc() else "REFUSED"


func _poll(subject: Object) -> void:
	super(subject)
	_break(subject)


func clean() -> void:
	super()
	_failing = false
	_introducers.clear()


func _break(client: MultiplayerPeer) -> void:
	if _failing and status_of(client) == "connecting" and client.has_peer(1):
		client.get_peer(1).connection.close()


# For peers that nothing here may hold: what is done for others in `_poll`, but for polling them.
func _introduce(client: WeakRef) -> void:
	for introducer in _introducers:
		introducer.poll()
	if client.get_ref() != null:
		_break(client.get_ref())


func _close_inside_peer_connected() -> void:
	var server := new_server()
	var after := []
	server.peer_connected.connect(func(_id: int) -> void:
		server.close()
		after.append(status_of(server)))
	var client := new_client(server, "client")
	var told := watch_reasons(client)
	await until(func() -> bool: return is_gone(client) and not after.is_empty(), "both ends closed")
	check_eq(after, ["disconnected"], "the server, once")
	# The server had let it in before it closed.
	check(told in [["succeeded", "lost REMOTE_CLOSE", "server gone REMOTE_CLOSE"], ["failed REMOTE_CLOSE"]], "the client was told %s" % [told])
	clean()
	server = new_server()
	client = new_client(server, "client")
	client.peer_connected.connect(func(_id: int) -> void: client.close())
	told = watch_reasons(client)
	await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "the client came and left")
	check_eq(log.client, ["peer_connected(server)"], "the client's signals")
	check_eq(log.server, ["peer_connected(client)", "peer_disconnected(client)"], "the server's signals")
	check_eq(told, [], "a closed peer tells nothing more")
	clean()


func _close_inside_peer_disconnected() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var other := await connected_client(server, "other")
	var told := watch_reasons(client)
	var calls := [0]
	client.peer_disconnected.connect(func(id: int) -> void:
		# The other's end is told through the server only by the engine: here it is the server's own.
		check_eq(id, 1, "who")
		calls[0] += 1
		client.close())
	server.close()
	await until(func() -> bool: return is_gone(client) and is_gone(other), "alone")
	check_eq(calls[0], 1, "calls")
	check_eq(told, [], "a closed peer tells nothing more")
	clean()
	# On a server, with two that leave at once.
	server = new_server()
	client = await connected_client(server, "client")
	other = await connected_client(server, "other")
	calls[0] = 0
	server.peer_disconnected.connect(func(_id: int) -> void:
		calls[0] += 1
		server.close())
	client.close()
	other.close()
	await until(func() -> bool: return is_gone(server), "closed")
	await linger(0.1)
	check_eq(calls[0], 1, "the second is not told any more")
	clean()


func _close_inside_connection_failed() -> void:
	var server := new_server()
	_refuse(server, true)
	var client := new_client(server, "client")
	var after := []
	client.connection_failed.connect(func(reason: int) -> void:
		client.close()
		after.append(reason_name(reason)))
	await until(func() -> bool: return not after.is_empty(), "refused")
	await linger(0.05)
	check_eq(after, [_reason_of_failure()], "once")
	check(is_gone(client), "closed")
	clean()


func _create_again_inside_connection_failed() -> void:
	var server := new_server()
	var port: int = port_of(server)
	_refuse(server, true)
	var client := new_client(server, "client")
	var tries := []
	client.connection_failed.connect(func(_reason: int) -> void:
		_refuse(server, tries.size() < 2)
		tries.append(open_client(client, port)))
	await until(func() -> bool: return is_connected_peer(client), "connected in the end")
	check_eq(tries, [OK, OK, OK], "each try")
	clean()


func _create_again_inside_server_disconnected() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var next := new_server()
	var port: int = port_of(next)
	var tries := []
	client.server_disconnected.connect(func(_reason: int) -> void: tries.append(open_client(client, port)))
	server.close()
	await until(func() -> bool: return tries.size() == 1 and is_connected_peer(client), "connected to the next server")
	check_eq(tries, [OK], "opened again, once")
	# What was is forgotten.
	check_eq(reason_name(client.get_disconnect_reason(1)), "NONE", "the reason")
	clean()
	# As a server, in the handler of the last one's end.
	server = new_server()
	client = await connected_client(server, "client")
	var opened := []
	server.peer_disconnected.connect(func(_id: int) -> void:
		server.close()
		opened.append(open_server(server)))
	client.close()
	await until(func() -> bool: return not opened.is_empty(), "opened again")
	check_eq(opened, [OK], "opened again")
	var late := new_client(server, "late")
	await until(func() -> bool: return is_connected_peer(late), "somebody comes to the new server")
	clean()


# The handler frees what is emitting: the only reference is in `_dropped`.
func _drop_inside_every_signal() -> void:
	for which: String in ["peer_connected", "connection_succeeded", "peer_disconnected", "peer_lost", "server_disconnected", "connection_failed"]:
		var server := new_server()
		_refuse(server, which == "connection_failed")
		var called := []
		var watcher := _make_dropped(server, which, called)
		await until(func() -> bool:
			_introduce(watcher)
			_poll_dropped()
			if which in ["peer_disconnected", "peer_lost", "server_disconnected"] and log.server.size() > 0 and not is_gone(server):
				server.close()
			return not called.is_empty(), which)
		check_eq(called, [which], "handlers of %s" % which)
		check(watcher.get_ref() == null, "gone after %s" % which)
		await process_frame
		clean()


func _make_dropped(server: MultiplayerPeer, which: String, called: Array) -> WeakRef:
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, port_of(server)), OK, "create_client")
	var handler := func() -> void:
		called.append(which)
		_dropped.clear()
	# As many arguments as the signal has are thrown away.
	var arguments: int = {"connection_succeeded": 0, "peer_lost": 3}.get(which, 1)
	client.connect(which, handler.unbind(arguments) if arguments > 0 else handler)
	_dropped.peer = client
	_note_introducer(client)
	return weakref(client)


func _poll_dropped() -> void:
	if _dropped.has("peer") and not is_gone(_dropped.peer):
		# The call itself must not hold a reference: a script's call on a variable does, this one does not.
		(_dropped.peer as Object).call(&"poll")


func _disconnect_inside_peer_connected() -> void:
	for force: bool in [false, true]:
		var server := new_server()
		server.peer_connected.connect(func(id: int) -> void:
			if name_of(id) == "client":
				server.disconnect_peer(id, force))
		var client := new_client(server, "client")
		var told := watch_reasons(client)
		await until(func() -> bool: return is_gone(client), "thrown out (force %s)" % force, 4.0)
		check(told in [["succeeded", "lost KICKED", "server gone KICKED"], ["failed KICKED"]], "the client was told %s (force %s)" % [told, force])
		# The server's own signal comes only without force.
		if not force:
			await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "told to the server")
		var other := await connected_client(server, "other")
		check(is_connected_peer(other), "others come in")
		clean()


func _put_and_poll_inside_a_handler() -> void:
	var server := new_server()
	server.peer_connected.connect(func(id: int) -> void:
		address(server, id)
		server.put_packet(payload(25))
		# Polled by its own signal: finds nothing new, and nothing comes twice.
		server.poll()
		server.poll())
	var client := await connected_client(server, "client")
	await until(func() -> bool: return client.get_available_packet_count() == 1, "the greeting")
	check_eq(describe_next(client, payload(25)), "from server, reliable, channel 0, 25 bytes", "the greeting")
	check_eq(log.server, ["peer_connected(client)"], "once")
	clean()


# Each handler throws out the one before; eight come in the same frames.
func _handlers_at_work_while_others_come() -> void:
	var server := new_server()
	var here := []
	server.peer_connected.connect(func(id: int) -> void:
		for other: int in here:
			server.disconnect_peer(other)
		here.assign([id]))
	var clients: Array[MultiplayerPeer] = []
	for number in 8:
		clients.append(new_client(server, "client %d" % number))
	await until(func() -> bool:
		var left := clients.filter(func(client: MultiplayerPeer) -> bool: return not is_gone(client))
		return left.size() == 1 and is_connected_peer(left[0]), "the last one alone is left")
	clean()


# As games do it: the multiplayer API is the only one who has the peer, and its handler takes it away.
func _a_tree_loses_its_peer_inside_its_signals() -> void:
	for which: String in ["connected_to_server", "peer_connected", "server_disconnected", "peer_disconnected", "connection_failed"]:
		var server := new_server()
		_refuse(server, which == "connection_failed")
		var api := SceneMultiplayer.new()
		var called := []
		var handler := func() -> void:
			called.append(which)
			api.multiplayer_peer = null
		var ended := handler.unbind(1) if which.begins_with("peer_") else handler
		api.connect(which, ended)
		var watcher := _join_with(api, server)
		await until(func() -> bool:
			_introduce(watcher)
			api.poll()
			if which.ends_with("_disconnected") and not is_gone(server) and log.server.size() > 0:
				server.close()
			return not called.is_empty(), which)
		check_eq(called, [which], "handlers of %s" % which)
		check(watcher.get_ref() == null, "the peer is gone after %s" % which)
		api.disconnect(which, ended)
		clean()


func _join_with(api: SceneMultiplayer, server: MultiplayerPeer) -> WeakRef:
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, port_of(server)), OK, "create_client")
	api.multiplayer_peer = client
	_note_introducer(client)
	return weakref(client)


func _note_introducer(client: MultiplayerPeer) -> void:
	_introducers.assign([client.get_meta(INTRODUCER)] if client.has_meta(INTRODUCER) else [])

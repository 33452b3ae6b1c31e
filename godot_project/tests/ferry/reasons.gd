extends "res://tests/support/ferry_test.gd"
## Why connections end, as Ferry's signals and methods tell it: at each end, and also inside the handlers.


func _test() -> void:
	await _succeeds_and_is_kicked()
	await _leaves()
	await _server_closes()
	await _full_and_refusing()
	await _nobody_there()
	await _no_such_name()
	await _silent()
	await _figures()


func _watch_all(peer: MultiplayerPeer, name: String) -> void:
	var entries: Array = log.get_or_add(name, [])
	var weak: WeakRef = weakref(peer)
	peer.peer_disconnected.connect(func(id: int) -> void:
		entries.append("%s already known" % reason_name(weak.get_ref().get_disconnect_reason(id))))
	peer.connection_succeeded.connect(func() -> void: entries.append("succeeded, %s" % status_of(weak.get_ref())))
	peer.connection_failed.connect(func(reason: int) -> void: entries.append("failed %s, %s" % [reason_name(reason), status_of(weak.get_ref())]))
	peer.server_disconnected.connect(func(reason: int) -> void: entries.append("server gone %s, %s" % [reason_name(reason), status_of(weak.get_ref())]))
	peer.peer_lost.connect(func(id: int, reason: int, _detail: String) -> void: entries.append("lost %s %s" % [name_of(id), reason_name(reason)]))


func new_server(max_clients := 32, max_channels := 0) -> MultiplayerPeer:
	var server := super(max_clients, max_channels)
	_watch_all(server, "server")
	return server


func new_client(server: MultiplayerPeer, name: String, channels := 0) -> MultiplayerPeer:
	var client := super(server, name, channels)
	_watch_all(client, name)
	return client


func _logged(name: String, wanted: Array) -> void:
	check(log[name] == wanted, "%s saw %s instead of %s" % [name, log[name], wanted])
	log[name].clear()


func _succeeds_and_is_kicked() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	_logged("client", ["peer_connected(server)", "succeeded, connected"])
	_logged("server", ["peer_connected(client)"])
	check_eq(reason_name(server.get_disconnect_reason(id)), "NONE", "while it stands")
	server.disconnect_peer(id)
	await until(func() -> bool: return is_gone(client) and log.server.size() >= 3, "kicked")
	_logged("client", ["peer_disconnected(server)", "KICKED already known", "lost server KICKED", "server gone KICKED, disconnected"])
	_logged("server", ["peer_disconnected(client)", "LOCAL_CLOSE already known", "lost client LOCAL_CLOSE"])
	check_eq(reason_name(client.get_disconnect_reason(1)), "KICKED", "afterwards")
	check_eq(reason_name(server.get_disconnect_reason(id)), "LOCAL_CLOSE", "afterwards")
	check(client.get_disconnect_text(1).contains("kicked"), "the text: " + client.get_disconnect_text(1))
	check_eq(reason_name(server.get_disconnect_reason(12345)), "NONE", "of nobody")
	clean()


func _leaves() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	for name: String in log:
		log[name].clear()
	client.close()
	check_eq(reason_name(client.get_disconnect_reason(1)), "LOCAL_CLOSE", "after closing")
	await until(func() -> bool: return log.server.size() >= 3, "left")
	_logged("server", ["peer_disconnected(client)", "REMOTE_CLOSE already known", "lost client REMOTE_CLOSE"])
	_logged("client", [])
	check_eq(reason_name(server.get_disconnect_reason(id)), "REMOTE_CLOSE", "afterwards")
	clean()


func _server_closes() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	log.client.clear()
	server.close()
	await until(func() -> bool: return is_gone(client), "alone")
	_logged("client", ["peer_disconnected(server)", "REMOTE_CLOSE already known", "lost server REMOTE_CLOSE", "server gone REMOTE_CLOSE, disconnected"])
	clean()


func _full_and_refusing() -> void:
	var server := new_server(1)
	await connected_client(server, "first")
	var start := Time.get_ticks_msec()
	var second := new_client(server, "second")
	await until(func() -> bool: return is_gone(second), "told that it is full")
	check(Time.get_ticks_msec() - start < 1000, "told at once")
	_logged("second", ["failed SERVER_FULL, disconnected"])
	clean()
	server = new_server()
	server.refuse_new_connections = true
	start = Time.get_ticks_msec()
	var refused := new_client(server, "refused")
	await until(func() -> bool: return is_gone(refused), "told that it is refused")
	check(Time.get_ticks_msec() - start < 1000, "told at once")
	_logged("refused", ["failed REFUSED, disconnected"])
	_logged("server", [])
	clean()


func _nobody_there() -> void:
	var socket := PacketPeerUDP.new()
	socket.bind(0, LOCALHOST)
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	_watch_all(client, "client")
	check_eq(client.connect_timeout, 10.0, "the default")
	client.connect_timeout = 0.5
	check_eq(client.create_client(LOCALHOST, socket.get_local_port()), OK, "create_client")
	polled.append(client)
	var start := Time.get_ticks_msec()
	await until(func() -> bool: return is_gone(client), "no answer")
	var took := Time.get_ticks_msec() - start
	check(took >= 400 and took < 3000, "after half a second: %d ms" % took)
	_logged("client", ["failed CONNECT_TIMEOUT, disconnected"])
	clean()


func _no_such_name() -> void:
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	_watch_all(client, "client")
	var start := Time.get_ticks_msec()
	check_eq(open_client_to(client, "nobody.invalid", 4000), OK, "create_client with a name that is none")
	check(Time.get_ticks_msec() - start < 500, "without waiting")
	check_eq(status_of(client), "connecting", "at first")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "the look-up's end", 25.0)
	# Where the look-up hangs, the time to connect ends first.
	check(log.client in [["failed RESOLVE, disconnected"], ["failed CONNECT_TIMEOUT, disconnected"]], "client saw %s" % [log.client])
	clean()


# A peer of the built-in's kind that vanishes without a word.
func _silent() -> void:
	var server: MultiplayerPeer = make(server_class())
	watch(server, "server")
	_watch_all(server, "server")
	server.peer_timeout = 1.0
	server.create_server(0)
	polled.append(server)
	var connection: ENetConnection = ENetConnection.new()
	connection.create_host(1)
	var there := connection.connect_to_host(LOCALHOST, server.host.get_local_port(), 0, 4711)
	name_id(4711, "4711")
	await until(func() -> bool:
		connection.service()
		return there.get_state() == ENetPacketPeer.STATE_CONNECTED and log.server.size() == 1, "connected")
	log.server.clear()
	# Nobody serves it any more, and it says no goodbye.
	there.reset()
	connection.destroy()
	var start := Time.get_ticks_msec()
	await until(func() -> bool: return log.server.size() >= 3, "its silence noticed")
	check(Time.get_ticks_msec() - start < 4000, "within peer_timeout, about")
	_logged("server", ["peer_disconnected(4711)", "TIMEOUT already known", "lost 4711 TIMEOUT"])
	clean()


func _figures() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	address(client, 1)
	for number in 20:
		client.put_packet(payload(100))
	await until(func() -> bool: return server.get_available_packet_count() == 20, "packets")
	await until(func() -> bool: return server.get_peer_stats(id).get("packets_received", 0) >= 20 and client.get_peer_stats(1).rtt > 0.0, "figures")
	var figures: Dictionary = server.get_peer_stats(id)
	for key: String in ["rtt", "jitter", "loss"]:
		check(figures.get(key) is float, "%s is a float: %s" % [key, figures.get(key)])
	for key: String in ["bytes_sent", "bytes_received", "packets_sent", "packets_received", "queued_bytes", "port"]:
		check(figures.get(key) is int, "%s is an int: %s" % [key, figures.get(key)])
	check_eq(figures.get("address"), LOCALHOST, "address")
	check_eq(figures.get("transport"), "websocket" if is_websocket() else "enet", "transport")
	check_eq(figures.get("encrypted"), false, "encrypted")
	check(figures.bytes_received >= 2000, "bytes: %s" % figures.bytes_received)
	check(client.get_peer_stats(1).rtt < 0.1, "a short way")
	check_eq(server.get_peer_stats(999), {}, "of nobody")
	check_eq(server.get_stats().get("peers"), 1, "peers")
	# They stay when the peer has gone.
	client.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "gone")
	check(server.get_peer_stats(id).get("packets_received", 0) >= 20, "the last figures: %s" % server.get_peer_stats(id))
	clean()

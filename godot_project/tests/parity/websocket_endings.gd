extends "res://tests/support/websocket_test.gd"
## How WebSocket connections end: who disconnects whom, forced or not; what each side hears; what its handlers may do.


func _test() -> void:
	await _disconnected_by("server", false)
	await _disconnected_by("server", true)
	await _disconnected_by("client", false)
	await _disconnected_by("client", true)
	await _closed_by("server")
	await _closed_by("client")
	await _own_close()
	await _dropped()
	await _lost()
	await _before_connected()
	await one_of_three_is_kicked()
	await _packets_before_the_end()
	await all_leave_at_once()
	await _inside_a_signal()
	await _again_inside_a_signal()
	await _the_same_port()


func _disconnected_by(who: String, force: bool) -> void:
	var key := "%s_disconnects%s" % [who, "_forced" if force else ""]
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	log.server.clear()
	log.client.clear()
	watch_endings(server, client, id)
	var there: Object = server.get_peer(id)
	var here: Object = client.get_peer(1)
	if who == "server":
		server.disconnect_peer(id, force)
	else:
		client.disconnect_peer(1, force)
	observe(key + ".at_once.status", [status_of(server), status_of(client)])
	observe(key + ".at_once.log", [log.server, log.client])
	observe(key + ".at_once.state", state_of(there if who == "server" else here))
	expecting_errors(func() -> void:
		if who == "server":
			observe(key + ".at_once.peer", server.get_peer(id) != null)
			address(server, id)
			observe(key + ".at_once.put", server.put_packet(payload(3)))
			observe(key + ".at_once.send", there.send(payload(3)))
			server.disconnect_peer(id, false)
		else:
			observe(key + ".at_once.peer", client.get_peer(1) != null)
			observe(key + ".at_once.put", client.put_packet(payload(3)))
			observe(key + ".at_once.send", here.send(payload(3)))
			observe(key + ".at_once.id", name_of(client.get_unique_id())))
	var server_hears := not (force and who == "server")
	await until(func() -> bool: return (
			is_gone(client) and (not server_hears or log.server.size() > 0)), "the end of it")
	await linger(0.05)
	observe_log(key, "server")
	observe_log(key, "client")
	observe(key + ".status", [status_of(server), status_of(client)])
	expecting_errors(func() -> void:
		observe(key + ".id", name_of(client.get_unique_id()))
		observe(key + ".server_knows", server.get_peer(id) != null)
		observe(key + ".client_knows", client.get_peer(1) != null)
		observe(key + ".put", client.put_packet(payload(1)))
		observe(key + ".send", [there.send(payload(1)), here.send(payload(1))]))
	# What is left of the connections, polled on by who still holds them.
	for socket: Object in [there, here]:
		polled.append(socket)
		await until(func() -> bool: return is_closed(socket), "closed")
		polled.erase(socket)
	observe(key + ".codes", [there.get_close_code(), here.get_close_code(), there.get_close_reason(), here.get_close_reason()])
	# The same object connects again, as somebody else.
	check_eq(open_client(client, port_of(server)), OK, "again")
	await until(func() -> bool: return is_connected_peer(client), "connected again")
	observe(key + ".another_id", client.get_unique_id() != id)
	clean()


func _closed_by(who: String) -> void:
	var key := who + "_closes"
	var server := new_server()
	var client := await connected_client(server, "client")
	var other := await connected_client(server, "other")
	log.server.clear()
	log.client.clear()
	if who == "server":
		server.close()
		observe(key + ".at_once", [status_of(server), log.server, server.get_unique_id()])
		await until(func() -> bool: return is_gone(client) and is_gone(other), "both clients alone")
	else:
		client.close()
		observe(key + ".at_once", [status_of(client), log.client, client.get_unique_id()])
		await until(func() -> bool: return log.server.size() > 0, "the server knows")
	observe(key + ".status", [status_of(server), status_of(client), status_of(other)])
	observe_log(key, "server")
	observe_log(key, "client")
	# Closed again, and polled after that.
	client.close()
	server.close()
	client.poll()
	server.poll()
	observe(key + ".twice", [status_of(server), status_of(client), log.server, log.client])
	clean()


# The connection's own close, with a code and words of its own.
func _own_close() -> void:
	for who: String in ["server", "client"]:
		var key := who + "_closes_the_connection"
		var server := new_server()
		var client := await connected_client(server, "client")
		var there: Object = server.get_peer(client.get_unique_id())
		var here: Object = client.get_peer(1)
		log.server.clear()
		log.client.clear()
		(there if who == "server" else here).close(4242, "so long")
		observe(key + ".at_once", [state_of(there), state_of(here), status_of(client), log.server, log.client])
		await until(func() -> bool: return is_gone(client) and log.server.size() > 0, "the end of it")
		observe_log(key, "server")
		observe_log(key, "client")
		# The other end has heard them.
		var other := here if who == "server" else there
		polled.append(other)
		await until(func() -> bool: return is_closed(other), "closed")
		observe(key + ".heard", [other.get_close_code(), other.get_close_reason()])
		clean()


# A client that is let go of is gone for the server too, and the reverse.
func _dropped() -> void:
	var server := new_server()
	await _let_a_client_go(server)
	await until(func() -> bool: return log.server.size() > 0, "the server knows", 3.0)
	observe_log("dropped_client", "server")
	server.close()
	clean()
	var client := await _client_of_a_dropped_server()
	await until(func() -> bool: return is_gone(client), "the client knows", 3.0)
	observe_log("dropped_server", "client")
	clean()


func _let_a_client_go(server: MultiplayerPeer) -> void:
	await connected_client(server, "client")
	log.server.clear()
	polled.pop_back()


func _client_of_a_dropped_server() -> MultiplayerPeer:
	var client := await connected_client(new_server(), "client")
	log.client.clear()
	polled.pop_front()
	return client


# The other end's connection breaks without a word.
func _lost() -> void:
	var server := new_server()
	var stream := await plain_stream(port_of(server))
	await ask_upgrade(stream)
	await until(func() -> bool: return log.server.size() > 0, "there")
	log.server.clear()
	stream.disconnect_from_host()
	await until(func() -> bool: return log.server.size() > 0, "the server knows")
	observe("lost.server", log.server.size())
	clean()
	var socket := listening()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.create_client(url_of(socket.get_local_port()))
	polled.append(client)
	stream = await taken(socket)
	await answer_upgrade(stream)
	stream.put_data([0x82, 0x04, 0x2A, 0x00, 0x00, 0x00])
	await until(func() -> bool: return is_connected_peer(client), "connected")
	log.client.clear()
	var here: Object = client.get_peer(1)
	stream.disconnect_from_host()
	await until(func() -> bool: return is_gone(client), "the client knows")
	observe_log("lost", "client")
	observe("lost.code", [state_of(here), here.get_close_code(), here.get_close_reason()])
	clean()


func _before_connected() -> void:
	# The client gives up before the server answered.
	var server := new_server()
	polled.erase(server)
	var client := new_client(server, "client")
	client.poll()
	polled.clear()
	await linger(0.02)
	client.close()
	observe("gives_up.status", status_of(client))
	polled = [server]
	await linger(0.1)
	# A server whose network runs by itself may have seen the client come and go.
	observe("gives_up.server_even", log.server.size() % 2 == 0)
	observe_log("gives_up", "client")
	server.close()
	polled.clear()
	clean()
	# The server goes while the client connects.
	server = new_server()
	polled.erase(server)
	client = new_client(server, "client")
	server.close()
	await until(func() -> bool: return is_gone(client), "the client is told")
	observe_log("nobody", "client")
	clean()


# What is sent in the frame of the goodbye, while nobody polls the other end.
func _packets_before_the_end() -> void:
	for how: String in ["client_close", "client_disconnect", "client_force", "server_close", "server_disconnect", "server_force"]:
		var server := new_server()
		var client := await connected_client(server, "client")
		var id := client.get_unique_id()
		log.server.clear()
		log.client.clear()
		var is_client := how.begins_with("client")
		var from: MultiplayerPeer = client if is_client else server
		var to: MultiplayerPeer = server if is_client else client
		address(from, 1 if is_client else id)
		for number in 10:
			from.put_packet(payload(100, number))
		if how.ends_with("close"):
			from.close()
		else:
			from.disconnect_peer(1 if is_client else id, how.ends_with("force"))
		polled.erase(to)
		await linger(0.1)
		polled.append(to)
		var got := []
		var ended := func() -> bool: return log.server.size() > 0 if is_client else log.client.size() > 0
		await until(func() -> bool:
			while not is_gone(to) and to.get_available_packet_count() > 0:
				got.append(describe_next(to, payload(100, got.size())))
			return ended.call(), "the goodbye")
		while not is_gone(to) and to.get_available_packet_count() > 0:
			got.append(describe_next(to, payload(100, got.size())))
		# The end that began it hears the answer a little later.
		await linger(0.1)
		observe("before.%s.packets" % how, [got.size(), got.all(func(line: String) -> bool: return line == got[0])])
		observe_log("before.%s" % how, "server")
		observe_log("before.%s" % how, "client")
		clean()


func _inside_a_signal() -> void:
	for how: String in ["close", "drop", "disconnect", "force", "put"]:
		# The server does it, as soon as somebody is there. The built-in does not outlive a close there.
		if how != "close":
			await _server_inside_a_signal(how)
		await _client_inside_a_signal(how)


func _server_inside_a_signal(how: String) -> void:
	var server := new_server()
	var client := new_client(server, "client")
	server.peer_connected.connect(act_in_handler.bind(how, weakref(server)))
	server = null
	await until(func() -> bool: return log.server.size() > 0, "the server did it")
	var gone: bool = await happens(func() -> bool: return is_gone(client), 1.0 if how != "put" else 0.05)
	if how == "disconnect":
		await until(func() -> bool: return log.server.size() == 2, "the server's own disconnect")
	observe("inside.server_%s.client_gone" % how, gone)
	observe_log("inside.server_%s" % how, "server")
	if how == "put":
		await until(func() -> bool: return client.get_available_packet_count() == 1, "what was put")
		observe("inside.server_put.arrives", describe_next(client, payload(6)))
	client.close()
	clean()


func _client_inside_a_signal(how: String) -> void:
	var server := new_server()
	var client := new_client(server, "client")
	client.peer_connected.connect(act_in_handler.bind(how, weakref(client)))
	client = null
	await until(func() -> bool: return log.client.size() > 0, "the client did it")
	if how == "put":
		await until(func() -> bool: return server.get_available_packet_count() == 1, "what was put")
		observe("inside.client_put.arrives", describe_next(server, payload(6)))
	else:
		await until(func() -> bool: return log.server.size() == 2, "the server has seen it come and go")
		observe_log("inside.client_%s" % how, "server")
	observe("inside.client_%s.client" % how, log.client[0])
	server.close()
	clean()


# A handler of the end: it closes at once; after that the same object connects again.
func _again_inside_a_signal() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	log.client.clear()
	var weak: WeakRef = weakref(client)
	client.peer_disconnected.connect(func(_id: int) -> void:
		var me: MultiplayerPeer = weak.get_ref()
		me.close()
		log.client.append("closed, %s" % status_of(me)))
	server.disconnect_peer(client.get_unique_id())
	await until(func() -> bool: return is_gone(client), "the end")
	observe_log("close_in_the_end", "client")
	check_eq(open_client(client, port_of(server)), OK, "again")
	await until(func() -> bool: return is_connected_peer(client), "connected again")
	observe_log("close_in_the_end.again", "client")
	clean()
	# The server's handler of a client's end closes the server.
	server = new_server()
	client = await connected_client(server, "client")
	var other := await connected_client(server, "other")
	log.server.clear()
	weak = weakref(server)
	server.peer_disconnected.connect(func(_id: int) -> void:
		var me: MultiplayerPeer = weak.get_ref()
		me.close()
		log.server.append("closed, %s" % status_of(me)), CONNECT_ONE_SHOT)
	client.close()
	await until(func() -> bool: return is_gone(other), "everybody gone")
	observe_log("server_closes_in_the_end", "server")
	clean()


# A server that ends, and the next one on its port at once, while its clients' connections still linger.
func _the_same_port() -> void:
	var server := new_server()
	var port := port_of(server)
	for turn in 4:
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		open_client(client, port)
		expect(client, "client %d" % turn)
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected, turn %d" % turn)
		observe("same_port.%d" % turn, log.server)
		server.close()
		observe("same_port.%d.again" % turn, server.create_server(port))
		log.server.clear()
		await until(func() -> bool: return is_gone(client), "the old client is gone")
	clean()

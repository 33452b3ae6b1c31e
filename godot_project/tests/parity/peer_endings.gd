extends "res://tests/support/parity_test.gd"
## How connections end: who disconnects whom, forced or not; what each side hears; what its handlers may do.


func _test() -> void:
	await _disconnected_by("server", false)
	await _disconnected_by("server", true)
	await _disconnected_by("client", false)
	await _disconnected_by("client", true)
	await _closed_by("server")
	await _closed_by("client")
	await _dropped()
	await _before_connected()
	await one_of_three_is_kicked()
	await _packets_before_the_end()
	await all_leave_at_once()
	await _inside_a_signal()
	await _again_inside_a_signal()


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
	expecting_errors(func() -> void:
		if who == "server":
			observe(key + ".at_once.peer", server.get_peer(id) != null)
			address(server, id)
			observe(key + ".at_once.put", server.put_packet(payload(3)))
			server.disconnect_peer(id, false)
			observe(key + ".at_once.state", there.get_state())
		else:
			observe(key + ".at_once.peer", client.get_peer(1) != null)
			address(client, 1)
			observe(key + ".at_once.put", client.put_packet(payload(3)))
			observe(key + ".at_once.id_stays", client.get_unique_id() == id)
			observe(key + ".at_once.state", here.get_state()))
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
		observe(key + ".put", [client.put_packet(payload(1))]))
	observe(key + ".active", [there.is_active(), here.is_active()])
	observe(key + ".peers", server.host.get_peers().size())
	# The same object connects again, as somebody else.
	check_eq(client.create_client(LOCALHOST, server.host.get_local_port()), OK, "again")
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
		await until(func() -> bool: return is_gone(client) and is_gone(other), "both clients alone")
	else:
		client.close()
		await until(func() -> bool: return log.server.size() > 0, "the server knows")
	observe(key + ".status", [status_of(server), status_of(client), status_of(other)])
	observe_log(key, "server")
	observe_log(key, "client")
	clean()


# A client that is let go of says goodbye too.
func _dropped() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	log.server.clear()
	polled.erase(client)
	client = null
	await until(func() -> bool: return log.server.size() > 0, "the server knows", 3.0)
	observe_log("dropped_client", "server")
	client = await connected_client(server, "client")
	log.client.clear()
	polled.erase(server)
	server = null
	await until(func() -> bool: return is_gone(client), "the client knows", 3.0)
	observe_log("dropped_server", "client")
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
	# The server goes while the client connects: nobody is there to tell it.
	server = new_server()
	polled.erase(server)
	client = new_client(server, "client")
	server.close()
	await linger(0.1)
	observe("nobody.status", status_of(client))
	observe_log("nobody", "client")
	clean()


# What is sent in the frame of the goodbye arrives.
func _packets_before_the_end() -> void:
	for how: String in ["close", "disconnect", "later"]:
		var server := new_server()
		var client := await connected_client(server, "client")
		log.server.clear()
		polled.erase(client)
		address(client, 1)
		for number in 10:
			client.put_packet(payload(100, number))
		match how:
			"close":
				client.close()
			"disconnect":
				polled.append(client)
				client.disconnect_peer(1)
			"later":
				polled.append(client)
				client.get_peer(1).peer_disconnect_later()
		var got := []
		await until(func() -> bool:
			while server.get_available_packet_count() > 0:
				got.append(describe_next(server, payload(100, got.size())))
			return log.server.size() > 0, "the goodbye")
		while server.get_available_packet_count() > 0:
			got.append(describe_next(server, payload(100, got.size())))
		observe("before_%s.packets" % how, [got.size(), got.all(func(line: String) -> bool: return line == got[0])])
		observe_log("before_%s" % how, "server")
		clean()


func _inside_a_signal() -> void:
	for how: String in ["close", "drop", "disconnect", "force", "put"]:
		# The server does it, as soon as somebody is there.
		var server := new_server()
		var client := new_client(server, "client")
		var id := client.get_unique_id()
		server.peer_connected.connect(act_in_handler.bind(how, weakref(server)))
		polled.assign([server, client])
		server = null
		await until(func() -> bool: return log.server.size() > 0, "the server did it")
		var gone: bool = await happens(func() -> bool: return is_gone(client), 1.0 if how != "put" else 0.05)
		if how == "disconnect":
			await until(func() -> bool: return log.server.size() == 2, "the server's own disconnect")
		observe("inside.server_%s.client_gone" % how, gone)
		observe_log("inside.server_%s" % how, "server")
		observe("inside.server_%s.server" % how, status_of(polled[0]) if polled[0] is MultiplayerPeer and how != "drop" else "")
		if how == "put":
			await until(func() -> bool: return client.get_available_packet_count() == 1, "what was put")
			observe("inside.server_put.arrives", describe_next(client, payload(6)))
		check(id > 1, "an id")
		client.close()
		clean()
		# The client does it.
		server = new_server()
		client = new_client(server, "client")
		client.peer_connected.connect(act_in_handler.bind(how, weakref(client)))
		polled.assign([server, client])
		client = null
		await until(func() -> bool: return log.client.size() > 0, "the client did it")
		if how == "put":
			await until(func() -> bool: return server.get_available_packet_count() == 1, "what was put")
			observe("inside.client_put.arrives", describe_next(server, payload(6)))
		else:
			# The server may or may not have seen the client at all.
			await linger(0.1)
			observe("inside.client_%s.even" % how, log.server.size() % 2 == 0)
		# Whether an end is told depends on how far the server was.
		observe("inside.client_%s.client" % how, log.client[0])
		server.close()
		clean()


# A handler of the end that starts anew at once: close, and connect again.
func _again_inside_a_signal() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	log.client.clear()
	var weak: WeakRef = weakref(client)
	var port: int = server.host.get_local_port()
	client.peer_disconnected.connect(func(_id: int) -> void:
		var me: MultiplayerPeer = weak.get_ref()
		me.close()
		log.client.append("closed, %s" % status_of(me)))
	server.disconnect_peer(client.get_unique_id())
	await until(func() -> bool: return is_gone(client), "the end")
	observe_log("close_in_the_end", "client")
	check_eq(client.create_client(LOCALHOST, port), OK, "again")
	await until(func() -> bool: return is_connected_peer(client), "connected again")
	observe_log("close_in_the_end.again", "client")
	clean()

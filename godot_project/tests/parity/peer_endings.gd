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
	await _one_of_three()
	await _packets_before_the_end()
	await _all_at_once()
	await _inside_a_signal()
	await _again_inside_a_signal()


func _disconnected_by(who: String, force: bool) -> void:
	var key := "%s_disconnects%s" % [who, "_forced" if force else ""]
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	log.server.clear()
	log.client.clear()
	_watch_more(server, client, id)
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


# What a handler of the last signal sees.
func _watch_more(server: MultiplayerPeer, client: MultiplayerPeer, id: int) -> void:
	var weak_server: WeakRef = weakref(server)
	var weak_client: WeakRef = weakref(client)
	server.peer_disconnected.connect(func(who: int) -> void:
		var me: MultiplayerPeer = weak_server.get_ref()
		expecting_errors(func() -> void:
			log.server.append("there: %s" % (me.get_peer(who) != null))))
	client.peer_disconnected.connect(func(_who: int) -> void:
		var me: MultiplayerPeer = weak_client.get_ref()
		expecting_errors(func() -> void:
			log.client.append("status %s" % status_of(me))
			log.client.append("id stays %s" % (me.get_unique_id() == id))
			log.client.append("there: %s" % (me.get_peer(1) != null))))


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


func _one_of_three() -> void:
	var server := new_server()
	var anna := await connected_client(server, "anna")
	var ben := await connected_client(server, "ben")
	var cleo := await connected_client(server, "cleo")
	for name: String in ["server", "anna", "ben", "cleo"]:
		log[name].clear()
	server.disconnect_peer(ben.get_unique_id())
	await until(func() -> bool: return is_gone(ben) and log.server.size() > 0, "ben gone")
	for name: String in ["server", "anna", "ben", "cleo"]:
		observe_log("kicked", name)
	address(server, 0)
	server.put_packet(payload(4))
	for client: MultiplayerPeer in [anna, cleo]:
		await until(func() -> bool: return client.get_available_packet_count() == 1, "a word to who is left")
	observe("kicked.left", [status_of(anna), status_of(cleo), server.host.get_peers().size()])
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


func _all_at_once() -> void:
	var server := new_server()
	var clients := []
	for number in 6:
		clients.append(await connected_client(server, "client %d" % number))
	log.server.clear()
	for client: MultiplayerPeer in clients:
		client.close()
	await until(func() -> bool: return log.server.size() == 6, "all gone")
	var gone: Array = log.server.duplicate()
	gone.sort()
	observe("all_at_once", gone)
	observe("all_at_once.peers", server.host.get_peers().size())
	clients.clear()
	clean()


func _inside_a_signal() -> void:
	for how: String in ["close", "drop", "disconnect", "force", "put"]:
		# The server does it, as soon as somebody is there.
		var server := new_server()
		var client := new_client(server, "client")
		var id := client.get_unique_id()
		server.peer_connected.connect(_act.bind(how, weakref(server)))
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
		client.peer_connected.connect(_act.bind(how, weakref(client)))
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


# In a handler of peer_connected.
func _act(id: int, how: String, weak: WeakRef) -> void:
	var peer: MultiplayerPeer = weak.get_ref()
	match how:
		"close":
			peer.close()
		"drop":
			# `until` polls a copy of the list, so that the peer outlives this call, but not the turn.
			polled.erase(peer)
		"disconnect":
			peer.disconnect_peer(id)
		"force":
			peer.disconnect_peer(id, true)
		"put":
			address(peer, id)
			check_eq(peer.put_packet(payload(6)), OK, "put in a handler")


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

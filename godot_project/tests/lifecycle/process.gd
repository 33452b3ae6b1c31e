extends "res://tests/support/ferry_test.gd"
## A process for what is done to processes: it is quit, stopped or killed at a bad moment.
##
## A server (`--role=server`) tells its port, who comes and why they go, and what it got from each; it ends when
## `--clients=` have come and gone. A client does what `--do=` says.

const SIZE := 900


func _test() -> void:
	match options.get("role", ""):
		"server":
			await _serve()
		"client":
			await _join()
		"lookup":
			_quit_while_looking_up()
		"lookups":
			await _many_look_ups()
		"greeter":
			await _greet_and_quit()
		"greeted":
			await _be_greeted()


func _serve() -> void:
	var server: MultiplayerPeer = make(server_class())
	server.peer_timeout = float(options.get("peer_timeout", 30.0))
	check_eq(open_server(server), OK, "create_server")
	print("PROCESS port=%d" % port_of(server))
	var came := []
	var gone := []
	var progress := {}
	server.peer_connected.connect(func(id: int) -> void:
		came.append(id)
		progress[id] = {}
		print("PROCESS joined %d" % came.size()))
	server.peer_lost.connect(func(id: int, reason: int, _detail: String) -> void:
		gone.append(id)
		print("PROCESS lost %s, got %s" % [reason_name(reason), _summary(progress[id])]))
	polled.append(server)
	var wanted := int(options.get("clients", 1))
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			var of: Dictionary = progress[server.get_packet_peer()]
			var packet := server.get_packet()
			of.in_order = of.get("in_order", true) and packet == payload(SIZE, of.get("packets", 0))
			of.packets = of.get("packets", 0) + 1
		return gone.size() >= wanted, "everybody came and went", 50.0)
	server.close()


func _summary(progress: Dictionary) -> String:
	return "%d %s" % [progress.get("packets", 0), "in order" if progress.get("in_order", true) else "out of order"]


func _join() -> void:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	if options.has("peer_timeout"):
		client.peer_timeout = float(options.peer_timeout)
	check_eq(open_client(client, int(options.port)), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client), "connected")
	address(client, 1)
	print("PROCESS connected")
	match options.get("do", ""):
		"send_and_quit":
			# Neither polled nor closed again, and the frame does not end before the quit is asked for.
			for number in 20:
				check_eq(client.put_packet(payload(SIZE, number)), OK, "put")
		"send_and_drop":
			for number in 20:
				check_eq(client.put_packet(payload(SIZE, number)), OK, "put")
			polled.clear()
			client = null
		"send_steadily":
			# 60 packets, one in 100 ms: the server stands still in the middle of it.
			var start := Time.get_ticks_msec()
			var sent := {"packets": 0}
			await until(func() -> bool:
				if sent.packets < 60 and Time.get_ticks_msec() >= start + sent.packets * 100:
					client.put_packet(payload(SIZE, sent.packets))
					sent.packets += 1
				return sent.packets == 60 and client.get_peer_stats(1).queued_bytes == 0, "all sent and acknowledged", 30.0)
			check_eq(told, ["succeeded"], "what it was told")
			client.close()
		"wait":
			await until(func() -> bool: return is_gone(client), "the end", 40.0)
			print("PROCESS told %s" % ", ".join(PackedStringArray(told)))


# The scene ends in the frame in which the look-up begins.
func _quit_while_looking_up() -> void:
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client_to(client, options.get("name", "nobody.invalid"), 4000), OK, "create_client")
	client.poll()
	check_eq(status_of(client), "connecting", "while it is looked up")
	print("PROCESS looking up")


# More than are done at one time, and none of them ends: frames go on, each client hears why it failed, the quit comes at once.
func _many_look_ups() -> void:
	const CLIENTS := 40
	var told := []
	var start := Time.get_ticks_msec()
	for number in CLIENTS:
		var client: MultiplayerPeer = make(client_class())
		client.connect_timeout = 1.5
		told.append(watch_reasons(client))
		check_eq(open_client_to(client, "nobody%d.example.org" % number, 4000), OK, "create_client")
		polled.append(client)
	var slowest := {"ms": 0, "last": Time.get_ticks_msec()}
	check(slowest.last - start < 1000, "%d creates took %d ms" % [CLIENTS, slowest.last - start])
	await until(func() -> bool:
		var now := Time.get_ticks_msec()
		slowest.ms = maxi(slowest.ms, now - slowest.last)
		slowest.last = now
		return told.all(func(one: Array) -> bool: return one.size() == 1), "all told", 15.0)
	check(slowest.ms < 100, "a frame took %d ms" % slowest.ms)
	var texts := {}
	for number in CLIENTS:
		var text: String = polled[number].get_disconnect_text(1).replace("nobody%d.example.org" % number, "NAME")
		texts[text] = texts.get(text, 0) + 1
	print("PROCESS texts %s" % texts)
	check(told.all(func(one: Array) -> bool: return one == ["failed RESOLVE"]), "why they failed: %s" % [told])
	# Those that are looked up run out of time; the others are told at once that there are too many.
	check(Time.get_ticks_msec() - start > 1400, "look-ups hang in this world")
	check(texts.size() == 2, "two kinds of failures: %s" % texts)


# A server whose process goes in the very handler that greets a client.
func _greet_and_quit() -> void:
	var server: MultiplayerPeer = make(server_class())
	check_eq(open_server(server), OK, "create_server")
	print("PROCESS port=%d" % port_of(server))
	var greeted := [false]
	server.peer_connected.connect(func(id: int) -> void:
		address(server, id)
		for number in 20:
			server.put_packet(payload(SIZE, number))
		greeted[0] = true
		end())
	while not _ended:
		_poll(server)
		if not greeted[0]:
			await process_frame
	let_go(server)


func _be_greeted() -> void:
	var client := client_of(int(options.port))
	var told := watch_reasons(client)
	var progress := {}
	await until(func() -> bool:
		read_numbered(client, SIZE, progress)
		return is_gone(client), "the server's end")
	check_eq(_summary(progress), "20 in order", "the greeting")
	check_eq(told, ["succeeded", "lost REMOTE_CLOSE", "server gone REMOTE_CLOSE"], "what it is told")

extends "res://tests/support/ferry_test.gd"
## One of two processes: this one's game thread sleeps as if it loaded a level (`--sleeps`), or the other's does.
##
## `--role=` tells whether it is the server or the client. The awake one sends all the time, the sleeper just before.

const SLEEP_MS := 35_000
const FROM_SLEEPER := 50
const FROM_AWAKE := 330
const INTERVAL_MS := 100
const SIZE := 300


func _test() -> void:
	var peer: MultiplayerPeer = make(server_class())
	# The time-outs are those that a game gets without asking.
	if options.role == "server":
		check_eq(open_server(peer), OK, "create_server")
		print("LOADING port=%d" % port_of(peer))
	else:
		check_eq(open_client(peer, int(options.port)), OK, "create_client")
	var others := []
	var ends := watch_reasons(peer)
	peer.peer_connected.connect(func(id: int) -> void: others.append(id))
	polled.append(peer)
	await until(func() -> bool: return not others.is_empty(), "connected", 20.0)
	if others.is_empty():
		return
	ends.erase("succeeded")
	address(peer, others[0])
	if options.has("sleeps"):
		await _sleep(peer, ends)
	else:
		await _stay_awake(peer, ends)
	peer.close()


func _sleep(peer: MultiplayerPeer, ends: Array) -> void:
	for number in FROM_SLEEPER:
		check_eq(peer.put_packet(payload(SIZE, number)), OK, "put")
	OS.delay_msec(SLEEP_MS)
	var progress := {}
	await until(func() -> bool: return read_numbered(peer, SIZE, progress) >= FROM_AWAKE, "all that came meanwhile")
	print("LOADING got %s" % progress)
	check_eq(progress.get("packets", 0), FROM_AWAKE, "packets")
	check(progress.get("in_order", false), "in order")
	check_eq(ends, [], "nobody was lost")
	check(is_connected_peer(peer), "still open")
	peer.put_packet("bye".to_utf8_buffer())
	await until(func() -> bool: return not ends.is_empty(), "the other's goodbye")
	check_eq(ends[0] if ends else "", "lost REMOTE_CLOSE", "how it ended")


func _stay_awake(peer: MultiplayerPeer, ends: Array) -> void:
	var start := Time.get_ticks_msec()
	var sent := {"packets": 0}
	var progress := {}
	var first_came := {}
	await until(func() -> bool:
		if sent.packets < FROM_AWAKE and Time.get_ticks_msec() >= start + sent.packets * INTERVAL_MS:
			check_eq(peer.put_packet(payload(SIZE, sent.packets)), OK, "put")
			sent.packets += 1
		while progress.get("packets", 0) < FROM_SLEEPER and peer.get_available_packet_count() > 0:
			var packet := peer.get_packet()
			progress.in_order = progress.get("in_order", true) and packet == payload(SIZE, progress.get("packets", 0))
			progress.packets = progress.get("packets", 0) + 1
			first_came.get_or_add("at", Time.get_ticks_msec() - start)
		return sent.packets == FROM_AWAKE and peer.get_available_packet_count() > 0, "the sleeper's word", 48.0)
	check_eq(progress, {"in_order": true, "packets": FROM_SLEEPER}, "what the sleeper sent before")
	# It left although no frame of the sleeper ended.
	check(first_came.get("at", 1 << 30) < 3000, "it came while the other slept: %s" % first_came)
	check_eq(peer.get_packet().get_string_from_utf8(), "bye", "the sleeper's word")
	check_eq(ends, [], "nobody was lost")
	check(Time.get_ticks_msec() - start > SLEEP_MS - 2000, "it did sleep")

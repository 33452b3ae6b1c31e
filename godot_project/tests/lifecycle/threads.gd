extends "res://tests/support/ferry_test.gd"
## Peers that are made, polled, read and dropped on threads of the game.

const PACKETS := 200


func _test() -> void:
	await _a_pair_on_threads_of_its_own()
	await _made_here_used_on_a_thread()
	await _several_threads_put_while_another_polls()
	await _the_last_reference_goes_on_a_thread()
	await _closed_and_opened_while_a_thread_polls()


# The server on a Thread, the client in the WorkerThreadPool; signals come on the thread that polls.
func _a_pair_on_threads_of_its_own() -> void:
	var server: MultiplayerPeer = make(server_class())
	check_eq(open_server(server), OK, "create_server")
	var port: int = port_of(server)
	var thread := Thread.new()
	thread.start(_echo.bind(server))
	var answers := []
	var task := WorkerThreadPool.add_task(func() -> void: answers.append(_ask(port)))
	await until(func() -> bool: return WorkerThreadPool.is_task_completed(task), "the task's end", 25.0)
	WorkerThreadPool.wait_for_task_completion(task)
	await until(func() -> bool: return not thread.is_alive(), "the thread's end", 25.0)
	check_eq(thread.wait_to_finish(), "echoed %d, signals on the polling thread: true" % PACKETS, "the server's thread")
	check_eq(answers, ["got %d of %d in order" % [PACKETS, PACKETS]], "the client's task")


func _echo(server: MultiplayerPeer) -> String:
	var echoed := 0
	var here := OS.get_thread_caller_id()
	var signals := []
	server.peer_connected.connect(func(_id: int) -> void: signals.append(OS.get_thread_caller_id() == here))
	server.peer_disconnected.connect(func(_id: int) -> void: signals.append(OS.get_thread_caller_id() == here))
	var deadline := Time.get_ticks_msec() + 20_000
	while signals.size() < 2 and Time.get_ticks_msec() < deadline:
		_poll(server)
		while server.get_available_packet_count() > 0:
			server.set_target_peer(server.get_packet_peer())
			if server.put_packet(server.get_packet()) == OK:
				echoed += 1
		OS.delay_msec(1)
	server.close()
	return "echoed %d, signals on the polling thread: %s" % [echoed, signals == [true, true]]


func _ask(port: int) -> String:
	var client: MultiplayerPeer = ClassDB.instantiate(client_class())
	if open_client(client, port) != OK:
		return "cannot be made"
	var deadline := Time.get_ticks_msec() + 15_000
	var sent := 0
	var progress := {}
	while progress.get("packets", 0) < PACKETS and Time.get_ticks_msec() < deadline:
		_poll(client)
		if is_connected_peer(client) and sent < PACKETS:
			client.set_target_peer(1)
			client.put_packet(payload(120, sent))
			sent += 1
		if is_connected_peer(client):
			read_numbered(client, 120, progress)
		OS.delay_usec(500)
	client.close()
	return "got %d of %d %s" % [progress.get("packets", 0), PACKETS, "in order" if progress.get("in_order", false) else "out of order"]


func _made_here_used_on_a_thread() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	polled = [server]
	var thread := Thread.new()
	thread.start(func() -> int:
		var failed := 0
		client.set_target_peer(1)
		for number in PACKETS:
			client.poll()
			if client.put_packet(payload(80, number)) != OK:
				failed += 1
			OS.delay_usec(200)
		return failed)
	var progress := {}
	await until(func() -> bool:
		read_numbered(server, 80, progress)
		return not thread.is_alive() and progress.get("packets", 0) == PACKETS, "everything that the thread sent")
	check_eq(thread.wait_to_finish(), 0, "puts that failed")
	check(progress.get("in_order", false), "in order")
	clean()


func _several_threads_put_while_another_polls() -> void:
	const THREADS := 3
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	var task := WorkerThreadPool.add_group_task(func(_which: int) -> void:
		for number in PACKETS:
			client.put_packet(payload(60)), THREADS)
	var got := [0]
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			if server.get_packet() == payload(60):
				got[0] += 1
		return WorkerThreadPool.is_group_task_completed(task) and got[0] >= THREADS * PACKETS, "what all threads sent")
	WorkerThreadPool.wait_for_group_task_completion(task)
	check_eq(got[0], THREADS * PACKETS, "packets")
	clean()


func _the_last_reference_goes_on_a_thread() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	polled = [server]
	# The only reference is in here, and the thread takes it out.
	var box := [client]
	client = null
	var thread := Thread.new()
	thread.start(func() -> void:
		box[0].put_packet(payload(33))
		box.clear())
	await until(func() -> bool: return server.get_available_packet_count() == 1, "its last packet")
	check_eq(describe_next(server, payload(33)), "from client, reliable, channel 0, 33 bytes", "its last packet")
	await until(func() -> bool: return log.server.has("peer_disconnected(client)"), "its goodbye")
	thread.wait_to_finish()
	clean()


# What the thread finds is now open and now closed; polling a closed peer is an error, and no more.
func _closed_and_opened_while_a_thread_polls() -> void:
	var server: MultiplayerPeer = make(server_class())
	var stop := [false]
	errors_expected(true)
	var thread := Thread.new()
	thread.start(func() -> int:
		var polls := 0
		while not stop[0]:
			if server.get_connection_status() != MultiplayerPeer.CONNECTION_DISCONNECTED:
				server.poll()
				server.put_packet(payload(10))
				polls += 1
			OS.delay_usec(50)
		return polls)
	for turn in 60:
		check_eq(open_server(server), OK, "create_server")
		OS.delay_msec(2)
		var client := client_of(port_of(server))
		await happens(func() -> bool: return is_connected_peer(client), 0.03)
		server.close()
		client.close()
		polled.clear()
	stop[0] = true
	await until(func() -> bool: return not thread.is_alive(), "the thread's end")
	var polls: int = thread.wait_to_finish()
	errors_expected(false)
	check(polls > 0, "it did poll: %d" % polls)
	check(is_gone(server), "closed in the end")

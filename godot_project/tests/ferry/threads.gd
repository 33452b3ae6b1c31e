extends "res://tests/support/parity_test.gd"
## A peer that is used from a thread of the game: works, or says clearly that it does not. Never a panic.


func _test() -> void:
	options["server"] = "FerryENetMultiplayerPeer"
	options["client"] = "FerryENetMultiplayerPeer"
	var server := new_server()
	var port: int = server.host.get_local_port()
	# Made, used and dropped on a thread.
	errors_expected(true)
	var thread := Thread.new()
	thread.start(_on_a_thread.bind(port))
	await until(func() -> bool: return not thread.is_alive(), "the thread's end")
	print("on a thread of its own: %s" % [thread.wait_to_finish()])
	# Made here, used there.
	var client := await connected_client(server, "client")
	polled.clear()
	thread = Thread.new()
	thread.start(_use.bind(client))
	await until(func() -> bool: return not thread.is_alive(), "the thread's end")
	var answer: Error = thread.wait_to_finish()
	errors_expected(false)
	check(answer in [OK, ERR_UNAVAILABLE], "put from a thread: %s" % error_string(answer))
	print("used on another thread: %s" % error_string(answer))
	server.close()
	client.close()


func _on_a_thread(port: int) -> String:
	var peer: MultiplayerPeer = ClassDB.instantiate(client_class())
	if peer.create_client(LOCALHOST, port) != OK:
		return "cannot be made"
	var deadline := Time.get_ticks_msec() + 2000
	while Time.get_ticks_msec() < deadline and peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTING:
		peer.poll()
		OS.delay_msec(2)
	var status := status_of(peer)
	peer.close()
	return status


func _use(peer: MultiplayerPeer) -> Error:
	peer.poll()
	peer.set_target_peer(1)
	return peer.put_packet(payload(5))

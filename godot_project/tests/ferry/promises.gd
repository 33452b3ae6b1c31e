extends "res://tests/support/ferry_test.gd"
## What Ferry promises beyond the built-in's behaviour, in one process. How peers begin, fail and end is in `lifecycle`.


func _test() -> void:
	await _nothing_is_thinned_out()
	await _two_polls_a_frame()
	await _many_come_and_go()


func _nothing_is_thinned_out() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1, MultiplayerPeer.TRANSFER_MODE_UNRELIABLE)
	var got := 0
	for number in 300:
		client.put_packet(payload(64, number))
		await process_frame
		server.poll()
		client.poll()
		while server.get_available_packet_count() > 0:
			server.get_packet()
			got += 1
	var deadline := Time.get_ticks_msec() + 2000
	while got < 300 and Time.get_ticks_msec() < deadline:
		await process_frame
		server.poll()
		while server.get_available_packet_count() > 0:
			server.get_packet()
			got += 1
	check_eq(got, 300, "unreliable packets")
	clean()


func _two_polls_a_frame() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	polled = [server, client, server, client]
	client.put_packet(payload(9))
	await until(func() -> bool: return server.get_available_packet_count() == 1, "the packet")
	check_eq(describe_next(server, payload(9)), "from client, reliable, channel 0, 9 bytes", "the packet")
	clean()


# The runtime is neither worn out nor left over.
func _many_come_and_go() -> void:
	for turn in 30:
		var server := new_server()
		var client := await connected_client(server, "client %d" % turn)
		if turn % 3 == 0:
			client.close()
		clean()
	check(true, "")

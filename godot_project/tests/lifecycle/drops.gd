extends "res://tests/support/ferry_test.gd"
## The last reference goes on a thread of the game's, right after a packet was put, while the main thread ends its frame.
##
## The call that was put off to the frame's end once met an object that was being freed, and the engine crashed.

const TURNS := 120


func _test() -> void:
	var server := new_server()
	var told := watch_reasons(server)
	var packets := [0]
	for turn in TURNS:
		var box := [client_of(port_of(server))]
		await until(func() -> bool: return is_connected_peer(box[0]), "connected")
		polled = [server]
		var thread := Thread.new()
		thread.start(func() -> void:
			# Now early in a frame of the main thread, now late.
			OS.delay_usec(turn * 20)
			box[0].set_target_peer(1)
			box[0].put_packet(payload(33))
			OS.delay_usec((turn % 7) * 30)
			box.clear())
		await until(func() -> bool: return not thread.is_alive(), "the thread's end")
		thread.wait_to_finish()
		await process_frame
		_read(server, packets)
	await until(func() -> bool:
		_read(server, packets)
		return told.size() == TURNS, "all have gone")
	check_eq(packets[0], TURNS, "last packets")
	clean()


# In each turn: who has gone is waited for with its packets for a second only.
func _read(server: MultiplayerPeer, packets: Array) -> void:
	while server.get_available_packet_count() > 0:
		packets[0] += int(server.get_packet() == payload(33))

extends "res://tests/support/parity_test.gd"
## One end of a connection in a process of its own, for what has to be done to processes.
##
## A server (`--role=server`) tells its port, counts packets and waits for the end of its one client. A client
## (`--role=client --port=`) connects and does what `--do=` says.


func _test() -> void:
	options["server"] = "FerryENetMultiplayerPeer"
	options["client"] = "FerryENetMultiplayerPeer"
	if options.get("role") == "server":
		await _serve()
	else:
		await _join()


func _serve() -> void:
	var server: MultiplayerPeer = make(server_class())
	server.peer_timeout = float(options.get("peer_timeout", 30.0))
	server.create_server(0)
	var ends := []
	server.peer_connected.connect(func(_id: int) -> void: print("END joined"))
	server.peer_lost.connect(func(_id: int, reason: int, _detail: String) -> void: ends.append(reason))
	polled.append(server)
	print("END port=%d" % server.host.get_local_port())
	var got := {"packets": 0, "in_order": true}
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			var packet := server.get_packet()
			got.in_order = got.in_order and packet == payload(packet.size(), got.packets)
			got.packets += 1
			if got.packets == int(options.get("tell_at", -1)):
				print("END got %d" % got.packets)
		return not ends.is_empty(), "the client's end", 40.0)
	print("END got %d in_order %s reason %s" % [got.packets, got.in_order, ends])
	server.close()


func _join() -> void:
	var client: MultiplayerPeer = make(client_class())
	client.peer_timeout = float(options.get("peer_timeout", 30.0))
	client.create_client(LOCALHOST, int(options.port))
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client), "connected")
	address(client, 1)
	match options.get("do", ""):
		"send_and_quit":
			# Neither closed nor polled: the process just goes.
			for number in 20:
				client.put_packet(payload(1000, number))
		"send_until_gone":
			print("END connected")
			var number := [0]
			await until(func() -> bool:
				if number[0] < 100:
					client.put_packet(payload(100, number[0]))
					number[0] += 1
				elif is_connected_peer(client):
					# All of it has to arrive before we leave.
					if client.get_peer_stats(1).queued_bytes == 0:
						client.close()
				return is_gone(client), "all sent", 40.0)
		"wait":
			await until(func() -> bool: return is_gone(client), "the end", 40.0)
		"lookup_and_quit":
			# A look-up is under way when the process goes.
			var other: MultiplayerPeer = make(client_class())
			other.create_client("nobody.invalid", 4000)
			other.poll()
			polled.append(other)
			await process_frame

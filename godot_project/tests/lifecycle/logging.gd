extends "res://tests/support/ferry_test.gd"
## Gives the log things to say: a full queue, and a flood of rubbish from strangers, while somebody plays.
##
## The Rust side sets the level and counts the lines.

const RUBBISH := 3000


func _test() -> void:
	var server := new_server()
	server.outbound_queue_limit = 20_000
	server.reliable_overflow = 1
	var client := await connected_client(server, "client")
	var port: int = server.host.get_local_port()
	print("LOGGING flood")
	var strangers: Array[PacketPeerUDP] = []
	for number in 10:
		var stranger := PacketPeerUDP.new()
		stranger.connect_to_host(LOCALHOST, port)
		strangers.append(stranger)
	var random := RandomNumberGenerator.new()
	random.seed = 4711
	for number in RUBBISH:
		var rubbish := PackedByteArray()
		rubbish.resize(random.randi_range(1, 1400))
		for place in mini(rubbish.size(), 40):
			rubbish[place] = random.randi() & 0xFF
		strangers[number % strangers.size()].put_packet(rubbish)
		if number % 100 == 0:
			server.poll()
			client.poll()
			OS.delay_msec(2)
	await until(func() -> bool: return server.get_stats().datagrams_rejected > RUBBISH / 2, "the rubbish is counted")
	print("LOGGING rejected %d of %d" % [server.get_stats().datagrams_rejected, RUBBISH])
	address(client, 1)
	client.put_packet(payload(50))
	await until(func() -> bool: return server.get_available_packet_count() == 1, "an honest packet")
	print("LOGGING overflow")
	address(server, client.get_unique_id())
	for number in 200:
		server.put_packet(payload(10_000))
	await linger(0.2)
	print("LOGGING end")
	clean()

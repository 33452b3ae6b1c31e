extends "res://tests/support/scene_test.gd"
## With a library that panics on purpose: the engine is told that it failed, and the WebSocket peers go on, those of a
## game and single ones.


func _test() -> void:
	var server: MultiplayerPeer = make("FerryWebSocketMultiplayerPeer")
	var client: MultiplayerPeer = make("FerryWebSocketMultiplayerPeer")
	var socket: PacketPeer = make("FerryWebSocketPeer")
	if server == null or client == null or socket == null:
		return
	polled = [server, client, socket]
	check_eq(server.create_server(0), OK, "create_server")
	var url := "ws://127.0.0.1:%d" % server.get_local_port()
	check_eq(client.create_client(url), OK, "create_client")
	check_eq(socket.connect_to_url(url), OK, "connect_to_url")
	await until(func() -> bool: return client.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED, "connected")
	await until(func() -> bool: return socket.get_ready_state() == WebSocketPeer.STATE_OPEN and socket.get_available_packet_count() == 1, "open")
	check_eq(socket.get_packet().size(), 4, "its id")

	for sender: PacketPeer in [client, socket]:
		var kind := sender.get_class()
		check_eq(sender.put_packet("panic when put".to_utf8_buffer()), FAILED, "a put that panics, of " + kind)
		check_eq(sender.put_packet("panic when read".to_utf8_buffer()), OK, "a put of " + kind)
		check_eq(sender.put_packet("well".to_utf8_buffer()), OK, "a put after a panic, of " + kind)
		await until(func() -> bool: return server.get_available_packet_count() == 2, "two packets of " + kind)
		check_eq(server.get_packet(), PackedByteArray(), "a packet whose reading panics")
		check_eq(server.get_packet_error(), FAILED, "its error")
		check_eq(server.get_packet().get_string_from_utf8(), "well", "the packet behind it")

	# To both; then each reads for itself.
	server.set_target_peer(0)
	for word: String in ["panic when read", "well"]:
		check_eq(server.put_packet(word.to_utf8_buffer()), OK, "a broadcast")
	for reader: PacketPeer in [client, socket]:
		var kind := reader.get_class()
		await until(func() -> bool: return reader.get_available_packet_count() == 2, "two packets at " + kind)
		check_eq(reader.get_packet(), PackedByteArray(), "a packet whose reading panics, at " + kind)
		check_eq(reader.get_packet_error(), FAILED, "its error at " + kind)
		check_eq(reader.get_packet().get_string_from_utf8(), "well", "the packet behind it, at " + kind)
	client.close()
	socket.close()
	server.close()

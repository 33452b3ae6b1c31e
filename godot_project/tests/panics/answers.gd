extends "res://tests/support/scene_test.gd"
## With a library that panics on purpose: the engine is told that it failed, and the peer goes on.

func _test() -> void:
	var server: MultiplayerPeer = make("FerryENetMultiplayerPeer")
	var client: MultiplayerPeer = make("FerryENetMultiplayerPeer")
	if server == null or client == null:
		return
	polled = [server, client]
	check_eq(server.create_server(0), OK, "create_server")
	check_eq(client.create_client("127.0.0.1", server.host.get_local_port()), OK, "create_client")
	await until(func() -> bool: return client.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED, "connected")

	check_eq(client.put_packet("panic when put".to_utf8_buffer()), FAILED, "a put that panics")
	check_eq(client.put_packet("panic when read".to_utf8_buffer()), OK, "a put")
	check_eq(client.put_packet("well".to_utf8_buffer()), OK, "a put after a panic")
	await until(func() -> bool: return server.get_available_packet_count() == 2, "two packets")
	check_eq(server.get_packet(), PackedByteArray(), "a packet whose reading panics")
	check_eq(server.get_packet_error(), FAILED, "its error")
	check_eq(server.get_packet().get_string_from_utf8(), "well", "the packet behind it")
	client.close()
	server.close()

extends "res://tests/support/webrtc_test.gd"
## A library that panics where it is asked to: a panic is an error to the game.


func _test() -> void:
	var pair := new_pair()
	var ends: Array[WebRTCDataChannel] = []
	for connection in pair:
		ends.append(connection.create_data_channel("chat", {"negotiated": true, "id": 1}))
	check_eq(pair[0].create_offer(), OK, "create_offer")
	await until(func() -> bool: return ends.all(is_open), "open")
	check_eq(ends[0].put_packet("panic when put".to_utf8_buffer()), FAILED, "a put that panics")
	check_eq(ends[0].put_packet("panic when read".to_utf8_buffer()), OK, "a put")
	check_eq(ends[0].put_packet("well".to_utf8_buffer()), OK, "a put after a panic")
	await until(func() -> bool: return ends[1].get_available_packet_count() == 2, "two messages")
	check_eq(ends[1].get_packet(), PackedByteArray(), "a message whose reading panics")
	check_eq(ends[1].get_packet_error(), FAILED, "its error")
	check_eq(ends[1].get_packet().get_string_from_utf8(), "well", "the message behind it")
	var another := pair[0].create_data_channel("panic when made")
	check(another == null, "a channel whose making panics")
	check_eq(pair[0].set_remote_description("offer", "panic when set"), FAILED, "a description that panics")
	check_eq(pair[0].add_ice_candidate("data", 0, "panic when added"), FAILED, "a candidate that panics")
	# Nothing is the worse for it.
	check(is_connected_pair(pair) and ends.all(is_open), "all stands")
	check(pair[0].create_data_channel("another") != null, "a channel after a panic")
	check_eq(ends[1].put_packet("still here".to_utf8_buffer()), OK, "a put in the end")
	await until(func() -> bool: return ends[0].get_available_packet_count() == 1, "the last message")
	clean()
	await _a_peer()


func _a_peer() -> void:
	var peers: Array[MultiplayerPeer] = [make("FerryWebRTCMultiplayerPeer"), make("FerryWebRTCMultiplayerPeer")]
	var pair := new_pair()
	polled.assign(peers)
	check_eq([peers[0].call(&"create_server"), peers[1].call(&"create_client", 2)], [OK, OK], "open")
	check_eq([peers[0].call(&"add_peer", pair[0], 2), peers[1].call(&"add_peer", pair[1], 1)], [OK, OK], "add_peer")
	check_eq(pair[1].create_offer(), OK, "create_offer")
	await until(func() -> bool: return peers[0].call(&"get_peers").has(2) and peers[0].call(&"get_peer", 2).connected, "connected")
	peers[0].set_target_peer(2)
	check_eq(peers[0].put_packet("panic when put".to_utf8_buffer()), FAILED, "a put of a peer that panics")
	check_eq(peers[0].put_packet("panic when read".to_utf8_buffer()), OK, "a put of a peer")
	check_eq(peers[0].put_packet("well".to_utf8_buffer()), OK, "a put of a peer after a panic")
	await until(func() -> bool: return peers[1].get_available_packet_count() == 2, "two packets")
	check_eq(peers[1].get_packet(), PackedByteArray(), "a packet whose reading panics")
	check_eq(peers[1].get_packet().get_string_from_utf8(), "well", "the packet behind it")
	clean()

extends "res://tests/support/webrtc_peers_test.gd"
## Why connections over WebRTC end, at each end: the signals that all of Ferry's peers have, in their order, and the figures.


func _test() -> void:
	await _stands_and_is_left()
	await _kicked()
	await _closed_while_it_is_made()
	await _nobody_answers()
	await _too_much()
	await _figures()


# A server and a client with what they tell.
func _pair(setting_up := Callable()) -> Dictionary:
	var server := new_server()
	var client: MultiplayerPeer = make(client_class())
	var pair := {"server": server, "client": client, "there": watch_reasons(server), "here": watch_reasons(client)}
	client.peer_connected.connect(func(_id: int) -> void: pair.here.append("connected"))
	var weak: WeakRef = weakref(client)
	var here: Array = pair.here
	client.peer_disconnected.connect(func(_id: int) -> void: here.append("disconnected, " + status_of(weak.get_ref())))
	client.server_disconnected.connect(func(_reason: int) -> void: here.append(status_of(weak.get_ref())))
	client.connection_failed.connect(func(_reason: int) -> void: here.append(status_of(weak.get_ref())))
	client.create_client(2)
	polled.append(client)
	if setting_up.is_valid():
		setting_up.call(server, client)
	introduce(server, client)
	return pair


func _standing_pair(setting_up := Callable()) -> Dictionary:
	var pair := _pair(setting_up)
	await until(func() -> bool: return is_connected_peer(pair.client) and pair.server.get_peer(2).connected, "connected")
	check_eq(pair.here, ["connected", "succeeded"], "how a client begins")
	pair.here.clear()
	return pair


func _stands_and_is_left() -> void:
	var pair := await _standing_pair()
	pair.client.close()
	await until(func() -> bool: return pair.there.size() > 0, "left")
	check_eq(pair.there, ["lost REMOTE_CLOSE"], "a client leaves")
	check_eq(pair.here, [], "who closes hears nothing")
	check_eq(reason_name(pair.server.get_disconnect_reason(2)), "REMOTE_CLOSE", "remembered")
	clean()
	pair = await _standing_pair()
	pair.server.close()
	await until(func() -> bool: return is_gone(pair.client), "left")
	check_eq(pair.here, ["disconnected, connected", "lost REMOTE_CLOSE", "server gone REMOTE_CLOSE", "disconnected"], "the server leaves")
	clean()


func _kicked() -> void:
	var pair := await _standing_pair()
	address(pair.server, 2)
	pair.server.put_packet(payload(20))
	pair.server.disconnect_peer(2)
	await until(func() -> bool: return pair.client.get_available_packet_count() > 0, "the last word")
	check_eq(pair.client.get_packet(), payload(20), "what was sent before arrives")
	await until(func() -> bool: return is_gone(pair.client) and pair.there.size() > 0, "kicked")
	check_eq(pair.there, ["lost LOCAL_CLOSE"], "who kicks")
	check_eq(pair.here, ["disconnected, connected", "lost KICKED", "server gone KICKED", "disconnected"], "who is kicked")
	clean()


func _closed_while_it_is_made() -> void:
	var pair := _pair()
	pair.client.get_peer(1).connection.close()
	await until(func() -> bool: return is_gone(pair.client), "failed")
	check_eq(pair.here, ["failed LOCAL_CLOSE", "disconnected"], "closed by the script")
	clean()


func _nobody_answers() -> void:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	client.connect_timeout = 0.3
	client.create_client(2)
	var there := new_connection()
	var here := new_connection()
	client.add_peer(here, 1)
	# The other end's descriptions come, and it is gone.
	there.create_data_channel("reliable", {"negotiated": true, "id": 1})
	Introduction.introduce(there, here)
	here.create_offer()
	polled = [client]
	await until(func() -> bool:
		there.poll()
		return here.get_signaling_state() == WebRTCPeerConnection.SIGNALING_STATE_STABLE, "both descriptions")
	there.close()
	# Candidates still go to the one that is closed.
	errors_expected(true)
	await until(func() -> bool: return is_gone(client), "given up")
	errors_expected(false)
	check_eq(told, ["failed ICE_FAILED"], "nobody answers")
	clean()


func _too_much() -> void:
	var pair := await _standing_pair(func(server: MultiplayerPeer, _client: MultiplayerPeer) -> void: server.outbound_queue_limit = 100000)
	address(pair.server, 2)
	var error := OK
	for number in 10000:
		error = pair.server.put_packet(payload(50000, number))
		if error != OK:
			break
	check_eq(error, ERR_OUT_OF_MEMORY, "there is a limit")
	await until(func() -> bool: return pair.there.size() > 0, "disconnected")
	check_eq(pair.there, ["lost QUEUE_FULL"], "who takes too little")
	clean()


func _figures() -> void:
	var pair := await _standing_pair()
	address(pair.client, 1)
	for number in 10:
		pair.client.put_packet(payload(100, number))
	await until(func() -> bool: return pair.server.get_available_packet_count() == 10, "ten packets")
	await until(func() -> bool: return (
			pair.server.get_peer_stats(2).packets_received >= 10 and pair.client.get_peer_stats(1).packets_sent >= 10), "figures")
	var stats: Dictionary = pair.server.get_peer_stats(2)
	check_eq([stats.transport, stats.encrypted], ["webrtc", true], "what it is")
	check(stats.bytes_received > 1000, "bytes: %s" % [stats])
	check_eq(pair.server.get_stats().peers, 1, "peers")
	pair.client.close()
	while pair.server.get_available_packet_count() > 0:
		pair.server.get_packet()
	await until(func() -> bool: return pair.there.size() > 0, "left")
	check(pair.server.get_peer_stats(2).packets_received >= 10, "the last figures are kept")
	clean()

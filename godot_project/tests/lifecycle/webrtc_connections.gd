extends "res://tests/support/webrtc_test.gd"
## The life of connections and channels by themselves: used on threads, dropped at any moment and in any handler, and what is left of
## their objects afterwards.

const MESSAGES := 200


func _test() -> void:
	await _on_a_thread()
	await _dropped_at_any_moment()
	await _dropped_in_any_handler()
	await _channels_of_connections_that_are_gone()
	await _a_peers_objects_outlive_it()
	await _the_scene_changes_in_a_handler()


func _payload(number: int) -> PackedByteArray:
	var bytes := PackedByteArray()
	bytes.resize(500)
	bytes.fill(number % 251)
	return bytes


func _channels(pair: Array[WebRTCPeerConnection]) -> Array[WebRTCDataChannel]:
	var ends: Array[WebRTCDataChannel] = []
	for connection in pair:
		ends.append(connection.create_data_channel("chat", {"negotiated": true, "id": 1}))
	check_eq(pair[0].create_offer(), OK, "create_offer")
	return ends


# Both are polled, written and read on a thread, and dropped there; their signals come there, too.
func _on_a_thread() -> void:
	var told := []
	var here := OS.get_thread_caller_id()
	var thread := Thread.new()
	thread.start(func() -> String:
		var pair := new_pair()
		# The main thread does not poll them, too.
		polled.clear()
		pair[0].session_description_created.connect(func(_type: String, _sdp: String) -> void:
			told.append(OS.get_thread_caller_id() != here))
		var ends := _channels(pair)
		var sent := 0
		var right := 0
		var deadline := Time.get_ticks_msec() + 15_000
		while right < MESSAGES and Time.get_ticks_msec() < deadline:
			for one: Object in pair:
				one.call(&"poll")
			if sent < MESSAGES and ends.all(is_open):
				sent += int(ends[0].put_packet(_payload(sent)) == OK)
			while ends[1].get_available_packet_count() > 0:
				right += int(ends[1].get_packet() == _payload(right))
			OS.delay_usec(300)
		return "%d sent, %d right" % [sent, right])
	await until(func() -> bool: return not thread.is_alive(), "the thread's end", 20.0)
	check_eq(thread.wait_to_finish(), "%d sent, %d right" % [MESSAGES, MESSAGES], "what it got")
	check_eq(told, [true], "signals come on the thread that polls")
	clean()


# From the first moment to the last: an end goes while the other goes on.
func _dropped_at_any_moment() -> void:
	for turns: int in [0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 100]:
		for which: int in [0, 1]:
			var pair := new_pair()
			var ends := _channels(pair)
			for _turn in turns:
				for one: Object in pair:
					one.call(&"poll")
				for channel in ends:
					if is_open(channel):
						channel.put_packet(_payload(turns))
				OS.delay_msec(1)
			var watcher: WeakRef = weakref(pair[which])
			polled.clear()
			pair.remove_at(which)
			check(watcher.get_ref() == null, "gone after %d turns" % turns)
			# Their ends are shut at once, without a poll.
			check(is_shut(ends[which]), "a channel without a connection, after %d turns" % turns)
			for _turn in 3:
				(pair[0] as Object).call(&"poll")
				await process_frame
			clean()


# The handler frees what is emitting.
func _dropped_in_any_handler() -> void:
	for which: String in ["session_description_created", "ice_candidate_created", "data_channel_received"]:
		var box := {"pair": new_pair()}
		polled.clear()
		var called := []
		var watcher: WeakRef = weakref(box.pair[1])
		var arguments: int = {"session_description_created": 2, "ice_candidate_created": 3, "data_channel_received": 1}[which]
		box.pair[1].connect(which, (func() -> void:
			called.append(which)
			box.clear()).unbind(arguments))
		box.channel = box.pair[0].create_data_channel("chat")
		check_eq(box.pair[0].create_offer(), OK, "create_offer")
		await until(func() -> bool:
			for number: int in [0, 1]:
				if box.has("pair"):
					# The call itself must not hold a reference, as a script's call on a variable does.
					(box.pair[number] as Object).call(&"poll")
			return not called.is_empty(), which)
		await process_frame
		check(watcher.get_ref() == null, "gone after %s" % which)


# A script keeps the channels, and drops the connections: they answer, and hold nothing.
func _channels_of_connections_that_are_gone() -> void:
	var pair := new_pair()
	var ends := _channels(pair)
	await until(func() -> bool: return ends.all(is_open), "open")
	ends[0].put_packet(_payload(1))
	await until(func() -> bool: return ends[1].get_available_packet_count() == 1, "a message")
	polled.clear()
	pair.clear()
	await process_frame
	check(ends.all(is_shut), "closed with their connections")
	check(ends[1].get_packet() == _payload(1), "what had come can still be read")
	errors_expected(true)
	for channel in ends:
		check(channel.put_packet(_payload(2)) != OK, "a put afterwards")
		channel.poll()
		channel.close()
		check_eq([channel.get_label(), channel.get_available_packet_count(), channel.get_buffered_amount()], ["chat", 0, 0], "what it says")
	errors_expected(false)


# The connection and the channels that `get_peer` gave.
func _a_peers_objects_outlive_it() -> void:
	for how: String in ["close", "drop", "remove"]:
		var peers: Array[MultiplayerPeer] = [make("FerryWebRTCMultiplayerPeer"), make("FerryWebRTCMultiplayerPeer")]
		check_eq([peers[0].call(&"create_server"), peers[1].call(&"create_client", 2)], [OK, OK], "open")
		var pair := new_pair()
		check_eq([peers[0].call(&"add_peer", pair[0], 2), peers[1].call(&"add_peer", pair[1], 1)], [OK, OK], "add_peer")
		polled.assign(peers)
		check_eq(pair[1].create_offer(), OK, "create_offer")
		await until(func() -> bool: return peers[0].call(&"get_peer", 2).connected and peers[1].call(&"get_peer", 1).connected, "connected")
		var kept: Dictionary = peers[0].call(&"get_peer", 2)
		pair.clear()
		polled = [peers[1]]
		match how:
			"close":
				peers[0].close()
			"drop":
				peers[0] = null
			"remove":
				peers[0].call(&"remove_peer", 2)
		await until(func() -> bool: return peers[1].get_connection_status() == MultiplayerPeer.CONNECTION_DISCONNECTED, "the other has heard: " + how)
		check_eq(kept.connection.get_connection_state(), WebRTCPeerConnection.STATE_CLOSED, "the connection after " + how)
		check(kept.channels.all(is_shut), "its channels after " + how)
		errors_expected(true)
		check(kept.channels[0].put_packet(_payload(1)) != OK, "a put after " + how)
		errors_expected(false)
		clean()


# As games do it: the level goes, with the peer and whatever else, when somebody comes.
func _the_scene_changes_in_a_handler() -> void:
	var peers: Array[MultiplayerPeer] = [make("FerryWebRTCMultiplayerPeer"), make("FerryWebRTCMultiplayerPeer")]
	peers[0].call(&"create_server")
	peers[1].call(&"create_client", 2)
	var pair := new_pair()
	peers[0].call(&"add_peer", pair[0], 2)
	peers[1].call(&"add_peer", pair[1], 1)
	check_eq(pair[1].create_offer(), OK, "create_offer")
	var watcher: WeakRef = weakref(peers[1])
	var other: MultiplayerPeer = peers[0]
	polled = [other]
	var api := get_multiplayer()
	api.multiplayer_peer = peers[1]
	pair.clear()
	peers.clear()
	var level := Node.new()
	root.add_child(level)
	var next := PackedScene.new()
	var fresh := Node.new()
	fresh.name = "Fresh"
	next.pack(fresh)
	fresh.free()
	var handler := func() -> void:
		change_scene_to_packed(next)
		api.multiplayer_peer = null
		level.free()
	api.connected_to_server.connect(handler)
	await until(func() -> bool: return current_scene != null and current_scene.name == "Fresh", "the next scene")
	api.connected_to_server.disconnect(handler)
	check(watcher.get_ref() == null, "the peer is gone")
	await until(func() -> bool: return other.call(&"get_peers").is_empty(), "the other end has heard")
	clean()

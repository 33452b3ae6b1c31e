extends "res://tests/support/webrtc_test.gd"
## Two WebRTC connections of one process that reach each other: channels of both kinds, text and bytes, what is put in the
## frame of the close, and who is told what at the end.


func _test() -> void:
	await _negotiated_channels()
	await _announced_channels()
	await _an_announced_channel_that_nobody_keeps_is_closed()
	await _a_channel_that_is_closed_is_closed_at_the_other_end()
	await _what_came_before_the_close_can_be_read()
	await _a_connection_that_is_dropped_is_closed_at_the_other_end()
	await _a_queue_that_is_full()
	await _messages_too_long()
	await _channels_made_later()
	await _handlers_may_do_anything()


## The two ends of a channel with these options, on connections that stand.
func _channel_pair(pair: Array[WebRTCPeerConnection], options := {}) -> Array[WebRTCDataChannel]:
	var ends: Array[WebRTCDataChannel] = []
	for connection in pair:
		ends.append(connection.create_data_channel("pair", options.merged({"negotiated": true, "id": 1})))
	if pair[0].get_connection_state() == WebRTCPeerConnection.STATE_NEW:
		check_eq(pair[0].create_offer(), OK, "create_offer")
	await until(func() -> bool: return ends.all(is_open), "both ends open")
	return ends


func _receive(channel: WebRTCDataChannel, what: String) -> PackedByteArray:
	await until(func() -> bool: return channel.get_available_packet_count() > 0, what)
	return channel.get_packet()


func _bytes(size: int, number := 0) -> PackedByteArray:
	var bytes := PackedByteArray()
	bytes.resize(size)
	bytes.fill(number % 251)
	if size >= 4:
		bytes.encode_u32(0, number)
	return bytes


func _negotiated_channels() -> void:
	var pair := new_pair()
	var told := []
	note_signals(pair[1], told)
	var ends := await _channel_pair(pair, {"protocol": "chat"})
	await until(func() -> bool: return is_connected_pair(pair), "connected")
	check_eq([ends[0].get_id(), ends[0].get_protocol()], [1, "chat"], "a negotiated channel")
	check(not told.any(func(entry: Array) -> bool: return entry[0] == "data_channel_received"), "nothing is announced")
	for from: int in [0, 1]:
		for number in 300:
			check_eq(ends[from].put_packet(_bytes(100, number)), OK, "put")
	for to: int in [0, 1]:
		for number in 300:
			var message := await _receive(ends[to], "message %d" % number)
			check(message == _bytes(100, number), "message %d in its place" % number)
		check(not ends[to].was_string_packet(), "bytes")
	ends[0].write_mode = WebRTCDataChannel.WRITE_MODE_TEXT
	check_eq(ends[0].put_packet("Grüße".to_utf8_buffer()), OK, "a text")
	check_eq((await _receive(ends[1], "the text")).get_string_from_utf8(), "Grüße", "the text")
	check(ends[1].was_string_packet(), "it is text")
	check_eq(expecting_errors(ends[0].put_packet.bind(PackedByteArray([0xFF, 0xFE]))), ERR_INVALID_PARAMETER, "a text that is none")
	var figures: Dictionary = pair[0].call(&"get_stats")
	check_eq([figures.transport, figures.encrypted], ["webrtc", true], "figures")
	check_eq(pair[0].call(&"get_disconnect_reason"), 0, "no reason while it stands")
	clean()


func _announced_channels() -> void:
	var pair := new_pair()
	var received: Array[WebRTCDataChannel] = []
	pair[1].data_channel_received.connect(func(channel: WebRTCDataChannel) -> void: received.append(channel))
	var made := pair[0].create_data_channel("Käse", {"protocol": "fondue", "ordered": false, "maxRetransmits": 2})
	check_eq(made.get_id(), 65535, "the id is not known yet")
	check_eq(pair[0].create_offer(), OK, "create_offer")
	await until(func() -> bool: return is_open(made) and received.size() == 1, "announced")
	var other := received[0]
	check_eq(other.get_class(), "FerryWebRTCDataChannel", "what is received")
	check(is_open(other), "it is open in the handler's frame")
	check_eq([other.get_label(), other.get_protocol(), other.is_ordered(), other.get_max_retransmits()], ["Käse", "fondue", false, 2], "how it was announced")
	check_eq(other.is_negotiated(), false, "it was announced")
	check(made.get_id() < 65535 and made.get_id() == other.get_id(), "its id at both ends")
	# And back, over the same channel.
	for pass_number in 2:
		var from: WebRTCDataChannel = [made, other][pass_number]
		var to: WebRTCDataChannel = [other, made][pass_number]
		check_eq(from.put_packet(_bytes(2000, pass_number)), OK, "put")
		check(await _receive(to, "a message") == _bytes(2000, pass_number), "the message")
	received.clear()
	clean()


func _an_announced_channel_that_nobody_keeps_is_closed() -> void:
	var pair := new_pair()
	var made := pair[0].create_data_channel("lost")
	pair[0].create_offer()
	await until(func() -> bool: return is_shut(made), "closed, since nobody kept the other end")
	check(is_connected_pair(pair), "the connection stands")
	clean()


func _a_channel_that_is_closed_is_closed_at_the_other_end() -> void:
	var pair := new_pair()
	var ends := await _channel_pair(pair)
	ends[0].put_packet(_bytes(50, 7))
	ends[0].close()
	check_eq(ends[0].get_ready_state(), WebRTCDataChannel.STATE_CLOSING, "state after close")
	check_eq(expecting_errors(ends[0].put_packet.bind(_bytes(5))), ERR_UNCONFIGURED, "a put after close")
	await until(func() -> bool: return ends.all(is_shut), "closed at both ends")
	check(is_connected_pair(pair), "the connection stands")
	check(ends[1].get_packet() == _bytes(50, 7), "what was put before the close")
	# Its number can be used again.
	var again := await _channel_pair(pair)
	again[0].put_packet(_bytes(9, 9))
	check(await _receive(again[1], "a message on the second") == _bytes(9, 9), "a message on the second of its number")
	# Letting go is closing.
	var kept := again[1]
	again.clear()
	await until(func() -> bool: return is_shut(kept), "closed since the other end was let go of")
	clean()


func _what_came_before_the_close_can_be_read() -> void:
	var pair := new_pair()
	var ends := await _channel_pair(pair)
	for number in 20:
		ends[0].put_packet(_bytes(1000, number))
	pair[0].close()
	check_eq(pair[0].get_connection_state(), WebRTCPeerConnection.STATE_CLOSED, "state after close")
	await until(func() -> bool: return pair[1].get_connection_state() == WebRTCPeerConnection.STATE_CLOSED, "the other end has seen the close")
	check_eq(reason_name(pair[1]), "REMOTE_CLOSE", "why")
	check(is_shut(ends[1]), "its channel is closed")
	check_eq(ends[1].get_available_packet_count(), 20, "messages put in the frame of the close")
	for number in 20:
		check(ends[1].get_packet() == _bytes(1000, number), "message %d" % number)
	clean()


func _a_connection_that_is_dropped_is_closed_at_the_other_end() -> void:
	var pair := new_pair()
	var ends := await _channel_pair(pair)
	ends[0].put_packet(_bytes(10, 3))
	var left: WebRTCPeerConnection = pair[1]
	polled = [left]
	pair.clear()
	await until(func() -> bool: return left.get_connection_state() == WebRTCPeerConnection.STATE_CLOSED, "the other end has seen it")
	check(ends[1].get_packet() == _bytes(10, 3), "what was put in the frame of the drop")
	clean()


func _a_queue_that_is_full() -> void:
	var pair := new_pair()
	pair[0].set(&"outbound_queue_limit", 200_000)
	pair[1].set(&"inbound_queue_limit", 100_000)
	var ends := await _channel_pair(pair)
	# In a dictionary, since a lambda has copies of numbers.
	var count := {"put": 0, "read": 0}
	errors_expected(true)
	# Nobody reads at the other end, so it comes to rest.
	await until(func() -> bool:
		while ends[0].put_packet(_bytes(10_000, count.put)) == OK:
			count.put += 1
		return count.put > 20 and ends[0].get_buffered_amount() > 100_000, "a full queue")
	errors_expected(false)
	check_eq(expecting_errors(ends[0].put_packet.bind(_bytes(200_000))), ERR_OUT_OF_MEMORY, "a put that does not fit")
	check(count.put < 60, "%d were put, and nobody reads" % count.put)
	await until(func() -> bool:
		while ends[1].get_available_packet_count() > 0:
			check(ends[1].get_packet() == _bytes(10_000, count.read), "message %d of %d" % [count.read, count.put])
			count.read += 1
		return count.read == count.put, "all that were put are read")
	await until(func() -> bool: return ends[0].get_buffered_amount() == 0, "nothing waits any more")
	check_eq(ends[0].put_packet(_bytes(10)), OK, "a put once there is room")
	clean()


func _messages_too_long() -> void:
	var pair := new_pair({"ferry": {"loopback": "always", "max_message_size": 50_000}})
	var ends := await _channel_pair(pair)
	check_eq(ends[0].put_packet(_bytes(50_000, 1)), OK, "the longest message")
	check_eq(expecting_errors(ends[0].put_packet.bind(_bytes(50_001))), ERR_OUT_OF_MEMORY, "one longer than that")
	check(await _receive(ends[1], "the longest message") == _bytes(50_000, 1), "the longest message")
	clean()


func _channels_made_later() -> void:
	var pair := new_pair()
	var ends := await _channel_pair(pair)
	var received: Array[WebRTCDataChannel] = []
	pair[0].data_channel_received.connect(func(channel: WebRTCDataChannel) -> void: received.append(channel))
	var later := pair[1].create_data_channel("later", {"maxPacketLifetime": 500})
	await until(func() -> bool: return is_open(later) and received.size() == 1, "a channel made while the connection stands")
	check_eq(received[0].get_max_packet_life_time(), 500, "its life time")
	later.put_packet(_bytes(30, 4))
	check(await _receive(received[0], "a message on it") == _bytes(30, 4), "its message")
	check(is_open(ends[0]), "the first one is still open")
	received.clear()
	clean()


func _handlers_may_do_anything() -> void:
	# The connection is closed, or let go of, by the handler that is told of a channel.
	for deed: String in ["close", "initialize", "free", "poll"]:
		var pair := new_pair()
		var holder := [pair[1]]
		var weak: WeakRef = weakref(pair[1])
		var seen := []
		pair[1].data_channel_received.connect(func(channel: WebRTCDataChannel) -> void:
			seen.append(channel.get_label())
			if deed == "free":
				holder.clear()
			else:
				weak.get_ref().call(deed))
		var made: Array[WebRTCDataChannel] = []
		for number in 3:
			made.append(pair[0].create_data_channel("channel %d" % number))
		pair[0].create_offer()
		if deed == "free":
			polled = [pair[0]]
			pair.resize(1)
		await until(func() -> bool:
			if not holder.is_empty():
				holder[0].poll()
			return seen.size() > 0 and made.all(is_shut), "all is closed after a handler did: " + deed)
		# The handler holds it.
		holder.clear()
		clean()


## Why this connection ended, by name.
func reason_name(connection: WebRTCPeerConnection) -> String:
	for name in ClassDB.class_get_enum_constants(&"FerryDisconnect", &"Reason"):
		if ClassDB.class_get_integer_constant(&"FerryDisconnect", name) == connection.call(&"get_disconnect_reason"):
			return name
	return "unknown"

extends "res://tests/support/webrtc_peers_test.gd"
## Connections that are not Ferry's as peers of a game: those that a script plays, and Ferry's own behind a script, which
## carries real packets. (A script cannot reach the bytes of a packet by itself.)

func _test() -> void:
	_makes_channels()
	await _connects_and_sends()
	await _takes_again_what_did_not_fit()
	await _ends()
	await _fails_before_it_stands()
	await _is_silent()
	await _closes_in_its_own_calls()
	if not options.has("played_only"):
		await _carries_packets()


## A data channel that a script plays.
class PlayedChannel extends WebRTCDataChannelExtension:
	var label := ""
	var channel_options := {}
	var state := STATE_CONNECTING
	var answers: Array[int] = []
	var when_put := Callable()
	var sizes: Array[int] = []
	var buffered := 0

	func _poll() -> Error:
		return OK

	func _close() -> void:
		state = STATE_CLOSED

	func _set_write_mode(_mode: WriteMode) -> void:
		pass

	func _get_write_mode() -> WriteMode:
		return WRITE_MODE_BINARY

	func _was_string_packet() -> bool:
		return false

	func _get_ready_state() -> ChannelState:
		return state

	func _get_label() -> String:
		return label

	func _is_ordered() -> bool:
		return channel_options.ordered

	func _get_id() -> int:
		return channel_options.id

	func _get_max_packet_life_time() -> int:
		return channel_options.get("maxPacketLifeTime", 65535)

	func _get_max_retransmits() -> int:
		return 65535

	func _get_protocol() -> String:
		return ""

	func _is_negotiated() -> bool:
		return channel_options.negotiated

	func _get_buffered_amount() -> int:
		return buffered

	func _get_available_packet_count() -> int:
		return 0

	func _get_max_packet_size() -> int:
		return 1200

	func _put_packet(_bytes: Variant, size: int) -> Error:
		var answer: int = OK if answers.is_empty() else answers.pop_front()
		if answer == OK:
			sizes.append(size)
		if when_put.is_valid():
			when_put.call()
		return answer as Error

	func _get_packet(_bytes: Variant, _size: Variant) -> Error:
		return FAILED


## A connection that a script plays.
class PlayedConnection extends WebRTCPeerConnectionExtension:
	var state := STATE_NEW
	var channels: Array[PlayedChannel] = []
	var makes := 100
	var closings := 0
	var when_polled := Callable()

	func _get_connection_state() -> ConnectionState:
		return state

	func _get_gathering_state() -> GatheringState:
		return GATHERING_STATE_NEW

	func _get_signaling_state() -> SignalingState:
		return SIGNALING_STATE_STABLE

	func _initialize(_configuration: Dictionary) -> Error:
		return OK

	func _create_data_channel(label: String, channel_options: Dictionary) -> WebRTCDataChannel:
		if channels.size() >= makes:
			return null
		var channel := PlayedChannel.new()
		channel.label = label
		channel.channel_options = channel_options
		channels.append(channel)
		return channel

	func _create_offer() -> Error:
		return OK

	func _set_remote_description(_kind: String, _text: String) -> Error:
		return OK

	func _set_local_description(_kind: String, _text: String) -> Error:
		return OK

	func _add_ice_candidate(_media: String, _index: int, _name: String) -> Error:
		return OK

	func _poll() -> Error:
		if when_polled.is_valid():
			when_polled.call()
		return OK

	func _close() -> void:
		closings += 1
		state = STATE_CLOSED

	func stands() -> void:
		state = STATE_CONNECTED
		for channel in channels:
			channel.state = WebRTCDataChannel.STATE_OPEN


## Ferry's connection behind a script: Ferry's peer does not know it for its own.
class Wrapped extends WebRTCPeerConnectionExtension:
	var inner: WebRTCPeerConnection = ClassDB.instantiate(&"FerryWebRTCPeerConnection")

	func _init() -> void:
		inner.session_description_created.connect(_tell_description)
		inner.ice_candidate_created.connect(_tell_candidate)

	func _tell_description(kind: String, text: String) -> void:
		session_description_created.emit(kind, text)

	func _tell_candidate(media: String, index: int, name: String) -> void:
		ice_candidate_created.emit(media, index, name)

	func _get_connection_state() -> ConnectionState:
		return inner.get_connection_state()

	func _get_gathering_state() -> GatheringState:
		return inner.get_gathering_state()

	func _get_signaling_state() -> SignalingState:
		return inner.get_signaling_state()

	func _initialize(configuration: Dictionary) -> Error:
		return inner.initialize(configuration)

	func _create_data_channel(label: String, channel_options: Dictionary) -> WebRTCDataChannel:
		return inner.create_data_channel(label, channel_options)

	func _create_offer() -> Error:
		return inner.create_offer()

	func _set_remote_description(kind: String, text: String) -> Error:
		return inner.set_remote_description(kind, text)

	func _set_local_description(kind: String, text: String) -> Error:
		return inner.set_local_description(kind, text)

	func _add_ice_candidate(media: String, index: int, name: String) -> Error:
		return inner.add_ice_candidate(media, index, name)

	func _poll() -> Error:
		return inner.poll()

	func _close() -> void:
		inner.close()


# A server with a played connection as peer 2, which stands.
func _played_pair() -> Array:
	var server: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	check_eq(server.create_server([MultiplayerPeer.TRANSFER_MODE_UNRELIABLE]), OK, "create_server")
	var played := PlayedConnection.new()
	check_eq(server.add_peer(played, 2), OK, "add_peer")
	played.stands()
	server.poll()
	return [server, played, _watch_all(server)]


func _watch_all(peer: MultiplayerPeer) -> Array:
	var told := []
	peer.peer_connected.connect(func(id: int) -> void: told.append("connected %d" % id))
	peer.peer_disconnected.connect(func(id: int) -> void: told.append("disconnected %d" % id))
	peer.peer_lost.connect(func(id: int, reason: int, _detail: String) -> void: told.append("lost %d %s" % [id, reason_name(reason)]))
	peer.connection_succeeded.connect(func() -> void: told.append("succeeded"))
	peer.connection_failed.connect(func(reason: int) -> void: told.append("failed " + reason_name(reason)))
	peer.server_disconnected.connect(func(reason: int) -> void: told.append("server gone " + reason_name(reason)))
	return told


func _makes_channels() -> void:
	var server: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	server.create_server([2, 0])
	var played := PlayedConnection.new()
	check_eq(server.add_peer(played, 2, 70), OK, "add_peer")
	check_eq(played.channels.map(func(one: PlayedChannel) -> String: return one.label), ["reliable", "ordered", "unreliable", "4", "5"], "labels")
	check_eq(played.channels[0].channel_options, {"id": 1, "negotiated": true, "ordered": true}, "the reliable one")
	check_eq(played.channels[1].channel_options, {"id": 2, "negotiated": true, "ordered": true, "maxPacketLifetime": 70, "maxPacketLifeTime": 70}, "the ordered one")
	check_eq(played.channels[2].channel_options, {"id": 3, "negotiated": true, "ordered": false, "maxPacketLifetime": 70, "maxPacketLifeTime": 70}, "the unreliable one")
	check_eq(played.channels[3].channel_options, {"id": 4, "negotiated": true, "ordered": true}, "the game's reliable one")
	check_eq(played.channels[4].channel_options, {"id": 5, "negotiated": true, "ordered": false, "maxPacketLifetime": 1, "maxPacketLifeTime": 1}, "the game's unreliable one")
	var known: Dictionary = server.get_peer(2)
	check(known.connection == played and known.channels.size() == 5 and known.channels[4] == played.channels[4] and not known.connected, "get_peer")
	var lame := PlayedConnection.new()
	lame.makes = 2
	expecting_errors(func() -> void:
		check_eq(server.add_peer(lame, 3), FAILED, "a connection that makes two channels")
		played.state = WebRTCPeerConnection.STATE_CONNECTING
		check_eq(server.add_peer(played, 3), ERR_INVALID_PARAMETER, "a connection that is not new"))
	check(not server.has_peer(3), "nobody was added")
	server.close()
	check_eq([played.closings, lame.closings], [1, 0], "closed with the peer")


func _connects_and_sends() -> void:
	var server: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	var told := _watch_all(server)
	server.create_server([MultiplayerPeer.TRANSFER_MODE_UNRELIABLE])
	var played := PlayedConnection.new()
	server.add_peer(played, 2)
	server.poll()
	expecting_errors(func() -> void:
		server.set_target_peer(2)
		check_eq(server.put_packet(payload(9)), FAILED, "nobody is there yet"))
	played.state = WebRTCPeerConnection.STATE_CONNECTED
	for place in 3:
		played.channels[place].state = WebRTCDataChannel.STATE_OPEN
	server.poll()
	check_eq(told, [], "a channel is missing")
	played.stands()
	server.poll()
	check_eq(told, ["connected 2"], "all channels are open")
	check(server.get_peer(2).connected, "connected")
	for way: Array in [[2, 0, 10], [1, 0, 11], [0, 0, 12], [2, 1, 13]]:
		address(server, 0, way[0], way[1])
		check_eq(server.put_packet(payload(way[2])), OK, "put")
	check_eq(played.channels[0].sizes, [] as Array[int], "they leave together")
	await process_frame
	await process_frame
	check_eq(played.channels.map(func(one: PlayedChannel) -> Array: return one.sizes), [[10], [11], [12], [13]], "they leave at the frame's end")
	address(server, 0, 2, 2)
	expecting_errors(func() -> void: check_eq(server.put_packet(payload(9)), ERR_INVALID_PARAMETER, "there is no channel 2"))
	check_eq(server.get_peer_stats(2).packets_sent, 4, "figures")
	address(server, 2)
	server.put_packet(payload(20))
	server.close()
	check_eq(played.channels[0].sizes, [10, 20] as Array[int], "closing delivers")
	check_eq(played.closings, 1, "and closes")
	check_eq(told, ["connected 2"], "without a word")


func _takes_again_what_did_not_fit() -> void:
	var pair := _played_pair()
	var server: MultiplayerPeer = pair[0]
	var played: PlayedConnection = pair[1]
	played.channels[0].answers = [ERR_OUT_OF_MEMORY, ERR_OUT_OF_MEMORY] as Array[int]
	played.channels[2].answers = [ERR_OUT_OF_MEMORY] as Array[int]
	address(server, 0, 0)
	server.put_packet(payload(5))
	for size in range(1, 4):
		address(server, 0)
		server.put_packet(payload(size))
	for turn in 4:
		server.poll()
	check_eq(played.channels[0].sizes, [1, 2, 3] as Array[int], "reliable ones wait, in order")
	check_eq([played.channels[2].sizes.size(), server.get_peer_stats(2).packets_dropped], [0, 1], "an unreliable one does not")
	server.outbound_queue_limit = 1000
	played.channels[0].answers.resize(50)
	played.channels[0].answers.fill(ERR_BUSY)
	check_eq(server.put_packet(payload(800)), OK, "one fits")
	check_eq(server.put_packet(payload(800)), ERR_OUT_OF_MEMORY, "two do not")
	for turn in 2:
		server.poll()
	check_eq(pair[2], ["disconnected 2", "lost 2 QUEUE_FULL"], "who misses one is disconnected")
	check_eq(played.closings, 1, "closed")
	server.close()


func _ends() -> void:
	# The connection's own end, and a channel's.
	for by_channel: bool in [false, true]:
		var pair := _played_pair()
		if by_channel:
			pair[1].channels[1].state = WebRTCDataChannel.STATE_CLOSED
		else:
			pair[1].state = WebRTCPeerConnection.STATE_CLOSED
		pair[0].poll()
		check_eq(pair[2], ["disconnected 2", "lost 2 REMOTE_CLOSE"], "closed there")
		check(not pair[0].has_peer(2), "gone")
		pair[0].close()
	# Ends that the game asks for.
	var pair := _played_pair()
	pair[0].remove_peer(2)
	check_eq(pair[2], ["disconnected 2", "lost 2 LOCAL_CLOSE"], "told within the call")
	check_eq([pair[1].closings, pair[0].has_peer(2)], [1, false], "removed")
	expecting_errors(func() -> void: pair[0].remove_peer(2))
	pair[0].close()
	pair = _played_pair()
	address(pair[0], 2)
	pair[0].put_packet(payload(7))
	pair[1].channels[0].buffered = 7
	pair[0].disconnect_peer(2)
	pair[0].poll()
	check_eq([pair[1].closings, pair[2]], [0, []], "it waits for what is on its way")
	pair[1].channels[0].buffered = 0
	pair[0].poll()
	check_eq([pair[1].closings, pair[1].channels[0].sizes, pair[2]], [1, [7] as Array[int], ["disconnected 2", "lost 2 LOCAL_CLOSE"]], "disconnected")
	pair[0].close()
	pair = _played_pair()
	address(pair[0], 2)
	pair[0].put_packet(payload(8))
	pair[0].disconnect_peer(2, true)
	check_eq([pair[1].closings, pair[1].channels[0].sizes, pair[2]], [1, [8] as Array[int], []], "by force: at once, without a signal")
	pair[0].close()
	# Another connection for the same id.
	pair = _played_pair()
	var other := PlayedConnection.new()
	check_eq(pair[0].add_peer(other, 2), OK, "another connection")
	check_eq([pair[1].closings, pair[2], pair[0].get_peer(2).connection == other], [1, ["disconnected 2", "lost 2 LOCAL_CLOSE"], true], "the first gives way")
	pair[0].close()
	var played := _dropped()
	check_eq([played.closings, played.channels[0].sizes], [1, [9] as Array[int]], "dropping delivers and closes")


# On its own, since a function holds on to what it has had in hand.
func _dropped() -> PlayedConnection:
	var pair := _played_pair()
	address(pair[0], 2)
	pair[0].put_packet(payload(9))
	return pair[1]


func _fails_before_it_stands() -> void:
	var server: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	var told := _watch_all(server)
	server.create_mesh(1)
	var played := PlayedConnection.new()
	server.add_peer(played, 2)
	played.state = WebRTCPeerConnection.STATE_FAILED
	server.poll()
	check_eq([told, status_of(server)], [["lost 2 ICE_FAILED"], "connected"], "in a mesh")
	server.close()
	var client: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	told = _watch_all(client)
	client.create_client(5)
	played = PlayedConnection.new()
	client.add_peer(played, 1)
	client.remove_peer(1)
	check_eq([told, status_of(client)], [[], "connecting"], "another way can be tried")
	played = PlayedConnection.new()
	client.connect_timeout = 0.05
	client.add_peer(played, 1)
	played.state = WebRTCPeerConnection.STATE_CONNECTING
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "given up")
	check_eq([told, played.closings], [["failed CONNECT_TIMEOUT"], 1], "a client that nobody answers")
	check_eq(client.get_disconnect_reason(1), 8, "remembered")
	clean()


func _is_silent() -> void:
	var pair := _played_pair()
	var server: MultiplayerPeer = pair[0]
	server.peer_timeout = 0.05
	polled.append(server)
	pair[1].state = WebRTCPeerConnection.STATE_DISCONNECTED
	server.poll()
	pair[1].state = WebRTCPeerConnection.STATE_CONNECTED
	await linger(0.1)
	check_eq(pair[2], [], "it came back")
	pair[1].state = WebRTCPeerConnection.STATE_DISCONNECTED
	await until(func() -> bool: return pair[2].size() == 2, "it did not")
	check_eq(pair[2], ["disconnected 2", "lost 2 TIMEOUT"], "silent")
	clean()


func _closes_in_its_own_calls() -> void:
	var pair := _played_pair()
	var server: MultiplayerPeer = pair[0]
	pair[1].when_polled = func() -> void:
		server.poll()
		server.close()
	server.poll()
	check_eq([status_of(server), pair[1].closings], ["disconnected", 1], "closed while it is polled")
	pair[1].when_polled = Callable()
	pair = _played_pair()
	var held := [pair[0]]
	pair[1].channels[0].when_put = func() -> void: held.clear()
	address(pair[0], 2)
	pair[0].put_packet(payload(3))
	var played: PlayedConnection = pair[1]
	pair.clear()
	await process_frame
	await process_frame
	check_eq([played.channels[0].sizes, played.closings], [[3] as Array[int], 1], "let go of while a packet is handed over")
	played.channels[0].when_put = Callable()
	server = null
	# A handler that removes and adds.
	pair = _played_pair()
	server = pair[0]
	var next := PlayedConnection.new()
	var replace := func(_id: int) -> void:
		check_eq(server.has_peer(2), false, "not known any more in the handler")
		check_eq(server.add_peer(next, 2), OK, "added in a handler")
	server.peer_disconnected.connect(replace, CONNECT_ONE_SHOT)
	pair[1].state = WebRTCPeerConnection.STATE_CLOSED
	server.poll()
	next.stands()
	server.poll()
	check_eq(pair[2], ["disconnected 2", "lost 2 REMOTE_CLOSE", "connected 2"], "another connection in the handler of the end")
	server.close()


func _carries_packets() -> void:
	var server: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	var client: MultiplayerPeer = make("FerryWebRTCMultiplayerPeer")
	var told := _watch_all(server)
	server.create_server([MultiplayerPeer.TRANSFER_MODE_RELIABLE])
	client.create_client(2, [MultiplayerPeer.TRANSFER_MODE_RELIABLE])
	name_id(2, "client")
	polled = [server, client]
	introduce(server, client, Wrapped.new(), make("FerryWebRTCPeerConnection"))
	await until(func() -> bool: return is_connected_peer(client) and told.size() > 0, "connected through a wrapper")
	check_eq(told, ["connected 2"], "told")
	for channel in 2:
		for size: int in [1, 1200, 60000]:
			address(server, 0, MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
			check_eq(server.put_packet(payload(size)), OK, "put")
			await until(func() -> bool: return client.get_available_packet_count() > 0, "down")
			check_eq(describe_next(client, payload(size)), "from server, reliable, channel %d, %d bytes" % [channel, size], "down")
			address(client, 1, MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
			check_eq(client.put_packet(payload(size)), OK, "put")
			await until(func() -> bool: return server.get_available_packet_count() > 0, "up")
			check_eq(describe_next(server, payload(size)), "from client, reliable, channel %d, %d bytes" % [channel, size], "up")
	for number in 20:
		client.put_packet(payload(100, number))
	client.close()
	await until(func() -> bool: return server.get_available_packet_count() > 0, "the first of the last")
	var count := [0]
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			check_eq(server.get_packet(), payload(100, count[0]), "in order")
			count[0] += 1
		return told.size() > 1, "the end")
	check_eq([count[0], told], [20, ["connected 2", "disconnected 2", "lost 2 REMOTE_CLOSE"]], "what was sent before the end arrives")
	clean()

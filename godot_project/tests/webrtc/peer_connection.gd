extends "res://tests/support/webrtc_test.gd"
## What a game sees of a WebRTC connection that nobody answers: options, descriptions and candidates, right and wrong; states;
## the order of signals; and what handlers may do.

const NEW := [WebRTCPeerConnection.STATE_NEW, WebRTCPeerConnection.GATHERING_STATE_NEW, WebRTCPeerConnection.SIGNALING_STATE_STABLE]


func _test() -> void:
	_a_new_one()
	_configurations()
	_channels_with_every_option()
	_channels_that_cannot_be()
	_offers()
	_answers()
	_wrong_descriptions()
	_candidates()
	_closing()
	_handlers_may_do_anything()
	_nobody_keeps_anything()
	_properties()
	_used_on_a_thread()


func _states(connection: WebRTCPeerConnection) -> Array:
	return [connection.get_connection_state(), connection.get_gathering_state(), connection.get_signaling_state()]


## Calls something that is wrong.
func _refused(action: Callable, wanted: Variant, what: String) -> void:
	check_eq(expecting_errors(action), wanted, what)


## Asks for a channel that there cannot be.
func _no_channel(connection: WebRTCPeerConnection, label: String, options: Dictionary, what: String) -> void:
	check(expecting_errors(connection.create_data_channel.bind(label, options)) == null, "a channel: " + what)


func _a_new_one() -> void:
	var connection := new_connection()
	check_eq(_states(connection), NEW, "states of a new one")
	check_eq(connection.get_disconnect_reason(), 0, "no reason yet")
	check_eq(connection.get_stats(), {}, "no figures yet")
	check_eq(connection.poll(), OK, "poll of a new one")
	check(not connection.get_stats().is_empty(), "figures once it is used")
	for name: String in ["FerryWebRTCPeerConnection", "WebRTCPeerConnectionExtension", "WebRTCPeerConnection"]:
		check(connection.is_class(name), "it is a " + name)
	check(not ClassDB.can_instantiate(&"FerryWebRTCDataChannel"), "channels come from connections")


func _configurations() -> void:
	var connection := new_connection()
	var typed: Dictionary[String, Variant] = {"iceServers": [] as Array[Dictionary]}
	var named: Dictionary = {&"iceServers": [{&"urls": &"stun:stun.example.com"}], &"iceTransportPolicy": &"relay"}
	for configuration: Dictionary in [
		{}, typed, named,
		{"iceServers": []},
		{"iceServers": null},
		{"iceServers": [{"urls": "stun:stun.example.com:3478"}]},
		{"iceServers": [{"urls": ["stun:stun.example.com:3478", "stun:127.0.0.1"]}]},
		{"iceServers": [{"urls": PackedStringArray(["stun:[::1]:3478"])}]},
		{"iceServers": [{"urls": ["turn:turn.example.com"], "username": "me", "credential": "secret", "credentialType": "password"}] as Array[Dictionary]},
		{"iceTransportPolicy": "all", "bundlePolicy": "balanced", "iceCandidatePoolSize": 0},
		{"ferry": {"udp_port": 0, "bind_address": "127.0.0.1", "loopback": "never", "max_message_size": 1000}},
		{"ferry": {"udp_port": 0.0, "bind_address": "*", "loopback": "auto", "max_message_size": 65536.0}},
		# As webrtc-native takes it.
		{"libdatachannel": {"enableIceUdpMux": true, "portRangeBegin": 5000}},
		JSON.parse_string('{"iceServers": [{"urls": "stun:stun.example.com"}], "ferry": {"max_message_size": 1000}}'),
	]:
		check_eq(connection.initialize(configuration), OK, "initialize(%s)" % configuration)
		check_eq(_states(connection), NEW, "states after it")
	var kept := connection.create_data_channel("kept")
	for configuration: Dictionary in [
		{"iceServers": {"urls": "stun:stun.example.com"}},
		{"iceServers": "stun:stun.example.com"},
		{"iceServers": ["stun:stun.example.com"]},
		{"iceServers": [{}]},
		{"iceServers": [{"username": "me", "credential": "secret"}]},
		{"iceServers": [{"urls": 3478}]},
		{"iceServers": [{"urls": ["stun:stun.example.com", null]}]},
		{"iceServers": [{"urls": "https://stun.example.com"}]},
		{"iceServers": [{"urls": "stun.example.com:3478"}]},
		{"iceServers": [{"urls": "turn:turn.example.com", "username": 7, "credential": "secret"}]},
		{"iceServers": [{"urls": "turn:turn.example.com", "username": "me", "credential": ["secret"]}]},
		{"iceTransportPolicy": "public"},
		{"iceTransportPolicy": true},
		{"ferry": true},
		{"ferry": {"udp_port": 65536}},
		{"ferry": {"udp_port": -1}},
		{"ferry": {"udp_port": "5000"}},
		{"ferry": {"udp_port": 1.5}},
		{"ferry": {"udp_port": NAN}},
		{"ferry": {"bind_address": "localhost:5000"}},
		{"ferry": {"bind_address": 127001}},
		{"ferry": {"loopback": true}},
		{"ferry": {"max_message_size": 0}},
		{"ferry": {"max_message_size": INF}},
		{7: "seven"},
	]:
		_refused(connection.initialize.bind(configuration), ERR_INVALID_PARAMETER, "initialize(%s)" % configuration)
	check_eq(kept.get_ready_state(), WebRTCDataChannel.STATE_CONNECTING, "a wrong configuration changes nothing")
	var many := []
	for number in 33:
		many.append({"urls": "stun:%d.example.com" % number})
	_refused(connection.initialize.bind({"iceServers": many}), ERR_INVALID_PARAMETER, "33 servers")
	# Spelled wrong: told, once, and ignored.
	errors_expected(true)
	for attempt in 3:
		check_eq(connection.initialize({"iceserver": [], "ferry": {"port": 1}}), OK, "unknown keys")
	errors_expected(false)
	check(is_shut(kept), "channels of the one before are closed")


func _channels_with_every_option() -> void:
	var connection := new_connection()
	var plain := connection.create_data_channel("plain")
	check_eq([plain.get_label(), plain.get_protocol(), plain.get_id()], ["plain", "", 65535], "a plain channel")
	check_eq([plain.is_ordered(), plain.is_negotiated()], [true, false], "it is ordered and will be announced")
	check_eq([plain.get_max_retransmits(), plain.get_max_packet_life_time()], [65535, 65535], "it is reliable")
	check_eq(plain.get_ready_state(), WebRTCDataChannel.STATE_CONNECTING, "its state")
	check_eq([plain.get_buffered_amount(), plain.get_available_packet_count()], [0, 0], "nothing waits")
	check_eq([plain.write_mode, plain.was_string_packet()], [WebRTCDataChannel.WRITE_MODE_BINARY, false], "it is binary")
	check_eq(plain.poll(), OK, "poll of a channel")

	var full := connection.create_data_channel("Käse 🧀", {"negotiated": true, "id": 65534, "maxRetransmits": 3, "ordered": false, "protocol": "fondue"})
	check_eq([full.get_label(), full.get_protocol(), full.get_id()], ["Käse 🧀", "fondue", 65534], "a channel with all options")
	check_eq([full.is_ordered(), full.is_negotiated()], [false, true], "it is not ordered, and negotiated")
	check_eq([full.get_max_retransmits(), full.get_max_packet_life_time()], [3, 65535], "its retransmits")
	full.write_mode = WebRTCDataChannel.WRITE_MODE_TEXT
	check_eq(full.write_mode, WebRTCDataChannel.WRITE_MODE_TEXT, "text")
	expecting_errors(full.set.bind(&"write_mode", 7))
	check_eq(full.write_mode, WebRTCDataChannel.WRITE_MODE_TEXT, "a mode that is none changes nothing")

	# Browsers spell it so, the engine's multiplayer peer otherwise.
	for spelled: String in ["maxPacketLifeTime", "maxPacketLifetime"]:
		var channel := connection.create_data_channel("", {spelled: 1500})
		check_eq([channel.get_max_retransmits(), channel.get_max_packet_life_time()], [65535, 1500], spelled)
	check(connection.create_data_channel("", {"maxPacketLifeTime": 5, "maxPacketLifetime": 5}) != null, "both spellings")
	var parsed := connection.create_data_channel("json", JSON.parse_string('{"negotiated": true, "id": 7, "maxRetransmits": 0, "protocol": null}'))
	check_eq([parsed.get_id(), parsed.get_max_retransmits(), parsed.is_negotiated()], [7, 0, true], "options from JSON")
	var numbers := connection.create_data_channel("1 for true", {"negotiated": 1, "id": 8, "ordered": 0})
	check_eq([numbers.is_negotiated(), numbers.is_ordered()], [true, false], "1 and 0")
	# Once closed, its number is free.
	parsed.close()
	check_eq(parsed.get_ready_state(), WebRTCDataChannel.STATE_CLOSING, "a channel that is being closed")


func _channels_that_cannot_be() -> void:
	var connection := new_connection()
	var taken := connection.create_data_channel("", {"negotiated": true, "id": 1})
	check(taken != null, "the first of its number")
	for options: Dictionary in [
		{"negotiated": true},
		{"id": 2},
		{"negotiated": false, "id": 2},
		{"negotiated": true, "id": 1},
		{"negotiated": true, "id": -1},
		{"negotiated": true, "id": 65535},
		{"negotiated": true, "id": "2"},
		{"negotiated": "yes", "id": 2},
		{"maxRetransmits": 1, "maxPacketLifeTime": 100},
		{"maxRetransmits": 1, "maxPacketLifetime": 100},
		{"maxPacketLifeTime": 1, "maxPacketLifetime": 2},
		{"maxRetransmits": -1},
		{"maxRetransmits": 65536},
		{"maxPacketLifeTime": 0.5},
		{"maxPacketLifeTime": "100"},
		{"ordered": 2},
		{"protocol": 5},
		{"protocol": "x".repeat(65536)},
		{3: 4},
	]:
		_no_channel(connection, "no", options, str(options).left(80))
	_no_channel(connection, "x".repeat(65536), {}, "a label of 64 KiB")
	errors_expected(true)
	check(connection.create_data_channel("", {"maxRetransmit": 5}) != null, "an unknown option")
	errors_expected(false)


func _offers() -> void:
	var told := []
	var connection := new_connection(told)
	_refused(connection.create_offer, FAILED, "an offer of nothing")
	_refused(connection.set_local_description.bind("offer", FOREIGN_OFFER), FAILED, "a local description that nobody created")
	var channel := connection.create_data_channel("chat")
	check_eq(connection.create_offer(), OK, "create_offer")
	check_eq(told, [], "signals before a poll")
	check_eq(connection.get_connection_state(), WebRTCPeerConnection.STATE_CONNECTING, "state after create_offer")
	connection.poll()
	check_eq(told.size(), 1, "signals of create_offer")
	check_eq([told[0][0], told[0][1]], ["session_description_created", "offer"], "the signal")
	check_eq(connection.get_signaling_state(), WebRTCPeerConnection.SIGNALING_STATE_STABLE, "signaling before it is set")
	_refused(connection.set_local_description.bind("answer", told[0][2]), FAILED, "an offer as an answer")
	_refused(connection.set_local_description.bind("Offer", told[0][2]), ERR_INVALID_PARAMETER, "a type that is none")
	_refused(connection.set_local_description.bind("offer", FOREIGN_OFFER), ERR_INVALID_PARAMETER, "somebody else's offer")
	check_eq(connection.set_local_description("offer", told[0][2]), OK, "set_local_description")
	check_eq(connection.get_signaling_state(), WebRTCPeerConnection.SIGNALING_STATE_HAVE_LOCAL_OFFER, "signaling after it")
	_refused(connection.set_remote_description.bind("offer", told[0][2]), ERR_INVALID_PARAMETER, "its own offer, back")
	_refused(connection.set_remote_description.bind("answer", FOREIGN_OFFER), ERR_INVALID_PARAMETER, "an offer as the answer")
	check_eq(connection.set_remote_description("answer", FOREIGN_OFFER.replace("actpass", "active")), OK, "an answer")
	check_eq(connection.get_signaling_state(), WebRTCPeerConnection.SIGNALING_STATE_STABLE, "signaling after the answer")
	_refused(channel.put_packet.bind(PackedByteArray([1])), ERR_UNCONFIGURED, "a put before it is open")


func _answers() -> void:
	var told := []
	var connection := new_connection(told)
	_refused(connection.set_remote_description.bind("answer", FOREIGN_OFFER), FAILED, "an answer to nothing")
	check_eq(connection.set_remote_description("offer", FOREIGN_OFFER), OK, "set_remote_description")
	check_eq(connection.get_signaling_state(), WebRTCPeerConnection.SIGNALING_STATE_HAVE_REMOTE_OFFER, "signaling after an offer")
	_refused(connection.create_offer, FAILED, "an offer instead of an answer")
	connection.poll()
	check_eq(told.size(), 1, "signals of an offer that came")
	check_eq([told[0][0], told[0][1]], ["session_description_created", "answer"], "the answer")
	check("a=setup:active" in told[0][2] and "a=mid:data" in told[0][2], "what is in it")
	check_eq(connection.set_local_description("answer", told[0][2]), OK, "set_local_description")
	check_eq(connection.get_signaling_state(), WebRTCPeerConnection.SIGNALING_STATE_STABLE, "signaling after the answer")


func _wrong_descriptions() -> void:
	var connection := new_connection()
	for type: String in ["", "OFFER", "sdp", "offer "]:
		_refused(connection.set_remote_description.bind(type, FOREIGN_OFFER), ERR_INVALID_PARAMETER, "the type `%s`" % type)
	var wrong := ["", "v=0", "{\"type\": \"offer\"}", "x".repeat(100_000)]
	# As it may be cut on its way, and without each of its lines that matter.
	for line: String in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "m=application"]:
		wrong.append(FOREIGN_OFFER.left(FOREIGN_OFFER.find(line) + 8))
		wrong.append(FOREIGN_OFFER.replace(line, "a=nothing"))
	wrong.append(FOREIGN_OFFER.replace("sha-256 AB:", "sha-256 XY:"))
	for sdp: String in wrong:
		_refused(connection.set_remote_description.bind("offer", sdp), ERR_INVALID_PARAMETER, "`%s`" % sdp.right(60))
	check_eq(_states(connection), NEW, "states after wrong descriptions")
	# With the ends of lines of any system.
	check_eq(connection.set_remote_description("offer", FOREIGN_OFFER.replace("\n", "\r\n")), OK, "a right one after wrong ones")


func _candidates() -> void:
	var connection := new_connection()
	check_eq(connection.add_ice_candidate("0", 0, CANDIDATE), OK, "a candidate before any description")
	check_eq(connection.add_ice_candidate("0", 0, ""), OK, "the end of candidates")
	check_eq(connection.add_ice_candidate("0", 0, "candidate:1 1 udp 1 0b1c2d3e-0000-4000-8000-000000000000.local 5000 typ host"), OK, "a browser's name")
	for name: String in ["0", "hello", CANDIDATE.left(20).substr(10)]:
		_refused(connection.add_ice_candidate.bind("0", 0, name), ERR_INVALID_PARAMETER, "`%s`" % name)
	# The arguments the wrong way round.
	_refused(connection.add_ice_candidate.bind(CANDIDATE, 0, "0"), ERR_INVALID_PARAMETER, "name first")


func _closing() -> void:
	var told := []
	var connection := new_connection(told)
	var channel := connection.create_data_channel("chat")
	connection.create_offer()
	connection.close()
	check_eq([connection.get_connection_state(), connection.get_signaling_state()], [WebRTCPeerConnection.STATE_CLOSED, WebRTCPeerConnection.SIGNALING_STATE_CLOSED], "states after close")
	check_eq(connection.get_disconnect_reason(), ClassDB.class_get_integer_constant(&"FerryDisconnect", &"LOCAL_CLOSE"), "why")
	check(not connection.get_disconnect_text().is_empty(), "why, in words")
	check(is_shut(channel), "its channels are closed")
	check_eq(connection.poll(), OK, "poll after close")
	check_eq(told, [], "signals after close")
	connection.close()
	channel.close()
	_refused(connection.create_offer, ERR_UNCONFIGURED, "create_offer after close")
	_no_channel(connection, "late", {}, "after close")
	_refused(connection.set_local_description.bind("offer", FOREIGN_OFFER), ERR_UNCONFIGURED, "set_local_description after close")
	_refused(connection.set_remote_description.bind("offer", FOREIGN_OFFER), ERR_UNCONFIGURED, "set_remote_description after close")
	_refused(connection.add_ice_candidate.bind("0", 0, CANDIDATE), ERR_UNCONFIGURED, "add_ice_candidate after close")
	_refused(channel.put_packet.bind(PackedByteArray([1])), ERR_UNCONFIGURED, "a put after close")
	check_eq([channel.get_packet(), channel.get_packet_error()], [PackedByteArray(), ERR_UNAVAILABLE], "a read after close")
	check_eq([channel.get_label(), channel.get_id()], ["chat", 65535], "what is still known of a channel")
	check_eq(connection.initialize(), OK, "initialize after close")
	check_eq([_states(connection), connection.get_disconnect_reason()], [NEW, 0], "it is as new")
	check(connection.create_data_channel("again") != null, "a channel of the new one")
	check(is_shut(channel), "the old channel stays closed")
	check_eq(connection.create_offer(), OK, "an offer of the new one")
	connection.poll()
	check_eq(told.size(), 1, "signals of the new one")


## Each with two signals waiting, of which the first one's handler does it.
func _handlers_may_do_anything() -> void:
	var deeds := {
		"close": func(one: WeakRef) -> void: one.get_ref().close(),
		"initialize": func(one: WeakRef) -> void: one.get_ref().initialize(),
		"poll": func(one: WeakRef) -> void: one.get_ref().poll(),
		"offer again": func(one: WeakRef) -> void: check_eq(one.get_ref().create_offer(), OK, "create_offer in a handler"),
	}
	for deed: String in deeds:
		var told := []
		var connection := new_connection(told)
		var channel := connection.create_data_channel("chat")
		var weak: WeakRef = weakref(connection)
		connection.session_description_created.connect(deeds[deed].bind(weak).unbind(2), CONNECT_ONE_SHOT)
		connection.create_offer()
		connection.create_offer()
		connection.poll()
		var wanted: int = {"close": 1, "initialize": 1, "poll": 2, "offer again": 3}[deed]
		check_eq(told.size(), wanted, "signals with a handler that does: " + deed)
		channel = null
	# The last reference goes.
	var holder := [new_connection()]
	var weak: WeakRef = weakref(holder[0])
	holder[0].create_data_channel("chat")
	holder[0].session_description_created.connect(func(_type: String, _sdp: String) -> void: holder.clear())
	holder[0].create_data_channel("chat")
	var kept: WebRTCDataChannel = holder[0].create_data_channel("chat")
	holder[0].create_offer()
	holder[0].create_offer()
	holder[0].poll()
	check(weak.get_ref() == null, "a connection that its handler lets go of is gone")
	check(is_shut(kept), "its channels are closed")
	kept.poll()
	# A handler that causes the next signal each time does not keep the game in there for ever.
	var busy := new_connection()
	var count := [0]
	var channel := busy.create_data_channel("chat")
	var of_busy: WeakRef = weakref(busy)
	busy.session_description_created.connect(func(_type: String, _sdp: String) -> void:
		count[0] += 1
		of_busy.get_ref().create_offer())
	busy.create_offer()
	busy.poll()
	check(count[0] > 0 and count[0] < 10_000, "%d signals in one poll" % count[0])
	channel.close()


func _nobody_keeps_anything() -> void:
	for round in 200:
		var connection := WebRTCPeerConnection.new()
		connection.create_data_channel("not kept")
		if round % 2 == 0:
			connection.create_offer()
		if round % 4 == 0:
			connection.poll()
	# A channel alone does not keep its connection.
	var connection := new_connection()
	var channel := connection.create_data_channel("kept")
	connection = null
	check(is_shut(channel), "a channel whose connection nobody kept")


func _properties() -> void:
	var connection := new_connection()
	check_eq([connection.connect_timeout, connection.peer_timeout], [10.0, 30.0], "times")
	check_eq([connection.outbound_queue_limit, connection.inbound_queue_limit], [67108864, 67108864], "queue limits")
	connection.connect_timeout = 2.5
	connection.peer_timeout = -1.0
	connection.outbound_queue_limit = 1000
	connection.inbound_queue_limit = -5
	connection.initialize()
	check_eq([connection.connect_timeout, connection.peer_timeout], [2.5, 0.05], "times that were set")
	check_eq([connection.outbound_queue_limit, connection.inbound_queue_limit], [1000, 0], "limits that were set")
	connection.restart_ice()


func _used_on_a_thread() -> void:
	var thread := Thread.new()
	thread.start(func() -> Array:
		var connection := WebRTCPeerConnection.new()
		var told := []
		note_signals(connection, told)
		var channel := connection.create_data_channel("chat")
		connection.create_offer()
		connection.poll()
		channel.poll()
		return [told.size(), channel.get_label()])
	check_eq(thread.wait_to_finish(), [1, "chat"], "on a thread")

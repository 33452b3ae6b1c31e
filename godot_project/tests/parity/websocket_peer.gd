extends "res://tests/support/websocket_test.gd"
## Single WebSockets: one connects, the other is made from a TCP or TLS stream. `--server=` names the class of the one
## that accepts, `--client=` that of the one that connects, by their multiplayer peers.


func _test() -> void:
	_unconnected()
	_wrong_calls()
	await _connects()
	await _sub_protocols()
	await _messages()
	await _limits()
	await _closes()
	await _closes_oddly()
	await _packets_before_the_end()
	await _calls_while_connecting()
	await _calls_while_closing()
	await _connects_again()
	await _lost()
	await _heartbeat()
	await _over_tls()
	await _refused()


func _accepting_class() -> String:
	return connection_class(server_class())


func _connecting_class() -> String:
	return connection_class(client_class())


## Two ends of one connection, in this order: the one that accepts, the one that connects; open and polled.
func _pair(path := "") -> Array:
	var socket := listening()
	var here: Object = make(_connecting_class())
	check_eq(here.connect_to_url(url_of(socket.get_local_port(), path)), OK, "connect_to_url")
	var there: Object = make(_accepting_class())
	polled.append(here)
	check_eq(there.accept_stream(await taken(socket)), OK, "accept_stream")
	polled.append(there)
	await until(func() -> bool: return is_open(here) and is_open(there), "both open")
	return [there, here]


## The next packet and what kind it was.
func _next(socket: Object) -> String:
	if socket.get_available_packet_count() == 0:
		return "nothing"
	var packet: PackedByteArray = socket.get_packet()
	var kind := "text" if socket.was_string_packet() else "binary"
	var error := "" if socket.get_packet_error() == OK else ", error %d" % socket.get_packet_error()
	return "%s %s%s" % [kind, packet.get_string_from_utf8() if socket.was_string_packet() else str(packet.size()), error]


func _arrives(socket: Object, what: String) -> void:
	await until(func() -> bool: return socket.get_available_packet_count() > 0, what)


func _both_closed(pair: Array) -> void:
	await until(func() -> bool: return pair.all(is_closed), "both closed")


func _codes(socket: Object) -> Array:
	return [socket.get_close_code(), socket.get_close_reason()]


# All that can be asked of one that is not connected.
func _walk(key: String, socket: Object) -> void:
	observe(key + ".state", state_of(socket))
	observe(key + ".codes", _codes(socket))
	expecting_errors(func() -> void:
		observe(key + ".available", socket.get_available_packet_count())
		observe(key + ".was_string", socket.was_string_packet())
		observe(key + ".buffered", socket.get_current_outbound_buffered_amount())
		observe(key + ".get_packet", socket.get_packet())
		observe(key + ".get_packet_error", socket.get_packet_error())
		observe(key + ".get_var", socket.get_var())
		observe(key + ".send", socket.send(payload(3)))
		observe(key + ".send_as_text", socket.send("abc".to_utf8_buffer(), WebSocketPeer.WRITE_MODE_TEXT))
		observe(key + ".send_text", socket.send_text("abc"))
		observe(key + ".put_packet", socket.put_packet(payload(3)))
		observe(key + ".put_var", socket.put_var([1]))
		observe(key + ".host", [socket.get_connected_host(), socket.get_connected_port()])
		socket.set_no_delay(true)
		socket.poll())
	observe(key + ".state_after", state_of(socket))


func _unconnected() -> void:
	for end: Array in [["there", _accepting_class()], ["here", _connecting_class()]]:
		var key := "unconnected.%s." % end[0]
		var socket: Object = make(end[1])
		_walk(key + "walk", socket)
		observe(key + "names", [socket.get_requested_url(), socket.get_selected_protocol()])
		socket.close()
		socket.close(-1)
		socket.close(4000, "nobody hears it")
		observe(key + "closed", [state_of(socket), _codes(socket)])
		for property: String in ["supported_protocols", "handshake_headers", "inbound_buffer_size", "outbound_buffer_size",
				"max_queued_packets", "heartbeat_interval", "encode_buffer_max_size"]:
			observe(key + "default." + property, socket.get(property))
		socket.supported_protocols = PackedStringArray([" one ", "two"])
		socket.handshake_headers = PackedStringArray(["X-One: 1", " X-Two: 2"])
		socket.inbound_buffer_size = 1234
		socket.outbound_buffer_size = 2345
		socket.max_queued_packets = 34
		observe(key + "set", [socket.supported_protocols, socket.handshake_headers, socket.inbound_buffer_size,
				socket.outbound_buffer_size, socket.max_queued_packets])
		expecting_errors(func() -> void:
			for seconds: float in [0.5, -1.0, 10.25, 0.0]:
				socket.heartbeat_interval = seconds
				observe(key + "heartbeat_%s" % seconds, "%.3f" % socket.heartbeat_interval))


func _wrong_calls() -> void:
	var socket: Object = make(_accepting_class())
	var tls := StreamPeerTLS.new()
	expecting_errors(func() -> void:
		observe("accept.null", socket.accept_stream(null))
		observe("accept.buffer", socket.accept_stream(StreamPeerBuffer.new()))
		observe("accept.tls_of_nothing", socket.accept_stream(tls))
		observe("accept.state", state_of(socket))
		var crypto := Crypto.new()
		var key := crypto.generate_rsa(2048)
		var options := TLSOptions.server(key, crypto.generate_self_signed_certificate(key))
		observe("connect.wrong_tls", socket.connect_to_url("wss://nobody.invalid", options))
		for url: String in ["", "http://nobody.invalid", "ws://", "ws://nobody.invalid:0", "ws://[::1", "ws://a:b:c"]:
			observe("connect.%s" % var_to_str(url), socket.connect_to_url(url))
			observe("connect.%s.state" % var_to_str(url), state_of(socket)))
	# A stream that is not connected to anybody.
	expecting_errors(func() -> void: observe("accept.unconnected", socket.accept_stream(StreamPeerTCP.new())))
	observe("accept.unconnected.state", state_of(socket))
	errors_expected(true)
	for _turn in 3:
		socket.poll()
	errors_expected(false)
	observe("accept.unconnected.polled", state_of(socket))


func _connects() -> void:
	var socket := listening()
	var port := socket.get_local_port()
	var here: Object = make(_connecting_class())
	here.handshake_headers = PackedStringArray(["X-Ferry: yes"])
	observe("connects.connect", here.connect_to_url(url_of(port, "/a?b=c")))
	observe("connects.state", state_of(here))
	observe("connects.url", here.get_requested_url() == url_of(port, "/a?b=c"))
	var there: Object = make(_accepting_class())
	# Nothing happens by itself.
	await linger(0.05)
	observe("connects.unpolled", state_of(here))
	here.poll()
	observe("connects.accept", there.accept_stream(await taken(socket)))
	observe("connects.accepted", state_of(there))
	var states := {"here": [], "there": []}
	await until(func() -> bool:
		here.poll()
		there.poll()
		for pair: Array in [["here", here], ["there", there]]:
			var state := state_of(pair[1])
			if states[pair[0]].is_empty() or states[pair[0]].back() != state:
				states[pair[0]].append(state)
		return is_open(here) and is_open(there), "both open")
	observe("connects.states", [states.here.back(), states.there.back()])
	observe("connects.their_url", there.get_requested_url() == url_of(port, "/a?b=c"))
	observe("connects.hosts", [here.get_connected_host(), there.get_connected_host(), here.get_connected_port() == port, there.get_connected_port() > 1023])
	observe("connects.protocols", [here.get_selected_protocol(), there.get_selected_protocol()])
	observe("connects.codes", [_codes(here), _codes(there)])
	here.set_no_delay(false)
	there.set_no_delay(true)
	expecting_errors(func() -> void:
		observe("connects.again", [here.connect_to_url(url_of(port)), there.connect_to_url(url_of(port))])
		observe("connects.accept_again", [here.accept_stream(StreamPeerTCP.new()), there.accept_stream(StreamPeerTCP.new())])
		observe("connects.nothing", [here.get_packet(), here.get_packet_error(), there.get_packet(), there.get_packet_error()]))
	observe("connects.still", [state_of(here), state_of(there)])
	polled = [here, there]
	clean()


func _sub_protocols() -> void:
	for pair: Array in [[["chess", "go"], ["go", "chess"]], [["go"], ["chess"]], [["chess"], []], [[], ["chess"]], [["a b"], ["a b"]]]:
		var key := "protocol.%s.%s" % [var_to_str(pair[0]), var_to_str(pair[1])]
		var socket := listening()
		var here: Object = make(_connecting_class())
		here.supported_protocols = PackedStringArray(pair[1])
		var error: Error = here.connect_to_url(url_of(socket.get_local_port()))
		observe(key + ".connect", error)
		if error != OK:
			clean()
			continue
		polled.append(here)
		var there: Object = make(_accepting_class())
		there.supported_protocols = PackedStringArray(pair[0])
		there.accept_stream(await taken(socket))
		polled.append(there)
		errors_expected(true)
		await until(func() -> bool: return (is_open(here) and is_open(there)) or (is_closed(here) and is_closed(there)), key)
		errors_expected(false)
		observe(key, [state_of(here), state_of(there), here.get_selected_protocol(), there.get_selected_protocol()])
		observe(key + ".codes", [here.get_close_code(), there.get_close_code()])
		clean()


func _messages() -> void:
	var pair := await _pair()
	for way: Array in [["up", pair[1], pair[0]], ["down", pair[0], pair[1]]]:
		var from: Object = way[1]
		var to: Object = way[2]
		var key := "message.%s." % way[0]
		observe(key + "was_string", to.was_string_packet())
		observe(key + "send", [from.send(payload(1)), from.send(payload(2), WebSocketPeer.WRITE_MODE_BINARY),
				from.send("ab".to_utf8_buffer(), WebSocketPeer.WRITE_MODE_TEXT), from.send_text("grüße 🚢"),
				from.put_packet(payload(5)), from.put_var({"a": [1, 2.5]}), from.send_text(""), from.send(PackedByteArray()),
				from.put_packet(PackedByteArray()), from.send_text("end")])
		await until(func() -> bool: return to.get_available_packet_count() == 9, "all of them")
		for number in 5:
			observe(key + str(number), _next(to))
		observe(key + "var", to.get_var() == {"a": [1, 2.5]})
		observe(key + "var.was_string", to.was_string_packet())
		for number in 3:
			observe(key + "rest.%d" % number, _next(to))
		observe(key + "left", [to.get_available_packet_count(), _next(to), to.was_string_packet()])
		for size: int in [125, 126, 65535]:
			for text: bool in [false, true]:
				if text:
					from.send_text("x".repeat(size))
				else:
					from.send(payload(size))
				await _arrives(to, "%d bytes" % size)
				var packet: PackedByteArray = to.get_packet()
				observe(key + "size.%d.%s" % [size, text], [to.was_string_packet(),
						packet == ("x".repeat(size).to_utf8_buffer() if text else payload(size))])
		# Many of them, in order.
		for number in 400:
			from.send(payload(60, number))
		await until(func() -> bool: return to.get_available_packet_count() == 400, "all 400")
		var in_order := true
		for number in 400:
			in_order = in_order and to.get_packet() == payload(60, number)
		observe(key + "in_order", in_order)
		await linger(0.05)
		observe(key + "buffered", from.get_current_outbound_buffered_amount())
	clean()


func _limits() -> void:
	var socket := listening()
	for way: String in ["sender", "receiver"]:
		var here: Object = make(_connecting_class())
		var there: Object = make(_accepting_class())
		if way == "sender":
			here.outbound_buffer_size = 1000
		else:
			there.inbound_buffer_size = 1000
		here.connect_to_url(url_of(socket.get_local_port()))
		polled.append(here)
		there.accept_stream(await taken(socket))
		polled.append(there)
		await until(func() -> bool: return is_open(here) and is_open(there), "both open")
		observe("limit.%s.just" % way, here.send(payload(1000)))
		await _arrives(there, "the longest")
		observe("limit.%s.just.arrives" % way, _next(there))
		expecting_errors(func() -> void: observe("limit.%s.over" % way, here.send(payload(1001))))
		expecting_errors(func() -> void: observe("limit.%s.text_over" % way, here.send_text("x".repeat(1001))))
		if way == "sender":
			await linger(0.05)
			observe("limit.sender.state", [state_of(here), state_of(there), there.get_available_packet_count()])
		else:
			await _both_closed([here, there])
			observe("limit.receiver.codes", [here.get_close_code(), there.get_close_code()])
		clean()


# Who closes with which code and words, and what each end knows then.
func _closes() -> void:
	for case: Array in [
		["default"], ["1000", 1000, ""], ["1000_words", 1000, "good bye"], ["1001", 1001, "going"], ["3000", 3000, ""],
		["4321", 4321, "so long"], ["4999", 4999, "grüße 🚢"], ["longest", 4000, "x".repeat(123)],
	]:
		for by: String in ["there", "here"]:
			var pair := await _pair()
			var there: Object = pair[0]
			var here: Object = pair[1]
			var closer := there if by == "there" else here
			var other := here if by == "there" else there
			var key := "close.%s.by_%s" % [case[0], by]
			closer.callv("close", case.slice(1))
			observe(key + ".at_once", [state_of(closer), state_of(other), _codes(closer)])
			await _both_closed(pair)
			observe(key + ".other", _codes(other))
			observe(key + ".closer", _codes(closer))
			if case.size() == 1:
				_walk(key + ".after", other)
				_walk(key + ".after", closer)
			# Once more, when it is over.
			closer.close(4001, "twice")
			other.close()
			observe(key + ".twice", [_codes(closer), _codes(other)])
			observe(key + ".url_stays", [not closer.get_requested_url().is_empty(), not other.get_requested_url().is_empty()])
			clean()


func _closes_oddly() -> void:
	for by: String in ["there", "here"]:
		# At once, with no word to the other end.
		var pair := await _pair()
		var closer: Object = pair[0 if by == "there" else 1]
		var other: Object = pair[1 if by == "there" else 0]
		var key := "odd.%s." % by
		closer.close(-1, "never sent")
		observe(key + "at_once", [state_of(closer), state_of(other), _codes(closer)])
		await _both_closed(pair)
		observe(key + "other", _codes(other))
		clean()
		# First in order, then at once.
		pair = await _pair()
		closer = pair[0 if by == "there" else 1]
		other = pair[1 if by == "there" else 0]
		closer.close(4002, "first")
		closer.close(4003, "second")
		observe(key + "twice", state_of(closer))
		closer.close(-1)
		observe(key + "then_at_once", state_of(closer))
		await _both_closed(pair)
		clean()
		# Both in the same moment. Whose word counts is a matter of luck.
		pair = await _pair()
		pair[0].close(4004, "there")
		pair[1].close(4005, "here")
		await _both_closed(pair)
		observe(key + "both", pair.map(func(end: Object) -> bool: return end.get_close_code() in [4004, 4005]))
		clean()


# What was sent right before the close, while nobody polls the other end.
func _packets_before_the_end() -> void:
	for by: String in ["there", "here"]:
		var pair := await _pair()
		var closer: Object = pair[0 if by == "there" else 1]
		var other: Object = pair[1 if by == "there" else 0]
		for number in 10:
			closer.send(payload(100, number))
		closer.close(4006, "after ten")
		polled.erase(other)
		await linger(0.1)
		polled.append(other)
		var got := [0]
		await until(func() -> bool:
			while other.get_available_packet_count() > 0:
				got[0] += 1 if other.get_packet() == payload(100, got[0]) else 1000
			return is_closed(other), "the end")
		observe("before.%s" % by, got[0])
		observe("before.%s.codes" % by, _codes(other))
		clean()


func _calls_while_connecting() -> void:
	var socket := listening()
	var here: Object = make(_connecting_class())
	here.connect_to_url(url_of(socket.get_local_port()))
	expecting_errors(func() -> void:
		observe("connecting.send", [here.send(payload(3)), here.put_packet(payload(3)), here.send_text("a")])
		observe("connecting.get", [here.get_available_packet_count(), here.get_packet(), here.get_packet_error()])
		observe("connecting.again", [here.connect_to_url(url_of(socket.get_local_port())), here.accept_stream(StreamPeerTCP.new())])
		observe("connecting.buffered", here.get_current_outbound_buffered_amount()))
	observe("connecting.state", state_of(here))
	here.close(4007, "no more")
	observe("connecting.closed", [state_of(here), _codes(here)])
	observe("connecting.anew", here.connect_to_url(url_of(socket.get_local_port())))
	here.close(-1)
	observe("connecting.closed_at_once", state_of(here))
	clean()
	# The other way round: who accepts gives up.
	socket = listening()
	here = make(_connecting_class())
	here.connect_to_url(url_of(socket.get_local_port()))
	polled.append(here)
	var there: Object = make(_accepting_class())
	there.accept_stream(await taken(socket))
	_streams.clear()
	observe("connecting.there", state_of(there))
	there.close(4008, "never mind")
	observe("connecting.there.closed", state_of(there))
	await until(func() -> bool: return is_closed(here), "closed")
	observe("connecting.there.other", _codes(here))
	clean()


func _calls_while_closing() -> void:
	var pair := await _pair()
	var there: Object = pair[0]
	var here: Object = pair[1]
	there.send(payload(8))
	await _arrives(here, "a packet")
	here.close(4009, "closing")
	expecting_errors(func() -> void:
		observe("closing.state", state_of(here))
		observe("closing.available", here.get_available_packet_count())
		observe("closing.get", [here.get_packet(), here.get_packet_error()])
		observe("closing.send", [here.send(payload(3)), here.put_packet(payload(3)), here.send_text("a")])
		observe("closing.buffered", here.get_current_outbound_buffered_amount())
		observe("closing.host", [here.get_connected_host(), here.get_connected_port() > 0]))
	# As long as the other end is not polled, it does not answer.
	polled = [there]
	await until(func() -> bool: return is_closed(there), "closed there")
	observe("closing.unpolled", [state_of(here), _codes(there)])
	polled = [here]
	await until(func() -> bool: return is_closed(here), "closed here")
	observe("closing.then", _codes(here))
	polled = [there, here]
	clean()


# The same objects again, each in the other's part too.
func _connects_again() -> void:
	var socket := listening()
	var first: Object = make(_connecting_class())
	var second: Object = make(_accepting_class())
	for turn in 3:
		var key := "again.%d." % turn
		observe(key + "connect", first.connect_to_url(url_of(socket.get_local_port(), "/%d" % turn)))
		observe(key + "codes", _codes(first))
		polled = [first]
		observe(key + "accept", second.accept_stream(await taken(socket)))
		polled = [first, second]
		await until(func() -> bool: return is_open(first) and is_open(second), "open, turn %d" % turn)
		first.send(payload(10 + turn))
		await _arrives(second, "a packet, turn %d" % turn)
		observe(key + "arrives", _next(second))
		observe(key + "url", second.get_requested_url().ends_with("/%d" % turn))
		# One is left unread.
		first.send(payload(20 + turn))
		await _arrives(second, "another")
		if turn < 2:
			second.close(4010 + turn, "turn %d" % turn)
			await until(func() -> bool: return is_closed(first) and is_closed(second), "closed, turn %d" % turn)
			observe(key + "closed", [_codes(first), _codes(second)])
	# While one still closes, it may already connect anew.
	first.close(4020)
	observe("again.while_closing", [state_of(first), first.connect_to_url(url_of(socket.get_local_port())), state_of(first), _codes(first)])
	await until(func() -> bool: return is_closed(second), "the old connection is gone")
	second.accept_stream(await taken(socket))
	await until(func() -> bool: return is_open(first) and is_open(second), "open once more")
	observe("again.no_old_packets", [first.get_available_packet_count(), second.get_available_packet_count()])
	clean()
	# Now the one that accepted connects.
	polled = [first, second]
	await until(func() -> bool: return is_closed(first) and is_closed(second), "closed")
	observe("again.reverse", second.connect_to_url(url_of(socket.get_local_port())))
	polled = [second]
	observe("again.reverse.accept", first.accept_stream(await taken(socket)))
	polled = [first, second]
	await until(func() -> bool: return is_open(first) and is_open(second), "open the other way round")
	clean()


# The connection breaks without a word; or its other end is let go of.
func _lost() -> void:
	var socket := listening()
	var here: Object = make(_connecting_class())
	here.connect_to_url(url_of(socket.get_local_port()))
	polled.append(here)
	var stream := await taken(socket)
	await answer_upgrade(stream)
	await until(func() -> bool: return is_open(here), "open")
	stream.disconnect_from_host()
	await until(func() -> bool: return is_closed(here), "closed here")
	observe("lost.here", _codes(here))
	clean()
	stream = await plain_stream(socket.get_local_port())
	var there: Object = make(_accepting_class())
	there.accept_stream(await taken(socket))
	polled.append(there)
	await ask_upgrade(stream)
	await until(func() -> bool: return is_open(there), "open")
	stream.disconnect_from_host()
	await until(func() -> bool: return is_closed(there), "closed there")
	observe("lost.there", _codes(there))
	clean()
	# A plain end that says goodbye by hand: with a code, and without.
	for goodbye: Array in [[0x88, 0x82, 0, 0, 0, 0, 0x10, 0x68], [0x88, 0x80, 0, 0, 0, 0]]:
		stream = await plain_stream(socket.get_local_port())
		there = make(_accepting_class())
		there.accept_stream(await taken(socket))
		polled.append(there)
		await ask_upgrade(stream)
		await until(func() -> bool: return is_open(there), "open")
		stream.put_data(goodbye)
		await until(func() -> bool: return is_closed(there), "closed there")
		observe("goodbye.%d" % goodbye.size(), _codes(there))
		clean()


# Somebody who never answers a ping is given up; who answers is not.
func _heartbeat() -> void:
	var socket := listening()
	var here: Object = make(_connecting_class())
	here.heartbeat_interval = 0.1
	here.connect_to_url(url_of(socket.get_local_port()))
	polled.append(here)
	var stream := await taken(socket)
	await answer_upgrade(stream)
	await until(func() -> bool: return is_open(here), "open")
	await until(func() -> bool: return is_closed(here), "given up", 3.0)
	observe("heartbeat.silent", _codes(here))
	clean()
	var pair := await _pair()
	pair[0].heartbeat_interval = 0.1
	pair[1].heartbeat_interval = 0.1
	await linger(0.6)
	observe("heartbeat.answered", pair.map(state_of))
	observe("heartbeat.no_packets", pair.map(func(end: Object) -> int: return end.get_available_packet_count()))
	clean()


func _over_tls() -> void:
	var crypto := Crypto.new()
	var key := crypto.generate_rsa(2048)
	var certificate := crypto.generate_self_signed_certificate(key, "CN=localhost")
	var socket := listening()
	for case: Array in [["trusted", TLSOptions.client(certificate), true], ["unsafe", TLSOptions.client_unsafe(), true], ["untrusted", TLSOptions.client(), false]]:
		var here: Object = make(_connecting_class())
		observe("tls.%s.connect" % case[0], here.connect_to_url(url_of(socket.get_local_port(), "/x", "wss", "localhost"), case[1]))
		polled.append(here)
		var tls := StreamPeerTLS.new()
		tls.accept_stream(await taken(socket), TLSOptions.server(key, certificate))
		var there: Object = make(_accepting_class())
		observe("tls.%s.accept" % case[0], there.accept_stream(tls))
		polled.append(there)
		errors_expected(true)
		if case[2]:
			await until(func() -> bool: return is_open(here) and is_open(there), "open over TLS")
			here.send(payload(60000))
			there.send_text("over TLS")
			await _arrives(there, "up")
			await _arrives(here, "down")
			observe("tls.%s.packets" % case[0], [_next(there), _next(here)])
			observe("tls.%s.url" % case[0], there.get_requested_url().replace(str(socket.get_local_port()), "PORT"))
			here.close(4011, "over TLS too")
		await until(func() -> bool: return is_closed(here) and is_closed(there), "closed over TLS")
		errors_expected(false)
		# Whether the built-in's answer to the goodbye gets through before the stream ends is a matter of luck.
		observe("tls.%s.codes" % case[0], _codes(there))
		clean()


# Nobody there, or nobody who speaks WebSocket.
func _refused() -> void:
	for url: String in [url_of(free_port()), "ws://nobody.invalid:4000"]:
		var here: Object = make(_connecting_class())
		here.connect_to_url(url)
		polled.append(here)
		await until(func() -> bool: return is_closed(here), url)
		observe("nobody.%s" % url.get_slice(":", 1), _codes(here))
		clean()
	var socket := listening()
	var here: Object = make(_connecting_class())
	here.connect_to_url(url_of(socket.get_local_port()))
	polled.append(here)
	var stream := await taken(socket)
	await read_head(stream)
	errors_expected(true)
	stream.put_data("HTTP/1.1 403 Forbidden\r\nServer: x\r\nDate: today\r\nContent-Length: 0\r\n\r\n".to_ascii_buffer())
	await until(func() -> bool: return is_closed(here), "refused")
	errors_expected(false)
	observe("refused.here", _codes(here))
	clean()
	stream = await plain_stream(socket.get_local_port())
	var there: Object = make(_accepting_class())
	there.accept_stream(await taken(socket))
	polled.append(there)
	errors_expected(true)
	stream.put_data("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n".to_ascii_buffer())
	await until(func() -> bool: return is_closed(there), "no WebSocket")
	errors_expected(false)
	observe("refused.there", _codes(there))
	clean()

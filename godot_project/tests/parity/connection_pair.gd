extends "res://tests/support/parity_test.gd"
## Two host connections without a multiplayer peer: events, channels, flags, broadcast, compression, endings, figures.

const EVENTS := {-1: "error", 0: "none", 1: "connect", 2: "disconnect", 3: "receive"}

var server: Object
var client: Object
# The connection as each end has it.
var here: Object
var there: Object
# What happened at each end.
var events := {}


func _test() -> void:
	await _connects()
	await _packets()
	await _broadcast()
	await _endings()
	await _figures()
	await _compression()
	await _service_waits()
	await _socket_send()
	await _timeout()
	await _channel_counts()


# Lets both ends work until the condition holds.
func _both_until(condition: Callable, what: String, bound := SOON) -> void:
	await until(func() -> bool:
		_serve("server", server)
		_serve("client", client)
		return condition.call(), what, bound)


func _serve(name: String, connection: Object) -> void:
	# Bounded, as a stream of events must not hold up the other end.
	for _turn in 64:
		var event: Array = connection.service()
		if event[0] == 0:
			return
		var line: String = EVENTS[event[0]]
		match event[0]:
			1:
				line += " data %d" % event[2]
				if name == "server":
					there = event[1]
			2:
				line += " data %d, state %d, active %s" % [event[2], event[1].get_state(), event[1].is_active()]
			3:
				line += " channel %d" % event[3]
				line += ", %d there, flags %d" % [event[1].get_available_packet_count(), event[1].get_packet_flags()]
				line += ", %d bytes" % event[1].get_packet().size()
		events[name].append(line)
		if event[0] < 0:
			return


func _setup(server_options := [32, 0, 0, 0], channels := 0, data := 0) -> void:
	server = make(connection_class(server_class()))
	client = make(connection_class(client_class()))
	events = {"server": [], "client": []}
	there = null
	server.callv("create_host_bound", [LOCALHOST, 0] + server_options)
	client.create_host(1)
	here = client.connect_to_host(LOCALHOST, server.get_local_port(), channels, data)


func _connected(server_options := [32, 0, 0, 0], channels := 0, data := 0) -> void:
	_setup(server_options, channels, data)
	await _both_until(func() -> bool: return there != null and here.get_state() == 5 and events.client.size() > 0, "connected")
	here.throttle_configure(5000, 32, 0)
	if there != null:
		there.throttle_configure(5000, 32, 0)


func _tell(key: String) -> void:
	observe(key + ".server", events.server)
	observe(key + ".client", events.client)
	events = {"server": [], "client": []}


func _tear_down() -> void:
	here = null
	there = null
	for connection: Object in [server, client]:
		connection.destroy()
	server = null
	client = null


func _connects() -> void:
	_setup([4, 5, 0, 0], 3, 4711)
	observe("connect.state", here.get_state())
	await _both_until(func() -> bool: return there != null and events.client.size() > 0, "connected")
	_tell("connect")
	observe("connect.states", [here.get_state(), there.get_state()])
	observe("connect.channels", [here.get_channels(), there.get_channels()])
	observe("connect.peers", [server.get_peers().size(), client.get_peers().size()])
	observe("connect.same", [server.get_peers()[0] == there, client.get_peers()[0] == here])
	observe("connect.addresses", [here.get_remote_address(), there.get_remote_address(), here.get_remote_port() == server.get_local_port(), there.get_remote_port() == client.get_local_port()])
	observe("connect.event_none", client.service())
	# Not while there is one already.
	expecting_errors(func() -> void: observe("connect.second", client.connect_to_host(LOCALHOST, server.get_local_port()) == null))
	_tear_down()


func _packets() -> void:
	await _connected([32, 0, 0, 0], 4, -1)
	_tell("packets.connected")
	for flags: int in [0, 1, 2, 3, 8, 9, 10]:
		for size: int in [10, 3000]:
			for up: bool in [true, false]:
				var name := "server" if up else "client"
				var key := "packets.flags_%d.%d.%s" % [flags, size, name]
				observe(key + ".send", (here if up else there).send(3, payload(size), flags))
				await _both_until(func() -> bool: return events[name].size() > 0, key)
				observe(key, events[name])
				events[name].clear()
	# One that is not fetched stays; they come in order.
	observe("packets.put", here.put_packet(payload(5)))
	here.send(1, payload(6), 1)
	for _turn in 2:
		await until(func() -> bool:
			client.service()
			return server.service()[0] == 3, "two packets")
	observe("packets.waiting", there.get_available_packet_count())
	observe("packets.flags", there.get_packet_flags())
	observe("packets.first", there.get_packet().size())
	observe("packets.second", there.get_packet().size())
	observe("packets.var.put", here.put_var([1, "two"]))
	await until(func() -> bool:
		client.service()
		return server.service()[0] == 3, "a value")
	observe("packets.var", there.get_var())
	expecting_errors(func() -> void:
		observe("packets.bad_channel", [here.send(4, payload(3), 1), here.send(5, payload(3), 1), here.send(-1, payload(3), 1)])
		observe("packets.bad_flags", here.send(0, payload(3), 4))
		observe("packets.none", there.get_packet()))
	_tear_down()


func _broadcast() -> void:
	await _connected([4, 3, 0, 0], 3)
	var second: Object = make(connection_class(client_class()))
	second.create_host(1)
	var seconds_peer: Object = second.connect_to_host(LOCALHOST, server.get_local_port(), 2)
	await _both_until(func() -> bool:
		second.service()
		return server.get_peers().size() == 2 and seconds_peer.get_state() == 5, "two connected")
	events = {"server": [], "client": []}
	server.broadcast(1, payload(20), 1)
	var got := []
	await _both_until(func() -> bool:
		var event: Array = second.service()
		if event[0] == 3:
			got.append(event[1].get_packet().size())
		return events.client.size() == 1 and got.size() == 1, "the broadcast")
	_tell("broadcast")
	observe("broadcast.second", got)
	# Only one has this channel.
	server.broadcast(2, payload(21), 1)
	await _both_until(func() -> bool: return events.client.size() == 1, "the second broadcast")
	_tell("broadcast.channel_2")
	observe("broadcast.channel_2.second", second.service()[0])
	seconds_peer = null
	second.destroy()
	_tear_down()


func _endings() -> void:
	for how: String in ["peer_disconnect", "peer_disconnect_now", "peer_disconnect_later", "reset", "destroy"]:
		for by_server: bool in [true, false]:
			var key := "end.%s.by_%s" % [how, "server" if by_server else "client"]
			var other := "client" if by_server else "server"
			await _connected([4, 0, 0, 0], 2)
			events = {"server": [], "client": []}
			var mine: Object = there if by_server else here
			var other_peer: Object = here if by_server else there
			mine.send(0, payload(9), 1)
			match how:
				"reset":
					# Tells nobody: the other end would wait for its time-out.
					mine.reset()
				"destroy":
					if by_server:
						server.destroy()
						server.create_host(1)
					else:
						client.destroy()
						client.create_host(1)
				_:
					mine.call(how, 33)
			observe(key + ".state", [mine.get_state(), mine.is_active()])
			if how in ["reset", "destroy"]:
				# Nothing is said: `destroy` of the library does not take leave.
				var told := await happens(func() -> bool:
					_serve("server", server)
					_serve("client", client)
					return _ended_at(other), 0.2)
				observe(key + ".told", told)
			else:
				await _both_until(func() -> bool: return _ended_at(other), "the end by " + how)
				if how != "peer_disconnect_now":
					await _both_until(func() -> bool: return _ended_at("client") and _ended_at("server"), "both ends by " + how)
				observe(key + ".other", _ends_at(other))
				observe(key + ".self", _ends_at("server" if by_server else "client"))
				observe(key + ".states", [mine.get_state(), other_peer.get_state()])
				# The service after the event forgets the peer.
				server.service()
				client.service()
				observe(key + ".peers", [server.get_peers().size(), client.get_peers().size()])
			mine = null
			other_peer = null
			_tear_down()


func _ended_at(name: String) -> bool:
	return not _ends_at(name).is_empty()


func _ends_at(name: String) -> Array:
	return events[name].filter(func(line: String) -> bool: return line.begins_with("disconnect"))


func _figures() -> void:
	await _connected([4, 0, 0, 0], 2)
	events = {"server": [], "client": []}
	for number in 20:
		here.send(0, payload(500), 1)
		await _both_until(func() -> bool: return events.server.size() > number, "packet %d" % number)
	await _both_until(func() -> bool: return here.get_statistic(3) < 400.0, "a round-trip time")
	# What one end sent and the other received is counted; popping starts anew.
	for what: Array in [["sent_data", client, 0, 10000.0, 16000.0], ["sent_packets", client, 1, 20.0, 200.0],
			["received_data", server, 2, 10000.0, 16000.0], ["received_packets", server, 3, 20.0, 200.0]]:
		var sum := await _popped(what[1], what[2], what[3])
		observe("figure.%s" % what[0], sum >= what[3] and sum < what[4])
		observe("figure.%s.again" % what[0], what[1].pop_statistic(what[2]) < what[3])
	var rtt: float = here.get_statistic(3)
	observe("figure.rtt", rtt >= 1.0 and rtt < 500.0)
	observe("figure.rtt_is_whole", rtt == floorf(rtt))
	observe("figure.last_rtt", here.get_statistic(5) >= 1.0 and here.get_statistic(5) < 500.0)
	observe("figure.variance", here.get_statistic(4) >= 0.0 and here.get_statistic(4) < 500.0)
	observe("figure.loss", here.get_statistic(0))
	observe("figure.throttle", here.get_statistic(7))
	observe("figure.throttle_limit", here.get_statistic(8))
	observe("figure.acceleration", [here.get_statistic(11), here.get_statistic(12), here.get_statistic(13)])
	# What one end configures, the other is told.
	here.throttle_configure(3000, 4, 6)
	await _both_until(func() -> bool: return there.get_statistic(13) == 3000.0, "the other end told")
	observe("figure.told", [there.get_statistic(11), there.get_statistic(12), there.get_statistic(13)])
	here.ping()
	here.ping_interval(100)
	_tear_down()


# The sum of what is popped, until it is as much as it should be; figures may come a moment late.
func _popped(connection: Object, statistic: int, at_least: float, bound := 1.0) -> float:
	var sum: Array[float] = [0.0]
	await happens(func() -> bool:
		sum[0] += connection.pop_statistic(statistic)
		return sum[0] >= at_least, bound)
	return sum[0]


func _compression() -> void:
	for mode in 5:
		_setup([4, 0, 0, 0], 2)
		server.compress(mode)
		client.compress(mode)
		await _both_until(func() -> bool: return there != null and here.get_state() == 5, "connected with compression %d" % mode)
		events = {"server": [], "client": []}
		server.pop_statistic(2)
		client.pop_statistic(2)
		var text := "the quick ferry takes the lazy packet across ".repeat(20).to_utf8_buffer()
		var noise := PackedByteArray()
		var random := RandomNumberGenerator.new()
		random.seed = 7
		for _place in 3000:
			noise.append(random.randi() & 0xFF)
		for bytes: PackedByteArray in [text, noise, payload(1), payload(15), payload(60000)]:
			for up: bool in [true, false]:
				var name := "server" if up else "client"
				(here if up else there).send(0, bytes, 1)
				await _both_until(func() -> bool: return events[name].size() > 0, "%d bytes with compression %d" % [bytes.size(), mode])
				observe("compress.%d.%d.%s" % [mode, bytes.size(), name], events[name])
				events[name].clear()
		# The text alone is about 900 bytes, and all that was sent about 64 kB, of which 60 kB are regular.
		var arrived := await _popped(server, 2, 40000.0, 0.2)
		observe("compress.%d.smaller" % mode, arrived < 40000.0)
		_tear_down()


func _service_waits() -> void:
	await _connected([4, 0, 0, 0], 2)
	events = {"server": [], "client": []}
	await linger(0.02)
	_serve("server", server)
	_serve("client", client)
	here.send(0, payload(5), 1)
	client.flush()
	# What was flushed needs no work of the client any more: the server may wait for it.
	var event: Array = [0]
	for _turn in 20:
		event = server.service(500)
		if event[0] != 0:
			break
	observe("service.waits", EVENTS[event[0]])
	var start := Time.get_ticks_msec()
	event = server.service(60)
	var took := Time.get_ticks_msec() - start
	observe("service.nothing", [EVENTS[event[0]], took >= 40 and took < 1000])
	_tear_down()


func _socket_send() -> void:
	var raw := PacketPeerUDP.new()
	raw.bind(0, LOCALHOST)
	server = make(connection_class(server_class()))
	server.create_host_bound(LOCALHOST, 0)
	server.socket_send(LOCALHOST, raw.get_local_port(), payload(33))
	await until(func() -> bool:
		server.service()
		return raw.get_available_packet_count() > 0, "the datagram")
	observe("socket_send.arrives", raw.get_packet() == payload(33))
	observe("socket_send.port", raw.get_packet_port() == server.get_local_port())
	server.socket_send("localhost", raw.get_local_port(), payload(34))
	await until(func() -> bool:
		server.service()
		return raw.get_available_packet_count() > 0, "the datagram by name")
	observe("socket_send.by_name", raw.get_packet() == payload(34))
	raw.close()
	server.destroy()
	server = null


# A peer that answers no more is given up after the time that was set.
func _timeout() -> void:
	await _connected([4, 0, 0, 0], 2)
	events = {"server": [], "client": []}
	here.set_timeout(2, 200, 600)
	here.ping_interval(50)
	here.send(0, payload(3), 1)
	# The server is not served, and its sockets are closed.
	server.destroy()
	await until(func() -> bool:
		_serve("client", client)
		return events.client.size() > 0, "the client gave up")
	observe("timeout.client", events.client)
	observe("timeout.state", [here.get_state(), here.is_active()])
	server.create_host(1)
	_tear_down()


func _channel_counts() -> void:
	for counts: Array in [[0, 0], [1, 1], [2, 5], [5, 2], [255, 255], [7, 0], [0, 7]]:
		await _connected([4, counts[0], 0, 0], counts[1])
		observe("channels.%d_%d" % counts, [here.get_channels(), there.get_channels()])
		_tear_down()
	# Lowered after the start, for those who come later.
	_setup([4, 10, 0, 0], 8)
	server.channel_limit(3)
	await _both_until(func() -> bool: return there != null and here.get_state() == 5, "connected under a limit")
	observe("channels.limited", [server.get_max_channels(), here.get_channels(), there.get_channels()])
	_tear_down()

extends "res://tests/support/websocket_test.gd"
## Packets over WebSocket: sizes, order, targets, senders, limits; how and on which channel makes no difference.

const SIZES: Array[int] = [1, 2, 3, 4, 5, 125, 126, 127, 128, 1000, 1400, 4095, 4096, 16384, 32767, 32768, 32769, 60000, 65534, 65535]

## The built-in's default for both buffers, and so the longest packet between two of them.
const BUILT_IN_LIMIT := 65535


func _test() -> void:
	await _sizes()
	await _many_in_a_frame()
	await _order()
	await _targets()
	await _senders()
	await _modes_and_channels()
	await _empty_packets()
	await values_pass()
	await _over_the_default()
	await _over_what_was_set()
	await _over_what_is_taken()
	await _limits_of_a_running_one()


func _sizes() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	for size in SIZES:
		await exchange("size.%d.up" % size, client, server, 1, payload(size))
		await exchange("size.%d.down" % size, server, client, client.get_unique_id(), payload(size))
	clean()


func _many_in_a_frame() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	for count: int in [2, 50, 500]:
		for number in count:
			address(client, 1)
			check_eq(client.put_packet(payload(100, number)), OK, "one of many up")
			address(server, client.get_unique_id())
			check_eq(server.put_packet(payload(101, number)), OK, "one of many down")
		for pair: Array in [["up", server, 100], ["down", client, 101]]:
			var peer: MultiplayerPeer = pair[1]
			await until(func() -> bool: return peer.get_available_packet_count() == count, "all %d %s" % [count, pair[0]])
			var in_order := true
			for number in count:
				in_order = in_order and peer.get_packet() == payload(pair[2], number)
			observe("many.%d.%s" % [count, pair[0]], in_order)
	clean()


func _order() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	await large_before_small(server, client, 50000)
	# Without a frame in between: a loop that polls by itself, as a server's without a scene tree does.
	client.put_packet(payload(20))
	var begun := Time.get_ticks_msec()
	while server.get_available_packet_count() == 0 and Time.get_ticks_msec() - begun < SOON * 1000:
		client.poll()
		server.poll()
	observe("order.tight_loop", describe_next(server, payload(20)))
	clean()


func _targets() -> void:
	var server := new_server()
	var clients := {}
	var ids := {}
	for name: String in ["anna", "ben", "cleo"]:
		clients[name] = await connected_client(server, name)
		ids[name] = clients[name].get_unique_id()
	await reach_each(server, clients, [["all", 0], ["anna", ids.anna], ["cleo", ids.cleo], ["not_ben", -ids.ben], ["not_anna", -ids.anna],
			["not_the_server", -1], ["not_a_stranger", -5]])
	expecting_errors(func() -> void:
		for target: int in [1, 5]:
			server.set_target_peer(target)
			observe("target.server_to_%d" % target, server.put_packet(payload(3))))
	# Whatever the target, a client's packets go to the server alone.
	for target: Array in [["all", 0], ["server", 1], ["not_the_server", -1], ["another", ids.ben], ["not_another", -ids.ben], ["unknown", 5]]:
		address(clients.anna, target[1])
		expecting_errors(func() -> void: observe("target.client_to_%s" % target[0], clients.anna.put_packet(payload(12))))
		await happens(func() -> bool: return server.get_available_packet_count() > 0, 0.3)
		observe("target.client_to_%s.arrives" % target[0], describe_next(server, payload(12)))
	observe("target.nobody_else", [server, clients.anna, clients.ben, clients.cleo].map(
			func(peer: MultiplayerPeer) -> int: return peer.get_available_packet_count()))
	# The target stays with a client that has gone.
	clients.ben.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(ben)"), "ben gone")
	address(server, ids.ben)
	expecting_errors(func() -> void: observe("target.gone", server.put_packet(payload(3))))
	clients.clear()
	clean()


func _senders() -> void:
	var server := new_server()
	var clients := {}
	for name: String in ["anna", "ben", "cleo"]:
		clients[name] = await connected_client(server, name)
	for number in 20:
		for name: String in clients:
			clients[name].put_packet(payload(30 + number, clients[name].get_unique_id() & 0xFF))
	await until(func() -> bool: return server.get_available_packet_count() == 60, "all of them")
	var got := {"anna": 0, "ben": 0, "cleo": 0}
	var as_sent := true
	while server.get_available_packet_count() > 0:
		var id := server.get_packet_peer()
		var name := name_of(id)
		as_sent = as_sent and server.get_packet() == payload(30 + got[name], id & 0xFF)
		got[name] += 1
	observe("senders", [got.anna, got.ben, got.cleo])
	observe("senders.as_sent", as_sent)
	clients.clear()
	clean()


func _modes_and_channels() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	for mode in 3:
		for channel: int in [0, 1, 3, 300]:
			var key := "mode.%s.channel_%d" % [MODE_NAMES[mode], channel]
			await exchange(key + ".up", client, server, 1, payload(40), mode, channel)
			await exchange(key + ".down", server, client, client.get_unique_id(), payload(41), mode, channel)
	clean()


# `put_packet` sends no empty packets; a connection's own `send` does.
func _empty_packets() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	for pair: Array in [["up", client, server, 1], ["down", server, client, id]]:
		var from: MultiplayerPeer = pair[1]
		var to: MultiplayerPeer = pair[2]
		observe("empty.%s.put" % pair[0], from.put_packet(PackedByteArray()))
		observe("empty.%s.send" % pair[0], from.get_peer(pair[3]).send(PackedByteArray()))
		address(from, pair[3])
		from.put_packet(payload(7))
		var sizes := []
		errors_expected(true)
		await until(func() -> bool:
			while to.get_available_packet_count() > 0:
				sizes.append(to.get_packet().size())
			return sizes.has(7), "the packet behind the empty one")
		errors_expected(false)
		observe("empty.%s.arrived" % pair[0], sizes)
	# A connection's own `send`, binary and text: a packet like any other.
	observe("own.send", client.get_peer(1).send(payload(9)))
	observe("own.send_text", client.get_peer(1).send_text("grüß"))
	observe("own.put", server.get_peer(id).put_packet(payload(10)))
	await until(func() -> bool: return server.get_available_packet_count() == 2 and client.get_available_packet_count() == 1, "the connection's own")
	observe("own.binary", describe_next(server, payload(9)))
	observe("own.text", describe_next(server, "grüß".to_utf8_buffer()))
	observe("own.down", describe_next(client, payload(10)))
	clean()


# Longer than the built-in lets through; Ferry's own default is more.
func _over_the_default() -> void:
	for case: Array in [["up", 1], ["down", 1], ["up", 150000], ["down", 150000]]:
		var way: String = case[0]
		var key := "over.by_%d.%s" % [case[1], way]
		var server := new_server()
		var client := await connected_client(server, "client")
		var id := client.get_unique_id()
		log.server.clear()
		log.client.clear()
		var from: MultiplayerPeer = client if way == "up" else server
		var to: MultiplayerPeer = server if way == "up" else client
		address(from, 1 if way == "up" else id)
		var packet := payload(BUILT_IN_LIMIT + case[1])
		errors_expected(true)
		observe(key + ".put", from.put_packet(packet))
		var arrives := await happens(func() -> bool: return to.get_available_packet_count() > 0 or is_gone(client) or log.server.size() > 0, 0.5)
		errors_expected(false)
		observe(key + ".arrives", describe_next(to, packet) if arrives else "nothing")
		if is_gone(client) or log.server.size() > 0:
			await until(func() -> bool: return is_gone(client) and log.server.size() > 0, "both know of the end")
		observe(key + ".status", status_of(client))
		observe_log(key, "server")
		observe_log(key, "client")
		clean()


# The sender's own limit: an error, and the connection lives on.
func _over_what_was_set() -> void:
	var server: MultiplayerPeer = make(server_class())
	name_newcomers(server)
	watch(server, "server")
	server.outbound_buffer_size = 2000
	check_eq(open_server(server), OK, "create_server")
	polled.append(server)
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.outbound_buffer_size = 1000
	open_client(client, port_of(server))
	expect(client, "client")
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
	for pair: Array in [["up", client, server, 1, 1000], ["down", server, client, client.get_unique_id(), 2000]]:
		var from: MultiplayerPeer = pair[1]
		var to: MultiplayerPeer = pair[2]
		address(from, pair[3])
		expecting_errors(func() -> void:
			observe("set.%s.put_over" % pair[0], from.put_packet(payload(pair[4] + 1)))
			observe("set.%s.send_over" % pair[0], from.get_peer(pair[3]).send(payload(pair[4] + 1))))
		await exchange("set.%s" % pair[0], from, to, pair[3], payload(pair[4]))
	# To all, of whom nobody has room.
	address(server, 0)
	expecting_errors(func() -> void: observe("set.all.put_over", server.put_packet(payload(2001))))
	observe("set.status", [status_of(client), state_of(client.get_peer(1))])
	observe("set.nothing_arrived", [server.get_available_packet_count(), client.get_available_packet_count()])
	clean()


# The receiver's limit: it closes with 1009.
func _over_what_is_taken() -> void:
	for way: String in ["up", "down"]:
		var server: MultiplayerPeer = make(server_class())
		name_newcomers(server)
		watch(server, "server")
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client")
		if way == "up":
			server.inbound_buffer_size = 1000
		else:
			client.inbound_buffer_size = 1000
		check_eq(open_server(server), OK, "create_server")
		polled.append(server)
		open_client(client, port_of(server))
		expect(client, "client")
		polled.append(client)
		await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
		var id := client.get_unique_id()
		var from: MultiplayerPeer = client if way == "up" else server
		var to: MultiplayerPeer = server if way == "up" else client
		var socket: Object = from.get_peer(1 if way == "up" else id)
		await exchange("taken.%s.just" % way, from, to, 1 if way == "up" else id, payload(1000))
		log.server.clear()
		log.client.clear()
		errors_expected(true)
		observe("taken.%s.put" % way, from.put_packet(payload(1001)))
		await until(func() -> bool: return is_gone(client) and log.server.size() > 0, "both know of the end")
		errors_expected(false)
		observe("taken.%s.available" % way, to.get_available_packet_count() if not is_gone(to) else 0)
		observe_log("taken.%s" % way, "server")
		observe_log("taken.%s" % way, "client")
		await _until_closed(socket)
		observe("taken.%s.code" % way, [state_of(socket), socket.get_close_code()])
		socket = null
		clean()


# A connection that its multiplayer peer has let go of is polled by nobody else.
func _until_closed(socket: Object) -> void:
	polled.append(socket)
	await until(func() -> bool: return is_closed(socket), "closed")
	polled.erase(socket)


# New limits are for connections to come.
func _limits_of_a_running_one() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	client.outbound_buffer_size = 100
	server.inbound_buffer_size = 100
	await exchange("running.up", client, server, 1, payload(5000))
	observe("running.size", client.get_peer(1).outbound_buffer_size > 100)
	var second: MultiplayerPeer = make(client_class())
	watch(second, "second")
	open_client(second, port_of(server))
	expect(second, "second")
	polled.append(second)
	await until(func() -> bool: return is_connected_peer(second) and log.server.size() > 1, "connected")
	log.second.clear()
	second.put_packet(payload(101))
	observe("running.second_ends", await happens(func() -> bool: return is_gone(second), 1.0))
	observe_log("running", "second")
	clean()

extends "res://tests/support/parity_test.gd"
## Packets between a server and its clients: modes, channels, sizes, targets, order.

const SIZES := [1, 2, 1391, 1392, 1393, 60000, 1 << 20]
const UNRELIABLE_SIZES := [1, 1300, 1391, 1392, 1393, 4000]


func _test() -> void:
	await _modes_and_channels()
	await _few_channels()
	await _sizes()
	await _order()
	await _targets()
	await _empty_packets()
	await values_pass()


func _modes_and_channels() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	for mode in 3:
		for channel: int in [0, 1, 2, 3, 17, 250]:
			var key := "way.%s.%d" % [MODE_NAMES[mode], channel]
			await exchange(key + ".down", server, client, client.get_unique_id(), payload(40), mode, channel)
			await exchange(key + ".up", client, server, 1, payload(41), mode, channel)
	# A channel beyond what the connection has: told as an error, and OK all the same.
	for channel: int in [254, 255]:
		var key := "beyond.%d" % channel
		address(client, 1, MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
		expecting_errors(func() -> void: observe(key + ".client", client.put_packet(payload(5))))
		address(server, 0, MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
		expecting_errors(func() -> void: observe(key + ".server_all", server.put_packet(payload(5))))
		address(server, client.get_unique_id(), MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
		expecting_errors(func() -> void: observe(key + ".server_one", server.put_packet(payload(5))))
		await linger(0.1)
		observe(key + ".arrived_up", server.get_available_packet_count())
		observe(key + ".arrived_down", client.get_available_packet_count())
	clean()


func _few_channels() -> void:
	var server := new_server()
	var client := await connected_client(server, "client", 2)
	var id := client.get_unique_id()
	observe("few.client", client.get_peer(1).get_channels())
	observe("few.server", server.get_peer(id).get_channels())
	for channel in 3:
		await exchange("few.up_%d" % channel, client, server, 1, payload(9), 2, channel)
		await exchange("few.down_%d" % channel, server, client, id, payload(9), 2, channel)
	address(client, 1, MultiplayerPeer.TRANSFER_MODE_RELIABLE, 3)
	expecting_errors(func() -> void: observe("few.beyond_up", client.put_packet(payload(5))))
	address(server, id, MultiplayerPeer.TRANSFER_MODE_RELIABLE, 3)
	expecting_errors(func() -> void: observe("few.beyond_down", server.put_packet(payload(5))))
	await linger(0.1)
	observe("few.arrived", [server.get_available_packet_count(), client.get_available_packet_count()])
	clean()


func _sizes() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	for size: int in SIZES:
		for channel: int in [0, 3]:
			var key := "size.reliable.%d.channel_%d" % [size, channel]
			await exchange(key + ".up", client, server, 1, payload(size), 2, channel)
			await exchange(key + ".down", server, client, id, payload(size), 2, channel)
	for size: int in UNRELIABLE_SIZES:
		for mode in 2:
			var key := "size.%s.%d" % [MODE_NAMES[mode], size]
			await exchange(key + ".up", client, server, 1, payload(size), mode)
			await exchange(key + ".down", server, client, id, payload(size), mode)
	clean()


func _order() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	for number in 200:
		check_eq(client.put_packet(payload(20 + number * 3, number)), OK, "a put of many")
	await until(func() -> bool: return server.get_available_packet_count() == 200, "all 200")
	var in_order := true
	for number in 200:
		in_order = in_order and server.get_packet() == payload(20 + number * 3, number)
	observe("order.reliable", in_order)
	await large_before_small(server, client, 200000)
	clean()


func _targets() -> void:
	var server := new_server()
	var clients := {}
	for name: String in ["anna", "ben", "cleo"]:
		clients[name] = await connected_client(server, name)
	var ids := {}
	for name: String in clients:
		ids[name] = clients[name].get_unique_id()
	await reach_each(server, clients, [["all", 0], ["anna", ids.anna], ["cleo", ids.cleo], ["not_ben", -ids.ben], ["not_anna", -ids.anna]])
	expecting_errors(func() -> void:
		for target: int in [1, -1, 5, -5]:
			server.set_target_peer(target)
			observe("target.server_to_%d" % target, server.put_packet(payload(3)))
		for target: Array in [["another_client", ids.ben], ["not_another_client", -ids.ben], ["unknown", 5]]:
			clients.anna.set_target_peer(target[1])
			observe("target.client_to_%s" % target[0], clients.anna.put_packet(payload(3))))
	# Whatever the target, a client's packets go to the server alone.
	for target: int in [0, 1, -1]:
		address(clients.anna, target)
		observe("target.client_to_%d" % target, clients.anna.put_packet(payload(12)))
		await until(func() -> bool: return server.get_available_packet_count() > 0, "a packet to %d" % target)
		observe("target.client_to_%d.arrives" % target, describe_next(server, payload(12)))
	await linger(0.05)
	observe("target.nobody_else", [server, clients.anna, clients.ben, clients.cleo].map(
			func(peer: MultiplayerPeer) -> int: return peer.get_available_packet_count()))
	# The target stays with a client that has gone.
	clients.ben.close()
	await until(func() -> bool: return log.server.has("peer_disconnected(ben)"), "ben gone")
	address(server, ids.ben)
	expecting_errors(func() -> void: observe("target.gone", server.put_packet(payload(3))))
	address(server, -ids.ben)
	expecting_errors(func() -> void: observe("target.not_gone", server.put_packet(payload(3))))
	clients.clear()
	clean()


# `put_packet` sends no empty packets; a connection's own `send` does.
func _empty_packets() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	observe("empty.put", client.put_packet(PackedByteArray()))
	observe("empty.send", client.get_peer(1).send(0, PackedByteArray(), 1))
	address(client, 1)
	client.put_packet(payload(7))
	var sizes := []
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			sizes.append(server.get_packet().size())
		return sizes.has(7), "the packet behind the empty one")
	observe("empty.arrived", sizes)
	clean()

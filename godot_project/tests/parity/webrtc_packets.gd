extends "res://tests/support/webrtc_peers_test.gd"
## Packets over WebRTC: modes, the game's own channels, sizes, targets, order.

const OWN := [MultiplayerPeer.TRANSFER_MODE_RELIABLE, MultiplayerPeer.TRANSFER_MODE_UNRELIABLE, MultiplayerPeer.TRANSFER_MODE_UNRELIABLE_ORDERED]


func _test() -> void:
	await _modes_and_channels()
	await _sizes()
	await _order()
	await _targets()
	await _mesh()


func _modes_and_channels() -> void:
	var server := new_server_with(OWN)
	var client := await connected_client_with(server, "client", OWN)
	for mode in 3:
		for channel in 4:
			var key := "way.%s.%d" % [MODE_NAMES[mode], channel]
			await _exchange(key + ".down", server, client, client.get_unique_id(), payload(40), mode, channel)
			await _exchange(key + ".up", client, server, 1, payload(41), mode, channel)
	# A channel that there is none of.
	for channel: int in [4, 100, 2147483647 - 3]:
		address(client, 1, MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
		expecting_errors(func() -> void: observe("beyond.%d" % channel, client.put_packet(payload(5))))
		address(server, client.get_unique_id(), MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel)
		expecting_errors(func() -> void: observe("beyond.%d.server" % channel, server.put_packet(payload(5))))
	await linger(0.05)
	observe("beyond.arrived", [server.get_available_packet_count(), client.get_available_packet_count()])
	expecting_errors(func() -> void:
		observe("none.packet", server.get_packet())
		observe("none.error", server.get_packet_error())
		observe("none", [server.get_packet_peer(), server.get_packet_channel(), server.get_packet_mode()]))
	clean()


# Sends one packet, again and again if it may get lost, and describes what arrives.
func _exchange(
		key: String, from: MultiplayerPeer, to: MultiplayerPeer, target: int, packet: PackedByteArray,
		mode: MultiplayerPeer.TransferMode, channel := 0) -> void:
	address(from, target, mode, channel)
	check_eq(from.put_packet(packet), OK, key)
	await until(func() -> bool: return to.get_available_packet_count() > 0, key)
	observe(key, describe_next(to, packet))
	observe(key + ".left", to.get_available_packet_count())


func _sizes() -> void:
	var server := new_server()
	var client := await connected_client_with(server, "client", [])
	var id := client.get_unique_id()
	for size: int in [1, 2, 1199, 1200, 1201, 16384, 60000, 200000, 262144]:
		await _exchange("size.%d.up" % size, client, server, 1, payload(size), 2)
		await _exchange("size.%d.down" % size, server, client, id, payload(size), 2)
	for mode in 2:
		for size: int in [1, 1200, 4000]:
			await _exchange("size.%s.%d" % [MODE_NAMES[mode], size], client, server, 1, payload(size), mode)
	expecting_errors(func() -> void:
		address(client, 1)
		observe("size.over", client.put_packet(payload(262145)))
		address(server, id)
		observe("size.over.server", server.put_packet(payload(262145))))
	await _exchange("size.after", client, server, 1, payload(7), 2)
	clean()


func _order() -> void:
	var server := new_server()
	var client := await connected_client_with(server, "client", [])
	address(client, 1)
	for number in 200:
		check_eq(client.put_packet(payload(20 + number * 3, number)), OK, "a put of many")
	await until(func() -> bool: return server.get_available_packet_count() == 200, "all 200")
	var in_order := true
	for number in 200:
		in_order = in_order and server.get_packet() == payload(20 + number * 3, number)
	observe("order.reliable", in_order)
	# Packets stay until they are fetched, and what is put meanwhile comes behind them.
	for number in 3:
		client.put_packet(payload(10, number))
	await until(func() -> bool: return server.get_available_packet_count() == 3, "three")
	server.get_packet()
	client.put_packet(payload(10, 3))
	await until(func() -> bool: return server.get_available_packet_count() == 3, "three again")
	for number in 3:
		observe("order.kept_%d" % number, describe_next(server, payload(10, number + 1)))
	clean()


func _targets() -> void:
	var server := new_server()
	var clients := {}
	for name: String in ["anna", "ben", "cleo"]:
		clients[name] = await connected_client_with(server, name, [])
	var ids := {"all": 0}
	for name: String in clients:
		ids[name] = clients[name].get_unique_id()
		ids["all but " + name] = -clients[name].get_unique_id()
	for target: String in ids:
		address(server, ids[target])
		observe("target.%s" % target, server.put_packet(payload(30)))
		for name: String in clients:
			if target == "all" or target == name or (target.begins_with("all but") and not target.ends_with(name)):
				await until(func() -> bool: return clients[name].get_available_packet_count() > 0, "%s gets it" % name)
		await linger(0.03)
		for name: String in clients:
			observe("target.%s.%s" % [target, name], describe_next(clients[name], payload(30)))
	# Everything that a client sends goes to those it is connected to.
	for target: int in [0, 1, -1, 3, -3]:
		address(clients.anna, target)
		expecting_errors(func() -> void: observe("target.from_anna.%d" % target, clients.anna.put_packet(payload(31))))
		if target == 0 or target == 1 or target == -3:
			await until(func() -> bool: return server.get_available_packet_count() > 0, "the server gets it")
		await linger(0.03)
		observe("target.from_anna.%d.server" % target, describe_next(server, payload(31)))
	expecting_errors(func() -> void:
		for target: int in [77, -77]:
			address(server, target)
			observe("target.unknown.%d" % target, server.put_packet(payload(2))))
	await until(func() -> bool: return clients.values().all(func(one: MultiplayerPeer) -> bool:
		return one.get_available_packet_count() == 1), "all but nobody")
	clean()


func _mesh() -> void:
	var mesh := await new_mesh([0])
	for from: int in mesh:
		for target: int in [0, 2, 3, 4, -2, -3, -4]:
			if target == from:
				continue
			address(mesh[from], target, MultiplayerPeer.TRANSFER_MODE_RELIABLE)
			observe("mesh.%d_to_%d" % [from, target], mesh[from].put_packet(payload(25)))
			for to: int in mesh:
				if to != from and (target == 0 or target == to or (target < 0 and target != -to)):
					await until(func() -> bool: return mesh[to].get_available_packet_count() > 0, "%d to %d" % [from, to])
					observe("mesh.%d_to_%d.%d" % [from, target, to], describe_next(mesh[to], payload(25)))
	await linger(0.03)
	for id: int in mesh:
		observe("mesh.left.%d" % id, mesh[id].get_available_packet_count())
	expecting_errors(func() -> void:
		for target: int in [1, 5]:
			address(mesh[2], target)
			observe("mesh.unknown.%d" % target, mesh[2].put_packet(payload(2))))
	clean()

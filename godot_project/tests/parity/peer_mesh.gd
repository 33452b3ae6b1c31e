extends "res://tests/support/parity_test.gd"
## Three peers in a mesh, each with a connection of its own to each other one.
## Peer 2 is of the server's class, the others of the client's.


func _test() -> void:
	var mesh := {}
	for id: int in [2, 3, 4]:
		name_id(id, "peer %d" % id)
		var peer: MultiplayerPeer = make(server_class() if id == 2 else client_class())
		watch(peer, name_of(id))
		observe("create.%d" % id, peer.create_mesh(id))
		mesh[id] = peer
	for pair: Array in [[2, 3], [2, 4], [3, 4]]:
		await _join(mesh, pair[0], pair[1])
	for id: int in mesh:
		polled.append(mesh[id])
		observe_log("joined", name_of(id))
		observe("joined.%d.status" % id, [status_of(mesh[id]), mesh[id].get_unique_id(), mesh[id].is_server_relay_supported()])
	observe("joined.peers", [2, 3, 4].map(func(id: int) -> bool: return mesh[3].get_peer(id) != null if id != 3 else true))
	for mode in 3:
		for target: int in [0, 3, -3, 4]:
			# The built-in crashes when it sends one unreliable packet to several.
			if mode == 2 or target > 0 or options.has("all_modes"):
				await _send(mesh, 2, target, mode)
	for target: int in [2, -2, 0]:
		await _send(mesh, 4, target, 2)
	expecting_errors(func() -> void:
		for target: int in [1, 5, -5, 2]:
			mesh[2].set_target_peer(target)
			observe("put.unknown_%d" % target, mesh[2].put_packet(payload(2))))
	# One leaves, then one is disconnected.
	mesh[4].close()
	await until(func() -> bool: return log["peer 2"].size() > 0 and log["peer 3"].size() > 0, "4 has gone")
	observe_log("left", "peer 2")
	observe_log("left", "peer 3")
	observe_log("left", "peer 4")
	await _send(mesh, 2, 0, 2)
	mesh[2].disconnect_peer(3)
	await until(func() -> bool: return log["peer 2"].size() > 0 and log["peer 3"].size() > 0, "2 and 3 apart")
	observe_log("apart", "peer 2")
	observe_log("apart", "peer 3")
	observe("apart.status", [status_of(mesh[2]), status_of(mesh[3]), status_of(mesh[4])])
	await _forced()
	clean()


# Connects two of them, by hand, and gives the connections to the mesh.
func _join(mesh: Dictionary, first: int, second: int) -> void:
	var listening: Object = make(connection_class(_class_of(first)))
	check_eq(listening.create_host_bound(LOCALHOST, 0, 1), OK, "a host that listens")
	var calling: Object = make(connection_class(_class_of(second)))
	check_eq(calling.create_host(1), OK, "a host that calls")
	var call: Object = calling.connect_to_host(LOCALHOST, listening.get_local_port(), 0, 0)
	if mesh[first].get_unique_id() == 2 and second == 3:
		expecting_errors(func() -> void:
			observe("add.not_connected", mesh[second].add_mesh_peer(first, calling)))
	await until(func() -> bool:
		listening.service()
		calling.service()
		return call.get_state() == 5 and listening.get_peers().size() == 1 and listening.get_peers()[0].get_state() == 5,
		"%d and %d connected" % [first, second])
	observe("add.%d_%d" % [first, second], mesh[first].add_mesh_peer(second, listening))
	observe("add.%d_%d" % [second, first], mesh[second].add_mesh_peer(first, calling))
	for connection: Object in [listening, calling]:
		for peer: Object in connection.get_peers():
			peer.throttle_configure(5000, 32, 0)


func _class_of(id: int) -> String:
	return server_class() if id == 2 else client_class()


func _send(mesh: Dictionary, from: int, target: int, mode: int) -> void:
	var key := "send.%d_to_%d.%s" % [from, target, MODE_NAMES[mode]]
	var live: Array = mesh.keys().filter(func(id: int) -> bool: return not is_gone(mesh[id]))
	address(mesh[from], target, mode, 1 if mode == 0 else 0)
	observe(key + ".put", mesh[from].put_packet(payload(30)))
	for id: int in live:
		if id != from and (target == 0 or target == id or (target < 0 and target != -id)):
			await until(func() -> bool: return mesh[id].get_available_packet_count() > 0, "%s at %d" % [key, id])
	for id: int in live:
		observe("%s.at_%d" % [key, id], describe_next(mesh[id], payload(30)))


func _forced() -> void:
	var mesh := {}
	for id: int in [2, 3]:
		mesh[id] = make(_class_of(id))
		watch(mesh[id], name_of(id))
		mesh[id].create_mesh(id)
	await _join(mesh, 2, 3)
	polled.assign(mesh.values())
	log["peer 2"].clear()
	log["peer 3"].clear()
	mesh[2].disconnect_peer(3, true)
	expecting_errors(func() -> void:
		observe("forced.at_once", [status_of(mesh[2]), mesh[2].get_peer(3) != null, log["peer 2"]]))
	await until(func() -> bool: return log["peer 3"].size() > 0, "3 knows")
	observe_log("forced", "peer 2")
	observe_log("forced", "peer 3")

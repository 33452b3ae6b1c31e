extends "res://tests/support/webrtc_peers_test.gd"
## How peers find each other over WebRTC: servers with clients and meshes; what each sees before, while and after.


func _test() -> void:
	await _server_and_clients()
	await _mesh()
	await _offered_by_the_server()
	await _again()


func _server_and_clients() -> void:
	var server := new_server()
	var anna := new_client(server, "anna")
	observe("join.before", [status_of(server), status_of(anna), anna.get_unique_id()])
	observe("join.before.has", [server.has_peer(2), anna.has_peer(1), server.get_peer(2).connected])
	await until(func() -> bool: return is_connected_peer(anna) and log.server.size() > 0, "anna connected")
	observe_log("join.anna", "server")
	observe_log("join.anna", "anna")
	var known: Dictionary = server.get_peer(2)
	observe("join.peer", [known.connected, known.connection.get_connection_state(), known.channels.size()])
	observe("join.channels", known.channels.map(func(channel: WebRTCDataChannel) -> Array:
		return [channel.get_label(), channel.get_id(), channel.get_ready_state()]))
	known.clear()
	var ben := new_client(server, "ben")
	var cleo := new_client(server, "cleo")
	await until(func() -> bool: return is_connected_peer(ben) and is_connected_peer(cleo) and log.server.size() > 1, "both connected")
	log.server.sort()
	for name: String in ["server", "ben", "cleo"]:
		observe_log("join.all", name)
	var ids: Array = server.get_peers().keys()
	ids.sort()
	observe("join.peers", [ids, ben.get_peers().keys()])
	observe("join.connected", server.get_peers().values().map(func(one: Dictionary) -> bool: return one.connected))
	observe("join.relay", [server.is_server_relay_supported(), ben.is_server_relay_supported()])
	clean()


func _mesh() -> void:
	var mesh := await new_mesh()
	for id: int in mesh:
		log["peer %d" % id].sort()
		observe_log("mesh", "peer %d" % id)
		var ids: Array = mesh[id].get_peers().keys()
		ids.sort()
		observe("mesh.%d" % id, [ids, status_of(mesh[id]), mesh[id].is_server_relay_supported()])
	# Somebody comes later.
	var late := new_member(1, client_class())
	for id: int in mesh:
		introduce(mesh[id], late)
	await until(func() -> bool: return log["peer 1"].size() == 3 and mesh.keys().all(func(id: int) -> bool:
		return log["peer %d" % id].size() == 1), "all know the late one")
	for id: int in [1, 2, 3, 4]:
		log["peer %d" % id].sort()
		observe_log("late", "peer %d" % id)
	clean()
	name_id(1, "server")


func _offered_by_the_server() -> void:
	var server := new_server()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	name_id(2, "client")
	observe("offered.create", client.create_client(2))
	polled.append(client)
	introduce(client, server)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
	observe_log("offered", "server")
	observe_log("offered", "client")
	clean()


# The same objects, one life after the other.
func _again() -> void:
	var server := new_server()
	var client := new_client(server, "client")
	for turn in 3:
		await until(func() -> bool: return is_connected_peer(client) and log.server.size() > 0, "connected")
		observe_log("again.%d" % turn, "server")
		observe_log("again.%d" % turn, "client")
		client.close()
		await until(func() -> bool: return log.server.size() > 0, "gone")
		observe_log("again.%d.gone" % turn, "server")
		observe("again.%d.has" % turn, server.has_peer(2))
		observe("again.%d.create" % turn, client.create_client(2))
		introduce(server, client)
	clean()

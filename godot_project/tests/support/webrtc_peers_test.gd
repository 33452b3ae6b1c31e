extends "res://tests/support/ferry_test.gd"
## What the scenes about WebRTC share: peers in one process that are introduced to each other.
##
## `--server=` and `--client=` name the class of each end, `--connection=` that of the connections between them.

const Introduction := preload("res://tests/support/introduction.gd")

var _next_id := 2


func server_class() -> String:
	return options.get("server", "FerryWebRTCMultiplayerPeer")


func client_class() -> String:
	return options.get("client", server_class())


func new_connection() -> WebRTCPeerConnection:
	return make(options.get("connection", "FerryWebRTCPeerConnection"))


## Gives two peers a connection to each other; the second one offers.
func introduce(
		first: MultiplayerPeer, second: MultiplayerPeer,
		there := new_connection(), here := new_connection(), lifetime := 1) -> void:
	var ids := [first.get_unique_id(), second.get_unique_id()]
	check_eq(first.add_peer(there, ids[1], lifetime), OK, "add_peer %d" % ids[1])
	check_eq(second.add_peer(here, ids[0], lifetime), OK, "add_peer %d" % ids[0])
	Introduction.introduce(there, here)
	check_eq(here.create_offer(), OK, "create_offer")


## A server; polled, and watched under its name.
func new_server(_max_clients := 32, _max_channels := 0) -> MultiplayerPeer:
	return new_server_with([])


func new_server_with(channels: Array) -> MultiplayerPeer:
	var server: MultiplayerPeer = make(server_class())
	watch(server, "server")
	check_eq(server.create_server(channels), OK, "create_server")
	polled.append(server)
	return server


## A client of that server, introduced and not connected yet; polled, and watched under its name.
func new_client(server: MultiplayerPeer, name: String, _channels := 0) -> MultiplayerPeer:
	return new_client_with(server, name, [])


func new_client_with(server: MultiplayerPeer, name: String, channels: Array) -> MultiplayerPeer:
	var client: MultiplayerPeer = make(client_class())
	watch(client, name)
	name_id(_next_id, name)
	check_eq(client.create_client(_next_id, channels), OK, "create_client")
	_next_id += 1
	polled.append(client)
	introduce(server, client)
	return client


func connected_client_with(server: MultiplayerPeer, name: String, channels: Array) -> MultiplayerPeer:
	var client := new_client_with(server, name, channels)
	await until(func() -> bool: return (
			is_connected_peer(client) and log["server"].has("peer_connected(%s)" % name)), "%s connected" % name)
	return client


## One of a mesh; polled, and watched under its name.
func new_member(id: int, of_class: String, channels := []) -> MultiplayerPeer:
	var member: MultiplayerPeer = make(of_class)
	name_id(id, "peer %d" % id)
	watch(member, name_of(id))
	check_eq(member.create_mesh(id, channels), OK, "create_mesh")
	polled.append(member)
	return member


## Three that are connected to each other, the first of the server's class: ids 2, 3 and 4.
func new_mesh(channels := []) -> Dictionary:
	var mesh := {}
	for id: int in [2, 3, 4]:
		mesh[id] = new_member(id, server_class() if id == 2 else client_class(), channels)
	for pair: Array in [[2, 3], [4, 2], [3, 4]]:
		introduce(mesh[pair[0]], mesh[pair[1]])
	await until(func() -> bool:
		return mesh.keys().all(func(id: int) -> bool: return log["peer %d" % id].size() == 2), "all know each other")
	return mesh


# The names stay where ids are given by the scene.
func clean() -> void:
	super()
	_next_id = 2

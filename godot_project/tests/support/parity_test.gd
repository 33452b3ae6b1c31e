extends "res://tests/support/scene_test.gd"
## What the scenes share that run on both the built-in classes and Ferry's.
##
## `--server=` and `--client=` name the class of each end: ENet's or WebSocket's, one family for both. A scene tells what
## it sees with `observe`; ids and ports, which differ from run to run, are replaced by names.

const LOCALHOST := "127.0.0.1"

## How often a port is tried that was free a moment ago.
const PORT_ATTEMPTS := 5

const STATUS_NAMES := ["disconnected", "connecting", "connected"]
const MODE_NAMES := ["unreliable", "ordered", "reliable"]

## What happened to each watched peer, in order.
var log := {}

var _names := {1: "server"}

# Who comes next, where only the server knows a client's id before they are connected.
var _expected: Array[String] = []


func server_class() -> String:
	return options.get("server", "ENetMultiplayerPeer")


func client_class() -> String:
	return options.get("client", "ENetMultiplayerPeer")


func is_ferry(class_option: String) -> bool:
	return class_option.begins_with("Ferry")


## Whether the two ends speak WebSocket.
func is_websocket() -> bool:
	return server_class().contains("WebSocket")


## The class for single connections that belongs to a class of multiplayer peers: a host's, or a WebSocket.
func connection_class(peer_class: String) -> String:
	return peer_class.replace("MultiplayerPeer", "Peer" if is_websocket() else "Connection")


## Makes this a server on a free port of this machine. What follows the port in `create_server` can be added.
func open_server(server: MultiplayerPeer, arguments := []) -> Error:
	if not is_websocket():
		return server.callv("create_server", [0] + arguments)
	# This one could not say which port it was given.
	var error := ERR_CANT_CREATE
	for attempt in PORT_ATTEMPTS:
		var port := free_port()
		error = expecting_errors(func() -> Error: return server.callv("create_server", [port] + arguments))
		if error == OK:
			server.set_meta(&"port", port)
			break
	return error


## A port of this machine that nobody listens on, at no address.
func free_port() -> int:
	var socket := TCPServer.new()
	check_eq(socket.listen(0), OK, "a free port")
	return socket.get_local_port()


## Where that server listens.
func port_of(server: MultiplayerPeer) -> int:
	return server.get_meta(&"port") if is_websocket() else server.host.get_local_port()


## Lets this client connect to a port of this machine. What follows the address in `create_client` can be added.
func open_client(client: MultiplayerPeer, port: int, arguments := []) -> Error:
	if is_websocket():
		return client.callv("create_client", ["ws://%s:%d" % [LOCALHOST, port]] + arguments)
	return client.callv("create_client", [LOCALHOST, port] + arguments)


## A server on a port that the system chooses; polled, and watched under its name.
func new_server(max_clients := 32, max_channels := 0) -> MultiplayerPeer:
	var server: MultiplayerPeer = make(server_class())
	name_newcomers(server)
	watch(server, "server")
	check_eq(open_server(server, [] if is_websocket() else [max_clients, max_channels]), OK, "create_server")
	polled.append(server)
	return server


## A client of that server, which is not yet connected; polled, and watched under its name.
func new_client(server: MultiplayerPeer, name: String, channels := 0) -> MultiplayerPeer:
	var client: MultiplayerPeer = make(client_class())
	watch(client, name)
	check_eq(open_client(client, port_of(server), [] if is_websocket() else [channels]), OK, "create_client")
	expect(client, name)
	polled.append(client)
	return client


## Gives the name to this client's id. Where the server chooses the id, the next who comes gets the name.
func expect(client: MultiplayerPeer, name: String) -> void:
	if client.get_unique_id() > 0:
		_names[client.get_unique_id()] = name
	else:
		_expected.append(name)


## Names who comes to this server, in the order in which they were expected. To be called before others listen.
func name_newcomers(server: MultiplayerPeer) -> void:
	server.peer_connected.connect(func(id: int) -> void:
		if not _names.has(id) and not _expected.is_empty():
			_names[id] = _expected.pop_front())


## A client that is connected, at both ends.
func connected_client(server: MultiplayerPeer, name: String, channels := 0) -> MultiplayerPeer:
	var client := new_client(server, name, channels)
	await until(func() -> bool: return (
			client.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED
			and log["server"].has("peer_connected(%s)" % name)), "%s connected" % name)
	if client.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED:
		unthrottle(client, 1)
		unthrottle(server, client.get_unique_id())
	return client


## The built-in drops unreliable packets at will while it learns the round-trip time; without a deceleration not.
func unthrottle(peer: MultiplayerPeer, id: int) -> void:
	var connection: Variant = peer.get_peer(id)
	if connection != null and connection.has_method("throttle_configure"):
		connection.throttle_configure(5000, 32, 0)


## Notes the peer's signals, with the status that a handler sees.
func watch(peer: MultiplayerPeer, name: String) -> void:
	var entries: Array = log.get_or_add(name, [])
	peer.peer_connected.connect(func(id: int) -> void: entries.append("peer_connected(%s)" % name_of(id)))
	peer.peer_disconnected.connect(func(id: int) -> void: entries.append("peer_disconnected(%s)" % name_of(id)))


func name_of(id: int) -> String:
	return _names.get(id, "nobody" if id == 0 else "unknown")


func name_id(id: int, name: String) -> void:
	_names[id] = name


func status_of(peer: MultiplayerPeer) -> String:
	return STATUS_NAMES[peer.get_connection_status()]


func is_connected_peer(peer: MultiplayerPeer) -> bool:
	return peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED


func is_gone(peer: MultiplayerPeer) -> bool:
	return peer.get_connection_status() == MultiplayerPeer.CONNECTION_DISCONNECTED


## Writes a peer's log into the transcript and forgets it.
func observe_log(key: String, name: String) -> void:
	observe("%s.%s" % [key, name], ", ".join(PackedStringArray(log[name])))
	log[name].clear()


## Sets where and how the next packets go.
func address(peer: MultiplayerPeer, target: int, mode := MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel := 0) -> void:
	peer.set_target_peer(target)
	peer.transfer_mode = mode
	peer.transfer_channel = channel


## Takes the next packet and describes it: who, how, on which channel, how long, and whether it is the wanted one.
func describe_next(peer: MultiplayerPeer, wanted: PackedByteArray) -> String:
	if peer.get_available_packet_count() == 0:
		return "nothing"
	var from := name_of(peer.get_packet_peer())
	var mode: String = MODE_NAMES[peer.get_packet_mode()]
	var channel := peer.get_packet_channel()
	var packet := peer.get_packet()
	return "from %s, %s, channel %d, %d bytes%s%s" % [
		from, mode, channel, packet.size(), "" if packet == wanted else ", not the same",
		"" if peer.get_packet_error() == OK else ", error %d" % peer.get_packet_error()]


## Bytes that depend on their place and on the seed.
func payload(size: int, seed_byte := 0) -> PackedByteArray:
	var bytes := PackedByteArray()
	bytes.resize(size)
	for place in mini(size, 4096):
		bytes[place] = (place * 31 + (place >> 8) * 7 + seed_byte) & 0xFF
	if size > 4:
		bytes.encode_u32(size - 4, size ^ seed_byte)
	return bytes


## How many links a server holds, where it can be asked.
func links_of(server: MultiplayerPeer) -> String:
	return "" if is_websocket() else str(server.host.get_peers().size())


## Sends one packet and describes what arrives.
func exchange(
		key: String, from: MultiplayerPeer, to: MultiplayerPeer, target: int, packet: PackedByteArray,
		mode := MultiplayerPeer.TRANSFER_MODE_RELIABLE, channel := 0) -> void:
	address(from, target, mode, channel)
	check_eq(from.put_packet(packet), OK, key)
	await until(func() -> bool: return to.get_available_packet_count() > 0, key)
	observe(key, describe_next(to, packet))
	observe(key + ".left", to.get_available_packet_count())


## A large packet of the client's and small ones behind it: they come, and stay, in their order.
func large_before_small(server: MultiplayerPeer, client: MultiplayerPeer, large: int) -> void:
	client.put_packet(payload(large))
	client.put_packet(payload(10))
	await until(func() -> bool: return server.get_available_packet_count() == 2, "both")
	observe("order.large_first", describe_next(server, payload(large)))
	observe("order.small_second", describe_next(server, payload(10)))
	# Packets stay until they are fetched, and what is put meanwhile comes behind them.
	for number in 3:
		client.put_packet(payload(10, number))
	await until(func() -> bool: return server.get_available_packet_count() == 3, "three")
	server.get_packet()
	client.put_packet(payload(10, 3))
	await until(func() -> bool: return server.get_available_packet_count() == 3, "three again")
	for number in 3:
		observe("order.kept_%d" % number, describe_next(server, payload(10, number + 1)))
	expecting_errors(func() -> void:
		observe("order.none_left", server.get_packet())
		observe("order.none_left.error", server.get_packet_error()))


## Whom a server's packets reach: `targets` are pairs of a name and a target, `clients` are by their names.
func reach_each(server: MultiplayerPeer, clients: Dictionary, targets: Array) -> void:
	var number := 0
	for target: Array in targets:
		number += 1
		address(server, target[1])
		observe("target.%s.put" % target[0], server.put_packet(payload(8, number)))
		# A word to everybody, behind it: then nothing is under way any more.
		address(server, 0)
		server.put_packet(payload(3))
		for name: String in clients:
			var got := []
			var client: MultiplayerPeer = clients[name]
			var word := payload(3)
			await until(func() -> bool:
				while client.get_available_packet_count() > 0:
					var packet := client.get_packet()
					if packet == word:
						return true
					got.append(packet == payload(8, number))
				return false, "the word for %s" % name)
			observe("target.%s.%s" % [target[0], name], got)


## Values instead of bytes, and bytes that are no value.
func values_pass() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	address(client, 1)
	var value := {"a": [1, 2.5, Vector3(1, 2, 3)], "b": "text"}
	observe("var.put", client.put_var(value))
	await until(func() -> bool: return server.get_available_packet_count() > 0, "the value")
	observe("var.get", server.get_var() == value)
	client.put_packet(payload(33))
	await until(func() -> bool: return server.get_available_packet_count() > 0, "no value")
	expecting_errors(func() -> void:
		server.get_var()
		observe("var.error", server.get_packet_error()))
	clean()


## Notes what a handler of the last signal sees.
func watch_endings(server: MultiplayerPeer, client: MultiplayerPeer, id: int) -> void:
	var weak_server: WeakRef = weakref(server)
	var weak_client: WeakRef = weakref(client)
	server.peer_disconnected.connect(func(who: int) -> void:
		var me: MultiplayerPeer = weak_server.get_ref()
		expecting_errors(func() -> void:
			log.server.append("there: %s" % (me.get_peer(who) != null))))
	client.peer_disconnected.connect(func(_who: int) -> void:
		var me: MultiplayerPeer = weak_client.get_ref()
		expecting_errors(func() -> void:
			log.client.append("status %s" % status_of(me))
			log.client.append("id stays %s" % (me.get_unique_id() == id))
			log.client.append("there: %s" % (me.get_peer(1) != null))))


## To be bound to a handler of `peer_connected`, which gives the id: does something to its own peer there.
func act_in_handler(id: int, how: String, weak: WeakRef) -> void:
	var peer: MultiplayerPeer = weak.get_ref()
	match how:
		"close":
			peer.close()
		"drop":
			# `until` polls a copy of the list, so that the peer outlives this call, but not the turn.
			polled.erase(peer)
		"disconnect":
			peer.disconnect_peer(id)
		"force":
			peer.disconnect_peer(id, true)
		"put":
			address(peer, id)
			check_eq(peer.put_packet(payload(6)), OK, "put in a handler")


## One of three is told to go: who hears what, and what the others can still do.
func one_of_three_is_kicked() -> void:
	var server := new_server()
	var anna := await connected_client(server, "anna")
	var ben := await connected_client(server, "ben")
	var cleo := await connected_client(server, "cleo")
	for name: String in ["server", "anna", "ben", "cleo"]:
		log[name].clear()
	server.disconnect_peer(ben.get_unique_id())
	await until(func() -> bool: return is_gone(ben) and log.server.size() > 0, "ben gone")
	for name: String in ["server", "anna", "ben", "cleo"]:
		observe_log("kicked", name)
	address(server, 0)
	server.put_packet(payload(4))
	for client: MultiplayerPeer in [anna, cleo]:
		await until(func() -> bool: return client.get_available_packet_count() == 1, "a word to who is left")
	observe("kicked.left", [status_of(anna), status_of(cleo), links_of(server)])
	clean()


## Six clients that leave in the same frame.
func all_leave_at_once() -> void:
	var server := new_server()
	var clients := []
	for number in 6:
		clients.append(await connected_client(server, "client %d" % number))
	log.server.clear()
	for client: MultiplayerPeer in clients:
		client.close()
	await until(func() -> bool: return log.server.size() == 6, "all gone")
	var gone: Array = log.server.duplicate()
	gone.sort()
	observe("all_at_once", gone)
	observe("all_at_once.links", links_of(server))
	clients.clear()
	clean()


## Every call that answers something, on a peer that is not connected to anybody; `more` has what is not the same on all
## transports.
func walk_unconnected(key: String, peer: MultiplayerPeer, more: Callable) -> void:
	observe(key + ".status", status_of(peer))
	observe(key + ".available", peer.get_available_packet_count())
	observe(key + ".relay", peer.is_server_relay_supported())
	observe(key + ".refuse", peer.refuse_new_connections)
	observe(key + ".mode", peer.transfer_mode)
	observe(key + ".channel", peer.transfer_channel)
	expecting_errors(func() -> void:
		observe(key + ".packet_peer", peer.get_packet_peer())
		observe(key + ".packet_mode", peer.get_packet_mode())
		observe(key + ".packet_channel", peer.get_packet_channel())
		observe(key + ".get_packet", peer.get_packet())
		observe(key + ".get_packet_error", peer.get_packet_error())
		observe(key + ".get_var", peer.get_var())
		observe(key + ".get_var_error", peer.get_packet_error())
		for target: int in [0, 1, -1, 2, 77, -77, -2147483648, 2147483647]:
			peer.set_target_peer(target)
			observe("%s.put_to_%d" % [key, target], peer.put_packet(payload(3)))
		peer.set_target_peer(0)
		observe(key + ".put_empty", peer.put_packet(PackedByteArray()))
		observe(key + ".put_var", peer.put_var({"a": 1}))
		more.call()
		peer.disconnect_peer(77)
		peer.disconnect_peer(77, true)
		peer.poll()
		observe(key + ".status_after", status_of(peer)))


## Ends a part of the scene: closes what is polled.
func clean() -> void:
	for subject: Object in polled:
		subject.close()
	polled.clear()
	log.clear()
	_expected.clear()

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


## Ends a part of the scene: closes what is polled.
func clean() -> void:
	for subject: Object in polled:
		subject.close()
	polled.clear()
	log.clear()
	_expected.clear()

extends "res://tests/support/websocket_test.gd"
## What the scenes about Ferry alone share: both ends are Ferry's, over ENet unless `--server=` names another class.
##
## Over WebRTC the ends are introduced to each other as in the demo match; the port is that of the server's WebSocket.

const Introducer := preload("res://match/signaling.gd")

# Under this name each peer over WebRTC keeps who introduces it.
const INTRODUCER := &"introducer"


func server_class() -> String:
	return options.get("server", "FerryENetMultiplayerPeer")


func client_class() -> String:
	return options.get("client", server_class())


## Whether the two ends speak WebRTC.
func is_webrtc() -> bool:
	return server_class().contains("WebRTC")


## Ferry's servers tell which port the system chose, on each transport.
func open_server(server: MultiplayerPeer, arguments := []) -> Error:
	if not is_webrtc():
		return server.callv("create_server", [0] + arguments)
	var introducer := Introducer.new()
	server.set_meta(INTRODUCER, introducer)
	var error: Error = server.create_server()
	return error if error != OK else introducer.serve(server, 0)


func open_client(client: MultiplayerPeer, port: int, arguments := []) -> Error:
	if not is_webrtc():
		return super(client, port, arguments)
	var introducer := Introducer.new()
	client.set_meta(INTRODUCER, introducer)
	var error: Error = client.create_client(client.generate_unique_id())
	return error if error != OK else introducer.call_server(client, url_of(port))


## Lets this client connect to a server by name.
func open_client_to(client: MultiplayerPeer, name: String, port: int) -> Error:
	return client.create_client("ws://%s:%d" % [name, port]) if is_websocket() else client.create_client(name, port)


func port_of(server: MultiplayerPeer) -> int:
	if is_webrtc():
		return server.get_meta(INTRODUCER).get_local_port()
	return server.get_local_port() if is_websocket() else server.host.get_local_port()


func new_server(max_clients := 32, max_channels := 0) -> MultiplayerPeer:
	var server := super(max_clients, max_channels)
	if is_websocket():
		# Not an argument there; a server that is open takes it for clients to come.
		server.max_clients = max_clients
	return server


## Polls a peer, and over WebRTC who introduces it.
func _poll(subject: Object) -> void:
	if subject.has_meta(INTRODUCER):
		subject.get_meta(INTRODUCER).poll()
	super(subject)


# The throttle stays as it comes.
func unthrottle(_peer: MultiplayerPeer, _id: int) -> void:
	pass


## The name of a FerryDisconnect reason.
func reason_name(number: int) -> String:
	for name in ClassDB.class_get_enum_constants(&"FerryDisconnect", &"Reason"):
		if ClassDB.class_get_integer_constant(&"FerryDisconnect", name) == number:
			return name
	return str(number)


## Notes the reasons that a peer tells, in order.
func watch_reasons(peer: MultiplayerPeer) -> Array:
	var told := []
	peer.connection_succeeded.connect(func() -> void: told.append("succeeded"))
	peer.connection_failed.connect(func(reason: int) -> void: told.append("failed " + reason_name(reason)))
	peer.server_disconnected.connect(func(reason: int) -> void: told.append("server gone " + reason_name(reason)))
	peer.peer_lost.connect(func(_id: int, reason: int, _detail: String) -> void: told.append("lost " + reason_name(reason)))
	return told


## A client of a port of this machine that nobody has to answer; polled.
func client_of(port: int) -> MultiplayerPeer:
	var client: MultiplayerPeer = make(client_class())
	check_eq(open_client(client, port), OK, "create_client")
	polled.append(client)
	return client


## Reads whatever waits; gives how many packets that were, and notes whether each was the one that was due.
func read_numbered(peer: MultiplayerPeer, size: int, progress: Dictionary) -> int:
	while peer.get_available_packet_count() > 0:
		var packet := peer.get_packet()
		progress.in_order = progress.get("in_order", true) and packet == payload(size, progress.get("packets", 0))
		progress.packets = progress.get("packets", 0) + 1
	return progress.get("packets", 0)


## As before, and takes the handlers off: one that holds the peer it is connected to would keep it for ever.
func clean() -> void:
	for peer: Object in polled:
		let_go(peer)
	super()


func let_go(peer: Object) -> void:
	for entry: Dictionary in peer.get_signal_list():
		for connection: Dictionary in peer.get_signal_connection_list(entry.name):
			connection.signal.disconnect(connection.callable)

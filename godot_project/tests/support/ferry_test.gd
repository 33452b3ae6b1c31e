extends "res://tests/support/parity_test.gd"
## What the scenes about Ferry alone share: both ends are Ferry's.


func server_class() -> String:
	return options.get("server", "FerryENetMultiplayerPeer")


func client_class() -> String:
	return options.get("client", server_class())


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

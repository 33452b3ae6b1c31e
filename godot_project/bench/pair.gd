extends "res://bench/bench.gd"
## Two peers in one process that are connected, for cases that send from the client to the server, reliably.

var _server: MultiplayerPeer
var _client: MultiplayerPeer


func _connect() -> void:
	_server = open_server(1)
	_client = open_client()
	var ids: Array[int] = []
	_server.peer_connected.connect(func(id: int) -> void: ids.append(id))
	while not is_connected_peer(_client) or ids.is_empty():
		_server.poll()
		_client.poll()
		await process_frame
	_client.set_target_peer(1)
	_client.transfer_mode = MultiplayerPeer.TRANSFER_MODE_RELIABLE


func _disconnect() -> void:
	_client.close()
	_server.close()

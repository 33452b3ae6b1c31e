class_name Signaling
extends RefCounted
## Introduces the players of a match over WebRTC to its server: carries descriptions and candidates over a WebSocket.
##
## An example to copy. The server opens its peer with [code]create_server()[/code] and calls [method serve]; a client opens its own
## with [code]create_client(id)[/code] and calls [method call_server]. Both poll this each frame. Once the connection stands, the
## WebSocket closes by itself: the match does not need it any more.
##
## Messages are JSON. The client's first one is its id; then descriptions and candidates go both ways.

## The server was not reached, takes nobody, or hung up too early. Emitted on a client.
signal failed(why: String)

## Who is introduced at one time. Others are turned away, and may try again.
const MOST_GUESTS := 32

## How long an introduction may take.
const PATIENCE_MS := 15_000

const SERVER_ID := 1

## STUN and TURN servers, as [method WebRTCPeerConnection.initialize] takes them.
var ice_servers := []

## How many players the server takes.
var max_players := 32

# Known weakly: who lets go of the peer ends it, whoever holds this.
var _peer: WeakRef
var _door: TCPServer
var _lines: Array[Line] = []


## A WebSocket, and the player at its other end.
class Line:
	var socket := WebSocketPeer.new()
	var id := 0
	var has_begun := false
	var deadline := Time.get_ticks_msec() + PATIENCE_MS


## Lets players come to this peer, which is a server.
func serve(peer: MultiplayerPeer, port: int) -> Error:
	_peer = weakref(peer)
	_door = TCPServer.new()
	return _door.listen(port)


func get_local_port() -> int:
	return _door.get_local_port()


## Brings this peer, which is a client, to a server, such as [code]ws://127.0.0.1:7000[/code].
func call_server(peer: MultiplayerPeer, url: String) -> Error:
	_peer = weakref(peer)
	var line := Line.new()
	line.id = SERVER_ID
	_lines.append(line)
	return line.socket.connect_to_url(url)


func poll() -> void:
	while _door != null and _door.is_connection_available():
		var stream := _door.take_connection()
		var line := Line.new()
		if _lines.size() < MOST_GUESTS and line.socket.accept_stream(stream) == OK:
			_lines.append(line)
	for line: Line in _lines.duplicate():
		_attend(line)


func _attend(line: Line) -> void:
	line.socket.poll()
	var peer: MultiplayerPeer = _peer.get_ref()
	if line.socket.get_ready_state() == WebSocketPeer.STATE_OPEN:
		if peer == null or peer.get_connection_status() == MultiplayerPeer.CONNECTION_DISCONNECTED:
			line.socket.close()
		elif _door == null and not line.has_begun:
			_ask(line, peer)
		while line.socket.get_available_packet_count() > 0:
			var problem := _hear(line, peer, line.socket.get_packet().get_string_from_utf8())
			if not problem.is_empty():
				# 1008: what came is not wanted. The text travels with it.
				line.socket.close(1008, problem)
		if _stands(line, peer):
			# The client hangs up, so that nothing that it still had to hear is cut off.
			if _door == null:
				line.socket.close()
		elif Time.get_ticks_msec() > line.deadline:
			line.socket.close(1008, "it took too long")
	if line.socket.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		_lines.erase(line)
		_let_go(line, peer)


# As a client: says who we are, and begins.
func _ask(line: Line, peer: MultiplayerPeer) -> void:
	line.has_begun = true
	_send(line, {"id": peer.get_unique_id()})
	var connection := _connection_to(line, peer)
	if connection != null:
		connection.create_offer()


# A new connection for that player, among the peer's.
func _connection_to(line: Line, peer: MultiplayerPeer) -> WebRTCPeerConnection:
	var connection := WebRTCPeerConnection.new()
	connection.initialize({"iceServers": ice_servers})
	# Methods, not lambdas that hold the connection: it would hold itself, and never go.
	connection.session_description_created.connect(_on_description.bind(line.id))
	connection.ice_candidate_created.connect(_on_candidate.bind(line.id))
	return connection if peer.add_peer(connection, line.id) == OK else null


# What came from the other end. An empty text, or what is wrong with it: it may be a stranger's.
func _hear(line: Line, peer: MultiplayerPeer, text: String) -> String:
	var json := JSON.new()
	if peer == null or json.parse(text) != OK or not json.data is Dictionary:
		return "not understood"
	var message: Dictionary = json.data
	if line.id == 0:
		return _let_in(line, peer, int(message.get("id", 0)) if message.get("id") is float else 0)
	if not peer.has_peer(line.id):
		return "not connected"
	var connection: WebRTCPeerConnection = peer.get_peer(line.id).connection
	if connection.get_connection_state() == WebRTCPeerConnection.STATE_CLOSED:
		return "not connected"
	var error := ERR_INVALID_DATA
	if message.get("type") is String and message.get("sdp") is String:
		error = connection.set_remote_description(message.type, message.sdp)
	elif message.get("media") is String and message.get("index") is float and message.get("name") is String:
		error = connection.add_ice_candidate(message.media, int(message.index), message.name)
	return "" if error == OK else "not understood"


func _let_in(line: Line, peer: MultiplayerPeer, id: int) -> String:
	if peer.refuse_new_connections or peer.get_peers().size() >= max_players:
		return "the server takes nobody"
	if id <= SERVER_ID or id > 0x7FFF_FFFF or peer.has_peer(id):
		return "the id is invalid or in use"
	line.id = id
	return "" if _connection_to(line, peer) != null else "it cannot be added"


func _on_description(type: String, sdp: String, id: int) -> void:
	var peer: MultiplayerPeer = _peer.get_ref()
	if peer != null and peer.has_peer(id):
		peer.get_peer(id).connection.set_local_description(type, sdp)
	_send_to(id, {"type": type, "sdp": sdp})


func _on_candidate(media: String, index: int, name: String, id: int) -> void:
	_send_to(id, {"media": media, "index": index, "name": name})


func _send_to(id: int, message: Dictionary) -> void:
	for line in _lines:
		if line.id == id:
			_send(line, message)


func _send(line: Line, message: Dictionary) -> void:
	if line.socket.get_ready_state() == WebSocketPeer.STATE_OPEN:
		line.socket.send_text(JSON.stringify(message))


func _stands(line: Line, peer: MultiplayerPeer) -> bool:
	return peer != null and line.id > 0 and peer.has_peer(line.id) and peer.get_peer(line.id).connected


# The WebSocket is gone. Who is not connected by now will not be.
func _let_go(line: Line, peer: MultiplayerPeer) -> void:
	if peer == null or _stands(line, peer):
		return
	if _door == null and peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTING:
		var why := line.socket.get_close_reason()
		failed.emit(why if not why.is_empty() else "the server could not be reached")

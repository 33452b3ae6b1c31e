extends "res://tests/parity/scene_multiplayer.gd"
## SceneMultiplayer on top of WebRTC peers: as over the other transports, with the ends introduced to each other here.

const Introduction := preload("res://tests/support/introduction.gd")

## A channel has one mode, whatever a call says: so all of them are to arrive.
const CHANNELS := [MultiplayerPeer.TRANSFER_MODE_RELIABLE, MultiplayerPeer.TRANSFER_MODE_RELIABLE, MultiplayerPeer.TRANSFER_MODE_RELIABLE]

var _next_id := 2
var _sync_may_be_late := false


func _host() -> void:
	_add_world("server")
	var peer: MultiplayerPeer = make(server_class())
	check_eq(peer.create_server(CHANNELS), OK, "create_server")
	apis.server.multiplayer_peer = peer


func _join(name: String) -> void:
	_add_world(name)
	var peer: MultiplayerPeer = make(client_class())
	name_id(_next_id, name)
	check_eq(peer.create_client(_next_id, CHANNELS), OK, "create_client")
	var there: WebRTCPeerConnection = make("FerryWebRTCPeerConnection")
	var here: WebRTCPeerConnection = make("FerryWebRTCPeerConnection")
	check_eq(apis.server.multiplayer_peer.add_peer(there, _next_id), OK, "add_peer")
	check_eq(peer.add_peer(here, 1), OK, "add_peer")
	_next_id += 1
	Introduction.introduce(there, here)
	check_eq(here.create_offer(), OK, "create_offer")
	apis[name].multiplayer_peer = peer


# Synchronizers and despawning take different channels, and neither waits for the other: what is late is an error to the engine.
func _replicates() -> void:
	_sync_may_be_late = true
	errors_expected(true)
	await super()
	await linger(0.1)
	_sync_may_be_late = false
	errors_expected(false)


# What is sent again and again until it arrives may still be on its way when the scene goes on.
func _sends_bytes() -> void:
	await super()
	await linger(0.3)
	for name: String in worlds:
		worlds[name].entries.clear()


func errors_expected(expected: bool) -> void:
	super(expected or _sync_may_be_late)

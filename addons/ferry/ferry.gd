class_name Ferry
extends RefCounted
## Gives the Ferry class where Ferry's library is loaded, and the engine's built-in class where it is not.
##
## A script that names a Ferry class does not parse where the library is missing: in web builds, or on a platform it
## was not built for. A script that takes its peers from here runs everywhere; annotate them as [MultiplayerPeer].
## [codeblock]
## var peer := Ferry.enet_peer()
## peer.create_client("play.example.org", 7000)
## multiplayer.multiplayer_peer = peer
## [/codeblock]


## Whether Ferry's library is loaded.
static func is_available() -> bool:
	return _is_there(&"FerryENetMultiplayerPeer")


## A [code]FerryENetMultiplayerPeer[/code], or an [ENetMultiplayerPeer]. Their methods are the same, and they
## understand each other on the network.
static func enet_peer() -> MultiplayerPeer:
	return _first_of([&"FerryENetMultiplayerPeer", &"ENetMultiplayerPeer"])


## A [code]FerryENetConnection[/code], or an [ENetConnection].
static func enet_connection() -> RefCounted:
	return _first_of([&"FerryENetConnection", &"ENetConnection"])


## A [code]FerryWebSocketMultiplayerPeer[/code], or a [WebSocketMultiplayerPeer]: in web builds the latter, which goes through
## the browser and understands Ferry's servers.
static func websocket_peer() -> MultiplayerPeer:
	return _first_of([&"FerryWebSocketMultiplayerPeer", &"WebSocketMultiplayerPeer"])


## A [code]FerryWebSocketPeer[/code], or a [WebSocketPeer].
static func websocket_connection() -> PacketPeer:
	return _first_of([&"FerryWebSocketPeer", &"WebSocketPeer"])


## A [code]FerryWebRTCMultiplayerPeer[/code], or a [WebRTCMultiplayerPeer]: in web builds the latter, which goes through the
## browser and understands Ferry's.
static func webrtc_peer() -> MultiplayerPeer:
	return _first_of([&"FerryWebRTCMultiplayerPeer", &"WebRTCMultiplayerPeer"])


# Null where none is there, as in an engine built without one of these modules.
static func _first_of(classes: Array[StringName]) -> RefCounted:
	for name in classes:
		if _is_there(name):
			return ClassDB.instantiate(name)
	return null


# To ask for more than its existence is an error for a class that is not there.
static func _is_there(name: StringName) -> bool:
	return ClassDB.class_exists(name) and ClassDB.can_instantiate(name)

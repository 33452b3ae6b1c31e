extends "res://tests/support/scene_test.gd"
## What the scenes about WebRTC share: pairs of connections whose signaling is a call away.

## A description as browsers write it; its fingerprint is nobody's.
const FOREIGN_OFFER := """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE data
a=msid-semantic: WMS
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:x2Fa
a=ice-pwd:Zb3kpeTDDdGsRBLkCXJGqYdu
a=ice-options:trickle
a=fingerprint:sha-256 AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89
a=setup:actpass
a=mid:data
a=sctp-port:5000
a=max-message-size:262144
"""

const CANDIDATE := "candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host"

## The engine's dictionary for connections of one process, where there may be no network.
const LOCAL := {"ferry": {"loopback": "always"}}


## A new connection with what its signals tell noted: `["session_description_created", type, sdp]` and so on.
func new_connection(told := []) -> WebRTCPeerConnection:
	var connection := WebRTCPeerConnection.new()
	check_eq(connection.get_class(), "FerryWebRTCPeerConnection", "what the engine makes")
	note_signals(connection, told)
	return connection


func note_signals(connection: WebRTCPeerConnection, told: Array) -> void:
	connection.session_description_created.connect(func(type: String, sdp: String) -> void:
		told.append(["session_description_created", type, sdp]))
	connection.ice_candidate_created.connect(func(media: String, index: int, name: String) -> void:
		told.append(["ice_candidate_created", media, index, name]))
	connection.data_channel_received.connect(func(channel: WebRTCDataChannel) -> void:
		told.append(["data_channel_received", channel]))


## Carries descriptions and candidates between two connections, both ways.
func join(one: WebRTCPeerConnection, other: WebRTCPeerConnection) -> void:
	_carry(weakref(one), weakref(other))
	_carry(weakref(other), weakref(one))


# Handlers that held a connection would keep it for ever.
func _carry(from: WeakRef, to: WeakRef) -> void:
	var source: WebRTCPeerConnection = from.get_ref()
	source.session_description_created.connect(func(type: String, sdp: String) -> void:
		check_eq(from.get_ref().set_local_description(type, sdp), OK, "set_local_description " + type)
		if to.get_ref() != null:
			check_eq(to.get_ref().set_remote_description(type, sdp), OK, "set_remote_description " + type))
	source.ice_candidate_created.connect(func(media: String, index: int, name: String) -> void:
		if to.get_ref() != null:
			check_eq(to.get_ref().add_ice_candidate(media, index, name), OK, "add_ice_candidate " + name))


## Two connections that know of each other, polled.
func new_pair(configuration := LOCAL) -> Array[WebRTCPeerConnection]:
	var pair: Array[WebRTCPeerConnection] = [WebRTCPeerConnection.new(), WebRTCPeerConnection.new()]
	for connection in pair:
		check_eq(connection.initialize(configuration), OK, "initialize")
		polled.append(connection)
	join(pair[0], pair[1])
	return pair


func is_connected_pair(pair: Array[WebRTCPeerConnection]) -> bool:
	return pair.all(func(one: WebRTCPeerConnection) -> bool:
		return one.get_connection_state() == WebRTCPeerConnection.STATE_CONNECTED)


func is_open(channel: WebRTCDataChannel) -> bool:
	return channel.get_ready_state() == WebRTCDataChannel.STATE_OPEN


func is_shut(channel: WebRTCDataChannel) -> bool:
	return channel.get_ready_state() == WebRTCDataChannel.STATE_CLOSED


## Ends a part of the scene.
func clean() -> void:
	for subject: Object in polled:
		subject.close()
	polled.clear()

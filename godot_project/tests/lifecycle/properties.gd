extends "res://tests/support/ferry_test.gd"
## What every Ferry peer has beyond the engine's: its properties with their defaults, its figures with their types.

const DEFAULTS := {
	"connect_timeout": 10.0,
	"peer_timeout": 30.0,
	"outbound_queue_limit": 64 * 1024 * 1024,
	"inbound_queue_limit": 64 * 1024 * 1024,
	"reliable_overflow": 0,
}
const OTHERS := {
	"connect_timeout": 2.5,
	"peer_timeout": 7.5,
	"outbound_queue_limit": 12_345,
	"inbound_queue_limit": 54_321,
	"reliable_overflow": 1,
}
const PEER_FIGURES := {
	"rtt": TYPE_FLOAT, "jitter": TYPE_FLOAT, "loss": TYPE_FLOAT,
	"bytes_sent": TYPE_INT, "bytes_received": TYPE_INT,
	"packets_sent": TYPE_INT, "packets_received": TYPE_INT, "packets_dropped": TYPE_INT,
	"queued_bytes": TYPE_INT, "address": TYPE_STRING, "port": TYPE_INT, "transport": TYPE_STRING, "encrypted": TYPE_BOOL,
}
const ALL_FIGURES := {
	"peers": TYPE_INT, "bytes_sent": TYPE_INT, "bytes_received": TYPE_INT,
	"datagrams_sent": TYPE_INT, "datagrams_received": TYPE_INT, "datagrams_rejected": TYPE_INT,
	"connections_refused": TYPE_INT, "packets_dropped": TYPE_INT, "empty_packets": TYPE_INT,
}
const SIGNALS := {"connection_succeeded": 0, "connection_failed": 1, "server_disconnected": 1, "peer_lost": 3}
const REASONS := ["NONE", "LOCAL_CLOSE", "REMOTE_CLOSE", "KICKED", "SERVER_FULL", "REFUSED", "BAD_ID", "TIMEOUT", "CONNECT_TIMEOUT",
	"RESOLVE", "PROTOCOL", "QUEUE_FULL", "PACKET_TOO_LARGE", "NETWORK", "INTERNAL",
	"TLS", "HANDSHAKE", "UNREACHABLE", "ICE_FAILED"]

# No constants, since packed arrays are none.
var _websocket_defaults := {
	"connect_timeout": 3.0,
	"handshake_timeout": 3.0,
	"inbound_buffer_size": 16 * 1024 * 1024,
	"outbound_buffer_size": 16 * 1024 * 1024,
	"max_queued_packets": 1 << 20,
	"max_clients": 4095,
	"supported_protocols": PackedStringArray(),
	"handshake_headers": PackedStringArray(),
	"trusted_proxies": PackedStringArray(),
	"proxy_header": "X-Forwarded-For",
}
var _websocket_others := {
	# One value under two names.
	"handshake_timeout": 2.5,
	"inbound_buffer_size": 1_000_000,
	"outbound_buffer_size": 2_000_000,
	"max_queued_packets": 1000,
	"max_clients": 17,
	"supported_protocols": PackedStringArray(["one", "two"]),
	"handshake_headers": PackedStringArray(["X-Game: ferry"]),
	"trusted_proxies": PackedStringArray(["127.0.0.1", "10.0.0.0/8", "fd00::/8"]),
	"proxy_header": "Forwarded",
}


func _test() -> void:
	_properties()
	_constants()
	await _figures()


func _properties() -> void:
	var defaults := DEFAULTS.merged(_websocket_defaults, true) if is_websocket() else DEFAULTS
	var others := OTHERS.merged(_websocket_others, true) if is_websocket() else OTHERS
	var peer: MultiplayerPeer = make(server_class())
	var listed := {}
	for property: Dictionary in peer.get_property_list():
		listed[property.name] = property.type
	for property: String in defaults:
		check_eq(listed.get(property), typeof(defaults[property]), "the type of " + property)
		check_eq(peer.get(property), defaults[property], property)
	for property: String in others:
		peer.set(property, others[property])
		check_eq(peer.get(property), others[property], property + " as set")
	# They are settings of the peer, not of one connection.
	check_eq(open_server(peer), OK, "create_server")
	for property: String in others:
		check_eq(peer.get(property), others[property], property + " when open")
	peer.close()
	for property: String in others:
		check_eq(peer.get(property), others[property], property + " when closed")


func _constants() -> void:
	var reasons: Array = Array(ClassDB.class_get_enum_constants(&"FerryDisconnect", &"Reason"))
	check(reasons == REASONS, "the reasons: %s" % [reasons])
	for name: String in reasons:
		check_eq(ClassDB.class_get_integer_constant(&"FerryDisconnect", name), REASONS.find(name), name)
		var text: String = ClassDB.class_call_static(&"FerryDisconnect", &"describe", REASONS.find(name))
		check(text.length() > 3 and text != "unknown reason", "%s in words: %s" % [name, text])
	check_eq(ClassDB.class_get_integer_constant(server_class(), &"OVERFLOW_DISCONNECT"), 0, "OVERFLOW_DISCONNECT")
	check_eq(ClassDB.class_get_integer_constant(server_class(), &"OVERFLOW_RETURN_ERROR"), 1, "OVERFLOW_RETURN_ERROR")
	for wanted: String in SIGNALS:
		check(ClassDB.class_has_signal(server_class(), wanted), "the signal " + wanted)
		check_eq(ClassDB.class_get_signal(server_class(), wanted).args.size(), SIGNALS[wanted], "the arguments of " + wanted)


func _figures() -> void:
	var server := new_server()
	_have_types(server.get_stats(), ALL_FIGURES, "a server with nobody")
	check_eq(server.get_stats().peers, 0, "peers")
	var client := await connected_client(server, "client")
	var id := client.get_unique_id()
	# Complete from the beginning, measured or not.
	_have_types(client.get_peer_stats(1), PEER_FIGURES, "the server as the client sees it")
	_have_types(server.get_peer_stats(id), PEER_FIGURES, "the client as the server sees it")
	_have_types(client.get_stats(), ALL_FIGURES, "the client")
	address(client, 1)
	for number in 30:
		client.put_packet(payload(1000, number))
	await until(func() -> bool: return server.get_available_packet_count() == 30, "packets")
	await until(func() -> bool: return (
			client.get_peer_stats(1).packets_sent >= 30 and client.get_peer_stats(1).queued_bytes == 0
			and server.get_peer_stats(id).packets_received >= 30), "figures")
	var out: Dictionary = client.get_peer_stats(1)
	var back: Dictionary = server.get_peer_stats(id)
	check_eq(out.packets_sent, 30, "packets sent")
	check_eq(back.packets_received, 30, "packets received")
	check(out.bytes_sent > 30_000 and out.bytes_sent < 40_000, "bytes sent: %d" % out.bytes_sent)
	check(back.bytes_received > 30_000 and back.bytes_received < 40_000, "bytes received: %d" % back.bytes_received)
	check(out.rtt > 0.0 and out.rtt < 0.05, "rtt: %s" % out.rtt)
	check(out.jitter >= 0.0 and out.jitter < 0.05, "jitter: %s" % out.jitter)
	check_eq(out.loss, 0.0, "loss")
	check_eq([out.transport, out.encrypted], [_transport(), is_webrtc()], "by what")
	if is_webrtc():
		# Which of the machine's addresses they found is theirs to say; both say the same.
		check_eq([out.address, out.address.is_valid_ip_address()], [back.address, true], "where to")
	else:
		_addresses(server, client, out, back)
	check_eq(server.get_stats().peers, 1, "peers")
	check_eq(server.get_stats().packets_dropped, 0, "dropped")
	client.close()
	await until(func() -> bool:
		while server.get_available_packet_count() > 0:
			server.get_packet()
		return log.server.has("peer_disconnected(client)"), "gone")
	_have_types(server.get_peer_stats(id), PEER_FIGURES, "a client that is gone")
	check_eq(server.get_stats().peers, 0, "peers")
	clean()


func _transport() -> String:
	return "webrtc" if is_webrtc() else "websocket" if is_websocket() else "enet"


func _addresses(server: MultiplayerPeer, client: MultiplayerPeer, out: Dictionary, back: Dictionary) -> void:
	var id := client.get_unique_id()
	var client_port: int = server.get_peer_port(id) if is_websocket() else client.host.get_local_port()
	check_eq([out.address, out.port], [LOCALHOST, port_of(server)], "where to")
	check_eq([back.address, back.port], [LOCALHOST, client_port], "where from")


func _have_types(figures: Dictionary, wanted: Dictionary, what: String) -> void:
	var seen := {}
	for key: String in figures:
		seen[key] = typeof(figures[key])
	check(seen == wanted, "figures of %s: %s" % [what, figures])

extends "res://tests/support/websocket_test.gd"
## What a WebSocket multiplayer peer answers to every call in the wrong state or with wrong arguments.
## Only `--server=` counts: there is no other end.

## Everything about a URL that can be right or wrong. No look-up is waited for.
const URLS: PackedStringArray = [
	"", " ", "ws", "ws:", "ws:/", "ws://", "wss://", "://", "ws:///", "ws:///path", "ws://:8080", "ws://@",
	"http://nobody.invalid", "https://nobody.invalid", "ftp://nobody.invalid", "wsx://nobody.invalid",
	"WS://nobody.invalid", "Wss://nobody.invalid", "nobody.invalid", "nobody.invalid:4000", "//nobody.invalid",
	"ws://nobody.invalid:0", "ws://nobody.invalid:70000", "ws://nobody.invalid:-1", "ws://nobody.invalid:",
	"ws://nobody.invalid:x", "ws://nobody.invalid:1:2", "ws://nobody.invalid:65535", "ws://nobody.invalid:00080",
	"ws://nobody.invalid/", "ws://nobody.invalid:4000/path?query=1&more=%20", "ws://nobody.invalid/#fragment",
	"ws://user@nobody.invalid", "ws://user:word@nobody.invalid:4000/", "ws://NOBODY.invalid",
	"ws://[::1", "ws://::1", "ws://[::1]:", "ws://[::1]:x", "ws://[::1]:70000", "ws://[]",
]


func _test() -> void:
	_walk("unconfigured", make(server_class()))
	_properties()
	_wrong_tls()
	_urls()
	_arguments()
	_as_server()
	await _as_client()
	_again()


func _walk(key: String, peer: MultiplayerPeer) -> void:
	walk_unconnected(key, peer, func() -> void:
		observe(key + ".unique_id", peer.get_unique_id())
		for id: int in [1, 0, -1, 99]:
			observe("%s.peer_%d" % [key, id], [peer.get_peer(id) == null, peer.get_peer_address(id), peer.get_peer_port(id)])
		peer.disconnect_peer(0))


func _properties() -> void:
	var peer: MultiplayerPeer = make(server_class())
	for property: String in ["supported_protocols", "handshake_headers", "inbound_buffer_size", "outbound_buffer_size",
			"handshake_timeout", "max_queued_packets", "refuse_new_connections", "transfer_mode", "transfer_channel"]:
		observe("default." + property, peer.get(property))
	peer.supported_protocols = PackedStringArray(["one", " two ", "\tthree\n", ""])
	observe("property.protocols", peer.supported_protocols)
	peer.supported_protocols = PackedStringArray()
	observe("property.protocols.none", peer.supported_protocols)
	peer.handshake_headers = PackedStringArray(["X-One: 1", " X-Two: 2 ", "nonsense"])
	observe("property.headers", peer.handshake_headers)
	peer.handshake_headers = PackedStringArray()
	for size: int in [1, 4096, 65536, 1 << 20]:
		peer.inbound_buffer_size = size
		peer.outbound_buffer_size = size + 1
		peer.max_queued_packets = size + 2
		observe("property.sizes_%d" % size, [peer.inbound_buffer_size, peer.outbound_buffer_size, peer.max_queued_packets])
	expecting_errors(func() -> void:
		for seconds: float in [0.5, 10.0, 0.0, -1.0, 2.25, 0.001]:
			peer.handshake_timeout = seconds
			observe("property.handshake_timeout_%s" % seconds, "%.4f" % peer.handshake_timeout))
	peer.refuse_new_connections = true
	observe("property.refuse", peer.is_refusing_new_connections())
	for channel: int in [0, 3, 255, 256, -1, 100000]:
		peer.transfer_channel = channel
		observe("property.channel_%d" % channel, peer.transfer_channel)
	peer.transfer_mode = MultiplayerPeer.TRANSFER_MODE_UNRELIABLE
	peer.transfer_channel = 2
	peer.handshake_timeout = 1.5
	observe("property.create", open_server(peer))
	observe("property.after_create", [peer.refuse_new_connections, peer.transfer_mode, peer.transfer_channel, peer.handshake_timeout])
	peer.close()
	observe("property.after_close", [peer.refuse_new_connections, peer.transfer_mode, peer.transfer_channel, peer.handshake_timeout])
	var ids := {}
	for _turn in 20:
		var id := peer.generate_unique_id()
		check(id > 1 and id <= 0x7FFFFFFF, "a unique id is positive and not the server's: %d" % id)
		ids[id] = true
		OS.delay_usec(50)
	observe("property.ids_differ", ids.size() > 15)


func _wrong_tls() -> void:
	var peer: MultiplayerPeer = make(server_class())
	var crypto := Crypto.new()
	var key := crypto.generate_rsa(2048)
	var server := TLSOptions.server(key, crypto.generate_self_signed_certificate(key, "CN=localhost"))
	expecting_errors(func() -> void:
		for options: Array in [["client", TLSOptions.client()], ["unsafe", TLSOptions.client_unsafe()]]:
			observe("tls.server_with_%s" % options[0], peer.create_server(free_port(), "*", options[1]))
			observe("tls.server_with_%s.status" % options[0], status_of(peer))
		observe("tls.client_with_server", peer.create_client("wss://nobody.invalid", server))
		observe("tls.plain_client_with_server", peer.create_client("ws://nobody.invalid", server))
		# Which of two mistakes is told.
		observe("tls.and_bad_url", peer.create_client("", server))
		observe("tls.client.status", status_of(peer)))
	observe("tls.plain_client_with_client", peer.create_client("ws://nobody.invalid", TLSOptions.client_unsafe()))
	peer.close()
	observe("tls.server_with_server", open_server(peer, ["*", server]))
	peer.close()


func _urls() -> void:
	var peer: MultiplayerPeer = make(server_class())
	for url in URLS:
		expecting_errors(func() -> void: observe("url.%s" % var_to_str(url), peer.create_client(url)))
		observe("url.%s.status" % var_to_str(url), status_of(peer))
		peer.close()


func _arguments() -> void:
	var peer: MultiplayerPeer = make(server_class())
	expecting_errors(func() -> void:
		for port: int in [65536, 1 << 20]:
			observe("server.port_%d" % port, peer.create_server(port))
			peer.close()
		for address: String in ["nonsense", "", "256.1.1.1", "192.0.2.1", "127.0.0.1:80"]:
			observe("bind.%s" % var_to_str(address), peer.create_server(free_port(), address))
			observe("bind.%s.status" % var_to_str(address), status_of(peer))
			peer.close())
	for address: String in ["*", "127.0.0.1", "127.0.0.2", "0.0.0.0"]:
		observe("bind.%s" % var_to_str(address), open_server(peer, [address]))
		peer.close()
	observe("server.port_0", peer.create_server(0))
	peer.close()


func _as_server() -> void:
	var peer: MultiplayerPeer = make(server_class())
	observe("server.create", open_server(peer))
	var port := port_of(peer)
	observe("server.id", peer.get_unique_id())
	_second_create("server", peer)
	_walk("server", peer)
	var other: MultiplayerPeer = make(server_class())
	expecting_errors(func() -> void: observe("server.port_in_use", other.create_server(port)))
	observe("server.port_in_use.status", status_of(other))
	peer.close()
	observe("server.closed.status", status_of(peer))
	# The port is free as soon as it is closed.
	observe("server.port_free", other.create_server(port))
	other.close()
	peer.close()
	_walk("closed", peer)


func _as_client() -> void:
	var peer: MultiplayerPeer = make(server_class())
	var socket := listening()
	var port := socket.get_local_port()
	observe("client.create", peer.create_client(url_of(port)))
	observe("client.status", status_of(peer))
	observe("client.id", peer.get_unique_id())
	_second_create("client", peer)
	_walk_connecting("client", peer, url_of(port))
	peer.poll()
	var there := await taken(socket)
	_walk_connecting("client.taken", peer, url_of(port))
	peer.close()
	observe("client.closed.status", status_of(peer))
	observe("client.closed.id", peer.get_unique_id())
	await until(func() -> bool: return hung_up(there), "the other end sees it")
	expecting_errors(func() -> void: observe("client.closed.get_peer", peer.get_peer(1) == null))
	# A client that gives up while it connects, forced and not.
	var told := []
	peer.peer_disconnected.connect(func(id: int) -> void: told.append(id))
	observe("client.again", peer.create_client(url_of(port)))
	peer.disconnect_peer(1, true)
	observe("client.forced.status", status_of(peer))
	observe("client.again", peer.create_client(url_of(port)))
	peer.disconnect_peer(1)
	polled.append(peer)
	await until(func() -> bool: return is_gone(peer), "given up")
	observe("client.told", told)
	clean()


# On its own, since a function holds on to what it has had in hand, and the built-in's connections live on with that.
func _walk_connecting(key: String, peer: MultiplayerPeer, url: String) -> void:
	observe(key + ".peer", [peer.get_peer(1).get_class(), state_of(peer.get_peer(1)), peer.get_peer(1) == peer.get_peer(1)])
	observe(key + ".url", peer.get_peer(1).get_requested_url() == url)
	observe(key + ".available", peer.get_available_packet_count())
	expecting_errors(func() -> void:
		observe(key + ".get_peer_2", peer.get_peer(2) == null)
		for target: int in [0, 1, -1, 5]:
			peer.set_target_peer(target)
			observe("%s.put_while_connecting_to_%d" % [key, target], peer.put_packet(payload(3)))
		observe(key + ".send", peer.get_peer(1).send(payload(3)))
		observe(key + ".get_packet", peer.get_packet())
		observe(key + ".get_packet_error", peer.get_packet_error())
		observe(key + ".packet_peer", peer.get_packet_peer())
		peer.disconnect_peer(5))
	observe(key + ".status_after", status_of(peer))


func _second_create(key: String, peer: MultiplayerPeer) -> void:
	expecting_errors(func() -> void:
		observe(key + ".second_server", peer.create_server(free_port()))
		observe(key + ".second_client", peer.create_client("ws://nobody.invalid"))
		observe(key + ".second_client_bad_url", peer.create_client(""))
		observe(key + ".second_server_wrong_tls", peer.create_server(free_port(), "*", TLSOptions.client())))
	observe(key + ".second.status", status_of(peer))


func _again() -> void:
	var peer: MultiplayerPeer = make(server_class())
	var socket := listening()
	for turn in 5:
		observe("again.server_%d" % turn, open_server(peer))
		peer.poll()
		peer.close()
		observe("again.client_%d" % turn, peer.create_client(url_of(socket.get_local_port())))
		peer.close()
		peer.close()
	# Dropped while it stands.
	open_server(peer)
	peer = null

extends "res://tests/support/ferry_test.gd"
## A server that a page in a browser joins (`tests/pages/join.html`), with a desktop player beside it.
##
## `--server=` and `--client=` name the classes, `--tls=true` has the server talk TLS with a certificate of its own,
## `--protocol=` names the sub-protocol that it wants.
## Packets go back to who sent them, but for words: `order:` is something to do, `say:` is for everybody else.

const STALL_MS := 3000
const HEARD := "say:from the browser"
const ANSWER := "say:from the desktop"

var _server: MultiplayerPeer
var _desktop: MultiplayerPeer
var _desktop_id := 0
var _players: Array[int] = []
var _lost: Array[String] = []
var _ending := false
var _desktop_heard := false


func server_class() -> String:
	return options.get("server", "WebSocketMultiplayerPeer")


func client_class() -> String:
	return options.get("client", "WebSocketMultiplayerPeer")


func _test() -> void:
	var key: CryptoKey = null
	var certificate: X509Certificate = null
	if options.get("tls", "false") == "true":
		key = Crypto.new().generate_rsa(2048)
		certificate = Crypto.new().generate_self_signed_certificate(key, "CN=localhost,O=Ferry,C=IT")
		print("BROWSER spki=", _key_hash(key))
	var port := _start_server(key, certificate)
	if port == 0:
		return
	_desktop = make(client_class())
	var url := "%s://localhost:%d" % ["ws" if key == null else "wss", port]
	var trust: TLSOptions = null if key == null else TLSOptions.client(certificate)
	_desktop.set("supported_protocols", _server.get("supported_protocols"))
	check_eq(_desktop.create_client(url, trust), OK, "create_client")
	polled.append(_desktop)
	if not await until(func() -> bool: return is_connected_peer(_desktop) and _players.size() == 1, "the desktop player in"):
		clean()
		return
	_desktop_id = _desktop.get_unique_id()

	print("BROWSER port=", port)
	await until(func() -> bool: _turn(); return _ending and _visitors() == 0, "the end of the visit", _bound - 5.0)
	if options.has("desktop"):
		check(_desktop_heard, "the desktop player heard nothing from the page")
	observe("lost", "; ".join(_lost))
	clean()


func _visitors() -> int:
	var desktop := _desktop_id
	return _players.filter(func(id: int) -> bool: return id != desktop).size()


## Gives the port; 0 after a failure.
func _start_server(key: CryptoKey, certificate: X509Certificate) -> int:
	_server = make(server_class())
	if _server == null:
		return 0
	_server.peer_connected.connect(func(id: int) -> void: _players.append(id))
	_server.peer_disconnected.connect(func(id: int) -> void: _players.erase(id))
	if _server.has_signal("peer_lost"):
		_server.connect("peer_lost", func(_id: int, reason: int, detail: String) -> void:
			_lost.append("%s (%s)" % [reason_name(reason), detail]))
	if options.has("protocol"):
		_server.set("supported_protocols", PackedStringArray([options.protocol]))
	if options.has("peer_timeout"):
		_server.set("peer_timeout", float(options.peer_timeout))
	# The built-in cannot tell which port the system chose.
	var tells_port := _server.has_method("get_local_port")
	var port := 0 if tells_port else free_port()
	var tls: TLSOptions = null if key == null else TLSOptions.server(key, certificate)
	if not check_eq(_server.create_server(port, "*", tls), OK, "create_server"):
		return 0
	polled.append(_server)
	return _server.call("get_local_port") if tells_port else port


## By this a browser trusts a key: base64 of the SHA-256 of the public key, as certificates hold it.
func _key_hash(key: CryptoKey) -> String:
	var lines := key.save_to_string(true).strip_edges().split("\n")
	var der := Marshalls.base64_to_raw("".join(lines.slice(1, -1)))
	var context := HashingContext.new()
	context.start(HashingContext.HASH_SHA256)
	context.update(der)
	return Marshalls.raw_to_base64(context.finish())


## Answers whatever has come.
func _turn() -> void:
	while not _ending and is_connected_peer(_server) and _server.get_available_packet_count() > 0:
		var from := _server.get_packet_peer()
		var packet := _server.get_packet()
		if _begins_with(packet, "order:"):
			_follow(packet.get_string_from_ascii().trim_prefix("order:"), from)
		elif _begins_with(packet, "say:"):
			_send(-from, packet)
		else:
			_send(from, packet)
	while is_connected_peer(_desktop) and _desktop.get_available_packet_count() > 0:
		var word := _desktop.get_packet().get_string_from_ascii()
		if check_eq(word, HEARD, "what the desktop player heard"):
			_desktop_heard = true
			check_eq(_desktop.put_packet(ANSWER.to_ascii_buffer()), OK, "the desktop player's answer")


# Most packets are no text at all.
func _begins_with(packet: PackedByteArray, word: String) -> bool:
	return packet.slice(0, word.length()) == word.to_ascii_buffer()


func _follow(order: String, from: int) -> void:
	match order:
		"kick":
			_server.disconnect_peer(from)
			return
		"close":
			_ending = true
			_server.close()
			_players.clear()
			return
		"refuse":
			_server.refuse_new_connections = true
		"admit":
			_server.refuse_new_connections = false
		"stall":
			OS.delay_msec(STALL_MS)
		"end":
			_ending = true
		_:
			fail("an unknown order: %s" % order)
	_send(from, ("done:" + order).to_ascii_buffer())


func _send(to: int, packet: PackedByteArray) -> void:
	_server.set_target_peer(to)
	check_eq(_server.put_packet(packet), OK, "a packet of %d bytes" % packet.size())

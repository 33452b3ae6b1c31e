extends "res://tests/support/websocket_test.gd"
## wss: certificates as Godot's own Crypto makes them, and what a client believes; who is let in, and who is not.

const ANOTHER_NAME := "another.example"

var _key: CryptoKey
var _certificate: X509Certificate
var _another_key: CryptoKey
var _another: X509Certificate


func _test() -> void:
	var crypto := Crypto.new()
	_key = crypto.generate_rsa(2048)
	_certificate = crypto.generate_self_signed_certificate(_key, "CN=localhost,O=Ferry,C=IT")
	_another_key = crypto.generate_rsa(2048)
	_another = crypto.generate_self_signed_certificate(_another_key, "CN=localhost,O=Ferry,C=IT")
	await _trust()
	await _dates()
	await _other_certificates()
	await _read_again()
	await _odd_serial()
	await _wrong_key()
	await _packets()
	await _not_tls()
	await _many()
	await _silence()


func _secure_server(key := _key, certificate := _certificate) -> MultiplayerPeer:
	var server: MultiplayerPeer = make(server_class())
	name_newcomers(server)
	watch(server, "server")
	check_eq(open_server(server, ["*", TLSOptions.server(key, certificate)]), OK, "create_server")
	polled.append(server)
	return server


## Lets a client try, and tells what came of it.
func _try(key: String, server: MultiplayerPeer, url: String, options: Variant) -> MultiplayerPeer:
	log.server.clear()
	log.erase("client")
	_expected.clear()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	observe(key + ".create", client.create_client(url, options))
	expect(client, "client")
	polled.append(client)
	errors_expected(true)
	await until(func() -> bool: return is_gone(client) or (is_connected_peer(client) and log.server.size() > 0), key)
	errors_expected(false)
	observe(key, status_of(client))
	observe_log(key, "server")
	observe_log(key, "client")
	return client


func _try_and_end(key: String, server: MultiplayerPeer, url: String, options: Variant) -> void:
	var client := await _try(key, server, url, options)
	var was_connected := is_connected_peer(client)
	client.close()
	polled.erase(client)
	if was_connected:
		await until(func() -> bool: return log.server.size() > 0, "the server knows of the end")


func _trust() -> void:
	var server := _secure_server()
	var by_name := url_of(port_of(server), "", "wss", "localhost")
	var by_number := url_of(port_of(server), "", "wss")
	for case: Array in [
		["trusted", by_name, TLSOptions.client(_certificate)],
		["trusted.upper_case", by_name.replace("localhost", "LocalHost"), TLSOptions.client(_certificate)],
		["wrong_name", by_number, TLSOptions.client(_certificate)],
		["override", by_number, TLSOptions.client(_certificate, "localhost")],
		["override.upper_case", by_number, TLSOptions.client(_certificate, "LOCALHOST")],
		["override.wrong", by_name, TLSOptions.client(_certificate, ANOTHER_NAME)],
		["untrusted", by_name, TLSOptions.client(_another)],
		["untrusted.override", by_number, TLSOptions.client(_another, "localhost")],
		["system", by_name, TLSOptions.client()],
		["default", by_name, null],
		["unsafe", by_name, TLSOptions.client_unsafe()],
		["unsafe.by_number", by_number, TLSOptions.client_unsafe()],
		["unsafe.trusted", by_number, TLSOptions.client_unsafe(_certificate)],
		["unsafe.untrusted", by_name, TLSOptions.client_unsafe(_another)],
	]:
		await _try_and_end(case[0], server, case[1], case[2])
	clean()


func _dates() -> void:
	for dates: Array in [["past", "20140101000000", "20150101000000"], ["future", "20900101000000", "20910101000000"]]:
		var certificate := Crypto.new().generate_self_signed_certificate(_key, "CN=localhost,O=Ferry,C=IT", dates[1], dates[2])
		var server := _secure_server(_key, certificate)
		var url := url_of(port_of(server), "", "wss", "localhost")
		await _try_and_end("dates.%s" % dates[0], server, url, TLSOptions.client(certificate))
		await _try_and_end("dates.%s.unsafe" % dates[0], server, url, TLSOptions.client_unsafe())
		clean()


func _other_certificates() -> void:
	for name: String in ["127.0.0.1", "*.example", ANOTHER_NAME]:
		var certificate := Crypto.new().generate_self_signed_certificate(_key, "CN=%s,O=Ferry,C=IT" % name)
		var server := _secure_server(_key, certificate)
		var url := url_of(port_of(server), "", "wss")
		await _try_and_end("named.%s.by_number" % name, server, url, TLSOptions.client(certificate))
		await _try_and_end("named.%s.as_another" % name, server, url, TLSOptions.client(certificate, ANOTHER_NAME))
		await _try_and_end("named.%s.as_deep" % name, server, url, TLSOptions.client(certificate, "deep." + ANOTHER_NAME))
		clean()
	# A longer key.
	var crypto := Crypto.new()
	var key := crypto.generate_rsa(3072)
	var certificate := crypto.generate_self_signed_certificate(key, "CN=localhost")
	var server := _secure_server(key, certificate)
	await _try_and_end("long_key", server, url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client(certificate))
	clean()


# Certificate and key that have been text in between, as those are that come from a file.
func _read_again() -> void:
	var key := CryptoKey.new()
	check_eq(key.load_from_string(_key.save_to_string()), OK, "the key's text")
	var certificate := X509Certificate.new()
	check_eq(certificate.load_from_string(_certificate.save_to_string()), OK, "the certificate's text")
	var server := _secure_server(key, certificate)
	var url := url_of(port_of(server), "", "wss", "localhost")
	await _try_and_end("text", server, url, TLSOptions.client(certificate))
	await _try_and_end("text.other_object", server, url, TLSOptions.client(_certificate))
	clean()


# One in 256 of the certificates that Crypto makes has a serial number that begins with a zero too many, against the
# letter of DER. This is such a one, made with Crypto like the others.
func _odd_serial() -> void:
	var key := CryptoKey.new()
	check_eq(key.load("res://tests/fixtures/odd_serial.key"), OK, "the key's file")
	var certificate := X509Certificate.new()
	check_eq(certificate.load("res://tests/fixtures/odd_serial.crt"), OK, "the certificate's file")
	var server := _secure_server(key, certificate)
	var url := url_of(port_of(server), "", "wss", "localhost")
	await _try_and_end("odd_serial", server, url, TLSOptions.client(certificate))
	await _try_and_end("odd_serial.unsafe", server, url, TLSOptions.client_unsafe())
	await _try_and_end("odd_serial.untrusted", server, url, TLSOptions.client(_another))
	clean()


# A key that does not belong to the certificate: nobody gets in, if the server opens at all.
func _wrong_key() -> void:
	var server: MultiplayerPeer = make(server_class())
	watch(server, "server")
	var error: Error = expecting_errors(func() -> Error:
		return open_server(server, ["*", TLSOptions.server(_another_key, _certificate)]))
	observe("wrong_key", error)
	observe("wrong_key.status", status_of(server))
	if error == OK:
		polled.append(server)
		var client: MultiplayerPeer = make(client_class())
		client.create_client(url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client_unsafe())
		polled.append(client)
		errors_expected(true)
		await until(func() -> bool: return is_gone(client), "nobody gets in")
		errors_expected(false)
		check_eq(log.server, [], "the server's signals")
	clean()


func _packets() -> void:
	var server := _secure_server()
	var client := await _try("packets", server, url_of(port_of(server), "/room?key=1", "wss", "localhost"), TLSOptions.client(_certificate))
	var id := client.get_unique_id()
	observe("packets.url", [
		client.get_peer(1).get_requested_url().replace(str(port_of(server)), "PORT"),
		server.get_peer(id).get_requested_url().replace(str(port_of(server)), "PORT")])
	observe("packets.address", [server.get_peer_address(id), server.get_peer_port(id) > 1023, client.get_peer_port(1) == port_of(server)])
	for size: int in [1, 125, 126, 16384, 16385, 60000, 65535]:
		for pair: Array in [["up", client, server, 1], ["down", server, client, id]]:
			address(pair[1], pair[3])
			check_eq(pair[1].put_packet(payload(size)), OK, "put %d" % size)
			await until(func() -> bool: return pair[2].get_available_packet_count() > 0, "%d bytes" % size)
			observe("packets.%d.%s" % [size, pair[0]], describe_next(pair[2], payload(size)))
	# Many small ones, and the end.
	for number in 300:
		client.put_packet(payload(50, number))
	await until(func() -> bool: return server.get_available_packet_count() == 300, "all 300")
	var in_order := true
	for number in 300:
		in_order = in_order and server.get_packet() == payload(50, number)
	observe("packets.in_order", in_order)
	log.server.clear()
	log.client.clear()
	server.disconnect_peer(id)
	await until(func() -> bool: return is_gone(client) and log.server.size() > 0, "the end")
	observe_log("packets.end", "server")
	observe_log("packets.end", "client")
	# Again, ended by the client; then the server closes.
	client = await _try("packets.again", server, url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client(_certificate))
	client.disconnect_peer(1)
	await until(func() -> bool: return is_gone(client) and log.server.size() > 0, "the end")
	observe_log("packets.again.end", "server")
	observe_log("packets.again.end", "client")
	client = await _try("packets.third", server, url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client(_certificate))
	server.close()
	await until(func() -> bool: return is_gone(client), "the end")
	observe_log("packets.third.end", "client")
	clean()


# One end speaks TLS and the other does not. How long it takes to see that is another matter.
func _not_tls() -> void:
	var server := _secure_server()
	await _try_and_end("plain_client", server, url_of(port_of(server), "", "ws", "localhost"), null)
	await _try_and_end("plain_client.and_then", server, url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client(_certificate))
	clean()
	server = new_server()
	await _try_and_end("plain_server", server, url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client_unsafe())
	await _try_and_end("plain_server.and_then", server, url_of(port_of(server), "", "ws", "localhost"), TLSOptions.client_unsafe())
	clean()


func _many() -> void:
	var server := _secure_server()
	var clients := []
	for number in 5:
		var client: MultiplayerPeer = make(client_class())
		watch(client, "client %d" % number)
		client.create_client(url_of(port_of(server), "", "wss", "localhost"), TLSOptions.client(_certificate))
		expect(client, "client %d" % number)
		polled.append(client)
		clients.append(client)
	await until(func() -> bool: return log.server.size() == 5 and clients.all(is_connected_peer), "all five")
	var joined: Array = log.server.duplicate()
	joined.sort()
	observe("many", joined)
	clients.clear()
	clean()


# Who connects and does not even begin with TLS.
func _silence() -> void:
	var server := _secure_server()
	server.handshake_timeout = 0.4
	var stream := await plain_stream(port_of(server))
	await until(func() -> bool: return hung_up(stream), "the server gives up")
	observe_log("silent_client", "server")
	clean()
	var socket := listening()
	var client: MultiplayerPeer = make(client_class())
	watch(client, "client")
	client.handshake_timeout = 0.4
	client.create_client(url_of(socket.get_local_port(), "", "wss", "localhost"), TLSOptions.client_unsafe())
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "the client gives up")
	observe_log("silent_server", "client")
	clean()

extends "res://tests/support/ferry_test.gd"
## Encrypted connections: why they fail, as a script sees it at both ends, and where servers have their certificates from.

const FOLDER := "user://websocket_tls"

var _options: TLSOptions


func _test() -> void:
	_options = _self_signed()
	await _gets_in()
	await _is_not_trusted()
	await _is_out_of_date()
	await _is_not_tls()
	await _says_nothing()
	_self_signed_names()
	await _files()
	_wrong_files()
	await _renewed_while_somebody_plays()


func _self_signed(names := PackedStringArray(["localhost", "127.0.0.1"]), days := 30) -> TLSOptions:
	return ClassDB.class_call_static(&"FerryTLS", &"self_signed", names, days)


func _load_server(certificate: String, key: String) -> TLSOptions:
	return ClassDB.class_call_static(&"FerryTLS", &"load_server", certificate, key)


func _trusting(options: TLSOptions, name := "") -> TLSOptions:
	return TLSOptions.client(options.get_own_certificate(), name)


func _secure_server(options := _options) -> MultiplayerPeer:
	var server: MultiplayerPeer = make(server_class())
	name_newcomers(server)
	watch(server, "server")
	check_eq(open_server(server, ["*", options]), OK, "create_server")
	polled.append(server)
	return server


## Lets a client try; gives what it was told, followed by the text.
func _try(server: MultiplayerPeer, trust: TLSOptions, host := "localhost", scheme := "wss") -> Array:
	var client: MultiplayerPeer = make(client_class())
	var told := watch_reasons(client)
	check_eq(client.create_client(url_of(port_of(server), "", scheme, host), trust), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_gone(client) or is_connected_peer(client), "an answer")
	polled.erase(client)
	told.append(client.get_disconnect_text(1))
	if is_connected_peer(client):
		client.close()
		await until(func() -> bool: return log.server.size() == 2, "the server saw it come and go")
		log.server.clear()
	return told


func _gets_in() -> void:
	var server := _secure_server()
	for host: String in ["localhost", LOCALHOST]:
		check_eq((await _try(server, _trusting(_options), host))[0], "succeeded", "by " + host)
	check_eq((await _try(server, TLSOptions.client_unsafe()))[0], "succeeded", "unsafe")
	var client: MultiplayerPeer = make(client_class())
	check_eq(client.create_client(url_of(port_of(server), "", "wss"), _trusting(_options)), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client) and server.get_stats().peers == 1, "connected")
	var figures: Dictionary = client.get_peer_stats(1)
	check_eq([figures.encrypted, figures.transport], [true, "websocket"], "the client's figures")
	check_eq(server.get_peer_stats(client.get_unique_id()).encrypted, true, "the server's figures")
	clean()


func _is_not_trusted() -> void:
	var server := _secure_server()
	for case: Array in [
		["somebody else's", _trusting(_self_signed()), "localhost"],
		["the system's", TLSOptions.client(), "localhost"],
		["the wrong name", _trusting(_options, "another.example"), "localhost"],
	]:
		var told := await _try(server, case[1], case[2])
		check_eq(told[0], "failed TLS", case[0])
		check(told[1].contains("certificate"), "%s: the text is `%s`" % [case[0], told[1]])
	check_eq(log.server, [], "nobody came in")
	clean()


func _is_out_of_date() -> void:
	var crypto := Crypto.new()
	var key := crypto.generate_rsa(2048)
	for case: Array in [["20140101000000", "20150101000000", "expired"], ["20900101000000", "20910101000000", "not valid before"]]:
		var certificate := crypto.generate_self_signed_certificate(key, "CN=localhost", case[0], case[1])
		var server := _secure_server(TLSOptions.server(key, certificate))
		var told := await _try(server, TLSOptions.client(certificate))
		check_eq(told[0], "failed TLS", case[2])
		check(told[1].contains(case[2]), "%s: the text is `%s`" % [case[2], told[1]])
		clean()


# Each end takes the other for something else.
func _is_not_tls() -> void:
	var server := new_server()
	var told := await _try(server, _trusting(_options))
	check_eq(told[0], "failed TLS", "a server without TLS")
	check(told[1].contains("not TLS") or told[1].contains("no TLS"), "the text is `%s`" % told[1])
	clean()
	server = _secure_server()
	told = await _try(server, null, "localhost", "ws")
	check_eq(told[0], "failed HANDSHAKE", "a server with TLS")
	check(told[1].contains("400"), "the text is `%s`" % told[1])
	check_eq(log.server, [], "nobody came in")
	clean()


func _says_nothing() -> void:
	var door := listening()
	var client: MultiplayerPeer = make(client_class())
	client.handshake_timeout = 0.7
	var told := watch_reasons(client)
	check_eq(client.create_client(url_of(door.get_local_port(), "", "wss")), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_gone(client), "given up")
	check_eq(told, ["failed CONNECT_TIMEOUT"], "no handshake")
	check(client.get_disconnect_text(1).contains("TLS"), "the text is `%s`" % client.get_disconnect_text(1))
	clean()


func _self_signed_names() -> void:
	check(_options.is_server() and not _options.is_unsafe_client(), "the options are a server's")
	check(_options.get_own_certificate() != null and _options.get_private_key() != null, "with a certificate and a key")
	var by_default: TLSOptions = ClassDB.class_call_static(&"FerryTLS", &"self_signed")
	check(by_default != null, "with no arguments")
	errors_expected(true)
	for wrong: Array in [[PackedStringArray(), 30], [PackedStringArray([""]), 30], [PackedStringArray(["no name"]), 30],
			[PackedStringArray(["a"]), 0], [PackedStringArray(["a"]), -1], [PackedStringArray(["a"]), 1 << 40]]:
		check(_self_signed(wrong[0], wrong[1]) == null, "self_signed%s" % [wrong])
	errors_expected(false)


func _path(name: String) -> String:
	return FOLDER.path_join(name)


func _write(name: String, text: String) -> String:
	DirAccess.make_dir_recursive_absolute(FOLDER)
	var file := FileAccess.open(_path(name), FileAccess.WRITE)
	file.store_string(text)
	file.close()
	return _path(name)


func _pem(options: TLSOptions) -> Array:
	# The engine counts the text's end in, and complains about it.
	return [expecting_errors(func() -> String: return options.get_own_certificate().save_to_string()),
			options.get_private_key().save_to_string(false)]


func _files() -> void:
	var pem := _pem(_options)
	var certificate := _write("certificate.pem", pem[0])
	var key := _write("key.pem", pem[1])
	for paths: Array in [[certificate, key], [ProjectSettings.globalize_path(certificate), ProjectSettings.globalize_path(key)]]:
		var options := _load_server(paths[0], paths[1])
		if check(options != null, "load_server%s" % [paths]):
			var server := _secure_server(options)
			check_eq((await _try(server, _trusting(_options)))[0], "succeeded", "with files")
			clean()


func _wrong_files() -> void:
	var pem := _pem(_options)
	var other := _pem(_self_signed())
	var certificate := _write("certificate.pem", pem[0])
	var key := _write("key.pem", pem[1])
	errors_expected(true)
	for wrong: Array in [
		[_path("none.pem"), key],
		[certificate, _path("none.pem")],
		[key, certificate],
		[certificate, _write("other.pem", other[1])],
		[_write("empty.pem", ""), key],
		[_write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key],
		[certificate, _write("half.pem", pem[1].left(pem[1].length() / 2))],
		["", ""],
	]:
		check(_load_server(wrong[0], wrong[1]) == null, "load_server%s" % [wrong])
	errors_expected(false)
	for name in DirAccess.get_files_at(FOLDER):
		DirAccess.remove_absolute(_path(name))
	DirAccess.remove_absolute(FOLDER)


func _renewed_while_somebody_plays() -> void:
	var server := _secure_server()
	var client: MultiplayerPeer = make(client_class())
	expect(client, "client")
	check_eq(client.create_client(url_of(port_of(server), "", "wss"), _trusting(_options)), OK, "create_client")
	polled.append(client)
	await until(func() -> bool: return is_connected_peer(client) and log.server.size() == 1, "connected")
	var renewed := _self_signed()
	errors_expected(true)
	check_eq(server.set_tls_server_options(TLSOptions.client()), ERR_INVALID_PARAMETER, "a client's options")
	check_eq(server.set_tls_server_options(null), ERR_INVALID_PARAMETER, "no options")
	errors_expected(false)
	check_eq(server.set_tls_server_options(renewed), OK, "another certificate")
	log.server.clear()
	check_eq((await _try(server, _trusting(renewed)))[0], "succeeded", "who trusts the new one")
	check_eq((await _try(server, _trusting(_options)))[0], "failed TLS", "who trusts the old one")
	check(is_connected_peer(client), "nobody was dropped")
	address(client, 1)
	check_eq(client.put_packet(payload(2000)), OK, "put")
	await until(func() -> bool: return server.get_available_packet_count() == 1, "a packet over the old connection")
	check_eq(describe_next(server, payload(2000)), "from client, reliable, channel 0, 2000 bytes", "the packet")
	clean()

extends "res://tests/support/parity_test.gd"
## What a host connection, and the peers it makes, answer to every call: states, arguments, figures.
## `--server=` names the class of multiplayer peers whose connections are meant. One end is enough here.

const UNKNOWN_PORT := 9


func _test() -> void:
	_inactive()
	_create()
	_active()
	_calling()
	_peer_arguments()


func _connection() -> Object:
	return make(connection_class(server_class()))


func _inactive() -> void:
	_walk("inactive", _connection())


# Every call, on a connection that has no host.
func _walk(key: String, connection: Object) -> void:
	expecting_errors(func() -> void:
		observe(key + ".connect", connection.connect_to_host(LOCALHOST, UNKNOWN_PORT))
		observe(key + ".service", connection.service())
		observe(key + ".service_5", connection.service(5))
		observe(key + ".max_channels", connection.get_max_channels())
		observe(key + ".local_port", connection.get_local_port())
		observe(key + ".peers", connection.get_peers())
		for statistic in 4:
			observe("%s.statistic_%d" % [key, statistic], connection.pop_statistic(statistic))
		observe(key + ".dtls_server", connection.dtls_server_setup(TLSOptions.server(CryptoKey.new(), X509Certificate.new())) != OK)
		observe(key + ".dtls_client", connection.dtls_client_setup("example.org") != OK)
		connection.flush()
		connection.bandwidth_limit(1, 1)
		connection.bandwidth_limit()
		connection.channel_limit(4)
		connection.compress(1)
		connection.broadcast(0, payload(4), 1)
		connection.refuse_new_connections(true)
		connection.socket_send(LOCALHOST, UNKNOWN_PORT, payload(4))
		connection.destroy())


func _create() -> void:
	var connection := _connection()
	expecting_errors(func() -> void:
		for peers: int in [0, -1, 4096]:
			observe("create.peers_%d" % peers, connection.create_host(peers))
			observe("create.bound_peers_%d" % peers, connection.create_host_bound("*", 0, peers))
		for channels: int in [-1, 256, 1000]:
			observe("create.channels_%d" % channels, connection.create_host(1, channels))
		observe("create.in_negative", connection.create_host(1, 0, -1))
		observe("create.out_negative", connection.create_host(1, 0, 0, -1))
		for port: int in [-1, 65536]:
			observe("create.port_%d" % port, connection.create_host_bound("*", port))
		observe("create.bind_nonsense", connection.create_host_bound("nonsense", 0))
		observe("create.bind_empty", connection.create_host_bound("", 0))
		observe("create.bind_not_ours", connection.create_host_bound("192.0.2.1", 0)))
	for channels: int in [0, 1, 2, 255]:
		observe("create.%d_channels" % channels, connection.create_host(1, channels))
		observe("create.%d_channels.max" % channels, connection.get_max_channels())
		connection.destroy()
	observe("create.most_peers", connection.create_host(4095))
	connection.destroy()
	observe("create.bound", connection.create_host_bound(LOCALHOST, 0, 2, 3, 1000, 1000))
	var port: int = connection.get_local_port()
	check(port > 0, "a port")
	expecting_errors(func() -> void:
		observe("create.second", connection.create_host())
		observe("create.second_bound", connection.create_host_bound("*", 0))
		observe("create.second_bad", connection.create_host(0))
		observe("create.port_in_use", _connection().create_host_bound(LOCALHOST, port)))
	connection.destroy()
	expecting_errors(func() -> void: connection.destroy())
	observe("create.again", connection.create_host_bound(LOCALHOST, port))
	connection.destroy()
	_walk("destroyed", connection)


func _active() -> void:
	var connection := _connection()
	connection.create_host_bound(LOCALHOST, 0, 4, 8)
	observe("active.service", connection.service())
	observe("active.peers", connection.get_peers())
	for statistic in 4:
		observe("active.statistic_%d" % statistic, connection.pop_statistic(statistic))
	for limit: int in [3, 1, 255, 0, 256, 1000, -1]:
		connection.channel_limit(limit)
		observe("active.channel_limit_%d" % limit, connection.get_max_channels())
	connection.channel_limit(8)
	expecting_errors(func() -> void:
		connection.broadcast(-1, payload(4), 1)
		connection.broadcast(8, payload(4), 1)
		connection.broadcast(9, payload(4), 1)
		connection.broadcast(0, payload(4), 4)
		connection.broadcast(0, payload(4), 64)
		connection.socket_send(LOCALHOST, 0, payload(4))
		connection.socket_send(LOCALHOST, 65536, payload(4))
		observe("active.connect_port_0", connection.connect_to_host(LOCALHOST, 0) == null)
		observe("active.connect_port_65536", connection.connect_to_host(LOCALHOST, 65536) == null)
		observe("active.dtls_server_null", connection.dtls_server_setup(null) != OK))
	connection.broadcast(0, payload(4), 1)
	connection.broadcast(0, PackedByteArray(), 0)
	connection.bandwidth_limit(10000, 10000)
	connection.bandwidth_limit()
	for mode in 5:
		connection.compress(mode)
	connection.flush()
	connection.socket_send(LOCALHOST, connection.get_local_port(), payload(4))
	observe("active.own_nonsense", connection.service(50))
	connection.destroy()


func _calling() -> void:
	var connection := _connection()
	connection.create_host(4)
	var peer: Object = connection.connect_to_host(LOCALHOST, UNKNOWN_PORT, 3, 77)
	observe("calling.state", peer.get_state())
	observe("calling.active", peer.is_active())
	observe("calling.channels", peer.get_channels())
	observe("calling.address", [peer.get_remote_address(), peer.get_remote_port()])
	observe("calling.peers", connection.get_peers().size())
	observe("calling.same", connection.get_peers()[0] == peer)
	expecting_errors(func() -> void:
		# One call at a time.
		observe("calling.second", connection.connect_to_host(LOCALHOST, UNKNOWN_PORT) == null)
		observe("calling.put", peer.put_packet(payload(3)))
		observe("calling.send", peer.send(0, payload(3), 1)))
	peer.reset()
	observe("reset.state", [peer.get_state(), peer.is_active()])
	expecting_errors(func() -> void:
		peer.reset()
		observe("reset.put", peer.put_packet(payload(3))))
	connection.service()
	observe("reset.peers", connection.get_peers().size())
	# A place that was reset is given again.
	peer = connection.connect_to_host(LOCALHOST, UNKNOWN_PORT, 0)
	observe("calling.all_channels", peer.get_channels())
	peer.peer_disconnect_now()
	observe("now.state", [peer.get_state(), peer.is_active()])
	connection.service()
	peer = connection.connect_to_host(LOCALHOST, UNKNOWN_PORT, 1000)
	observe("calling.too_many_channels", peer.get_channels())
	peer.peer_disconnect()
	observe("disconnect.state", peer.get_state())
	connection.destroy()
	observe("destroyed.peer", [peer.get_state(), peer.is_active()])


func _peer_arguments() -> void:
	var connection := _connection()
	connection.create_host(1)
	var peer: Object = connection.connect_to_host(LOCALHOST, UNKNOWN_PORT, 4)
	for statistic in 14:
		# 3 is the round-trip time, 500 before anything is known.
		observe("figure.%d" % statistic, _coarse(peer.get_statistic(statistic)))
	expecting_errors(func() -> void:
		for channel: int in [-1, 4, 5, 255, 300]:
			observe("argument.channel_%d" % channel, peer.send(channel, payload(3), 1))
		for flags: int in [4, 16, 32, 256, -1]:
			observe("argument.flags_%d" % flags, peer.send(0, payload(3), flags))
		peer.set_timeout(10, 5, 20)
		peer.set_timeout(1, 20, 5))
	peer.set_timeout(0, 0, 0)
	peer.set_timeout(32, 5000, 30000)
	peer.ping_interval(0)
	peer.ping_interval(500)
	peer.throttle_configure(5000, 2, 2)
	for statistic: int in [11, 12, 13]:
		observe("throttle.%d" % statistic, peer.get_statistic(statistic))
	peer.throttle_configure(1000, 5, 7)
	for statistic: int in [11, 12, 13]:
		observe("throttle.configured_%d" % statistic, peer.get_statistic(statistic))
	observe("class", peer.get_class())
	peer.reset()
	connection.destroy()


# Times of the clock, which differ from run to run, become a word.
func _coarse(value: float) -> String:
	return str(value) if value <= 65536.0 else "large"

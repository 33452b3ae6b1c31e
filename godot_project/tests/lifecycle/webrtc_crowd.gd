extends "res://tests/support/webrtc_peers_test.gd"
## Many connections in one process: they share the network's thread, and take little memory each.

const CLIENTS := 64

## Who is connecting at one time: encryption takes a library that was not built for speed long enough.
const AT_ONCE := 4

## What one connection may take, both of whose ends are here.
const MOST_BYTES_EACH := 2 * 200_000


func _test() -> void:
	# The network's thread, and what the first connection brings along, are there before.
	var server := new_server()
	var first := await connected_client(server, "first")
	var threads := _threads()
	var bytes := _resident_bytes()
	var clients: Array[MultiplayerPeer] = [first]
	await until(func() -> bool:
		var connecting := clients.filter(func(client: MultiplayerPeer) -> bool: return not is_connected_peer(client))
		if clients.size() <= CLIENTS and connecting.size() < AT_ONCE:
			clients.append(new_client(server, "client %d" % clients.size()))
		return clients.size() > CLIENTS and connecting.is_empty() and log.server.size() == clients.size(), "all connected", 60.0)
	check_eq(server.get_stats().peers, clients.size(), "peers")
	check_eq(_threads(), threads, "threads, with %d connections more" % CLIENTS)
	var each := (_resident_bytes() - bytes) / CLIENTS
	print("CROWD %d bytes for each connection, both ends" % each)
	check(each < MOST_BYTES_EACH, "%d bytes for each connection, both ends" % each)
	# And they are of use.
	address(server, 0)
	check_eq(server.put_packet(payload(700)), OK, "a word to all")
	await until(func() -> bool:
		return clients.all(func(client: MultiplayerPeer) -> bool: return client.get_available_packet_count() == 1), "all have it")
	check(clients.all(func(client: MultiplayerPeer) -> bool: return client.get_packet() == payload(700)), "as it was sent")
	for client in clients:
		address(client, 1)
		client.put_packet(payload(80))
	await until(func() -> bool: return server.get_available_packet_count() == clients.size(), "an answer of each")
	server.close()
	await until(func() -> bool: return clients.all(is_gone), "all have heard of the end")
	clean()


func _threads() -> int:
	return DirAccess.get_directories_at("/proc/self/task").size()


func _resident_bytes() -> int:
	var file := FileAccess.open("/proc/self/status", FileAccess.READ)
	while not file.eof_reached():
		var line := file.get_line()
		if line.begins_with("VmRSS:"):
			return line.trim_prefix("VmRSS:").strip_edges().to_int() * 1024
	return 0

extends "res://tests/support/ferry_test.gd"
## What the objects behind a peer are worth once it has ended.


func _test() -> void:
	await _a_kept_packet_peer_keeps_no_port()
	await _no_host_is_left_of_a_peer_that_ended_by_itself()


# A script that held one of a host's peers kept its socket open, and the other end never heard of the end.
func _a_kept_packet_peer_keeps_no_port() -> void:
	var host: RefCounted = make("FerryENetConnection")
	var other: RefCounted = make("FerryENetConnection")
	check_eq(host.create_host_bound(LOCALHOST, 0), OK, "a host")
	check_eq(other.create_host(1), OK, "another")
	var port: int = host.get_local_port()
	other.connect_to_host(LOCALHOST, port)
	var met := {}
	await until(func() -> bool:
		met.host = _next(host, met.get("host"))
		met.other = _next(other, met.get("other"))
		return met.host != null and met.other != null, "both have met")
	var kept: PacketPeer = met.host
	met.clear()
	host = null
	# The closure above, which holds it too, goes when the next one is made.
	await until(func() -> bool: return not kept.is_active(), "the peer of a host that is gone is gone")
	await until(func() -> bool: return other.service()[0] == ClassDB.class_get_integer_constant(&"FerryENetConnection", &"EVENT_DISCONNECT"), "the other end is told")
	var again: RefCounted = make("FerryENetConnection")
	check_eq(again.create_host_bound(LOCALHOST, port), OK, "the port is free again")
	again.destroy()
	other.destroy()


# The peer that has connected, once it has.
func _next(host: RefCounted, before: Variant) -> Variant:
	var event: Array = host.service()
	return event[1] if event[0] == ClassDB.class_get_integer_constant(&"FerryENetConnection", &"EVENT_CONNECT") else before


# What was left of it answered for the next one.
func _no_host_is_left_of_a_peer_that_ended_by_itself() -> void:
	var server := new_server()
	var client := await connected_client(server, "client")
	check(client.host != null, "a client that stands has a host")
	server.close()
	await until(func() -> bool: return is_gone(client), "the end")
	check_eq(expecting_errors(func() -> Variant: return client.host), null, "the host of a client that has ended")
	check_eq(client.create_mesh(5), OK, "create_mesh")
	check_eq(expecting_errors(func() -> Variant: return client.host), null, "the host of a mesh")
	client.close()
	clean()

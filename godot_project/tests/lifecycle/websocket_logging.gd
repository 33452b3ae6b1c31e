extends "res://tests/support/ferry_test.gd"
## Gives the log things to say: a full queue, and a flood of bad handshakes from strangers, while somebody plays.
##
## The Rust side sets the level and counts the lines.

const ROUNDS := 30

const BAD := [
	"",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
	"SSH-2.0-OpenSSH_9.2\r\n",
	"\u0001\u0002\u0003 nonsense \r\n\r\n",
]

# A good handshake, then frames that are none.
const UPGRADE := "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


func _test() -> void:
	var server := new_server()
	server.outbound_queue_limit = 20_000
	server.reliable_overflow = 1
	var client := await connected_client(server, "client")
	print("LOGGING flood")
	var random := RandomNumberGenerator.new()
	random.seed = 4711
	var strangers := 0
	for turn in ROUNDS:
		var visitors: Array[StreamPeerTCP] = []
		for number in 20:
			var visitor := StreamPeerTCP.new()
			check_eq(visitor.connect_to_host(LOCALHOST, port_of(server)), OK, "a visitor")
			visitors.append(visitor)
		await until(func() -> bool: return visitors.all(_stands), "all stand at the door")
		for number in visitors.size():
			visitors[number].put_data(_first_word(number, random))
		await linger(0.02)
		for visitor in visitors:
			visitor.disconnect_from_host()
		strangers += visitors.size()
	print("LOGGING %d strangers" % strangers)
	address(client, 1)
	client.put_packet(payload(50))
	await until(func() -> bool:
		# Those of the strangers that made it through a handshake may have sent what passes for a packet.
		while server.get_available_packet_count() > 0:
			if server.get_packet() == payload(50):
				return true
		return false, "an honest packet")
	print("LOGGING overflow")
	address(server, client.get_unique_id())
	for number in 200:
		server.put_packet(payload(10_000))
	await linger(0.2)
	check(is_connected_peer(client), "the client is still there")
	print("LOGGING end")
	clean()


func _first_word(number: int, random: RandomNumberGenerator) -> PackedByteArray:
	var rubbish := PackedByteArray()
	for place in random.randi_range(10, 300):
		rubbish.append(random.randi() & 0xFF)
	match number % 3:
		0:
			return BAD[number / 3 % BAD.size()].to_utf8_buffer()
		1:
			return UPGRADE.to_ascii_buffer() + rubbish
	# Now and then the beginning of a TLS hello.
	return (PackedByteArray([0x16, 3, 1]) if number % 2 == 0 else PackedByteArray()) + rubbish


func _stands(visitor: StreamPeerTCP) -> bool:
	visitor.poll()
	return visitor.get_status() == StreamPeerTCP.STATUS_CONNECTED

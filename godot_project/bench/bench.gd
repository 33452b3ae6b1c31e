extends SceneTree
## What every benchmark script shares: making peers of a class that is named, reading the clocks, telling figures.
##
## A case extends this and overrides `_measure`. `cargo xtask bench` starts it with `--script ... -- --key=value ...` and
## reads the lines that `tell` writes. The same script runs on the built-in classes and on Ferry's; nothing in it knows
## which they are, but for the transport in their names.

const MARK := "FERRY_BENCH"

## Frames of warming up, and of looking at the engine's own loop.
const EMPTY_FRAMES := 120

## Frames before that, for what a peer leaves behind to come to rest.
const RESTING_FRAMES := 30

## Whatever happens, it ends: seconds.
const BOUND := 150.0

var options := {}

## What the engine's own loop takes of its thread, and its process of the machine, with no peer there: µs a frame, before the
## peer was opened and after it was closed.
var loop_thread_us := PackedFloat64Array()
var loop_process_us := PackedFloat64Array()

## What the ticks took between `start_clocks` and `stop_clocks`; until then, when they were started.
var _ticks := 0
var _clock_us := 0
var _thread_ns := 0
var _process_ns := 0
var _threads := {}


func _initialize() -> void:
	Engine.max_fps = 60
	OS.low_processor_usage_mode_sleep_usec = 500
	for argument in OS.get_cmdline_user_args():
		var parts := argument.trim_prefix("--").split("=", true, 1)
		options[parts[0]] = parts[1] if parts.size() > 1 else "true"
	_run()


func _process(_delta: float) -> bool:
	if Time.get_ticks_msec() > BOUND * 1000.0:
		print(MARK, "_END not done after %d s" % BOUND)
		return true
	return false


func _run() -> void:
	await process_frame
	await _measure()
	print(MARK, "_END ok")
	quit()


## What the case does. To be overridden.
func _measure() -> void:
	pass


func number(key: String, otherwise: int) -> int:
	return int(options.get(key, otherwise))


## One figure.
func tell(key: String, value: float) -> void:
	print("%s %s %s" % [MARK, key, String.num(value, 6)])


func make(class_option: String) -> MultiplayerPeer:
	var peer: MultiplayerPeer = ClassDB.instantiate(class_option)
	if "inbound_buffer_size" in peer:
		# As the class has them, unless the case gives both classes the same.
		for property: String in ["inbound_buffer_size", "outbound_buffer_size", "max_queued_packets"]:
			if options.has(property):
				peer.set(property, number(property, 0))
	return peer


func open_server(clients: int) -> MultiplayerPeer:
	var peer := make(options.server)
	var error: int
	if peer.get_class().contains("WebSocket"):
		# Its port cannot be asked for, so it is given one. In a network of its own, nobody else has it.
		error = peer.call("create_server", number("port", 9080), "127.0.0.1")
	else:
		error = peer.call("create_server", number("port", 9080), clients)
	if error != OK:
		push_error("create_server: %s" % error_string(error))
	return peer


func open_client() -> MultiplayerPeer:
	var peer := make(options.clients)
	var port := number("port", 9080)
	var error: int
	if peer.get_class().contains("WebSocket"):
		error = peer.call("create_client", "ws://127.0.0.1:%d" % port)
	else:
		error = peer.call("create_client", "127.0.0.1", port)
	if error != OK:
		push_error("create_client: %s" % error_string(error))
	return peer


static func is_connected_peer(peer: MultiplayerPeer) -> bool:
	return peer.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED


## What this thread has had of a processor, in ns.
static func thread_cpu() -> int:
	return _first_number("/proc/thread-self/schedstat")


## What each thread of this process has had, in ns.
static func process_cpu() -> Dictionary:
	var threads := {}
	for thread in DirAccess.get_directories_at("/proc/self/task"):
		threads[thread] = _first_number("/proc/self/task/%s/schedstat" % thread)
	return threads


## What all threads have had since. One that has ended meanwhile does not count: it would take away what it had before.
static func process_cpu_since(before: Dictionary) -> int:
	var sum := 0
	var now := process_cpu()
	for thread: String in now:
		sum += now[thread] - before.get(thread, 0)
	return sum


static func resident_kb() -> int:
	return int(_line("/proc/self/statm").split(" ")[1]) * 4


## Datagrams or segments that went over the loopback interface of this network so far, and their bytes.
static func wire() -> PackedInt64Array:
	var file := FileAccess.open("/proc/self/net/dev", FileAccess.READ)
	while file != null and not file.eof_reached():
		var words := file.get_line().strip_edges().split(" ", false)
		if words.size() > 2 and words[0] == "lo:":
			return [int(words[2]), int(words[1])]
	return [0, 0]


static func _first_number(path: String) -> int:
	return int(_line(path).split(" ")[0])


static func _line(path: String) -> String:
	var file := FileAccess.open(path, FileAccess.READ)
	return file.get_line() if file != null else "0"


## Looks at what frames cost in which nothing happens: once before, once after.
func look_at_empty_loop() -> void:
	for frame in RESTING_FRAMES:
		await process_frame
	var thread := thread_cpu()
	var process := process_cpu()
	for frame in EMPTY_FRAMES:
		await process_frame
	loop_thread_us.append((thread_cpu() - thread) / 1000.0 / EMPTY_FRAMES)
	loop_process_us.append(process_cpu_since(process) / 1000.0 / EMPTY_FRAMES)


func start_clocks() -> void:
	_clock_us = Time.get_ticks_usec()
	_threads = process_cpu()
	_thread_ns = thread_cpu()


## So many ticks later.
func stop_clocks(ticks: int) -> void:
	_ticks = ticks
	_thread_ns = thread_cpu() - _thread_ns
	_process_ns = process_cpu_since(_threads)
	_clock_us = Time.get_ticks_usec() - _clock_us


## How long they ran.
func clocked_seconds() -> float:
	return _clock_us / 1e6


## Tells what the clocked ticks took beyond what the loop takes by itself, which was looked at before and after them.
func tell_cost() -> void:
	var thread_us := _thread_ns / 1000.0 / _ticks
	var process_us := _process_ns / 1000.0 / _ticks
	var loop_us := (loop_thread_us[0] + loop_thread_us[1]) / 2.0
	var loop_of_process_us := (loop_process_us[0] + loop_process_us[1]) / 2.0
	tell("loop_us", loop_us)
	tell("loop_before_us", loop_thread_us[0])
	tell("frame_ms", thread_us / 1000.0)
	tell("game_ms", (thread_us - loop_us) / 1000.0)
	tell("cpu", (process_us - loop_of_process_us) * _ticks / 1e6 / clocked_seconds())


static func median(values: PackedInt64Array) -> float:
	return at_share(values, 0.5)


static func at_share(values: PackedInt64Array, share: float) -> float:
	if values.is_empty():
		return NAN
	var sorted := values.duplicate()
	sorted.sort()
	return sorted[mini(int(sorted.size() * share), sorted.size() - 1)]

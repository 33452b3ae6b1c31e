extends SceneTree
## What every headless test scene shares.
##
## A scene extends this and overrides `_test`. The Rust side (`tests/src/godot.rs`) starts it with
## `--script res://tests/...gd -- --key=value ...` and lets it pass only if the exit code is 0, the end line
## appeared and nothing went wrong in between.
##
## Nothing here sleeps blindly: `until` waits for a condition, with a bound. The whole scene has a bound too.

const END_LINE := "FERRY_TEST_END"
const EXPECT_LINE := "FERRY_TEST_ERRORS"
const OBSERVE_LINE := "FERRY_OBSERVE"

## What takes milliseconds on a good day.
const SOON := 10.0

## What the whole scene may take, unless `--bound=` says otherwise.
const SCENE_BOUND := 60.0

## The `--key=value` arguments.
var options := {}

## What `until` polls on each turn: anything with a `poll` method.
var polled: Array = []

var _name := ""
var _failures := PackedStringArray()
var _ended := false
var _bound := SCENE_BOUND


func _initialize() -> void:
	# Without a window the engine sleeps 6.9 ms between frames.
	OS.low_processor_usage_mode_sleep_usec = 1000
	_name = (get_script() as Script).resource_path.get_file().get_basename()
	for argument in OS.get_cmdline_user_args():
		var parts := argument.trim_prefix("--").split("=", true, 1)
		options[parts[0]] = parts[1] if parts.size() > 1 else "true"
	_bound = float(options.get("bound", SCENE_BOUND))
	_run()


func _process(_delta: float) -> bool:
	if not _ended and Time.get_ticks_msec() > _bound * 1000.0:
		fail("not done after %s s" % _bound)
		end()
	return false


## What the scene does. To be overridden.
func _test() -> void:
	fail("the scene tests nothing")


func _run() -> void:
	# Only then is the root in the tree.
	await process_frame
	await _test()
	end()


## Ends the scene; called when `_test` returns.
func end() -> void:
	if _ended:
		return
	_ended = true
	polled.clear()
	if _failures.is_empty():
		print("%s ok %s" % [END_LINE, _name])
		quit(0)
	else:
		print("%s failed %s: %s" % [END_LINE, _name, "; ".join(_failures)])
		quit(1)


func fail(what: String) -> void:
	_failures.append(what)
	print("FAILED: ", what)


func check(holds: bool, what: String) -> bool:
	if not holds:
		fail(what)
	return holds


func check_eq(seen: Variant, wanted: Variant, what: String) -> bool:
	return check(typeof(seen) == typeof(wanted) and seen == wanted, "%s: %s instead of %s" % [what, seen, wanted])


## Calls something of which the engine is known to print an error, and gives what it returned.
func expecting_errors(action: Callable) -> Variant:
	errors_expected(true)
	var result: Variant = action.call()
	errors_expected(false)
	return result


## The same for errors that come later: until it is called with false, the engine may print errors.
func errors_expected(expected: bool) -> void:
	print(EXPECT_LINE, " expected" if expected else " unexpected")


## A line of the transcript that the Rust side compares. Class names lose what tells Ferry's from the built-in.
func observe(key: String, value: Variant) -> void:
	print("%s %s = %s" % [OBSERVE_LINE, key, (value if value is String else var_to_str(value)).replace("Ferry", "")])


## Goes on, polling what is in `polled`, until the condition holds. False, and a failure, at the bound.
func until(condition: Callable, what: String, bound := SOON) -> bool:
	if await happens(condition, bound):
		return true
	fail("in %s s: not %s" % [bound, what])
	return false


## As `until`, but that it does not happen is an answer and no failure.
func happens(condition: Callable, bound: float) -> bool:
	var deadline := Time.get_ticks_usec() + int(bound * 1e6)
	while not _ended:
		for subject: Object in polled.duplicate():
			_poll(subject)
		if condition.call():
			return true
		if Time.get_ticks_usec() > deadline:
			return false
		await process_frame
	return false


## Polls for a while: only for what must not happen.
func linger(seconds: float) -> void:
	await happens(func() -> bool: return false, seconds)


func _poll(subject: Object) -> void:
	# An inactive peer prints an error when it is polled.
	if subject is MultiplayerPeer:
		if subject.get_connection_status() != MultiplayerPeer.CONNECTION_DISCONNECTED:
			subject.poll()
	else:
		subject.call("poll")


## An instance of a class that is known by name only, so that the script parses without it.
func make(class_option: String) -> Object:
	if not (ClassDB.class_exists(class_option) and ClassDB.can_instantiate(class_option)):
		fail("there is no class %s: is the library loaded?" % class_option)
		end()
		return null
	return ClassDB.instantiate(class_option)

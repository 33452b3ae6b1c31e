extends "res://tests/support/scene_test.gd"
## Passes or fails in the way that `--how=` names, for the tests of the harness itself.

# An object that nobody frees.
var _leaked: Object


func _test() -> void:
	match options.get("how", ""):
		"well":
			pass
		"expected_error":
			expecting_errors(func() -> void: push_error("as it should be"))
		"failed_check":
			check_eq(1, 2, "one")
		"exit_code":
			_end_with(3, true)
		"no_end_line":
			_end_with(0, false)
		"script_error":
			var nothing: Object = null
			nothing.call("method")
		"script_error_where_errors_are_expected":
			expecting_errors(func() -> void:
				var nothing: Object = null
				nothing.call("method"))
		"panic_where_errors_are_expected":
			expecting_errors(func() -> void: printerr("ERROR: [panic some/file.rs:1]"))
		"error":
			push_error("nobody expects this")
		"leak":
			_leaked = Object.new()
		"two_ends":
			print(END_LINE, " ok twice")
		"endless":
			await linger(3600.0)
		"crash":
			OS.crash("on purpose")
		"hang":
			print("hanging")
			while true:
				OS.delay_msec(10)
		"environment":
			check_eq(OS.get_environment("FERRY_TEST_WORD"), "word", "the variable")
		var how:
			fail("unknown: %s" % how)


func _end_with(code: int, with_line: bool) -> void:
	if with_line:
		print(END_LINE, " ok by hand")
	_ended = true
	quit(code)

extends "res://tests/support/scene_test.gd"
## Which class `WebRTCPeerConnection.new()` makes: the one that `--class=` names, from the first script on.


func _test() -> void:
	var early := root.get_node(^"Early")
	check_eq(early.when_loaded, options.class, "while scripts are loaded")
	check_eq(early.when_made, options.class, "in an autoload's _init")
	check_eq(early.when_ready, options.class, "in an autoload's _ready")
	check_eq(WebRTCPeerConnection.new().get_class(), options.class, "later")

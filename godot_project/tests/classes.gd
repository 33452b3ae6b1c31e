extends "res://tests/support/scene_test.gd"
## Walks through ClassDB: all that a built-in class has is on Ferry's class, under the same name and of the same kind.
##
## Methods with the names, types and defaults of their arguments and what they return; properties, constants, enums,
## signals, and what the class can be used as.

const PAIRS := {
	"ENetMultiplayerPeer": "FerryENetMultiplayerPeer",
	"ENetConnection": "FerryENetConnection",
	"ENetPacketPeer": "FerryENetPacketPeer",
	"WebSocketMultiplayerPeer": "FerryWebSocketMultiplayerPeer",
	"WebSocketPeer": "FerryWebSocketPeer",
	"WebRTCMultiplayerPeer": "FerryWebRTCMultiplayerPeer",
	"WebRTCPeerConnection": "FerryWebRTCPeerConnection",
	"WebRTCDataChannel": "FerryWebRTCDataChannel",
}

## Differences that are meant to be, by the line that tells of them, and why.
const WANTED := {
	"FerryWebSocketMultiplayerPeer.inbound_buffer_size is 16777216 by default instead of 65535": LARGER,
	"FerryWebSocketMultiplayerPeer.outbound_buffer_size is 16777216 by default instead of 65535": LARGER,
	"FerryWebSocketMultiplayerPeer.max_queued_packets is 1048576 by default instead of 4096": LARGER,
	"FerryWebSocketPeer.inbound_buffer_size is 16777216 by default instead of 65535": LARGER,
	"FerryWebSocketPeer.outbound_buffer_size is 16777216 by default instead of 65535": LARGER,
	"FerryWebSocketPeer.max_queued_packets is 1048576 by default instead of 4096": LARGER,
	"FerryWebSocketPeer.heartbeat_interval is float, hint 0 , usage 6 instead of int, hint 0 , usage 6":
		"its getter and setter take seconds with a fraction; typed scripts would lose that of the built-in's",
}

const LARGER := "packets of up to 16 MiB, and bursts of many, pass with default settings"

var _found := {}


func _test() -> void:
	for built_in: String in PAIRS:
		if not check(ClassDB.class_exists(PAIRS[built_in]), "there is no class " + PAIRS[built_in]):
			return
		_compare(built_in, PAIRS[built_in])
	for line: String in WANTED:
		check(_found.has(line), "listed as wanted, but not so: " + line)


func _differs(line: String) -> void:
	_found[line] = true
	if not WANTED.has(line):
		fail(line)


func _compare(built_in: String, ferry: String) -> void:
	var parent := ClassDB.get_parent_class(built_in)
	if not ClassDB.is_parent_class(ferry, parent):
		_differs("%s is no %s" % [ferry, parent])
	if ClassDB.can_instantiate(built_in) != ClassDB.can_instantiate(ferry):
		_differs("%s can be instantiated: %s" % [ferry, ClassDB.can_instantiate(ferry)])
	var count := 0
	for method in ClassDB.class_get_method_list(built_in, true):
		count += 1
		_compare_method(ferry, method)
	for property in ClassDB.class_get_property_list(built_in, true):
		count += 1
		_compare_property(built_in, ferry, property)
	for found in ClassDB.class_get_signal_list(built_in):
		count += 1
		_compare_signal(ferry, found)
	for constant in ClassDB.class_get_integer_constant_list(built_in):
		count += 1
		_compare_constant(built_in, ferry, constant)
	check(count > 5, "%s was walked" % built_in)
	print("%s: %d compared" % [ferry, count])


func _compare_method(ferry: String, method: Dictionary) -> void:
	var mine := _named(ClassDB.class_get_method_list(ferry), method.name)
	if mine.is_empty():
		_differs("%s has no method %s" % [ferry, method.name])
		return
	var wanted := _signature(method)
	var seen := _signature(mine)
	if seen != wanted:
		_differs("%s.%s is %s instead of %s" % [ferry, method.name, seen, wanted])


# "(int port, int max_clients = 32) -> int Error"
func _signature(method: Dictionary) -> String:
	var parts := PackedStringArray()
	var without_default: int = method.args.size() - method.default_args.size()
	for place: int in method.args.size():
		var argument: Dictionary = method.args[place]
		var part := "%s %s" % [_kind(argument), argument.name]
		if place >= without_default:
			part += " = %s" % var_to_str(method.default_args[place - without_default])
		parts.append(part)
	if method.flags & METHOD_FLAG_VARARG:
		parts.append("...")
	var kind := "static " if method.flags & METHOD_FLAG_STATIC else ""
	return "%s(%s) -> %s" % [kind, ", ".join(parts), _kind(method.return)]


func _kind(info: Dictionary) -> String:
	var kind := type_string(info.type)
	match info.type:
		TYPE_OBJECT, TYPE_INT:
			# Enums come as the name of the class with a dot; Ferry's own stand for the built-in's.
			if not String(info.class_name).is_empty():
				kind += " " + String(info.class_name)
		TYPE_ARRAY:
			kind += "[%s]" % info.hint_string
	return kind.replace("Ferry", "")


func _compare_property(built_in: String, ferry: String, property: Dictionary) -> void:
	# Headings of groups are for the editor.
	if property.usage & (PROPERTY_USAGE_CATEGORY | PROPERTY_USAGE_GROUP | PROPERTY_USAGE_SUBGROUP):
		return
	var mine := _named(ClassDB.class_get_property_list(ferry), property.name)
	if mine.is_empty():
		_differs("%s has no property %s" % [ferry, property.name])
		return
	var wanted := "%s, hint %d %s, usage %d" % [_kind(property), property.hint, property.hint_string, property.usage]
	var seen := "%s, hint %d %s, usage %d" % [_kind(mine), mine.hint, mine.hint_string, mine.usage]
	if seen.replace("Ferry", "") != wanted:
		_differs("%s.%s is %s instead of %s" % [ferry, property.name, seen, wanted])
	_compare_default(built_in, ferry, property.name)
	for accessor: String in ["getter", "setter"]:
		var theirs := String(ClassDB.call("class_get_property_" + accessor, built_in, property.name))
		var ours := String(ClassDB.call("class_get_property_" + accessor, ferry, property.name))
		if theirs != ours:
			_differs("%s.%s has the %s %s instead of %s" % [ferry, property.name, accessor, ours, theirs])


func _compare_default(built_in: String, ferry: String, property: String) -> void:
	if not ClassDB.can_instantiate(built_in) or not ClassDB.can_instantiate(ferry):
		return
	var wanted := var_to_str(ClassDB.class_get_property_default_value(built_in, property))
	var seen := var_to_str(ClassDB.class_get_property_default_value(ferry, property))
	if seen != wanted:
		_differs("%s.%s is %s by default instead of %s" % [ferry, property, seen, wanted])


func _compare_signal(ferry: String, found: Dictionary) -> void:
	var mine := _named(ClassDB.class_get_signal_list(ferry), found.name)
	if mine.is_empty():
		_differs("%s has no signal %s" % [ferry, found.name])
	elif _signature(mine) != _signature(found):
		_differs("%s.%s is %s instead of %s" % [ferry, found.name, _signature(mine), _signature(found)])


func _compare_constant(built_in: String, ferry: String, constant: String) -> void:
	if not ClassDB.class_has_integer_constant(ferry, constant):
		_differs("%s has no constant %s" % [ferry, constant])
		return
	var wanted := ClassDB.class_get_integer_constant(built_in, constant)
	var seen := ClassDB.class_get_integer_constant(ferry, constant)
	if seen != wanted:
		_differs("%s.%s is %d instead of %d" % [ferry, constant, seen, wanted])
	var theirs := ClassDB.class_get_integer_constant_enum(built_in, constant)
	var ours := ClassDB.class_get_integer_constant_enum(ferry, constant)
	if theirs != ours:
		_differs("%s.%s is of the enum %s instead of %s" % [ferry, constant, ours, theirs])


func _named(infos: Array[Dictionary], wanted: String) -> Dictionary:
	for info in infos:
		if info.name == wanted:
			return info
	return {}

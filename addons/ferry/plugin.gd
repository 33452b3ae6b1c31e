@tool
extends EditorPlugin
## Makes Ferry's project settings show up in the editor.
##
## The classes come from the library and work without this plugin, and so do the settings: a setting that is not
## there counts as its default.

## Each with its default and what the editor lets one choose.
const SETTINGS: Array[Dictionary] = [
	{
		"name": "ferry/log/level",
		"default": 2,
		"type": TYPE_INT,
		"hint": PROPERTY_HINT_ENUM,
		"hint_string": "Off,Error,Warn,Info,Debug,Trace",
	},
	{
		"name": "ferry/webrtc/default_extension",
		"default": "auto",
		"type": TYPE_STRING,
		"hint": PROPERTY_HINT_ENUM,
		"hint_string": "auto,always,never",
	},
]


func _enter_tree() -> void:
	for setting in SETTINGS:
		if not ProjectSettings.has_setting(setting.name):
			ProjectSettings.set_setting(setting.name, setting.default)
		# The initial value is what the editor offers to go back to, and what it does not write to project.godot.
		ProjectSettings.set_initial_value(setting.name, setting.default)
		ProjectSettings.set_as_basic(setting.name, true)
		ProjectSettings.add_property_info(setting)
	# It is read when the library is loaded.
	ProjectSettings.set_restart_if_changed("ferry/webrtc/default_extension", true)

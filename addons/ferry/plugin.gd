@tool
extends EditorPlugin
## Makes Ferry's project settings show up in the editor.
##
## The classes come from the library and work without this plugin, and so do the settings: a setting that is not
## there counts as its default.

const LOG_LEVEL := "ferry/log/level"
const LOG_LEVELS := "Off,Error,Warn,Info,Debug,Trace"
const LOG_LEVEL_DEFAULT := 2


func _enter_tree() -> void:
	if not ProjectSettings.has_setting(LOG_LEVEL):
		ProjectSettings.set_setting(LOG_LEVEL, LOG_LEVEL_DEFAULT)
	# The initial value is what the editor offers to go back to, and what it does not write to project.godot.
	ProjectSettings.set_initial_value(LOG_LEVEL, LOG_LEVEL_DEFAULT)
	ProjectSettings.set_as_basic(LOG_LEVEL, true)
	ProjectSettings.add_property_info({
		"name": LOG_LEVEL,
		"type": TYPE_INT,
		"hint": PROPERTY_HINT_ENUM,
		"hint_string": LOG_LEVELS,
	})

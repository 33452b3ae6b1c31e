extends Node
## An autoload: the first script of a project that runs. It notes which class `WebRTCPeerConnection.new()` makes then.

static var when_loaded := WebRTCPeerConnection.new().get_class()

var when_made := ""
var when_ready := ""


func _init() -> void:
	when_made = WebRTCPeerConnection.new().get_class()


func _ready() -> void:
	when_ready = WebRTCPeerConnection.new().get_class()

extends VBoxContainer
## Host or join: what a person without command line arguments begins with.

signal host_asked(player_name: String, port: int)
signal join_asked(player_name: String, address: String, port: int)

## What can be chosen, by its name in `--transport=`.
const TRANSPORTS := {"enet": "ENet", "websocket": "WebSocket", "webrtc": "WebRTC"}

@onready var _name: LineEdit = $PlayerName
@onready var _address: LineEdit = $Address
@onready var _port: SpinBox = $Port
@onready var _transport: OptionButton = $Transport
@onready var _notice: Label = $Notice


func _ready() -> void:
	for shown: String in TRANSPORTS.values():
		_transport.add_item(shown)
	$Host.pressed.connect(func() -> void: host_asked.emit(_name.text, int(_port.value)))
	$Join.pressed.connect(func() -> void: join_asked.emit(_name.text, _address.text, int(_port.value)))


## Shows the menu, with what there is to say.
func open(notice: String) -> void:
	_notice.text = notice
	show()


## The transport that is chosen.
func transport() -> String:
	return TRANSPORTS.keys()[_transport.selected]


func choose_transport(transport_name: String) -> void:
	_transport.select(maxi(TRANSPORTS.keys().find(transport_name), 0))

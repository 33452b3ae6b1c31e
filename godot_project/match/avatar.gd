class_name Avatar
extends Node2D
## A player's boat. The server moves it; the synchronizer tells everybody where it is.
##
## Its node is named after the player's peer id, on every end.

const SPEED := 220.0
const RADIUS := 16.0

var player_name := ""
var colour := Color.WHITE

## Where the player steers, as the server was told last. Only the server uses it.
var heading := Vector2.ZERO


func player() -> int:
	return name.to_int()


## Moves for one tick, within the water.
func sail(delta: float, water: Rect2) -> void:
	position = (position + heading * SPEED * delta).clamp(water.position, water.end)


func _process(_delta: float) -> void:
	queue_redraw()


func _draw() -> void:
	draw_circle(Vector2.ZERO, RADIUS, colour)
	draw_arc(Vector2.ZERO, RADIUS, 0.0, TAU, 24, colour.darkened(0.4), 2.0, true)
	var font := ThemeDB.fallback_font
	draw_string(font, Vector2(-60.0, -RADIUS - 6.0), player_name, HORIZONTAL_ALIGNMENT_CENTER, 120.0, 14)

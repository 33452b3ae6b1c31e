@tool
extends EditorPlugin
## Loads Ferry's library anew, three times, while peers are connected and have something to send. Run by the editor, in
## a copy of the project that the test has made this a plugin of.

const CLASS_NAME := "FerryENetMultiplayerPeer"
const MANIFEST := "res://addons/ferry/ferry.gdextension"


func _enter_tree() -> void:
	_reload.call_deferred()


func _reload() -> void:
	# The editor is at work of its own in its first frames.
	await get_tree().create_timer(2.0).timeout
	var failures := PackedStringArray()
	for _round in 3:
		var server: MultiplayerPeer = ClassDB.instantiate(CLASS_NAME)
		var client: MultiplayerPeer = ClassDB.instantiate(CLASS_NAME)
		if server.create_server(0) != OK or client.create_client("127.0.0.1", server.host.get_local_port()) != OK:
			failures.append("not created")
			break
		for _turn in 2000:
			server.poll()
			client.poll()
			if client.get_connection_status() == MultiplayerPeer.CONNECTION_CONNECTED:
				break
			OS.delay_msec(1)
		if client.get_connection_status() != MultiplayerPeer.CONNECTION_CONNECTED:
			failures.append("not connected")
		# To leave at the end of a frame that the library does not live to see.
		client.put_packet("last words".to_utf8_buffer())
		if GDExtensionManager.reload_extension(MANIFEST) != GDExtensionManager.LOAD_STATUS_OK:
			failures.append("not loaded anew")
		await get_tree().create_timer(0.2).timeout
		if client.get_connection_status() != MultiplayerPeer.CONNECTION_DISCONNECTED:
			failures.append("what was open before is open still")
	print("FERRY_TEST_END ", "ok reload" if failures.is_empty() else "failed reload: " + ", ".join(failures))
	get_tree().quit()

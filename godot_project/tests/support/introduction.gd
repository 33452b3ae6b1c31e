extends RefCounted
## Lets the two ends of a WebRTC connection find each other in one process: what the one tells goes to the other.


## From now on, descriptions and candidates of each go to the other. Handlers hold neither: whoever lets go of an end ends it.
static func introduce(one: WebRTCPeerConnection, other: WebRTCPeerConnection) -> void:
	_carry(one, weakref(one), weakref(other))
	_carry(other, weakref(other), weakref(one))


static func _carry(from: WebRTCPeerConnection, own: WeakRef, to: WeakRef) -> void:
	from.session_description_created.connect(func(kind: String, text: String) -> void:
		own.get_ref().set_local_description(kind, text)
		if to.get_ref() != null:
			to.get_ref().set_remote_description(kind, text))
	from.ice_candidate_created.connect(func(media: String, index: int, name: String) -> void:
		if to.get_ref() != null:
			to.get_ref().add_ice_candidate(media, index, name))

//! Another extension with a WebRTC connection, as the plugin webrtc-native is one: it names its class to the engine as the
//! default while it is loaded, whoever has done so before. Its connections do nothing.
//!
//! `tests/tests/godot_webrtc_default.rs` loads it before and after Ferry's library.

use godot::classes::web_rtc_peer_connection::{ConnectionState, GatheringState, SignalingState};
use godot::classes::{
    IWebRtcPeerConnectionExtension, WebRtcDataChannel, WebRtcPeerConnection, WebRtcPeerConnectionExtension,
};
use godot::global::Error;
use godot::init::InitStage;
use godot::prelude::*;

struct Rival;

// SAFETY: this is the library's only entry point, and nothing else in it calls the engine before the engine calls it.
#[gdextension]
unsafe impl ExtensionLibrary for Rival {
    fn on_stage_init(stage: InitStage) {
        if stage == InitStage::Scene {
            WebRtcPeerConnection::set_default_extension("RivalPeerConnection");
        }
    }
}

#[derive(GodotClass)]
#[class(tool, init, base = WebRtcPeerConnectionExtension)]
struct RivalPeerConnection {
    base: Base<WebRtcPeerConnectionExtension>,
}

#[godot_api]
impl IWebRtcPeerConnectionExtension for RivalPeerConnection {
    fn get_connection_state(&self) -> ConnectionState {
        ConnectionState::NEW
    }

    fn get_gathering_state(&self) -> GatheringState {
        GatheringState::NEW
    }

    fn get_signaling_state(&self) -> SignalingState {
        SignalingState::STABLE
    }

    fn initialize(&mut self, _: VarDictionary) -> Error {
        Error::OK
    }

    fn create_data_channel(&mut self, _: GString, _: VarDictionary) -> Option<Gd<WebRtcDataChannel>> {
        None
    }

    fn create_offer(&mut self) -> Error {
        Error::FAILED
    }

    fn set_remote_description(&mut self, _: GString, _: GString) -> Error {
        Error::FAILED
    }

    fn set_local_description(&mut self, _: GString, _: GString) -> Error {
        Error::FAILED
    }

    fn add_ice_candidate(&mut self, _: GString, _: i32, _: GString) -> Error {
        Error::FAILED
    }

    fn poll(&mut self) -> Error {
        Error::OK
    }

    fn close(&mut self) {}
}

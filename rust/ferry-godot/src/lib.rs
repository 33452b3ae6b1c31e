//! The library that Godot loads: Ferry's classes, each in a file named for it.
//!
//! A method here converts what the engine gives, calls `ferry-net`, and converts back; what a peer *is* stands there, where
//! it can be tested without an engine. Beside the classes is what all multiplayer peers share (`peer_state`) and how the
//! engine's calls get there (`virtual_calls`, `raw_packet`), and the few things that only an engine's library needs: the end
//! of a frame (`frame`), the log, constants under their enum's name (`enums`), and what happens when the library goes
//! (`unload`).

mod convert;
mod disconnect;
mod enet_connection;
mod enet_multiplayer_peer;
mod enet_packet_peer;
mod enums;
mod frame;
mod guard;
mod log;
mod peer_methods;
mod peer_state;
mod raw_packet;
mod stream_pump;
mod tls;
mod tls_options;
mod unload;
mod virtual_calls;
mod webrtc_data_channel;
mod webrtc_default;
mod webrtc_foreign;
mod webrtc_line;
mod webrtc_multiplayer_peer;
mod webrtc_peer_connection;
mod webrtc_settings;
mod websocket_connection;
mod websocket_multiplayer_peer;
mod websocket_peer;
mod websocket_settings;

use godot::init::InitStage;
use godot::prelude::*;

struct Ferry;

// SAFETY: this is the library's only entry point, and nothing else in it calls the engine before the engine calls it.
#[gdextension]
unsafe impl ExtensionLibrary for Ferry {
    fn on_stage_init(stage: InitStage) {
        if stage == InitStage::Scene {
            ferry_net::runtime::open();
            log::start();
            enums::register();
            frame::begin();
            webrtc_default::begin();
        }
    }

    fn on_stage_deinit(stage: InitStage) {
        if stage == InitStage::Scene {
            webrtc_default::end();
            frame::end();
        }
        // The last of all: at a hot reload, peers that live are dropped between the stages.
        if stage == InitStage::Core {
            unload::end_threads();
            log::print_waiting();
        }
    }
}

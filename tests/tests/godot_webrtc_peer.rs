//! Ferry's WebRTC peer beside the engine's, both over Ferry's connections: the same script on both. And with connections that
//! are not Ferry's.
//!
//! Each scene runs with the built-in at both ends first; what it observes is what it observes with Ferry's peer, but for what
//! is listed here with its reason.

use ferry_tests::godot::Scene;
use ferry_tests::parity::{Family, WantedDifference, When, parity, parity_of_one_end};

const fn differs(key: &'static str, ferry: &'static str, when: When, why: &'static str) -> WantedDifference {
    WantedDifference { key, ferry, when, why }
}

#[test]
fn a_webrtc_peer_answers_as_the_built_in_does() {
    let again = |key| differs(key, "22", When::Both, "an open peer stays as it is, as Ferry's others");
    let too_early = |key| {
        let why = "what nobody gets is an error; the built-in's is OK when it is for all";
        differs(key, "3", When::Both, why)
    };
    parity_of_one_end(
        Family::WebRtc,
        "parity/webrtc_errors.gd",
        &[
            again("again.server"),
            again("again.client"),
            again("again.mesh"),
            too_early("open.client.[2, []].put_to_0"),
            too_early("open.client.[2, []].put_to_1"),
            too_early("open.client.[2, []].put_to_5"),
            too_early("open.client.[2, []].put_to_-5"),
            too_early("open.client.[2147483647].put_to_0"),
            too_early("open.client.[2147483647].put_to_1"),
            too_early("open.client.[2147483647].put_to_5"),
            too_early("open.client.[2147483647].put_to_-5"),
            differs(
                "awaited.put_channel",
                "31",
                When::Both,
                "a channel that there is none of is an error, for all as for one",
            ),
        ],
    );
}

#[test]
fn webrtc_peers_connect_as_with_the_built_in() {
    parity(Family::WebRtc, "parity/webrtc_connecting.gd", &[]);
}

#[test]
fn packets_travel_over_webrtc_as_with_the_built_in() {
    parity(Family::WebRtc, "parity/webrtc_packets.gd", &[]);
}

#[test]
fn webrtc_connections_end_as_with_the_built_in() {
    parity(
        Family::WebRtc,
        "parity/webrtc_endings.gd",
        &[differs(
            "before.there",
            "[true, 10]",
            When::FerryServer,
            "the end waits until the packets before it have been read; the built-in throws them away",
        )],
    );
}

#[test]
fn scene_multiplayer_works_over_webrtc_as_with_the_built_in() {
    parity(Family::WebRtc, "parity/webrtc_scene_multiplayer.gd", &[]);
}

#[test]
fn connections_that_are_not_ferrys_can_be_peers() {
    Scene::script("webrtc/foreign.gd").must_pass();
}

#[test]
fn every_ending_of_a_webrtc_connection_has_its_reason() {
    Scene::script("webrtc/reasons.gd").must_pass();
}

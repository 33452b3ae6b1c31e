//! Ferry's WebRTC connections inside the engine, alone and as what the engine's own classes stand on.

use ferry_tests::godot::Scene;

#[test]
fn a_connection_that_nobody_answers_does_as_documented_and_wrong_use_is_an_error() {
    let outcome = Scene::script("webrtc/peer_connection.gd").must_pass();
    let told =
        |part: &str| outcome.lines().iter().any(|line| line.starts_with("ERROR:") && line.contains(part));
    for part in [
        "\"iceServers\" must be an Array of dictionaries, not",
        "an entry of \"iceServers\" has no \"urls\"",
        "\"username\" must be a String, not 7",
        "\"udp_port\" must be a number from 0 to 65535, not",
        "\"loopback\" must be one of \"auto\", \"always\", \"never\", not",
        "\"negotiated\" needs an \"id\"",
        "\"maxRetransmits\" and \"maxPacketLifeTime\" cannot both be set",
        "another channel has the id 1",
        "call create_data_channel before",
        "call initialize() to begin another",
        "is no candidate",
    ] {
        assert!(told(part), "no error says `{part}`\n{}", outcome.tail());
    }
    let warnings = outcome.lines().iter().filter(|line| line.starts_with("WARNING:")).count();
    // Three misspelled keys, each once.
    assert_eq!(warnings, 3, "{}", outcome.tail());
}

#[test]
fn two_connections_reach_each_other_and_nothing_is_lost() {
    Scene::script("webrtc/connected.gd").must_pass();
}

#[test]
fn the_engines_own_multiplayer_peer_works_with_no_other_plugin() {
    Scene::script("webrtc/builtin_peer.gd").must_pass();
}

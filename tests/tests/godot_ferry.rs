//! What Ferry promises beyond the built-in's behaviour, inside the engine. How its peers begin, wait, fail and end stands in
//! `godot_lifecycle.rs`.

use ferry_tests::godot::Scene;

#[test]
fn every_ending_has_its_reason() {
    Scene::script("ferry/reasons.gd").must_pass();
}

#[test]
fn what_ferry_promises_holds() {
    Scene::script("ferry/promises.gd").must_pass();
}

#[test]
fn every_ending_of_a_websocket_has_its_reason() {
    over_websocket("ferry/websocket_reasons.gd");
}

#[test]
fn what_ferry_promises_holds_over_websocket() {
    over_websocket("ferry/promises.gd");
    over_websocket("ferry/websocket_promises.gd");
}

#[test]
fn encrypted_connections_fail_with_a_reason_and_servers_have_their_certificates() {
    over_websocket("ferry/websocket_tls.gd");
}

fn over_websocket(script: &str) {
    Scene::script(script).with("server", "FerryWebSocketMultiplayerPeer").must_pass();
}

#[test]
fn a_mesh_sends_unreliably_to_several() {
    let class = "FerryENetMultiplayerPeer";
    Scene::script("parity/peer_mesh.gd")
        .with("server", class)
        .with("client", class)
        .with("all_modes", 1)
        .must_pass();
}

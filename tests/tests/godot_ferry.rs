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
fn a_mesh_sends_unreliably_to_several() {
    let class = "FerryENetMultiplayerPeer";
    Scene::script("parity/peer_mesh.gd")
        .with("server", class)
        .with("client", class)
        .with("all_modes", 1)
        .must_pass();
}

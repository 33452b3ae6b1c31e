//! What the tests across programs share.
//!
//! [`c_enet`] drives a real C ENet host in a process of its own, [`udp_host`] a ferry-enet host over a socket in the
//! test's thread, [`pair`] connects one to the other and runs both until a condition holds. [`relay`] stands between
//! two ports and treats datagrams badly; [`payload`] makes bytes that both programs can check.
//! [`godot`] runs headless Godot on the test scenes and judges how they end, [`parity`] compares what they see with
//! Ferry and without, [`scripted_match`] plays the demo match with a process for each player,
//! [`project_copy`] is for tests that change the project. [`chromium`] opens a page in a real browser.
//! [`players`] are Ferry's peers without the engine, [`webrtc_end`] one end of a WebRTC connection; [`aiortc`] is another
//! implementation at the other end, [`coturn`] a relay. `networks` has some that a test makes itself, to pull their cables;
//! [`brought`] says which programs there are, [`ports`] finds a free one for those that have to be told.
//!
//! Everything stays on 127.0.0.1, ports are chosen by the system, and every wait has a bound.

pub mod aiortc;
pub mod brought;
pub mod c_enet;
pub mod chromium;
pub mod coturn;
pub mod godot;
#[cfg(target_os = "linux")]
pub mod networks;
pub mod pair;
pub mod parity;
pub mod payload;
pub mod players;
pub mod ports;
pub mod project_copy;
pub mod relay;
pub mod scripted_match;
pub mod udp_host;
pub mod webrtc_end;

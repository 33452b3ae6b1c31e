//! What strangers and bad peers can do to a real server on loopback, while an honest client plays on.
//!
//! Each attack runs beside a game (`under_attack`, made by `scene`): reliable packets both ways that must come in order and keep coming. A
//! driver that panicked would end the game with them. `damaged` has datagrams that are random, cut, bent, repeated or too
//! long; `floods` what costs memory; `ids` who is let in; `promises` what an honest peer may count on.
//!
//! The tests run one at a time: they measure the process's memory, and share two cores with others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damaged;
mod floods;
mod ids;
mod promises;
mod relay;
mod scene;
mod stranger;
#[path = "../under_attack/mod.rs"]
mod under_attack;

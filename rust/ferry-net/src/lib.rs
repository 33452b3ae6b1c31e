//! Ferry's transports: what carries a multiplayer game's packets, without the engine.
//!
//! The game's thread talks to one network thread ([`runtime`]) through queues (`endpoint`), so that no call of the game
//! waits for the network. Each transport has a folder of its own ([`enet`]) with the handle that the game's side holds and
//! the driver that runs on the network thread. What is the same for all stands beside them: [`reason`], [`stats`],
//! [`limits`], [`packet`], and [`multiplayer`], which is what Godot calls a MultiplayerPeer.
//!
//! Usable, and tested, as a plain library: `tests/` plays whole matches without an engine.
#![forbid(unsafe_code)]

mod address;
mod aside;
pub mod bind_address;
pub mod create_error;
mod crowd;
mod endpoint;
pub mod enet;
mod game_side;
mod id_map;
pub mod limits;
pub mod link;
mod lock;
mod lookup;
pub mod multiplayer;
pub mod packet;
pub mod peer_id;
mod random;
pub mod reason;
mod room;
pub mod runtime;
mod seldom;
pub mod stats;
pub mod tls;
pub mod udp;
pub mod webrtc;
pub mod websocket;

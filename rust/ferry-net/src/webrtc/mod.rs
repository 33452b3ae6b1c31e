//! WebRTC: data channels between two ends that find a way to each other through routers and relays; with browsers, too.
//!
//! A [`Connection`] is what the game's side holds. Descriptions and candidates are the game's to carry to the other end
//! (`signaling`, `description`); from them the driver on the network thread builds a connection: `ice` finds a path,
//! `dtls` encrypts it, SCTP carries messages over it and `channels` makes data channels of them. These are stepped with
//! time and bytes from outside (`stack`); sockets, look-ups and streams are the driver's.
//!
//! `docs/webrtc.md` tells why these parts and no others, with figures.

mod carrier;
mod channel;
mod channels;
mod command;
mod connection;
mod dcep;
mod description;
mod driver;
mod dtls;
mod goodbye;
mod ice;
mod identity;
mod quoted;
mod settings;
mod signaling;
mod stack;

pub use carrier::{MOST_OWN_WAYS, Member, Ways};
pub use channel::{ChannelError, ChannelId, ChannelInit, ChannelPhase, LONGEST_NAME, NO_STREAM, Persistence};
pub use connection::{Connection, ConnectionState, Happened, Signal};
pub use ice::{GatheringState, Server};
pub use settings::{Loopback, Settings, USUAL_MESSAGE_SIZE};
pub use signaling::{DescriptionKind, SignalingError, SignalingState};

//! The bytes of ENet 1.3: one datagram's header and the commands behind it.
//!
//! # A datagram
//!
//! ```text
//!  bits 15    14       13..12    11..0
//! +--------+----------+---------+----------------+-------------+------------+------------------------
//! | timed  | compress | session | receiver's     | sent time   | checksum   | commands ...
//! |        |          |         | peer id        | u16, if     | u32, if    | (compressed as one if
//! |        |          |         |                | timed       | agreed on  | the flag says so)
//! +--------+----------+---------+----------------+-------------+------------+------------------------
//! ```
//!
//! All numbers are big endian. The peer id is the receiver's number for the sender: it told it in the handshake.
//! 0xFFF means "none yet" and stands only before a CONNECT. The two session bits tell a slot's uses apart. The
//! sent time comes back in acknowledgements, so it is there whenever a command wants one. The checksum is the
//! CRC-32 of the uncompressed datagram with the connection's id (zero before there is one) in its own place.
//!
//! # A command
//!
//! ```text
//! +-----------------+---------+-----------------+--------------------------
//! | number 0..3     | channel | reliable        | what the number says,
//! | 6: unsequenced  | u8      | sequence number | see `command::Body`
//! | 7: acknowledge  |         | u16             |
//! +-----------------+---------+-----------------+--------------------------
//! ```
//!
//! Channel 0xFF carries the connection's own business, numbered apart from the game's channels.
//!
//! This module only reads and writes: what a command may do is decided by its readers. A reader never trusts a
//! length, an id or a flag. Tests: inline, and `tests/hostile/`.

mod command;
mod header;
mod reader;
mod writer;

pub(crate) use command::{Body, Command, Commands, Connect, Fragment, Number, Terms, ThrottleParameters};
pub(crate) use header::{Header, HeaderLayout, checksum};
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// The smallest datagram a peer can ask to be limited to.
pub(crate) const MINIMUM_MTU: u16 = 576;
/// The largest datagram that a peer can ask to be limited to.
pub(crate) const MAXIMUM_MTU: u16 = 4096;
/// The largest datagram that anybody sends: what a driver's receive buffer must hold. The C library does not count the
/// checksum as part of its datagrams.
pub const MAXIMUM_DATAGRAM: usize = MAXIMUM_MTU as usize + 4;
/// A sender puts at most this many commands into a datagram; receivers take any number.
pub(crate) const MAXIMUM_DATAGRAM_COMMANDS: usize = 32;
/// Bounds of the window: how many bytes of reliable data may be under way to a peer.
pub(crate) const MINIMUM_WINDOW_SIZE: u32 = 4096;
pub(crate) const MAXIMUM_WINDOW_SIZE: u32 = 65_536;
/// The most channels a connection has; numbers 0 to 254.
pub(crate) const MAXIMUM_CHANNELS: u8 = 255;
/// The channel number of a connection's own commands.
pub(crate) const CONTROL_CHANNEL: u8 = 0xFF;
/// The peer id that stands for "none yet"; real ones are below.
pub(crate) const NO_PEER_ID: u16 = 0xFFF;
/// The session number of a slot that was never used.
pub(crate) const NO_SESSION: u8 = 0xFF;
/// Session numbers have two bits.
pub(crate) const SESSION_MASK: u8 = 0b11;
/// A packet cannot be in more pieces than this.
pub(crate) const MAXIMUM_FRAGMENTS: u32 = 1024 * 1024;
/// Reliable sequence numbers are accepted in windows of this many numbers, ...
pub(crate) const RELIABLE_WINDOW_BITS: u32 = 12;
/// ... there are this many windows in the 16 bits, ...
pub(crate) const RELIABLE_WINDOWS: u32 = 16;
/// ... and a receiver takes numbers from its current window and the six after it.
pub(crate) const OPEN_RELIABLE_WINDOWS: u32 = 7;

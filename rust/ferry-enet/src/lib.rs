//! The ENet 1.3 protocol as a sans-IO state machine, in safe Rust.
//!
//! ENet carries a game's packets over UDP: reliable ones in order, others as they come, on up to 255 independent channels
//! of each of up to 4095 connections. This crate speaks it as the C library 1.3.18 does, which is what Godot's
//! `ENetMultiplayerPeer` uses: either end may be either. It makes no system call: sockets, clock and randomness are the
//! driver's, so it runs as well over a relay or in a test as over UDP, and ten minutes pass in a millisecond.
//!
//! # Driving it
//!
//! A [`Host`] is one endpoint. Its driver hands datagrams in, lets time pass, fetches what happened, and takes datagrams
//! out when it wants them to leave:
//!
//! ```
//! use std::net::SocketAddr;
//! use ferry_enet::{Config, Event, Host, Mode, Timestamp, MAXIMUM_DATAGRAM};
//!
//! let server_at: SocketAddr = "127.0.0.1:7777".parse()?;
//! let client_at: SocketAddr = "127.0.0.1:50000".parse()?;
//! // A real driver takes these numbers from the operating system.
//! let mut server = Host::new(Config::default(), || 1)?;
//! let mut client = Host::new(Config { max_peers: 1, ..Config::default() }, || 2)?;
//! client.connect(server_at, 2, 42)?;
//!
//! let mut buffer = [0; MAXIMUM_DATAGRAM];
//! let mut received = Vec::new();
//! for millisecond in 0..10 {
//!     let now = Timestamp::from_micros(millisecond * 1000);
//!     // The network: what one end sends, the other one gets at once.
//!     while let Some(transmit) = client.poll_transmit(now, &mut buffer) {
//!         server.handle_input(now, client_at, &buffer[..transmit.len]);
//!     }
//!     while let Some(transmit) = server.poll_transmit(now, &mut buffer) {
//!         client.handle_input(now, server_at, &buffer[..transmit.len]);
//!     }
//!     for host in [&mut server, &mut client] {
//!         if host.poll_timeout().is_some_and(|at| at <= now) {
//!             host.handle_timeout(now);
//!         }
//!     }
//!     while let Some(event) = client.poll_event() {
//!         if let Event::Connected { peer, .. } = event {
//!             client.send_copy(peer, 0, Mode::Reliable, b"hello")?;
//!         }
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Received { payload, .. } = event {
//!             received.push(payload);
//!         }
//!     }
//! }
//! assert_eq!(received, ["hello"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Four rules for drivers. Nothing leaves before [`Host::poll_transmit`]: what was queued since the last round shares
//! datagrams, so once a frame is better than once a packet. Receive buffers hold [`MAXIMUM_DATAGRAM`] bytes. While the
//! driver itself was stopped, the time that it hands in stood still: nobody could be heard, and the answers may lie in
//! its socket. And an error of the socket is no reason to stop asking for the next datagram, which goes to somebody else.
//!
//! # The protocol
//!
//! ## Datagrams and commands
//!
//! A datagram has a header of two to eight bytes and then *commands*, one behind the other, for one connection. All
//! numbers are big endian.
//!
//! ```text
//! header    u16   bit 15: a sent time follows    bit 14: the commands are compressed
//!                 bits 12-13: session            bits 0-11: the receiver's number for the sender, 0xFFF before it has one
//!           u16   sent time, milliseconds (if bit 15 says so)
//!           u32   CRC-32 (if both hosts were told to use one) of the whole uncompressed datagram, with the connect id
//!                 in its own place, or zero where the peer number is 0xFFF
//!
//! command   u8    bits 0-3: which one    bit 6: unsequenced    bit 7: wants an acknowledgement
//!           u8    channel, 0xFF for the connection's own business
//!           u16   reliable sequence number
//!           ...
//!
//!   1 ACKNOWLEDGE              u16 sequence number, u16 sent time: both as they came
//!   2 CONNECT                  u16 peer number, u8 incoming session, u8 outgoing session, u32 mtu, u32 window,
//!                              u32 channels, u32 incoming bandwidth, u32 outgoing bandwidth, u32 throttle interval,
//!                              u32 acceleration, u32 deceleration, u32 connect id, u32 data
//!   3 VERIFY_CONNECT           the same without the data
//!   4 DISCONNECT               u32 data
//!   5 PING
//!   6 SEND_RELIABLE            u16 length, then the packet
//!   7 SEND_UNRELIABLE          u16 unreliable sequence number, u16 length, then the packet
//!   8 SEND_FRAGMENT            u16 first sequence number, u16 length, u32 fragments, u32 which one, u32 packet length,
//!                              u32 offset, then the piece
//!   9 SEND_UNSEQUENCED         u16 group, u16 length, then the packet
//!  10 BANDWIDTH_LIMIT          u32 incoming, u32 outgoing
//!  11 THROTTLE_CONFIGURE       u32 interval, u32 acceleration, u32 deceleration
//!  12 SEND_UNRELIABLE_FRAGMENT as 8, with an unreliable sequence number first
//! ```
//!
//! A sender puts at most 32 commands into a datagram. A receiver stops at the first that makes no sense.
//!
//! ## Making and ending a connection
//!
//! The client sends CONNECT with a random *connect id*, its own number for the connection and its wishes. The server
//! answers VERIFY_CONNECT with the same id, its own number and what it grants: the smaller mtu, window and channel count
//! of both. The client acknowledges that. From then on each puts the other's number into its headers, and the session
//! number that VERIFY_CONNECT gave for its direction, which changes with each use of a slot so that stragglers of an
//! earlier connection are told apart.
//!
//! Whoever wants to end it sends DISCONNECT and waits for its acknowledgement; the other end stays a while to acknowledge
//! it again. A DISCONNECT that wants no acknowledgement is a goodbye that may get lost. Sent to a client that is still
//! connecting, it is a refusal, with the reason in its data: Ferry's hosts send one where the C library keeps silent
//! ([`Config::refusal_when_full`], [`Host::set_admission`]), and C clients understand it.
//!
//! ## Packets
//!
//! Each channel numbers its reliable commands (fragments each by themselves), from 1 on, in 16 bits. The receiver
//! delivers them in that order and acknowledges each as it comes. It takes numbers from the window of 4096 that its last
//! delivered one lies in and from the six windows behind; older ones it acknowledges once more, newer ones it drops.
//!
//! An unreliable packet carries the number of the last reliable command of its channel and its own count since that. It is
//! delivered behind that reliable packet, if no later one of the channel was delivered before. Those counts do not wrap:
//! after 65535 the next packet goes reliably. An unsequenced packet carries a group number of the connection, by which
//! repeats are told. Packets that do not fit into a datagram are cut into pieces of one size; all come together, or
//! none. [`Mode`] chooses.
//!
//! Bytes of reliable packets under way are bounded by the window, 4 to 64 KiB by the bandwidths that both ends announced,
//! and narrowed by the throttle.
//!
//! ## Time
//!
//! Each acknowledgement measures a round trip by the sent time it echoes; mean and scatter follow it, and a command that
//! is not acknowledged within mean + 4 x scatter is sent again, then after twice that, and so on ([`Timeouts`] says when
//! to give up). A connection where nothing was acknowledged lately is pinged. The *throttle* thins out unreliable packets
//! when round trips grow and packets get lost, or when more is sent than the announced bandwidths allow.
//!
//! # Where it differs from the C library
//!
//! On purpose, and only in what each end decides for itself; the module headers give the reasons.
//!
//! | what | C 1.3.18 | here |
//! |---|---|---|
//! | a full host | ignores CONNECT: the client waits for half a minute | refuses with a reason; half-open handshakes are counted apart, and bounded |
//! | giving up | a command that was lost six times in a row ends the connection | only silence does |
//! | retransmission | no floor, doubles without end | 30 ms at least, 2 s at most (or a round trip) |
//! | first round trip | guessed as 500 ms until a ping was answered | measured by the handshake |
//! | throttle | closes on long round trips alone | closes only if something was lost, too |
//! | DISCONNECT | answered once | answered as often as it comes for some time |
//! | packets before a goodbye | dropped if they were not fetched | delivered |
//! | late DISCONNECT of an earlier connection | ends the one being made | is told by its session |
//! | unreliable packets behind several reliable ones | dropped | delivered in their place |
//! | fragments | may overlap; memory as announced | must fit together; memory as they come |
//! | BANDWIDTH_LIMIT | to everybody after each join or leave | to those for whom something changed |
//! | packets longer than allowed | never acknowledged | end the connection, with a reason |
//!
//! # Limits
//!
//! Everything that a remote can make a host remember is bounded by [`Config`], per peer where it can be; what does not
//! fit is refused, left unacknowledged or dropped, and counted in [`PeerStats`] and [`HostStats`]. No input panics. In
//! the steady state no packet costs an allocation. A datagram of a stranger (no peer's address, slot and session) is
//! answered by a refusal, which is smaller, or by a handshake that is tried for [`Config::half_open_timeout`].
//!
//! Two bits of session tell the uses of a slot apart: a host that goes on talking to a connection which was dropped
//! without its knowing can be taken for the slot's fourth connection after that, if that is with the same address, too.
//! Slots are used again as late as possible; with the checksum, which the connect id goes into, it cannot happen.
//!
//! ENet has no encryption: whoever can see or guess a connection's address, slot and session can speak in its name.
//! Where that matters, a driver puts DTLS around it.
#![forbid(unsafe_code)]

mod address;
mod channel;
pub mod compress;
mod config;
mod error;
mod event;
mod event_queue;
mod host;
mod loss;
mod peer;
mod rtt;
mod stats;
mod throttle;
mod time;
mod timer_queue;
mod wire;

pub use address::Address;
pub use config::{Config, ConfigError, ThrottleConfig, Timeouts};
pub use error::{ConnectError, SendError, UnknownPeer};
pub use event::{DisconnectReason, Event, Mode, PeerId};
pub use host::{Admission, ConnectRequest, Host, PeerState, Transmit};
pub use stats::{HostStats, PeerStats};
pub use time::Timestamp;
pub use wire::MAXIMUM_DATAGRAM;

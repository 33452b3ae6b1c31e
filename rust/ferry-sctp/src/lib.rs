//! SCTP (RFC 9260) as WebRTC's data channels use it (RFC 8831), as a sans-IO state machine, in safe Rust.
//!
//! SCTP carries messages on numbered streams: reliably or not, in order or not, as each message says. WebRTC puts it
//! inside DTLS, so there are no addresses here, one path, and no stranger. This crate makes no system call: the clock, the
//! randomness and DTLS are the driver's, and ten minutes pass in a millisecond.
//!
//! # Driving it
//!
//! An [`Association`] is one end. Its driver hands in what DTLS decrypted, lets time pass, fetches what happened, and takes
//! out packets for DTLS to encrypt:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bytes::Bytes;
//! use ferry_sctp::{Association, Config, Event, Message, Reliability};
//!
//! let mut now = Instant::now();
//! // A real driver takes the seeds from the operating system.
//! let mut one = Association::new(Config { seed: 1, ..Config::default() }, now);
//! let mut other = Association::new(Config { seed: 2, role_client: false, ..Config::default() }, now);
//! one.connect(now);
//! let message = Message { stream: 1, ppid: 51, payload: Bytes::from("hello") };
//! one.send(now, message.clone(), Reliability::RELIABLE);
//!
//! let mut packet = Vec::new();
//! let mut received = Vec::new();
//! for _ in 0..10 {
//!     now += Duration::from_millis(1);
//!     // The network: what one end sends, the other one gets at once.
//!     while one.poll_transmit(now, &mut packet) {
//!         other.handle_input(now, packet.clone());
//!     }
//!     while other.poll_transmit(now, &mut packet) {
//!         one.handle_input(now, packet.clone());
//!     }
//!     for end in [&mut one, &mut other] {
//!         if end.poll_timeout().is_some_and(|at| at <= now) {
//!             end.handle_timeout(now);
//!         }
//!     }
//!     while let Some(event) = other.poll_event() {
//!         if let Event::Message(message) = event {
//!             received.push(message);
//!         }
//!     }
//! }
//! assert_eq!(received, [message]);
//! ```
//!
//! Packets leave only when [`Association::poll_transmit`] is asked, until it says that there is none: what was queued
//! since the last time shares packets. Ask after everything else: packets that came, time that passed, messages read.
//!
//! # What differs from the RFC, and why
//!
//! - A loss is seen by the order of departure and by time, not by counting reports for each number: the same three misses
//!   for a first loss, and a lost retransmission is seen too (`outgoing/flight.rs`).
//! - The first time-out is a probe (`rtt.rs`), the minimum is 200 ms rather than a second.
//! - What is not sent again is skipped early while little is under way (`outgoing/mod.rs`).
//! - An unreliable message may wait for its first transmission for longer than it lives ([`Config::first_send_grace`]).
//! - There is one path, no restart, and no ECN. I-DATA and unchecked packets are not offered.
//!
//! The tests beside this crate run two ends in virtual time over a network that loses, delays and repeats; and one end
//! against another implementation.

#![forbid(unsafe_code)]

mod association;
mod config;
mod congestion;
mod event;
mod incoming;
mod outgoing;
mod random;
mod reset;
mod rtt;
mod serial;
mod statistics;
mod timers;
mod wire;

pub use association::Association;
pub use config::Config;
pub use event::{CloseReason, Event, Message, Reliability};
pub use statistics::Statistics;

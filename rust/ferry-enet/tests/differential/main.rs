//! ferry-enet beside rusty_enet 0.4.1, a mechanical translation of the C library: the same script with either at either
//! end, in virtual time.
//!
//! [`scripts`] runs random scripts in all four pairings and holds each against what ENet promises and the C library
//! does; rusty_enet at both ends is the oracle, so a promise that it breaks is none. The other files compare single
//! things to the byte.
//!
//! Where the two differ on purpose, or the translation is wrong, and what the comparison makes of it:
//!
//! * **Throttle** (`throttle.rs`): C thins out unreliable packets on long round trips alone, ferry-enet only if
//!   something was lost. So unreliable packets may be missing behind a C sender whose polls are uneven; in *calm*
//!   scripts, where everything must arrive, its deceleration is set to zero.
//! * **Waiting unreliable packets** (`channel/incoming.rs`): C throws them away in cases where ferry-enet delivers
//!   them. So they may be missing at a C receiver; none may come that ought not to.
//! * **Unsequenced packets** (`channel/unsequenced.rs`): C drops late ones in blocks, ferry-enet by a sliding window.
//!   Either may drop some on a rough line, neither repeats one.
//! * **Bandwidth** (`host/bandwidth.rs`): who is told what, and when, differs; so scripts that set limits do not count
//!   unreliable packets.
//! * **Retransmission** (`rtt.rs`): ferry-enet waits 30 ms at least, C sends sooner and more often. No datagrams are
//!   counted.
//! * **Giving up** (`peer/timeouts.rs`): C gives up a peer for one command that was lost six times in a row, though
//!   others arrive. So a connection with a C end may end early on a rough line; one between ferry-enets may not
//!   (every try of a handshake or a goodbye can get lost by chance: with 30 % lost, in one script of a hundred at most).
//! * **The end**: packets that came right before a DISCONNECT are delivered by ferry-enet and dropped by C, so an abrupt
//!   end leaves a beginning of what was sent. A ferry-enet that was told goodbye answers repeats; a C one has forgotten,
//!   and a ferry-enet that said goodbye to it on a rough line may have to give up. The one who called `disconnect` gets
//!   [`ByUs`](ferry_enet::DisconnectReason::ByUs) from ferry-enet; C gives the other end's word if both said goodbye.
//!   If both say it within one poll of a C end, that end answers neither: the other one has to give up, on any line.
//! * **Late goodbyes**: a C client that asks for its next connection on the same slot before the last one's DISCONNECT
//!   has come takes that for a refusal: it does not check the session before it has been told one. A ferry-enet knows
//!   which one it will not be.
//! * **Empty packets and the range coder**: C's compressor reads a byte past an empty packet, and nobody can read that
//!   datagram; an empty reliable packet ends the connection. Scripts that compress send none.
//! * **The checksum's four bytes**: C forgets them when it fills a datagram behind other commands, which may then be
//!   four bytes longer than the MTU; with the largest MTU it does not fit into C's own buffer. Scripts with checksums
//!   stay four bytes below that.
//! * **How a packet travelled**: `rusty_enet::Packet::kind` always says "reliable" (it sets a bit it means to clear), so
//!   at its end the mode follows from the packet's label and length.

mod endpoint;
mod handshake;
mod range_coder;
mod refusal;
mod run;
mod script;
mod scripts;

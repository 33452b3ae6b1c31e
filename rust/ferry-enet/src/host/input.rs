//! The way in: from a datagram to the peer it is meant for, and to each of its commands.
//!
//! A datagram is believed to be a peer's if it names the peer's slot, comes from the peer's address and carries its
//! session number; with checksums on, the connection's id must have gone into the sum as well. Whatever else comes is
//! counted and dropped. A CONNECT must stand first in a datagram without a peer id.

use super::{Host, Stage};
use crate::address::Address;
use crate::compress::Compressor;
use crate::peer::{Peer, State, Surroundings};
use crate::time::Timestamp;
use crate::wire::{Body, Commands, Header, HeaderLayout, MAXIMUM_MTU, NO_PEER_ID, Number, checksum};

/// A datagram of somebody who is no peer holds a CONNECT and nothing else. More of it is not decompressed: some
/// bytes can be made to stand for thousands, and to take a millisecond.
const STRANGERS_COMMANDS: usize = Number::Connect.size();

/// Why a datagram is dropped unread.
enum Dropped {
    Stray,
    Malformed,
}

impl<A: Address> Host<A> {
    /// Takes in a datagram that came from `from`.
    pub fn handle_input(&mut self, now: Timestamp, from: A, datagram: &[u8]) {
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += datagram.len() as u64;
        let mut scratch = std::mem::take(&mut self.scratch);
        match self.read(now, from, datagram, &mut scratch) {
            Ok(()) => {}
            Err(Dropped::Stray) => self.stats.stray_datagrams += 1,
            Err(Dropped::Malformed) => self.stats.malformed_datagrams += 1,
        }
        self.scratch = scratch;
    }

    fn read(&mut self, now: Timestamp, from: A, datagram: &[u8], scratch: &mut [u8]) -> Result<(), Dropped> {
        let header = Header::read(datagram).ok_or(Dropped::Malformed)?;
        let layout = HeaderLayout::new(header.sent_time.is_some(), self.config.checksum);
        let (head, body) = datagram.split_at_checked(layout.commands).ok_or(Dropped::Malformed)?;
        let connect_id = match header.peer_id {
            NO_PEER_ID => 0,
            slot => self.claimed_peer(slot, header.session, &from).ok_or(Dropped::Stray)?.connect_id,
        };
        let commands = match (header.compressed, &mut self.compressor) {
            (false, _) => body,
            (true, None) => return Err(Dropped::Malformed),
            (true, Some(compressor)) => {
                let room = match header.peer_id {
                    NO_PEER_ID => STRANGERS_COMMANDS,
                    _ => usize::from(MAXIMUM_MTU) - layout.commands,
                };
                decompress(compressor.as_mut(), body, &mut scratch[..room]).ok_or(Dropped::Malformed)?
            }
        };
        if let Some(at) = layout.checksum
            && head[at..] != checksum(&head[..at], connect_id, commands)
        {
            return Err(Dropped::Malformed);
        }
        let mut commands = Commands::new(commands);
        if header.peer_id == NO_PEER_ID {
            return self.read_connect(now, &from, &mut commands);
        }
        self.read_commands(now, from, header, datagram.len(), &mut commands);
        if commands.malformed() { Err(Dropped::Malformed) } else { Ok(()) }
    }

    /// The peer in `slot`, if a datagram from `from` with this session number can be its.
    fn claimed_peer(&mut self, slot: u16, session: u8, from: &A) -> Option<&mut Peer> {
        let (address, peer) = self.slots.with_address_mut(slot)?;
        let from_there = address == from || address.is_broadcast() && peer.state == State::Connecting;
        // Until the server has told, the client knows only that it will not be the slot's last session: that one may
        // still have datagrams on their way.
        let known = peer.remote_id != NO_PEER_ID;
        let of_session = known == (session == peer.sessions.incoming);
        (from_there && of_session).then_some(peer)
    }

    fn read_connect(&mut self, now: Timestamp, from: &A, commands: &mut Commands<'_>) -> Result<(), Dropped> {
        let Some(command) = commands.next() else { return Err(Dropped::Malformed) };
        let Body::Connect(ref connect) = command.body else { return Err(Dropped::Stray) };
        self.handle_connect(now, from, connect);
        Ok(())
    }

    fn read_commands(
        &mut self,
        now: Timestamp,
        from: A,
        header: Header,
        datagram_len: usize,
        commands: &mut Commands<'_>,
    ) {
        let full = self.stats.peers >= self.config.max_peers;
        let Some((address, peer)) = self.slots.with_address_mut(header.peer_id) else { return };
        peer.count_received(datagram_len);
        let no_room_for_peer =
            (full && peer.stage() == Stage::HalfOpen).then_some(self.config.refusal_when_full);
        let mut around = Surroundings {
            events: &mut self.events,
            outgoing_bandwidth: self.config.outgoing_bandwidth,
            no_room_for_peer,
        };
        let limited_before = peer.incoming_bandwidth != 0;
        for command in commands.by_ref() {
            if peer.handle_command(now, &command, header.sent_time, &mut around).is_err() {
                break;
            }
        }
        if *address != from && peer.state == State::Connected {
            // Whoever grants a broadcast CONNECT first is who it went to.
            *address = from;
        }
        if limited_before != (peer.incoming_bandwidth != 0) {
            self.bandwidth.recalculate();
        }
        self.settle(header.peer_id);
    }
}

fn decompress<'a>(compressor: &mut dyn Compressor, input: &[u8], output: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = compressor.decompress(input, output)?;
    output.get(..len).filter(|commands| !commands.is_empty())
}

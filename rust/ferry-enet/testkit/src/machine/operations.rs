//! What a life consists of.

use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{Mode, PeerId, ThrottleConfig, Timeouts};

use super::{Flight, LATENCY, Machine};
use crate::choices::Choices;
use crate::parcel::MODES;
use crate::raw::{Raw, Seen, Wrapping};
use crate::world::Place;

const LENGTHS: [usize; 16] = [9, 10, 50, 9, 20, 200, 530, 544, 548, 549, 1360, 1364, 1368, 30, 3000, 10_000];
/// Milliseconds.
const SPANS: [u64; 16] = [1, 5, 10, 30, 1, 10, 20, 100, 300, 500, 50, 1000, 2000, 5000, 10_000, 40_000];
const LATEST_US: u64 = 1 << 60;

impl Machine {
    /// Does the next thing.
    pub(super) fn operate(&mut self, choices: &mut Choices<'_>) {
        let operation = choices.byte();
        let number = choices.below(self.sites.len());
        match operation & 63 {
            0..=2 => self.call(number, choices),
            3..=22 => self.send(number, choices),
            23 => self.broadcast(number, choices),
            24 => self.part(number, choices),
            25..=27 => self.adjust(number, choices),
            28 => {
                let span = Duration::from_millis(choices.pick(&SPANS));
                self.now = (self.now + span).min(ferry_enet::Timestamp::from_micros(LATEST_US));
                self.sites[number].host.handle_timeout(self.now);
            }
            29..=33 => self.flush(number),
            34 | 35 => self.fetch(number, 1 + usize::from(choices.byte())),
            36 => self.sites[number].asleep = choices.flag(),
            37 => self.sites[number].attentive = choices.flag(),
            38..=43 => self.deliver(choices),
            44 | 45 => {
                let at = choices.below(self.under_way.len().max(1));
                self.under_way.drain(at..(at + 1).min(self.under_way.len()));
            }
            46..=49 if self.hostile => self.change(choices),
            50..=56 if self.hostile => self.forge(choices),
            46..=56 => self.send(number, choices),
            _ => {
                let span = Duration::from_millis(choices.pick(&SPANS));
                self.pass(span, |_| false);
            }
        }
    }

    fn call(&mut self, number: usize, choices: &mut Choices<'_>) {
        let to = choices.pick(&[Place::of(0), Place::of(1), Place::of(0), Place::of(2), Place::BROADCAST]);
        let channels = choices.pick(&[8, 255, 1, 2, 0]);
        // A place has one socket; it does not call itself.
        if to != self.sites[number].place {
            self.connect(number, to, channels);
        }
    }

    pub(super) fn connect(&mut self, number: usize, to: Place, channels: u8) {
        let word = self.lives.next();
        let site = &mut self.sites[number];
        if let Ok(peer) = site.host.connect(to, channels, word) {
            self.lives.begin(site.place, peer);
            site.asked_for(peer);
        }
    }

    fn send(&mut self, number: usize, choices: &mut Choices<'_>) {
        let site = &mut self.sites[number];
        let Some(peer) = site.pick(choices) else { return };
        let (mode, len) = (choices.pick(&MODES), choices.pick(&LENGTHS));
        let channel = choices.pick(&[0, 1, 0, 1, 7, 254]);
        for _ in 0..=choices.pick(&[0, 0, 0, 3, 10]) {
            let ledger = self.lives.outgoing(site.place, peer);
            if ledger.is_none() && site.place.host <= 1 {
                // It has not heard of this connection yet.
                return;
            }
            let payload = ledger.as_ref().map_or_else(Bytes::new, |ledger| ledger.write(channel, mode, len));
            let owed = reliably(
                site.host.peer_stats(peer).map_or(0, |figures| figures.mtu),
                self.checksum,
                mode,
                len,
            );
            if site.host.send(peer, channel, mode, payload).is_ok()
                && let Some(ledger) = ledger
            {
                ledger.sent(channel, owed);
            }
        }
    }

    /// To all; each connection's packet has the same bytes, so it is one that no ledger knows: of no bytes.
    fn broadcast(&mut self, number: usize, choices: &mut Choices<'_>) {
        // Nobody's ledger has room for it, so only hosts that nobody holds to their promises send these.
        if number > 1 {
            let payload = Bytes::from(vec![0; choices.pick(&LENGTHS)]);
            self.sites[number].host.broadcast(choices.byte(), choices.pick(&MODES), &payload);
        }
    }

    fn part(&mut self, number: usize, choices: &mut Choices<'_>) {
        let site = &mut self.sites[number];
        let Some(peer) = site.pick(choices) else { return };
        match choices.below(5) {
            0 | 1 => site.disconnect(peer, 1),
            2 => site.disconnect_later(peer, 2),
            way => site.forget(peer, way == 3),
        }
    }

    fn adjust(&mut self, number: usize, choices: &mut Choices<'_>) {
        let host = &mut self.sites[number].host;
        match choices.below(3) {
            0 => return host.set_channel_limit(choices.byte()),
            1 => {
                let rates = [0, 1, 100, 50_000, 10_000_000, u32::MAX];
                return host.set_bandwidth(choices.pick(&rates), choices.pick(&rates));
            }
            _ => {}
        }
        let Some(peer) = self.sites[number].pick(choices) else { return };
        self.adjust_peer(number, peer, choices);
    }

    fn adjust_peer(&mut self, number: usize, peer: PeerId, choices: &mut Choices<'_>) {
        let host = &mut self.sites[number].host;
        let milliseconds = |choices: &mut Choices<'_>| Duration::from_millis(choices.pick(&SPANS));
        let done = match choices.below(4) {
            0 => host.ping(peer),
            1 => host.set_ping_interval(peer, milliseconds(choices)),
            2 => {
                let limit = choices.pick(&[32, 0, 1, 5, u32::MAX]);
                let (minimum, maximum) = (milliseconds(choices), milliseconds(choices));
                host.set_timeouts(peer, Timeouts { limit, minimum, maximum })
            }
            _ => {
                let interval = milliseconds(choices);
                let amounts = [2, 0, 1, 32, u32::MAX];
                let (acceleration, deceleration) = (choices.pick(&amounts), choices.pick(&amounts));
                host.configure_throttle(peer, ThrottleConfig { interval, acceleration, deceleration })
            }
        };
        assert_eq!(done, Ok(()), "{peer:?} was listed just now");
    }

    /// One datagram arrives, out of its turn, and perhaps once more.
    fn deliver(&mut self, choices: &mut Choices<'_>) {
        if self.under_way.is_empty() {
            return;
        }
        let flight = self.under_way.swap_remove(choices.below(self.under_way.len()));
        self.arrive(&flight);
        if choices.byte() & 3 == 3 {
            self.under_way.push(flight);
        }
    }

    /// Somebody changes a datagram of host 2's connections on its way.
    fn change(&mut self, choices: &mut Choices<'_>) {
        let mut foreign: Vec<&mut Flight> =
            self.under_way.iter_mut().filter(|flight| flight.from.host > 1 || flight.to.host > 1).collect();
        if foreign.is_empty() {
            return;
        }
        let at = choices.below(foreign.len());
        let bytes = &mut foreign[at].bytes;
        match choices.byte() & 3 {
            0 => bytes.truncate(choices.below(bytes.len().max(1))),
            1 => bytes.extend_from_slice(choices.bytes(8)),
            _ => {
                let place = choices.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= choices.byte();
                }
            }
        }
    }

    /// Host 2, or a stranger, says something of the fuzzer's own; with the header of the last datagram that went this way, if
    /// there is one.
    fn forge(&mut self, choices: &mut Choices<'_>) {
        let to = Place::of(choices.below(2) as u16);
        let from = choices.pick(&[Place::of(2), Place::of(2), Place::of(77), Place { host: 2, port: 9 }]);
        let shape = choices.byte();
        let mut last = self.under_way.iter().rev().filter(|flight| flight.from == from && flight.to == to);
        let header = match last.next().and_then(|flight| Seen::read(&flight.bytes, self.checksum)) {
            Some(seen) if shape & 1 == 0 => Raw::to_peer(seen.peer_id, seen.session, Some(choices.u16())),
            _ if shape & 2 == 0 => {
                Raw::to_peer(choices.below(4) as u16, shape >> 6, (shape & 4 != 0).then_some(7))
            }
            _ => Raw::to_nobody(),
        };
        let raw = command(header, choices);
        let mut wrapping =
            Wrapping { checksum: self.checksum.then(|| u32::from(choices.byte())), coder: None };
        let flight = Flight { arrives: self.now + LATENCY, from, to, bytes: raw.wrapped(&mut wrapping) };
        if shape & 8 == 0 {
            self.arrive(&flight);
        } else {
            self.under_way.push(flight);
        }
    }
}

/// One command of the fuzzer's, right in its form, or some bytes.
fn command(raw: Raw, choices: &mut Choices<'_>) -> Raw {
    let (kind, channel, seq) = (choices.byte(), choices.pick(&[0, 1, 7, 254, 255]), choices.u16());
    let (number, small) = (choices.u16(), choices.u32() & 0xFFFF);
    let payload = [seq as u8; 600];
    let payload = &payload[..usize::from(choices.byte()) * 2];
    let piece = crate::raw::RawFragment {
        start_seq: seq.wrapping_sub(number & 7),
        count: small & 63,
        number: u32::from(number & 7),
        total_len: small,
        offset: u32::from(number & 7) * payload.len() as u32,
        payload,
    };
    match kind % 13 {
        0 => {
            let len = usize::from(choices.byte());
            raw.bytes(choices.bytes(len))
        }
        1 => raw.acknowledge(channel, seq & 31, number),
        2 => raw.connect(number, small & 0x1FF, u32::from(seq & 7), 1 << 30),
        3 => raw.verify_connect(number, [seq as u8, small as u8], small & 0x1FF, u32::from(seq & 7)),
        4 => raw.disconnect(kind & 0x80 != 0, seq, small),
        5 => raw.ping(seq),
        6 => raw.reliable(channel, seq & 0x7FFF, payload),
        7 => raw.unreliable(channel, seq & 31, number, payload),
        8 => raw.fragment(channel, seq, piece),
        9 => raw.unsequenced(channel, seq, payload),
        10 => raw.bandwidth_limit(seq, small, u32::from(number)),
        11 => raw.throttle_configure(seq, small, u32::from(number), u32::from(seq)),
        _ => raw.unreliable_fragment(channel, number & 31, piece),
    }
}

/// Whether the arrival of such a packet is owed, where a datagram has `mtu` bytes.
fn reliably(mtu: u16, checksum: bool, mode: Mode, len: usize) -> bool {
    let header = if checksum { 8 } else { 4 };
    let whole = len.max(crate::parcel::SHORTEST) + header + 24 <= usize::from(mtu);
    match mode {
        Mode::Reliable => true,
        Mode::Unreliable | Mode::Unsequenced => false,
        Mode::UnreliableUnlessLarge | Mode::UnsequencedUnlessLarge => !whole,
    }
}

//! One host of a machine's life, and what its driver and its game know.

use std::collections::BTreeMap;
use std::time::Duration;

use ferry_enet::{Config, Event, Host, HostStats, PeerId, PeerState, PeerStats, Timeouts, Timestamp};

use super::lives::Lives;
use crate::choices::Choices;
use crate::coder::Shortener;
use crate::forger::counting_host;
use crate::limits::{most_incomplete, most_undelivered};
use crate::world::Place;

/// What the game may be told of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// We asked for it.
    Asked,
    /// It stands, as far as we know.
    Stands,
    /// We ended it; its end is all that may come.
    Ending,
}

pub(super) struct Site {
    pub(super) place: Place,
    pub(super) host: Host<Place>,
    /// While true, it neither receives nor sends.
    pub(super) asleep: bool,
    /// Fetches its events while time passes.
    pub(super) attentive: bool,
    known: BTreeMap<PeerId, Standing>,
    /// Has told of something since its peers were last compared with those it has told of.
    told: bool,
    figures: BTreeMap<PeerId, PeerStats>,
    stats: HostStats,
}

/// Settings of a host's own, one time of two.
fn vary(common: &Config, choices: &mut Choices<'_>) -> Config {
    if choices.flag() {
        return common.clone();
    }
    Config {
        max_peers: choices.pick(&[8, 1, 2, 3]),
        max_half_open: choices.pick(&[8, 1, 2]),
        max_half_open_per_host: choices.pick(&[8, 1, 2]),
        max_peers_per_host: choices.pick(&[8, 1, 2]),
        half_open_timeout: Duration::from_millis(choices.pick(&[10_000, 0, 300, 3000])),
        refusal_when_full: choices.pick(&[Some(7), None]),
        channel_limit: choices.pick(&[255, 1, 2, 8]),
        incoming_bandwidth: choices.pick(&[0, 0, 1, 5000, 1_000_000, u32::MAX]),
        outgoing_bandwidth: choices.pick(&[0, 0, 1, 5000, 1_000_000, u32::MAX]),
        mtu: choices.pick(&[1392, 576, 600, 4096]),
        max_outgoing_reliable: choices.pick(&[1_000_000, 0, 100, 5000]),
        max_outgoing_unreliable: choices.pick(&[1_000_000, 0, 100, 5000]),
        max_incoming: choices.pick(&[1_000_000, 1, 500, 5000]),
        ..common.clone()
    }
}

impl Site {
    pub(super) fn new(number: u16, common: &Config, shorten: bool, choices: &mut Choices<'_>) -> Self {
        let mut host = counting_host(vary(common, choices));
        if shorten {
            host.set_compressor(Some(Box::new(Shortener)));
        }
        Self {
            place: Place::of(number),
            host,
            asleep: false,
            attentive: true,
            known: BTreeMap::new(),
            told: true,
            figures: BTreeMap::new(),
            stats: HostStats::default(),
        }
    }

    /// The connection that a number picks.
    pub(super) fn pick(&self, choices: &mut Choices<'_>) -> Option<PeerId> {
        let mut peers: Vec<PeerId> = self.host.peers().collect();
        peers.sort_unstable();
        (!peers.is_empty()).then(|| peers[choices.below(peers.len())])
    }

    pub(super) fn asked_for(&mut self, peer: PeerId) {
        assert_eq!(self.known.insert(peer, Standing::Asked), None, "{peer:?} was somebody else's name");
    }

    pub(super) fn disconnect(&mut self, peer: PeerId, data: u32) {
        self.host.disconnect(peer, data).expect("it is there");
        if self.host.state(peer).is_some() {
            self.known.insert(peer, Standing::Ending);
        } else {
            self.known.remove(&peer);
        }
    }

    pub(super) fn disconnect_later(&mut self, peer: PeerId, data: u32) {
        self.host.disconnect_later(peer, data).expect("it is there");
        // If it is still there, packets that came before still come out, and so does the news that it stood.
        if self.host.state(peer).is_none() {
            self.known.remove(&peer);
        }
    }

    /// Ends a connection at once: nothing more is said about it.
    pub(super) fn forget(&mut self, peer: PeerId, with_a_word: bool) {
        if with_a_word {
            self.host.disconnect_now(peer, 3).expect("it is there");
        } else {
            self.host.reset(peer).expect("it is there");
        }
        self.known.remove(&peer);
    }

    /// Fetches one event, and holds it against what is known. False if there was none.
    pub(super) fn fetch(&mut self, now: Timestamp, lives: &mut Lives) -> bool {
        let Some(event) = self.host.poll_event() else {
            if std::mem::take(&mut self.told) {
                self.check_peers();
            }
            return false;
        };
        self.told = true;
        let peer = event.peer();
        let before = self.known.get(&peer).copied();
        let allowed = match (&event, before) {
            (Event::Connected { .. }, None | Some(Standing::Asked))
            | (Event::Received { .. }, Some(Standing::Stands))
            | (Event::Disconnected { .. }, Some(_)) => true,
            (_, _) => false,
        };
        assert!(allowed, "{event:?} about a connection that is {before:?}");
        match event {
            Event::Connected { .. } => self.known.insert(peer, Standing::Stands),
            Event::Disconnected { .. } => self.known.remove(&peer),
            Event::Received { .. } => None,
        };
        lives.hear(now, self.place, &event);
        true
    }

    /// When all is fetched, the host's list of peers is the list of those it has told of.
    fn check_peers(&self) {
        let listed: Vec<PeerId> = {
            let mut peers: Vec<PeerId> = self.host.peers().collect();
            peers.sort_unstable();
            peers
        };
        let known: Vec<PeerId> = self.known.keys().copied().collect();
        assert_eq!(listed, known, "the peers that are there, and those that were told of");
    }

    pub(super) fn check(&mut self) {
        let (config, stats) = (self.host.config(), self.host.stats());
        let peers: Vec<PeerId> = self.host.peers().collect();
        assert_eq!(peers.len(), stats.peers);
        assert!(stats.peers <= config.max_peers && stats.half_open <= config.max_half_open, "{stats:?}");
        for (now, before) in counts(&stats).into_iter().zip(counts(&self.stats)) {
            assert!(now >= before, "{stats:?} after {:?}", self.stats);
        }
        let mut all = BTreeMap::new();
        for peer in peers {
            let figures = self.host.peer_stats(peer).expect("it was listed just now");
            check_figures(config, &figures);
            if let Some(before) = self.figures.get(&peer) {
                for (now, before) in peer_counts(&figures).into_iter().zip(peer_counts(before)) {
                    assert!(now >= before, "{figures:?} after {before:?}");
                }
            }
            all.insert(peer, figures);
        }
        self.figures = all;
        self.stats = stats;
    }

    /// Does all it should from now on, with usual patience.
    pub(super) fn wake(&mut self) {
        self.asleep = false;
        self.attentive = true;
        let peers: Vec<PeerId> = self.host.peers().collect();
        for peer in peers {
            self.host.set_timeouts(peer, Timeouts::default()).expect("it was listed just now");
            self.host.set_ping_interval(peer, Duration::from_millis(500)).expect("it was listed just now");
        }
    }

    /// Ends every connection that is not being ended already.
    pub(super) fn part(&mut self, choices: &mut Choices<'_>) {
        let ending = |state| matches!(state, Some(PeerState::Disconnecting | PeerState::DisconnectLater));
        let peers: Vec<PeerId> = self.host.peers().filter(|&peer| !ending(self.host.state(peer))).collect();
        for peer in peers {
            match choices.below(4) {
                0 => self.disconnect(peer, 1),
                1 => self.disconnect_later(peer, 2),
                way => self.forget(peer, way == 2),
            }
        }
    }

    pub(super) fn check_quiet(&mut self, now: Timestamp) {
        let stats = self.host.stats();
        assert_eq!((stats.peers, stats.half_open), (0, 0), "long after all has ended");
        assert_eq!(self.host.poll_timeout(), None, "when there is nothing to wait for");
        assert_eq!(crate::forger::drain(&mut self.host, now), [], "when there is nothing to say");
        assert_eq!(self.host.poll_event(), None, "when nothing happens");
        assert_eq!(self.known.len(), 0, "some were never told to be over: {:?}", self.known);
    }
}

fn check_figures(config: &Config, figures: &PeerStats) {
    assert!(figures.undelivered_bytes <= most_undelivered(config), "{figures:?}");
    assert!(figures.incomplete_bytes <= most_incomplete(config), "{figures:?}");
    let queued = config.max_outgoing_reliable + config.max_outgoing_unreliable + 64;
    assert!(figures.queued_bytes <= queued, "{figures:?}");
    assert!(figures.bytes_in_flight <= 65_536.max(usize::from(config.mtu)), "{figures:?}");
    assert!((576..=config.mtu).contains(&figures.mtu), "{figures:?}");
    assert!((4096..=65_536).contains(&figures.window_size), "{figures:?}");
    assert!(figures.packet_throttle <= figures.packet_throttle_limit, "{figures:?}");
    assert!(figures.packet_throttle_limit <= 32 && figures.round_trip_time_ms >= 1, "{figures:?}");
}

fn counts(stats: &HostStats) -> [u64; 9] {
    [
        stats.datagrams_received,
        stats.bytes_received,
        stats.datagrams_sent,
        stats.bytes_sent,
        stats.stray_datagrams,
        stats.malformed_datagrams,
        stats.refused_connections,
        stats.ignored_connections,
        stats.abandoned_handshakes,
    ]
}

fn peer_counts(figures: &PeerStats) -> [u64; 12] {
    [
        figures.datagrams_received,
        figures.bytes_received,
        figures.datagrams_sent,
        figures.bytes_sent,
        figures.packets_received,
        figures.packets_sent,
        figures.retransmissions,
        figures.confirmed_losses,
        figures.throttled_packets,
        figures.outgoing_overflows,
        figures.incoming_overflows,
        figures.refused_commands,
    ]
}

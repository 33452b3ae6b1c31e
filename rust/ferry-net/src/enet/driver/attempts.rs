//! Links that this end tries to make: names looked up, addresses tried one after the other, and a deadline for all.
//!
//! A name may have addresses of both families, of which only one leads to the server. Each gets a short time at first, then
//! in further rounds more, until somebody answers or the deadline is over. An answer, also a refusal, ends the search.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferry_enet::{DisconnectReason, PeerId, ThrottleConfig, Timeouts, Timestamp};

use crate::enet::link::LinkShared;
use crate::link::LinkId;
use crate::lookup::Found;
use crate::reason::{Farewell, Reason};

/// How long an address is tried in the first round; twice as long in each next one.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// The protocol itself never gives up on an attempt: its deadline is kept here.
pub(super) const NO_TIMEOUT: Timeouts =
    Timeouts { limit: u32::MAX, minimum: Duration::from_secs(86_400), maximum: Duration::from_secs(86_400) };

/// One link that is being made.
pub(super) struct Attempt {
    pub(super) link: LinkId,
    pub(super) shared: Arc<LinkShared>,
    /// The protocol's name for the try that is under way.
    pub(super) peer: Option<PeerId>,
    pub(super) wishes: Wishes,
    channels: u8,
    data: u32,
    began: Timestamp,
    deadline: Timestamp,
    /// Empty while the name is being looked up.
    candidates: Vec<SocketAddr>,
    /// How many tries there were.
    tries: u32,
    /// When the next candidate is tried, if there are several.
    switch_at: Option<Timestamp>,
}

/// What the game wants of a link once it stands.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) timeouts: Option<Timeouts>,
    pub(super) ping_interval: Option<Duration>,
    pub(super) throttle: Option<ThrottleConfig>,
}

/// What is to be done for an attempt.
pub(super) enum Next {
    Try { link: LinkId, address: SocketAddr, channels: u8, data: u32, instead_of: Option<PeerId> },
    Fail { link: LinkId, farewell: Farewell, word: u32, peer: Option<PeerId> },
}

impl Attempt {
    pub(super) fn new(
        link: LinkId,
        shared: Arc<LinkShared>,
        channels: u8,
        data: u32,
        began: Timestamp,
        bound: Duration,
    ) -> Self {
        Self {
            link,
            shared,
            peer: None,
            wishes: Wishes::default(),
            channels,
            data,
            began,
            deadline: began + bound,
            candidates: Vec::new(),
            tries: 0,
            switch_at: None,
        }
    }

    fn next_due(&self) -> Timestamp {
        self.switch_at.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// Begins the next try.
    fn next_try(&mut self, now: Timestamp) -> Option<Next> {
        let count = u32::try_from(self.candidates.len()).ok().filter(|count| *count > 0)?;
        let address = self.candidates[(self.tries % count) as usize];
        let patience = FIRST_PATIENCE * (1 << (self.tries / count).min(5));
        self.switch_at = (count > 1).then(|| now + patience);
        self.tries += 1;
        let instead_of = self.peer.take();
        Some(Next::Try { link: self.link, address, channels: self.channels, data: self.data, instead_of })
    }

    fn out_of_time(&self) -> Farewell {
        if self.candidates.is_empty() {
            return Farewell::with(Reason::Resolve, "the look-up took too long");
        }
        let tried: Vec<String> = self.candidates.iter().map(ToString::to_string).collect();
        Farewell::with(Reason::ConnectTimeout, format!("tried {}", tried.join(", ")))
    }
}

/// All attempts of an endpoint: seldom more than one.
#[derive(Default)]
pub(super) struct Attempts {
    list: Vec<Attempt>,
}

impl Attempts {
    pub(super) fn add(&mut self, attempt: Attempt) {
        self.list.push(attempt);
    }

    pub(super) fn remove(&mut self, link: LinkId) -> Option<Attempt> {
        let place = self.list.iter().position(|attempt| attempt.link == link)?;
        Some(self.list.swap_remove(place))
    }

    pub(super) fn take_all(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.list)
    }

    /// All attempts, from their beginning on, may take this long.
    pub(super) fn set_bound(&mut self, bound: Duration) {
        for attempt in &mut self.list {
            attempt.deadline = attempt.began + bound;
        }
    }

    fn position_of_peer(&self, peer: PeerId) -> Option<usize> {
        self.list.iter().position(|attempt| attempt.peer == Some(peer))
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Attempt> {
        self.list.iter_mut().find(|attempt| attempt.link == link)
    }

    /// The try under way has this name now.
    pub(super) fn trying(&mut self, link: LinkId, peer: PeerId) {
        if let Some(attempt) = self.get_mut(link) {
            attempt.peer = Some(peer);
        }
    }

    /// Somebody answered yes.
    pub(super) fn succeeded(&mut self, peer: PeerId) -> Option<Attempt> {
        let place = self.position_of_peer(peer)?;
        Some(self.list.swap_remove(place))
    }

    /// Somebody answered no. `None` if this was no attempt.
    pub(super) fn failed(&mut self, peer: PeerId, reason: DisconnectReason) -> Option<Next> {
        let place = self.position_of_peer(peer)?;
        let attempt = self.list.swap_remove(place);
        let (farewell, word) = match reason {
            DisconnectReason::Refused(word) | DisconnectReason::ByRemote(word) => match Reason::heard(word) {
                // Other programs refuse with numbers of their own.
                Reason::RemoteClose => (Reason::Refused.into(), word),
                told => (told.into(), word),
            },
            DisconnectReason::HandshakeFailed => (Reason::Protocol.into(), 0),
            _ => (attempt.out_of_time(), 0),
        };
        Some(Next::Fail { link: attempt.link, farewell, word, peer: None })
    }

    /// The host takes no connection.
    pub(super) fn give_up(&mut self, link: LinkId, detail: String) -> Option<Next> {
        let attempt = self.remove(link)?;
        let farewell = Farewell::with(Reason::Internal, detail);
        Some(Next::Fail { link, farewell, word: 0, peer: attempt.peer })
    }

    /// A look-up has ended.
    pub(super) fn resolved(
        &mut self,
        now: Timestamp,
        link: LinkId,
        found: Found,
        reaches_ipv6: bool,
    ) -> Option<Next> {
        let attempt = self.get_mut(link)?;
        let found = found.and_then(|mut addresses| {
            addresses.retain(|address| reaches_ipv6 || address.is_ipv4());
            if addresses.is_empty() {
                Err("only IPv6 leads there, and there is none here".to_owned())
            } else {
                Ok(addresses)
            }
        });
        match found {
            Ok(addresses) => {
                attempt.candidates = addresses;
                attempt.next_try(now)
            }
            Err(reason) => {
                self.remove(link);
                let farewell = Farewell::with(Reason::Resolve, reason);
                Some(Next::Fail { link, farewell, word: 0, peer: None })
            }
        }
    }

    /// One attempt that waits for nothing any more: to be called until there is none.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Next> {
        let place = self.list.iter().position(|attempt| attempt.next_due() <= now)?;
        if self.list[place].deadline > now {
            return self.list[place].next_try(now);
        }
        let attempt = self.list.swap_remove(place);
        Some(Next::Fail { link: attempt.link, farewell: attempt.out_of_time(), word: 0, peer: attempt.peer })
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.list.iter().map(Attempt::next_due).min()
    }
}

//! After every input: what it has set going is carried from the part that it reached to the others.

use std::time::Instant;

use is::Candidate;

use super::gathering::Step;
use super::relays::Notice;
use super::session::Way;
use super::{Agent, Event, MAX_TRANSMITS, Origin, Transmit, Via, Want, candidate};

/// Servers' troubles that are kept for the sentence about a failure.
const MAX_TROUBLES: usize = 4;

impl Agent {
    /// Carries everything on that an input has set going.
    pub(super) fn settle(&mut self, now: Instant) {
        self.take_steps(now);
        self.take_notices(now);
        for peer in self.session.peers() {
            self.relays.permit(now, peer.ip());
        }
        self.evaluate(now);
        self.take_transmits(now);
        // What went out may have shown that a relay is gone.
        self.take_notices(now);
        self.evaluate_gathering();
        self.due = self.next_due();
    }

    fn take_steps(&mut self, now: Instant) {
        while let Some(step) = self.gathering.poll_step() {
            match step {
                Step::Resolve { token, name } => {
                    self.wants.push_back(Want::Resolve { token, name, is_mdns: false });
                }
                Step::Send { way: Way { local, remote }, bytes } => {
                    self.push(Transmit { by: Via::Socket { local, remote }, bytes });
                }
                Step::Reflexive { base, mapped } => {
                    let candidate = candidate::is_usable(mapped.ip())
                        .then(|| Candidate::server_reflexive(mapped, base, "udp").ok())
                        .flatten();
                    self.add_local(now, candidate, base, Origin::Reflexive);
                }
                Step::Allocate { server, base, to } => {
                    self.relays.allocate(now, server, base, to, &self.gathering);
                }
                Step::Stream { server, addresses } => {
                    self.relays.open_stream(now, server, addresses, &self.gathering, &mut self.tokens);
                }
                Step::Trouble { server, text } => self.trouble(server, text),
            }
        }
    }

    fn take_notices(&mut self, now: Instant) {
        while let Some(notice) = self.relays.poll_notice() {
            match notice {
                Notice::Want(want) => self.wants.push_back(want),
                Notice::Allocated { local, relayed } => {
                    let candidate = Candidate::relayed(relayed, local, "udp").ok();
                    self.add_local(now, candidate, relayed, Origin::Relay);
                }
                Notice::Lost { relayed } => {
                    self.remove_locals(now, |local| relayed.contains(&local.from));
                }
                Notice::Trouble { server, text } => self.trouble(server, text),
            }
        }
    }

    fn take_transmits(&mut self, now: Instant) {
        let previous = self.previous.as_mut().map(|(previous, _)| previous);
        for session in [Some(&mut self.session), previous].into_iter().flatten() {
            while let Some((way, bytes)) = session.poll_transmit() {
                if self.transmits.len() >= MAX_TRANSMITS {
                    self.dropped += 1;
                } else if self.relays.is_relayed(way.local) {
                    self.relays.send(now, way, &bytes, &mut self.transmits);
                } else {
                    let by = Via::Socket { local: way.local, remote: way.remote };
                    self.transmits.push_back(Transmit { by, bytes });
                }
            }
        }
        self.relays.take_transmits(&mut self.transmits);
    }

    fn push(&mut self, transmit: Transmit) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back(transmit);
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn trouble(&mut self, server: usize, text: String) {
        let server = self.gathering.server(server).to_string();
        if self.troubles.len() < MAX_TROUBLES {
            self.troubles.push(format!("{server}: {text}"));
        }
        self.events.push_back(Event::GatheringTrouble { server, text });
    }
}

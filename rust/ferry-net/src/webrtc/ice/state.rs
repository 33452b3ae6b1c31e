//! Whether there is a path: judged by the clock after every input, from what the sessions know.
//!
//! A path is found within [`Config::connect_within`](super::Config) or never. One on which nothing is answered is
//! disconnected, and pairs that were given up are tried again; after a longer silence it has failed, for good.

use std::time::{Duration, Instant};

use super::session::{Session, Way};
use super::{Agent, Event, GatheringState, Origin, State};

/// After a new path was found by an ICE restart, the old one is still listened to for so long.
const LINGER: Duration = Duration::from_secs(5);

impl Agent {
    pub(super) fn set_gathering(&mut self, state: GatheringState) {
        if self.gathering_state != state {
            self.gathering_state = state;
            self.events.push_back(Event::GatheringChanged(state));
        }
    }

    pub(super) fn evaluate_gathering(&mut self) {
        let gathering = self.gathering_state == GatheringState::Gathering;
        if gathering && self.gathering.is_complete() && !self.relays.is_pending() {
            self.set_gathering(GatheringState::Complete);
        }
    }

    pub(super) fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.events.push_back(Event::State(state));
        }
    }

    pub(super) fn evaluate(&mut self, now: Instant) {
        self.retire_previous(now);
        let state = self.state_at(now);
        if state == State::Failed && self.state != State::Failed {
            self.failure = self.explain();
        }
        self.set_state(state);
        if self.wants_recheck() {
            self.session.recheck(now);
        }
        if let Some(selected) = self.selected().filter(|selected| selected.relayed) {
            self.relays.bind(now, Way { local: selected.local, remote: selected.remote });
        }
    }

    /// Whether pairs that were given up are to be tried again.
    fn wants_recheck(&self) -> bool {
        let hopeless = self.session.selected().is_none() && self.session.is_out_of_pairs();
        let lost = self.state == State::Disconnected;
        self.session.began().is_some() && self.state != State::Failed && (lost || hopeless)
    }

    fn retire_previous(&mut self, now: Instant) {
        let found = self.session.selected().is_some();
        self.was_connected |= found;
        let Some((previous, until)) = &mut self.previous else { return };
        if found {
            until.get_or_insert(now + LINGER);
        }
        let over = until.is_some_and(|until| now >= until);
        if over || previous.silent_for(now) >= self.config.failed_after {
            self.previous = None;
        }
    }

    fn state_at(&self, now: Instant) -> State {
        if self.state == State::Failed {
            return State::Failed;
        }
        let silent = |session: &Session| {
            let silence = session.silent_for(now);
            match silence {
                _ if silence >= self.config.failed_after => State::Failed,
                _ if silence >= self.config.disconnected_after => State::Disconnected,
                _ => State::Connected,
            }
        };
        if self.session.selected().is_some() {
            return silent(&self.session);
        }
        if self.was_connected {
            // The socket of the path is gone, however lately it worked.
            return match silent(&self.session) {
                State::Failed => State::Failed,
                _ => State::Disconnected,
            };
        }
        if let Some((previous, _)) = &self.previous {
            return silent(previous);
        }
        match self.session.began() {
            Some(began) if now >= began + self.config.connect_within => State::Failed,
            Some(_) => State::Checking,
            None if self.state == State::New => State::New,
            None => State::Checking,
        }
    }

    fn explain(&self) -> String {
        if self.was_connected {
            let seconds = self.config.failed_after.as_secs_f32();
            return format!("the peer has not answered for {seconds:.0} s");
        }
        let kinds = [(Origin::Host, "host"), (Origin::Reflexive, "reflexive"), (Origin::Relay, "relay")];
        let present: Vec<&str> = kinds
            .iter()
            .filter(|(origin, _)| self.locals.iter().any(|local| local.origin == *origin))
            .map(|(_, name)| *name)
            .collect();
        let mut text = format!(
            "no candidate pair answered: {} local{}{}{}, {} remote candidates",
            self.locals.len(),
            if present.is_empty() { "" } else { " (" },
            present.join(", "),
            if present.is_empty() { "" } else { ")" },
            self.session.remote_count(),
        );
        for trouble in &self.troubles {
            text.push_str("; ");
            text.push_str(trouble);
        }
        text
    }

    pub(super) fn next_due(&mut self) -> Option<Instant> {
        let servers = [self.gathering.poll_timeout(), self.relays.poll_timeout()].into_iter().flatten();
        if self.state == State::Failed {
            return servers.min();
        }
        let mut due: Vec<Instant> = servers.chain(self.session.poll_timeout()).collect();
        if let Some((previous, until)) = &mut self.previous {
            due.extend(previous.poll_timeout());
            due.extend(*until);
            due.push(previous.answered_at() + self.config.failed_after);
        }
        if self.wants_recheck() {
            due.push(self.session.next_recheck());
        }
        if let Some(in_use) = self.in_use().or(self.was_connected.then_some(&self.session)) {
            let bound = match self.state {
                State::Disconnected => self.config.failed_after,
                _ => self.config.disconnected_after,
            };
            due.push(in_use.answered_at() + bound);
        } else if let Some(began) = self.session.began() {
            due.push(began + self.config.connect_within);
        }
        due.into_iter().min()
    }
}

//! The same script on the engine's built-in classes and on Ferry's: what it sees has to be the same.
//!
//! A scene of `godot_project/tests/parity` writes down what it observes. [`parity`] runs it with each pairing of
//! classes and compares the transcripts to that of the built-in with itself. Where Ferry does better on purpose, a
//! [`WantedDifference`] says what it shows instead, and that is checked just as strictly.

use std::collections::{BTreeMap, BTreeSet};

use crate::godot::{OBSERVE_MARK, Outcome, Scene};

/// What a scene observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    values: BTreeMap<String, Vec<String>>,
}

/// The classes of one transport: the engine's own and Ferry's beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `ENetMultiplayerPeer` and what comes with it.
    ENet,
    /// `WebSocketMultiplayerPeer` and what comes with it.
    WebSocket,
    /// `WebRTCMultiplayerPeer`, each over Ferry's connections.
    WebRtc,
}

/// A place where Ferry does not do as the built-in does, and is meant to.
#[derive(Clone, Copy, Debug)]
pub struct WantedDifference {
    /// The key of the observation.
    pub key: &'static str,
    /// What Ferry shows instead.
    pub ferry: &'static str,
    /// In which pairings.
    pub when: When,
    /// Why that is better. The class's documentation says it, too.
    pub why: &'static str,
}

/// Which end has to be Ferry for a difference to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The server.
    FerryServer,
    /// The client.
    FerryClient,
    /// One end at least.
    Either,
    /// Both ends.
    Both,
}

/// Which classes stand at the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The server is Ferry's.
    pub ferry_server: bool,
    /// The client is Ferry's.
    pub ferry_client: bool,
}

impl Family {
    /// The multiplayer peer, by which a scene finds the other classes.
    fn class(self, ferry: bool) -> &'static str {
        match (self, ferry) {
            (Self::ENet, false) => "ENetMultiplayerPeer",
            (Self::ENet, true) => "FerryENetMultiplayerPeer",
            (Self::WebSocket, false) => "WebSocketMultiplayerPeer",
            (Self::WebSocket, true) => "FerryWebSocketMultiplayerPeer",
            (Self::WebRtc, false) => "WebRTCMultiplayerPeer",
            (Self::WebRtc, true) => "FerryWebRTCMultiplayerPeer",
        }
    }
}

impl Pairing {
    /// All pairings but that of the built-in with itself, which is what they are compared to.
    pub const WITH_FERRY: [Self; 3] = [
        Self { ferry_server: true, ferry_client: true },
        Self { ferry_server: true, ferry_client: false },
        Self { ferry_server: false, ferry_client: true },
    ];

    /// The built-in at both ends.
    pub const BUILT_IN: Self = Self { ferry_server: false, ferry_client: false };

    fn shows(self, difference: &WantedDifference) -> bool {
        match difference.when {
            When::FerryServer => self.ferry_server,
            When::FerryClient => self.ferry_client,
            When::Either => self.ferry_server || self.ferry_client,
            When::Both => self.ferry_server && self.ferry_client,
        }
    }
}

impl std::fmt::Display for Pairing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |ferry| if ferry { "Ferry" } else { "built-in" };
        write!(formatter, "{} server, {} client", name(self.ferry_server), name(self.ferry_client))
    }
}

impl Transcript {
    /// What this run observed: by key, all values in order.
    pub fn of(outcome: &Outcome) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in outcome.lines().iter().filter_map(|line| line.strip_prefix(OBSERVE_MARK)) {
            // An empty value has lost the space in front of it.
            let (key, value) = line.split_once(" =").unwrap_or((line, ""));
            values.entry(key.to_owned()).or_default().push(value.trim_start().to_owned());
        }
        Self { values }
    }

    /// What was observed first under this key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|values| values.first()).map(String::as_str)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was observed.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every line in which this transcript is not what it should be, beside that of the built-in.
    pub fn differences(&self, built_in: &Self, pairing: Pairing, wanted: &[WantedDifference]) -> Vec<String> {
        let mut found = Vec::new();
        let keys: BTreeSet<&String> = self.values.keys().chain(built_in.values.keys()).collect();
        for key in keys {
            let wanted = wanted.iter().find(|difference| difference.key == key && pairing.shows(difference));
            let seen = self.values.get(key).map(|values| values.join(" | "));
            let should = match wanted {
                Some(difference) => Some(difference.ferry.to_owned()),
                None => built_in.values.get(key).map(|values| values.join(" | ")),
            };
            if seen != should {
                let show = |value: Option<String>| value.unwrap_or_else(|| "(not observed)".to_owned());
                let by = if wanted.is_some() { "wanted" } else { "built-in" };
                found.push(format!("{key}: {}; {by}: {}", show(seen), show(should)));
            }
        }
        found
    }
}

/// Runs a parity scene in all four pairings and compares what it observes.
///
/// # Panics
/// When a run does not pass, or when one shows a difference to the built-in that is not wanted.
pub fn parity(family: Family, script: &str, wanted: &[WantedDifference]) {
    parity_in(&Pairing::WITH_FERRY, family, script, wanted);
}

/// As [`parity`], for a scene with one end only: Ferry's instead of the built-in.
///
/// # Panics
/// As [`parity`].
pub fn parity_of_one_end(family: Family, script: &str, wanted: &[WantedDifference]) {
    parity_in(&Pairing::WITH_FERRY[..1], family, script, wanted);
}

fn parity_in(pairings: &[Pairing], family: Family, script: &str, wanted: &[WantedDifference]) {
    let run = |pairing: Pairing| {
        let scene = Scene::script(script)
            .with("server", family.class(pairing.ferry_server))
            .with("client", family.class(pairing.ferry_client));
        let outcome = scene.run();
        let mut reasons = outcome.verdict();
        if !reasons.is_empty() {
            reasons.push(outcome.tail());
        }
        (Transcript::of(&outcome), reasons)
    };
    let (built_in, reasons) = run(Pairing::BUILT_IN);
    assert!(reasons.is_empty(), "{script}, {}:\n  {}", Pairing::BUILT_IN, reasons.join("\n  "));
    assert!(!built_in.is_empty(), "{script} observes nothing");
    let mut report = Vec::new();
    for &pairing in pairings {
        let (transcript, mut reasons) = run(pairing);
        reasons.extend(transcript.differences(&built_in, pairing, wanted));
        if !reasons.is_empty() {
            report.push(format!("{script}, {pairing}:\n  {}", reasons.join("\n  ")));
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

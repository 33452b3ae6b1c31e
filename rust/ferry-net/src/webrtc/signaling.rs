//! Offer and answer: which description may come next, what is said in it, and what follows from it (RFC 8829).
//!
//! Runs on the game's thread, since a game wants to hear at once that a description makes no sense. What follows for the
//! network thread comes out as [`Instruction`]s: the own half (gathering begins) and the other end's half. A description
//! that is refused changes nothing.
//!
//! An offer that meets another one gives way (as browsers do): the own is forgotten and the other is answered.

use super::description::{Description, Fingerprint, MOST_CANDIDATES, Setup};
use super::ice::Credentials;
use crate::random;

/// The port inside the association; everybody's.
const SCTP_PORT: u16 = 5000;

/// The name of the part that carries data, if this end names it.
const OWN_MID: &str = "0";

/// Where the exchange of descriptions stands, with the engine's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalingState {
    /// Nothing is under way.
    #[default]
    Stable = 0,
    /// This end has offered.
    HaveLocalOffer = 1,
    /// The other end has offered.
    HaveRemoteOffer = 2,
    /// This end has answered for the time being.
    HaveLocalPranswer = 3,
    /// The other end has answered for the time being.
    HaveRemotePranswer = 4,
    /// The connection is closed.
    Closed = 5,
}

/// What a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionKind {
    /// It begins.
    Offer,
    /// It answers, for the time being.
    Pranswer,
    /// It answers.
    Answer,
    /// The offer is taken back.
    Rollback,
}

impl DescriptionKind {
    /// By the word for it.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "offer" => Some(Self::Offer),
            "pranswer" => Some(Self::Pranswer),
            "answer" => Some(Self::Answer),
            "rollback" => Some(Self::Rollback),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Pranswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        }
    }
}

/// Why a description was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalingError {
    /// The connection is closed, or has failed.
    Closed,
    /// It is not its turn.
    OutOfTurn(String),
    /// It makes no sense; the text says why.
    Invalid(String),
}

impl std::fmt::Display for SignalingError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the connection is closed"),
            Self::OutOfTurn(text) | Self::Invalid(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for SignalingError {}

/// What the network thread has to know of the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) credentials: Credentials,
    pub(super) fingerprint: Fingerprint,
    pub(super) sctp_port: u16,
    pub(super) longest_message: Option<usize>,
    pub(super) candidates: Vec<String>,
    /// This end begins the encryption's handshake.
    pub(super) is_dtls_client: bool,
    /// This end decides which path is taken.
    pub(super) is_controlling: bool,
}

/// What follows from a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Gather, and be known by these.
    Local { credentials: Credentials, is_controlling: bool },
    /// This is the other end.
    Remote(Box<Remote>),
}

/// The exchange of one connection.
#[derive(Debug)]
pub(super) struct Signaling {
    state: SignalingState,
    fingerprint: Fingerprint,
    longest_message: usize,
    session: u64,
    version: u64,
    /// What this end is known by, once it has said so.
    own: Option<Credentials>,
    /// Candidates of this end's that go with them. Descriptions hold them, since whoever did not take an earlier offer has
    /// not taken the candidates that came with it either.
    candidates: Vec<String>,
    /// The own description that was created last and not applied yet.
    created: Option<Created>,
    /// The one that was applied unseen last. A game that is only slow may still set it.
    unseen: Option<Created>,
    /// The other end's, of the offer that is being answered or of the last exchange.
    remote: Option<Description>,
    mid: String,
    /// Settled with the first exchange.
    is_dtls_client: Option<bool>,
    is_controlling: Option<bool>,
    /// The next offer is to find new paths.
    restarts: bool,
    /// What the other end's offer says, until it is answered: the network thread hears of both together.
    untold: Option<Box<Remote>>,
    /// What held before that offer.
    before: Option<Box<Before>>,
    /// An offer of this end's gave way; the other end may answer it all the same, if it gave way as well.
    gave_way: bool,
}

/// What an offer that is taken back leaves as it was.
#[derive(Clone, Debug)]
struct Before {
    remote: Option<Description>,
    mid: String,
    is_dtls_client: Option<bool>,
    is_controlling: Option<bool>,
}

#[derive(Clone, Debug)]
struct Created {
    kind: DescriptionKind,
    credentials: Credentials,
}

impl Signaling {
    pub(super) fn new(fingerprint: Fingerprint, longest_message: usize) -> Self {
        Self {
            state: SignalingState::Stable,
            fingerprint,
            longest_message,
            // Positive, as RFC 8829 wants it.
            session: u64::from(random::word()) << 31 | u64::from(random::word() >> 1),
            version: 1,
            own: None,
            candidates: Vec::new(),
            created: None,
            unseen: None,
            remote: None,
            mid: OWN_MID.to_owned(),
            is_dtls_client: None,
            is_controlling: None,
            restarts: false,
            untold: None,
            before: None,
            gave_way: false,
        }
    }

    pub(super) fn state(&self) -> SignalingState {
        self.state
    }

    /// The name of the part that carries data.
    pub(super) fn mid(&self) -> &str {
        &self.mid
    }

    pub(super) fn close(&mut self) {
        self.state = SignalingState::Closed;
        self.created = None;
        self.untold = None;
    }

    /// The next offer is to find new paths.
    pub(super) fn restart(&mut self) {
        self.restarts = true;
    }

    /// This end has a candidate.
    pub(super) fn note_candidate(&mut self, line: &str) {
        if self.candidates.len() < MOST_CANDIDATES {
            self.candidates.push(line.to_owned());
        }
    }

    /// Whether an own description was created and not applied yet.
    pub(super) fn awaits_local(&self) -> bool {
        self.created.is_some()
    }

    /// The text of a new offer.
    pub(super) fn create_offer(&mut self) -> Result<String, SignalingError> {
        match self.state {
            SignalingState::Stable | SignalingState::HaveLocalOffer => {}
            SignalingState::Closed => return Err(SignalingError::Closed),
            _ => return Err(self.out_of_turn("An offer cannot be created")),
        }
        let credentials = match &self.own {
            Some(own) if !std::mem::take(&mut self.restarts) => own.clone(),
            _ => Credentials::random(),
        };
        self.gave_way = false;
        Ok(self.create(DescriptionKind::Offer, credentials, Setup::ActPass))
    }

    fn create(&mut self, kind: DescriptionKind, credentials: Credentials, setup: Setup) -> String {
        let same_paths = self.own.as_ref() == Some(&credentials);
        let description = Description {
            mid: self.mid.clone(),
            ufrag: credentials.ufrag.clone(),
            password: credentials.password.clone(),
            fingerprint: self.fingerprint,
            setup,
            sctp_port: SCTP_PORT,
            longest_message: Some(self.longest_message),
            candidates: if same_paths { self.candidates.clone() } else { Vec::new() },
        };
        let text = description.write(self.session, self.version);
        self.version += 1;
        self.created = Some(Created { kind, credentials });
        text
    }

    /// Applies the own description that was created last.
    pub(super) fn set_local(
        &mut self,
        kind: DescriptionKind,
        text: &str,
    ) -> Result<Vec<Instruction>, SignalingError> {
        if self.state == SignalingState::Closed {
            return Err(SignalingError::Closed);
        }
        if kind == DescriptionKind::Rollback {
            return self.roll_back().map(|()| Vec::new());
        }
        let is_answer = matches!(kind, DescriptionKind::Answer | DescriptionKind::Pranswer);
        let fits = |created: &&Created| (created.kind == DescriptionKind::Answer) == is_answer;
        let Some(created) = self.created.as_ref().filter(fits) else {
            let ufrag = Description::parse(text).ok().map(|description| description.ufrag);
            if self
                .unseen
                .take_if(|unseen| fits(&&*unseen) && ufrag.as_ref() == Some(&unseen.credentials.ufrag))
                .is_some()
            {
                return Ok(Vec::new());
            }
            return Err(SignalingError::OutOfTurn(format!(
                "No {} of this connection waits to be set as its local description",
                kind.word()
            )));
        };
        let ufrag = Description::parse(text).map_err(|error| bad("local", kind, &error))?.ufrag;
        if ufrag != created.credentials.ufrag {
            let why = "it is not the one that session_description_created gave last";
            return Err(bad("local", kind, why));
        }
        Ok(self.apply(kind))
    }

    /// Applies the own description that was created last, unseen. Games written for other implementations may rely on
    /// that; nothing follows if there is none.
    pub(super) fn apply_created(&mut self) -> Vec<Instruction> {
        self.unseen = self.created.clone();
        self.created.as_ref().map(|created| created.kind).map_or_else(Vec::new, |kind| self.apply(kind))
    }

    /// A candidate of the other end's belongs to its offer, which is not answered yet: it is kept with it.
    pub(super) fn keeps_candidate(&mut self, line: &str) -> bool {
        let Some(untold) = &mut self.untold else { return false };
        if untold.candidates.len() < MOST_CANDIDATES {
            untold.candidates.push(line.to_owned());
        }
        true
    }

    fn apply(&mut self, kind: DescriptionKind) -> Vec<Instruction> {
        let created =
            if kind == DescriptionKind::Pranswer { self.created.clone() } else { self.created.take() };
        let credentials = created.expect("whoever calls has looked").credentials;
        self.state = match kind {
            DescriptionKind::Offer => SignalingState::HaveLocalOffer,
            DescriptionKind::Pranswer => SignalingState::HaveLocalPranswer,
            _ => SignalingState::Stable,
        };
        if self.own.as_ref() != Some(&credentials) {
            self.candidates.clear();
            self.own = Some(credentials.clone());
        }
        // Who has offered first decides which path is taken.
        let is_controlling = *self.is_controlling.get_or_insert(kind == DescriptionKind::Offer);
        let mut told = vec![Instruction::Local { credentials, is_controlling }];
        if kind != DescriptionKind::Offer {
            self.before = None;
            told.extend(self.untold.take().map(Instruction::Remote));
        }
        told
    }

    /// Takes what the other end said. With an offer comes the text of the answer to it.
    pub(super) fn set_remote(
        &mut self,
        kind: DescriptionKind,
        text: &str,
    ) -> Result<(Vec<Instruction>, Option<String>), SignalingError> {
        if self.state == SignalingState::Closed {
            return Err(SignalingError::Closed);
        }
        match kind {
            DescriptionKind::Rollback => self.roll_back().map(|()| (Vec::new(), None)),
            DescriptionKind::Offer => self.offered(text).map(|answer| (Vec::new(), Some(answer))),
            DescriptionKind::Answer | DescriptionKind::Pranswer => {
                self.answered(kind, text).map(|told| (told, None))
            }
        }
    }

    fn offered(&mut self, text: &str) -> Result<String, SignalingError> {
        match self.state {
            // An offer of one's own gives way.
            SignalingState::Stable | SignalingState::HaveLocalOffer | SignalingState::HaveRemoteOffer => {}
            _ => return Err(self.out_of_turn("An offer cannot be taken")),
        }
        let remote = self.read(DescriptionKind::Offer, text)?;
        let meets_own = self.state == SignalingState::HaveLocalOffer;
        let is_client = self.is_dtls_client.unwrap_or_else(|| match (&self.own, remote.setup) {
            // The other end may be giving way at the same time: both look at the same, to choose differently.
            (Some(own), Setup::ActPass) if meets_own => own.ufrag > remote.ufrag,
            (_, setup) => setup != Setup::Active,
        });
        let same_paths = self.remote.as_ref().is_some_and(|before| before.ufrag == remote.ufrag);
        let credentials = match &self.own {
            Some(own) if same_paths || meets_own => own.clone(),
            _ => Credentials::random(),
        };
        self.before.get_or_insert_with(|| {
            Box::new(Before {
                remote: self.remote.clone(),
                mid: self.mid.clone(),
                is_dtls_client: self.is_dtls_client,
                is_controlling: self.is_controlling.filter(|_| self.remote.is_some()),
            })
        });
        if self.remote.is_none() {
            // Who gives way has not offered first.
            self.is_controlling = Some(false);
        }
        self.gave_way |= meets_own;
        self.is_dtls_client = Some(is_client);
        self.mid.clone_from(&remote.mid);
        self.state = SignalingState::HaveRemoteOffer;
        self.untold = Some(self.told(&remote));
        self.remote = Some(remote);
        let setup = if is_client { Setup::Active } else { Setup::Passive };
        Ok(self.create(DescriptionKind::Answer, credentials, setup))
    }

    fn answered(&mut self, kind: DescriptionKind, text: &str) -> Result<Vec<Instruction>, SignalingError> {
        let unapplied = self.created.as_ref().is_some_and(|created| created.kind == DescriptionKind::Offer);
        if self.is_to_what_gave_way(text) {
            return Ok(Vec::new());
        }
        match self.state {
            SignalingState::HaveLocalOffer | SignalingState::HaveRemotePranswer => {}
            SignalingState::Stable if unapplied => {}
            _ => return Err(self.out_of_turn("An answer cannot be taken")),
        }
        let remote = self.read(kind, text)?;
        let is_client = match (self.is_dtls_client, remote.setup) {
            (Some(settled), _) => settled,
            (None, Setup::Passive) => true,
            (None, Setup::Active) => false,
            (None, Setup::ActPass) => return Err(bad("remote", kind, "`a=setup:actpass` is for offers")),
        };
        // An offer that was created after the one that is answered here is none that the other end knows.
        let applies = self.state == SignalingState::Stable;
        let mut instructions = if applies { self.apply_created() } else { Vec::new() };
        self.is_dtls_client = Some(is_client);
        self.state = match kind {
            DescriptionKind::Pranswer => SignalingState::HaveRemotePranswer,
            _ => SignalingState::Stable,
        };
        instructions.push(Instruction::Remote(self.told(&remote)));
        self.remote = Some(remote);
        Ok(instructions)
    }

    /// Whether this is the answer of an end that gave way as well: what counts of it is known from its offer.
    fn is_to_what_gave_way(&self, text: &str) -> bool {
        let has_other = matches!(self.state, SignalingState::Stable | SignalingState::HaveRemoteOffer);
        self.gave_way
            && has_other
            && Description::parse(text)
                .is_ok_and(|said| self.remote.as_ref().is_some_and(|known| known.ufrag == said.ufrag))
    }

    fn read(&self, kind: DescriptionKind, text: &str) -> Result<Description, SignalingError> {
        let remote = Description::parse(text).map_err(|error| bad("remote", kind, &error))?;
        if self.own.as_ref().is_some_and(|own| own.ufrag == remote.ufrag) {
            return Err(bad("remote", kind, "it is this connection's own"));
        }
        match &self.remote {
            Some(before) if before.fingerprint != remote.fingerprint => {
                Err(bad("remote", kind, "it comes from another connection than the last one"))
            }
            _ => Ok(remote),
        }
    }

    fn told(&self, remote: &Description) -> Box<Remote> {
        Box::new(Remote {
            credentials: Credentials { ufrag: remote.ufrag.clone(), password: remote.password.clone() },
            fingerprint: remote.fingerprint,
            sctp_port: remote.sctp_port,
            longest_message: remote.longest_message,
            candidates: remote.candidates.clone(),
            is_dtls_client: self.is_dtls_client.unwrap_or_default(),
            is_controlling: self.is_controlling.unwrap_or_default(),
        })
    }

    fn roll_back(&mut self) -> Result<(), SignalingError> {
        match self.state {
            SignalingState::HaveLocalOffer | SignalingState::HaveRemoteOffer => {
                self.created = None;
                self.untold = None;
                if let Some(before) = self.before.take() {
                    let Before { remote, mid, is_dtls_client, is_controlling } = *before;
                    (self.remote, self.mid) = (remote, mid);
                    (self.is_dtls_client, self.is_controlling) = (is_dtls_client, is_controlling);
                }
                if self.remote.is_none() {
                    self.is_controlling = None;
                }
                self.state = SignalingState::Stable;
                Ok(())
            }
            _ => Err(self.out_of_turn("Nothing can be taken back")),
        }
    }

    fn out_of_turn(&self, what: &str) -> SignalingError {
        let now = match self.state {
            SignalingState::Stable => "no offer is open",
            SignalingState::HaveLocalOffer => "this end has offered",
            SignalingState::HaveRemoteOffer => "the other end has offered",
            SignalingState::HaveLocalPranswer => "this end has answered for the time being",
            SignalingState::HaveRemotePranswer => "the other end has answered for the time being",
            SignalingState::Closed => "the connection is closed",
        };
        SignalingError::OutOfTurn(format!("{what} now: {now}"))
    }
}

fn bad(whose: &str, kind: DescriptionKind, why: &str) -> SignalingError {
    SignalingError::Invalid(format!("This {} cannot be the {whose} description: {why}", kind.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(mark: u8) -> Signaling {
        Signaling::new([mark; 32], 1000)
    }

    /// What the network threads of both ends hear in one exchange.
    fn exchange(offerer: &mut Signaling, answerer: &mut Signaling) -> [Vec<Instruction>; 2] {
        let offer = offerer.create_offer().expect("an offer");
        let mut first = offerer.set_local(DescriptionKind::Offer, &offer).expect("own");
        let (mut second, answer) = answerer.set_remote(DescriptionKind::Offer, &offer).expect("taken");
        let answer = answer.expect("an answer");
        second.extend(answerer.set_local(DescriptionKind::Answer, &answer).expect("own"));
        first.extend(offerer.set_remote(DescriptionKind::Answer, &answer).expect("taken").0);
        [first, second]
    }

    fn credentials(instructions: &[Instruction]) -> (Credentials, Box<Remote>) {
        let mut local = None;
        let mut remote = None;
        for instruction in instructions {
            match instruction {
                Instruction::Local { credentials, .. } => local = Some(credentials.clone()),
                Instruction::Remote(told) => remote = Some(told.clone()),
            }
        }
        (local.expect("told"), remote.expect("told"))
    }

    #[test]
    fn an_exchange_gives_each_end_the_others_half_and_opposite_roles() {
        let (mut offerer, mut answerer) = (end(1), end(2));
        let [first, second] = exchange(&mut offerer, &mut answerer);
        let ((own, remote), (other, back)) = (credentials(&first), credentials(&second));
        assert_eq!((&remote.credentials, &back.credentials), (&other, &own));
        assert_eq!((remote.fingerprint, back.fingerprint), ([2; 32], [1; 32]));
        assert!(!remote.is_dtls_client && back.is_dtls_client);
        assert!(remote.is_controlling && !back.is_controlling);
        assert_eq!((offerer.state(), answerer.state()), (SignalingState::Stable, SignalingState::Stable));
    }

    #[test]
    fn a_second_offer_keeps_the_paths_unless_new_ones_are_wanted() {
        let (mut offerer, mut answerer) = (end(1), end(2));
        let [before, _] = exchange(&mut offerer, &mut answerer);
        let [same, _] = exchange(&mut offerer, &mut answerer);
        assert_eq!(credentials(&before), credentials(&same));
        offerer.restart();
        let [new, _] = exchange(&mut offerer, &mut answerer);
        assert_ne!(credentials(&before).0, credentials(&new).0);
        assert_ne!(credentials(&before).1.credentials, credentials(&new).1.credentials);
        // Also the other way around: roles stay.
        answerer.restart();
        let [_, back] = exchange(&mut answerer, &mut offerer);
        assert!(credentials(&back).1.is_controlling && !credentials(&back).1.is_dtls_client);
    }

    #[test]
    fn of_two_offers_at_once_the_one_that_is_met_gives_way() {
        let (mut one, mut two) = (end(1), end(2));
        let own = one.create_offer().expect("an offer");
        one.set_local(DescriptionKind::Offer, &own).expect("own");
        let other = two.create_offer().expect("an offer");
        two.set_local(DescriptionKind::Offer, &other).expect("own");
        let (_, answer) = one.set_remote(DescriptionKind::Offer, &other).expect("taken");
        let answer = answer.expect("an answer");
        one.set_local(DescriptionKind::Answer, &answer).expect("own");
        let (told, _) = two.set_remote(DescriptionKind::Answer, &answer).expect("taken");
        let Instruction::Remote(remote) = &told[0] else { panic!("the other end's half") };
        assert!(remote.is_controlling);
    }

    /// A browser that did not give way had none of this end's candidates: they had gone out with the offer that it did not
    /// take, and were not said again.
    #[test]
    fn candidates_are_in_every_description_they_count_for() {
        let (mut one, mut two) = (end(1), end(2));
        let candidates = |text: &str| Description::parse(text).expect("a description").candidates;
        let line = "candidate:1 1 udp 1 192.0.2.1 1 typ host".to_owned();
        let own = one.create_offer().expect("an offer");
        one.set_local(DescriptionKind::Offer, &own).expect("own");
        one.note_candidate(&line);
        let other = two.create_offer().expect("an offer");
        let (_, answer) = one.set_remote(DescriptionKind::Offer, &other).expect("taken");
        let answer = answer.expect("an answer");
        assert_eq!(candidates(&answer), [line]);
        one.set_local(DescriptionKind::Answer, &answer).expect("own");
        one.restart();
        let new = one.create_offer().expect("an offer");
        assert_eq!(candidates(&new), [""; 0]);
        one.set_local(DescriptionKind::Offer, &new).expect("own");
        assert_eq!(candidates(&one.create_offer().expect("again")), [""; 0]);
        for _ in 0..=MOST_CANDIDATES {
            one.note_candidate("candidate:2 1 udp 1 192.0.2.1 2 typ host");
        }
        assert_eq!(candidates(&one.create_offer().expect("again")).len(), MOST_CANDIDATES);
    }

    #[test]
    fn when_both_give_way_their_roles_are_opposite_all_the_same() {
        for _ in 0..20 {
            let (mut one, mut two) = (end(1), end(2));
            let offers = [&mut one, &mut two].map(|end| {
                let offer = end.create_offer().expect("an offer");
                end.set_local(DescriptionKind::Offer, &offer).expect("own");
                offer
            });
            let answers = [(&mut one, &offers[1]), (&mut two, &offers[0])].map(|(end, offer)| {
                let answer =
                    end.set_remote(DescriptionKind::Offer, offer).expect("taken").1.expect("an answer");
                let told = end.set_local(DescriptionKind::Answer, &answer).expect("own");
                (answer, credentials(&told).1)
            });
            assert_ne!(answers[0].1.is_dtls_client, answers[1].1.is_dtls_client);
            assert_eq!(one.set_remote(DescriptionKind::Answer, &answers[1].0), Ok((Vec::new(), None)));
            assert_eq!(two.set_remote(DescriptionKind::Answer, &answers[0].0), Ok((Vec::new(), None)));
            assert_eq!((one.state(), two.state()), (SignalingState::Stable, SignalingState::Stable));
        }
    }

    #[test]
    fn what_comes_with_a_new_offer_waits_for_the_answer() {
        let (mut one, mut two) = (end(1), end(2));
        let offer = one.create_offer().expect("an offer");
        let (told, answer) = two.set_remote(DescriptionKind::Offer, &offer).expect("taken");
        assert!(told.is_empty());
        assert!(two.keeps_candidate("candidate:1"));
        let told = two.set_local(DescriptionKind::Answer, &answer.expect("one")).expect("own");
        assert_eq!(credentials(&told).1.candidates, ["candidate:1"]);
        assert!(!two.keeps_candidate("candidate:2"));
    }

    #[test]
    fn what_is_out_of_turn_or_no_description_changes_nothing() {
        let (mut offerer, mut answerer) = (end(1), end(2));
        assert!(matches!(
            offerer.set_local(DescriptionKind::Offer, "v=0"),
            Err(SignalingError::OutOfTurn(_))
        ));
        assert!(matches!(
            offerer.set_remote(DescriptionKind::Answer, "v=0"),
            Err(SignalingError::OutOfTurn(_))
        ));
        assert!(matches!(
            offerer.set_remote(DescriptionKind::Offer, "hello"),
            Err(SignalingError::Invalid(_))
        ));
        let offer = offerer.create_offer().expect("an offer");
        let own = offerer.set_remote(DescriptionKind::Offer, &offer);
        assert!(own.is_ok(), "not applied yet, it may be anybody's");
        let mut offerer = end(1);
        let offer = offerer.create_offer().expect("an offer");
        offerer.set_local(DescriptionKind::Offer, &offer).expect("own");
        assert!(matches!(
            offerer.set_remote(DescriptionKind::Offer, &offer),
            Err(SignalingError::Invalid(_))
        ));
        assert_eq!(offerer.state(), SignalingState::HaveLocalOffer);
        let (_, answer) = answerer.set_remote(DescriptionKind::Offer, &offer).expect("taken");
        offerer.set_remote(DescriptionKind::Answer, &answer.expect("one")).expect("taken");
        let stranger = end(3).create_offer().expect("an offer");
        assert!(matches!(
            offerer.set_remote(DescriptionKind::Offer, &stranger),
            Err(SignalingError::Invalid(_))
        ));
        offerer.close();
        assert_eq!(offerer.create_offer(), Err(SignalingError::Closed));
    }

    #[test]
    fn a_game_that_never_sets_its_own_description_is_helped() {
        let (mut offerer, mut answerer) = (end(1), end(2));
        let offer = offerer.create_offer().expect("an offer");
        let (_, answer) = answerer.set_remote(DescriptionKind::Offer, &offer).expect("taken");
        let (told, _) = offerer.set_remote(DescriptionKind::Answer, &answer.expect("one")).expect("taken");
        assert!(matches!(told[..], [Instruction::Local { .. }, Instruction::Remote(_)]));
        assert!(answerer.awaits_local());
        assert!(matches!(answerer.apply_created()[..], [Instruction::Local { .. }, Instruction::Remote(_)]));
        assert_eq!(answerer.state(), SignalingState::Stable);
    }

    // Whose handler awaited something first was told that there was no such description.
    #[test]
    fn a_game_that_sets_its_own_description_late_is_not_told_off() {
        let (mut offerer, mut answerer) = (end(1), end(2));
        let offer = offerer.create_offer().expect("an offer");
        let (_, answer) = answerer.set_remote(DescriptionKind::Offer, &offer).expect("taken");
        let answer = answer.expect("one");
        assert!(!answerer.apply_created().is_empty());
        offerer.set_remote(DescriptionKind::Answer, &answer).expect("taken");
        assert!(answerer.set_local(DescriptionKind::Answer, &offer).is_err(), "not what was created");
        for (end, kind, text) in [
            (&mut answerer, DescriptionKind::Answer, &answer),
            (&mut offerer, DescriptionKind::Offer, &offer),
        ] {
            assert_eq!(end.set_local(kind, text), Ok(Vec::new()), "applied already");
            assert_eq!(end.state(), SignalingState::Stable);
            assert!(matches!(end.set_local(kind, text), Err(SignalingError::OutOfTurn(_))), "only once");
        }
    }

    #[test]
    fn an_offer_can_be_taken_back() {
        let mut one = end(1);
        let offer = one.create_offer().expect("an offer");
        one.set_local(DescriptionKind::Offer, &offer).expect("own");
        one.set_remote(DescriptionKind::Rollback, "").expect("taken back");
        assert_eq!(one.state(), SignalingState::Stable);
        assert!(one.set_local(DescriptionKind::Rollback, "").is_err());
    }
}

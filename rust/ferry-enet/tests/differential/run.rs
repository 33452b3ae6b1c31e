//! Runs a script with given makes at both ends, and holds what happens against the promises.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{DisconnectReason, Mode, Timestamp};
use ferry_enet_testkit::link::Link;
use ferry_enet_testkit::parcel::{self, Ledger};
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::world::Place;

use crate::endpoint::{Ending, Endpoint, How, Make, Told, endpoint};
use crate::script::{Deed, Script, Session, Step, Weather};

/// What a game would wait for at most, each time.
const HANDSHAKE: Duration = Duration::from_secs(60);
const TRANSFER: Duration = Duration::from_secs(900);
const GOODBYE: Duration = Duration::from_secs(120);
/// Nothing may happen this long after everything is over.
const QUIET: Duration = Duration::from_secs(6);

/// One end and what has become of it in this session.
struct Side {
    make: Make,
    place: Place,
    end: Box<dyn Endpoint>,
    connected: Option<u32>,
    ending: Option<Ending>,
    /// Its own goodbye.
    said: Option<(How, u32)>,
    /// What it has sent.
    ledger: Ledger,
    /// Packets too short to say what they are, reliable ones only.
    tiny: BTreeMap<u8, VecDeque<Bytes>>,
    /// Everything it has sent and got, by channel.
    sent: BTreeMap<u8, Vec<Bytes>>,
    got: BTreeMap<u8, Vec<Bytes>>,
}

impl Side {
    fn begin(&mut self) {
        self.end.forget();
        (self.connected, self.ending, self.said) = (None, None, None);
        self.ledger = Ledger::default();
        self.tiny.clear();
        self.sent.clear();
        self.got.clear();
    }

    fn over(&self) -> bool {
        self.ending.is_some() || matches!(self.said, Some((How::Now, _)))
    }

    fn all_came(&self) -> bool {
        self.ledger.complete() && self.tiny.values().all(VecDeque::is_empty)
    }
}

struct Run<'a> {
    script: &'a Script,
    now: Timestamp,
    link: Link,
    /// The server and the client.
    sides: [Side; 2],
    /// What was said at the end of the session before.
    stale_words: Vec<u32>,
}

/// How a script went that went as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// To its end, or to where one of the two may give up.
    Usual,
    /// Every try of a handshake or a goodbye got lost. See `main.rs`.
    Unlucky,
}

/// Runs it. The error says what went wrong.
pub(crate) fn run(script: &Script, makes: [Make; 2]) -> Result<Course, String> {
    let mut random = Random::new(script.seed ^ 0x5EED);
    let link = Link::new(script.conditions, random.fork());
    let sides = [0, 1].map(|number| Side {
        make: makes[number],
        place: Place::of(number as u16),
        end: endpoint(makes[number], script.settings[number], script.poll_ms, random.fork()),
        connected: None,
        ending: None,
        said: None,
        ledger: Ledger::default(),
        tiny: BTreeMap::new(),
        sent: BTreeMap::new(),
        got: BTreeMap::new(),
    });
    let mut run =
        Run { script, now: Timestamp::from_micros(5_000_000), link, sides, stale_words: Vec::new() };
    for (number, session) in script.sessions.iter().enumerate() {
        let at = |error| format!("session {number}, {makes:?}: {error}");
        match run.session(session).map_err(at)? {
            Next::Session => {}
            Next::Nothing(course) => return Ok(course),
        }
    }
    run.pass(QUIET)?;
    Ok(Course::Usual)
}

/// What follows a session.
enum Next {
    Session,
    Nothing(Course),
}

impl Run<'_> {
    fn session(&mut self, session: &Session) -> Result<Next, String> {
        for side in &mut self.sides {
            side.begin();
        }
        self.sides[1].end.connect(Place::of(0), session.channels, session.data);
        self.until(HANDSHAKE, |run| {
            run.sides.iter().all(|side| side.connected.is_some()) || run.sides.iter().any(Side::over)
        })?;
        if self.sides.iter().any(Side::over) {
            let hopeless = self.sides.iter().all(|side| side.ending.is_none_or(Ending::is_time_out));
            let excused = self.may_give_up() && hopeless || self.hears_old_goodbye();
            return match excused {
                true => Ok(Next::Nothing(Course::Usual)),
                false if hopeless && self.may_be_unlucky() => Ok(Next::Nothing(Course::Unlucky)),
                false => Err(format!("no connection was made: {:?}", self.endings())),
            };
        }
        self.check_handshake(session)?;
        self.play(&session.steps)?;
        if session.settle {
            self.until(TRANSFER, |run| {
                run.sides.iter().all(Side::all_came) || run.sides.iter().any(Side::over)
            })?;
            // For the unreliable ones.
            self.pass(Duration::from_secs(1))?;
        }
        let ended_early = self.sides.iter().any(Side::over);
        if !ended_early {
            if session.settle {
                self.check_deliveries()?;
            }
            self.say_goodbyes(session)?;
        } else if !self.may_give_up() {
            return Err(format!("ended before anybody said goodbye: {:?}", self.endings()));
        }
        self.until(GOODBYE, |run| run.sides.iter().all(Side::over))?;
        if ended_early {
            return Ok(Next::Nothing(Course::Usual));
        }
        if let Err(error) = self.check_endings() {
            let timed_out = self.sides.iter().any(|side| side.ending.is_some_and(Ending::is_time_out));
            let unlucky = timed_out && self.may_be_unlucky();
            return if unlucky { Ok(Next::Nothing(Course::Unlucky)) } else { Err(error) };
        }
        self.stale_words = session.goodbyes.iter().map(|goodbye| goodbye.word).collect();
        self.pass(Duration::from_millis(session.pause_ms))?;
        Ok(Next::Session)
    }

    /// What may get lost may get lost every time.
    fn may_be_unlucky(&self) -> bool {
        self.script.conditions.loss_per_mille > 0
    }

    /// On a rough line, C gives up peers that answer.
    fn may_give_up(&self) -> bool {
        self.sides.iter().any(|side| self.is_excused(side))
    }

    fn is_excused(&self, side: &Side) -> bool {
        self.script.weather == Weather::Rough && side.make == Make::Rusty
    }

    /// A C client that begins anew before the last goodbye has arrived takes that for a refusal. See `main.rs`.
    fn hears_old_goodbye(&self) -> bool {
        let ending = self.sides[1].ending;
        self.stale_words.iter().any(|&word| ending == Some(Ending::Rusty(word)))
    }

    fn endings(&self) -> [Option<Ending>; 2] {
        [self.sides[0].ending, self.sides[1].ending]
    }

    fn check_handshake(&self, session: &Session) -> Result<(), String> {
        let [server, client] = &self.sides;
        if (server.connected, client.connected) != (Some(session.data), Some(0)) {
            return Err(format!("connected with {:?} and {:?}", server.connected, client.connected));
        }
        let counts = [server.end.channel_count(), client.end.channel_count()];
        let expected = usize::from(self.script.channel_count(session));
        if counts == [expected; 2] { Ok(()) } else { Err(format!("{counts:?} channels, not {expected}")) }
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        let began = self.now;
        for step in steps {
            self.pass_until(began + Duration::from_millis(step.at_ms))?;
            if self.sides.iter().any(Side::over) {
                return Ok(());
            }
            let side = &mut self.sides[step.by];
            match step.deed {
                Deed::Ping => side.end.ping(),
                Deed::Throttle { interval_ms, acceleration, deceleration } => {
                    side.end.configure_throttle(interval_ms, acceleration, deceleration);
                }
                Deed::Bandwidth { incoming, outgoing } => side.end.set_bandwidth(incoming, outgoing),
                Deed::Send { channel, mode, len } => self.send(step.by, channel, mode, len)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, by: usize, channel: u8, mut mode: Mode, len: usize) -> Result<(), String> {
        let side = &mut self.sides[by];
        let tiny = len < parcel::SHORTEST;
        if tiny && self.script.weather != Weather::Calm {
            mode = Mode::Reliable;
        }
        let serial = side.sent.get(&channel).map_or(0, Vec::len) as u8;
        let payload =
            if tiny { Bytes::from(vec![serial; len]) } else { side.ledger.write(channel, mode, len) };
        if !side.end.send(channel, mode, &payload) {
            return Err(format!("a packet of {len} bytes was not taken on channel {channel}"));
        }
        if tiny {
            side.tiny.entry(channel).or_default().push_back(payload.clone());
        } else {
            side.ledger.sent(channel, self.script.travels(mode, len) == Mode::Reliable);
        }
        side.sent.entry(channel).or_default().push(payload);
        Ok(())
    }

    fn say_goodbyes(&mut self, session: &Session) -> Result<(), String> {
        let began = self.now;
        for goodbye in &session.goodbyes {
            self.pass_until(began + Duration::from_micros(goodbye.after_us))?;
            let side = &mut self.sides[goodbye.by];
            if !side.over() {
                side.said = Some((goodbye.how, goodbye.word));
                side.end.end(self.now, goodbye.how, goodbye.word);
            }
        }
        Ok(())
    }

    /// In calm weather all came that was sent, and in its order; between ferry-enets on a perfect line, all came.
    fn check_deliveries(&self) -> Result<(), String> {
        let ferries = self.sides.iter().all(|side| side.make == Make::Ferry);
        for (from, to) in [(0, 1), (1, 0)] {
            let (sender, receiver) = (&self.sides[from], &self.sides[to]);
            if self.script.weather == Weather::Calm && sender.sent != receiver.got {
                return Err(format!("side {to} got {}", difference(&sender.sent, &receiver.got)));
            }
            let (sent, came) = sender.ledger.lossy();
            let owed = ferries && self.script.weather == Weather::Fair && !self.script.limits_bandwidth();
            if owed && sent != came {
                return Err(format!("of {sent} unreliable packets to side {to}, {came} came"));
            }
        }
        Ok(())
    }

    fn check_endings(&self) -> Result<(), String> {
        for number in [0, 1] {
            let (side, other) = (&self.sides[number], &self.sides[1 - number]);
            let right = match (side.said, side.ending) {
                (Some((How::Now, _)), ending) => ending.is_none(),
                (None, Some(ending)) => self.was_told(side, ending, other),
                (Some(_), Some(ending)) => self.has_ended(ending, other),
                (_, None) => false,
            };
            if !right {
                return Err(format!("side {number} said {:?} and got {:?}", side.said, side.ending));
            }
        }
        Ok(())
    }

    /// How it ends for one who said nothing.
    fn was_told(&self, side: &Side, ending: Ending, other: &Side) -> bool {
        let goodbye = other.said.is_some_and(|(_, word)| ending.is_goodbye(word));
        let gave_up_before = self.is_excused(side) && ending.is_time_out();
        // A word that is said once gets lost; and one who has given up says it no more.
        let gone = self.is_excused(other) && other.ending.is_some_and(Ending::is_time_out);
        let unheard = gone || matches!(other.said, Some((How::Now, _)));
        goodbye || gave_up_before || self.script.weather == Weather::Rough && unheard && ending.is_time_out()
    }

    /// How it ends for one who said goodbye.
    fn has_ended(&self, ending: Ending, other: &Side) -> bool {
        let crossed = other.said.is_some_and(|(_, word)| ending.is_goodbye(word));
        let done = ending == Ending::Ferry(DisconnectReason::ByUs) || ending == Ending::Rusty(0);
        // A C end that hears a goodbye between its own and the next poll forgets both.
        let forgotten = other.make == Make::Rusty && other.said.is_some();
        // Nobody is there any more to answer: gone at once, or a C end that answers once.
        let unanswered = self.is_excused(other) || matches!(other.said, Some((How::Now, _)));
        let excused = forgotten || self.script.weather == Weather::Rough && unanswered;
        done || crossed || excused && ending.is_time_out()
    }

    /// Lets time pass until the condition holds.
    fn until(&mut self, bound: Duration, condition: impl Fn(&Self) -> bool) -> Result<(), String> {
        let end = self.now + bound;
        self.serve()?;
        while !condition(self) {
            let next = self.next_happening();
            if next > end {
                let open: Vec<bool> = self.sides.iter().map(Side::all_came).collect();
                return Err(format!("{bound:?} were not enough; all came: {open:?}, {:?}", self.endings()));
            }
            self.now = self.now.max(next);
            self.serve()?;
        }
        Ok(())
    }

    fn pass(&mut self, span: Duration) -> Result<(), String> {
        self.pass_until(self.now + span)
    }

    fn pass_until(&mut self, end: Timestamp) -> Result<(), String> {
        self.serve()?;
        loop {
            let next = self.next_happening().min(end);
            if next >= end && self.now >= end {
                return Ok(());
            }
            self.now = self.now.max(next);
            self.serve()?;
        }
    }

    fn next_happening(&self) -> Timestamp {
        let wakes = self.sides.iter().filter_map(|side| side.end.wakes());
        let next = wakes.chain(self.link.next_arrival()).min();
        next.unwrap_or(Timestamp::from_micros(u64::MAX)).max(self.now)
    }

    fn serve(&mut self) -> Result<(), String> {
        while let Some(datagram) = self.link.receive(self.now) {
            let side = &mut self.sides[usize::from(datagram.to.host)];
            side.end.hand_in(self.now, datagram.from, &datagram.bytes);
        }
        for number in [0, 1] {
            let (told, datagrams) = self.sides[number].end.serve(self.now);
            for (to, bytes) in datagrams {
                self.link.send(self.now, self.sides[number].place, to, &bytes);
            }
            for told in told {
                self.note(number, told)
                    .map_err(|error| format!("side {number}, {}: {error}", self.clock()))?;
            }
        }
        Ok(())
    }

    fn clock(&self) -> String {
        format!("at {} us", self.now.as_micros())
    }

    fn note(&mut self, number: usize, told: Told) -> Result<(), String> {
        let side = &mut self.sides[number];
        if side.over() {
            return Err(format!("told after its end: {told:?}"));
        }
        match told {
            Told::Stray(what) => return Err(format!("of another connection: {what}")),
            Told::Connected(data) if side.connected.is_none() => side.connected = Some(data),
            Told::Connected(_) => return Err("connected twice".into()),
            Told::Ended(ending) => side.ending = Some(ending),
            Told::Received { .. } if side.connected.is_none() => {
                return Err("a packet before the connection".into());
            }
            Told::Received { channel, mode, payload } => {
                side.got.entry(channel).or_default().push(payload.clone());
                self.check_arrival(1 - number, channel, mode, &payload)?;
            }
        }
        Ok(())
    }

    fn check_arrival(
        &mut self,
        from: usize,
        channel: u8,
        mode: Option<Mode>,
        payload: &Bytes,
    ) -> Result<(), String> {
        let sender = &mut self.sides[from];
        if payload.len() < parcel::SHORTEST {
            let expected = sender.tiny.get_mut(&channel).and_then(VecDeque::pop_front);
            let right = expected.as_ref() == Some(payload);
            return if right { Ok(()) } else { Err(format!("{payload:?} came instead of {expected:?}")) };
        }
        let label = parcel::read(payload).ok_or("a packet that nobody sent")?;
        let travelled = self.script.travels(label.mode, payload.len());
        if mode.is_some_and(|mode| mode != travelled) {
            return Err(format!("{label:?} of {} bytes travelled as {mode:?}", payload.len()));
        }
        sender.ledger.arrived(channel, travelled, payload)
    }
}

/// The first difference, in words.
fn difference(sent: &BTreeMap<u8, Vec<Bytes>>, got: &BTreeMap<u8, Vec<Bytes>>) -> String {
    let none = Vec::new();
    for channel in 0..=u8::MAX {
        let (sent, got) = (sent.get(&channel).unwrap_or(&none), got.get(&channel).unwrap_or(&none));
        if let Some(place) = (0..sent.len().max(got.len())).find(|&place| sent.get(place) != got.get(place)) {
            let name = |packets: &[Bytes]| {
                let packet = packets.get(place)?;
                Some((packet.len(), parcel::read(packet)))
            };
            return format!("{:?} as packet {place} of channel {channel}, not {:?}", name(got), name(sent));
        }
    }
    "nothing else".into()
}

//! A page and a Ferry connection, and the test between them, which carries what they say before they are connected.

use std::collections::{BTreeMap, HashMap};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{
    ChannelId, ChannelInit, ChannelPhase, Connection, DescriptionKind, Loopback, Persistence, Settings,
    Signal,
};
use ferry_tests::chromium::{self, Page, Visit};

/// No test waits longer for anything.
const BOUND: Duration = Duration::from_secs(20);

/// A whole test, with its browser's start.
const VISIT_BOUND: Duration = Duration::from_secs(90);

/// How often both ends are looked at. A browser's own steps take longer.
const LOOK_INTERVAL: Duration = Duration::from_micros(500);

/// How often a message that may get lost is sent, and how long it is waited for.
const TRIES: usize = 20;
const TRY_WAIT: Duration = Duration::from_millis(300);

/// Who offers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offers {
    /// The page.
    Page,
    /// Ferry.
    Ferry,
}

/// What the test does with descriptions on their way.
#[derive(Clone, Copy, Default)]
pub(crate) struct Carriage {
    /// `a=setup:actpass` of an offer becomes this.
    pub(crate) setup: Option<&'static str>,
    /// The page's candidates do not get to Ferry.
    pub(crate) without_page_candidates: bool,
    /// Ferry's candidates do not get to the page.
    pub(crate) without_ferry_candidates: bool,
    /// Offers of this end get lost.
    pub(crate) loses_offers_of: Option<Offers>,
}

/// Both ends.
pub(crate) struct Duo {
    pub(crate) page: Page,
    pub(crate) ferry: Connection,
    pub(crate) carriage: Carriage,
    /// The channels that the page announced, in order.
    pub(crate) received: Vec<ChannelId>,
    /// The page's candidates.
    pub(crate) page_candidates: Vec<String>,
    /// What the page said has happened.
    pub(crate) events: Vec<String>,
    /// Descriptions that went each way, by word.
    pub(crate) descriptions: Vec<(Offers, &'static str, String)>,
    answers: HashMap<u32, Result<String, String>>,
    orders: u32,
}

/// An order that the page has not answered yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked(u32);

impl Duo {
    /// None without a browser.
    pub(crate) fn new() -> Option<Self> {
        Self::with(Limits::default())
    }

    /// With these limits of Ferry's end.
    pub(crate) fn with(limits: Limits) -> Option<Self> {
        Self::start(limits, "--disable-features=WebRtcHideLocalIpsWithMdns")
    }

    /// With a browser that hides the machine's addresses, as browsers do with pages that may not use a camera. None either
    /// where there is no network that names could be told to: such a browser has no candidates at all.
    pub(crate) fn hiding() -> Option<Self> {
        if chromium::is_there() && !has_network() {
            println!("skipped: this machine has no network but its own");
            return None;
        }
        Self::start(Limits::default(), "--enable-features=WebRtcHideLocalIpsWithMdns")
    }

    fn start(limits: Limits, browser_argument: &str) -> Option<Self> {
        if !chromium::is_there() {
            return None;
        }
        let settings = Settings { loopback: Loopback::Always, ..Settings::default() };
        let ferry = Connection::new(settings, limits).expect("settings that make sense");
        let visit = Visit::to("webrtc.html").within(VISIT_BOUND);
        // On a machine without a network there is no other way.
        let visit = visit.in_browser("--allow-loopback-in-peer-connection").in_browser(browser_argument);
        let mut duo = Self {
            page: visit.open(),
            ferry,
            carriage: Carriage::default(),
            received: Vec::new(),
            page_candidates: Vec::new(),
            events: Vec::new(),
            descriptions: Vec::new(),
            answers: HashMap::new(),
            orders: 0,
        };
        duo.until("the page is loaded", |duo| duo.has_happened("ready"));
        Some(duo)
    }

    /// Looks at both ends once, and carries what they say.
    pub(crate) fn poll(&mut self) {
        while let Some((key, value)) = self.page.hear() {
            self.hear(&key, value);
        }
        self.ferry.begin_turn();
        while let Some(signal) = self.ferry.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    self.ferry.set_local_description(kind, &text).expect("its own");
                    self.carry(Offers::Ferry, kind, text);
                }
                Signal::CandidateCreated { mid, candidate } if !self.carriage.without_ferry_candidates => {
                    self.order(&format!("take candidate\n{mid}\n{candidate}"));
                }
                Signal::CandidateCreated { .. } => {}
                Signal::ChannelReceived(channel) => self.received.push(channel),
            }
        }
    }

    fn hear(&mut self, key: &str, value: String) {
        let (word, number) = key.split_once(' ').unwrap_or((key, "0"));
        let number = number.parse().unwrap_or_default();
        match word {
            "offer" => self.carry(Offers::Page, DescriptionKind::Offer, value),
            "answer" => self.carry(Offers::Page, DescriptionKind::Answer, value),
            "candidate" => {
                let (_, line) = value.split_once('\n').expect("the part's name, and the candidate");
                if !self.carriage.without_page_candidates {
                    // Ferry's end may be over already.
                    drop(self.ferry.add_candidate(line));
                }
                self.page_candidates.push(line.to_owned());
            }
            "event" => self.events.push(value),
            "did" => drop(self.answers.insert(number, Ok(value))),
            "failed" => drop(self.answers.insert(number, Err(value))),
            _ => self.events.push(key.to_owned()),
        }
    }

    /// Carries a description to the other end.
    fn carry(&mut self, from: Offers, kind: DescriptionKind, text: String) {
        self.descriptions.push((from, kind.word(), text.clone()));
        let is_offer = kind == DescriptionKind::Offer;
        if is_offer && self.carriage.loses_offers_of == Some(from) {
            return;
        }
        let text = match self.carriage.setup.filter(|_| is_offer) {
            Some(setup) => text.replace("a=setup:actpass", &format!("a=setup:{setup}")),
            None => text,
        };
        match from {
            Offers::Ferry => drop(self.order(&format!("take {}\n{text}", kind.word()))),
            Offers::Page => self.ferry.set_remote_description(kind, &text).expect("the page's"),
        }
    }

    /// Polls until this is so.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            if begun.elapsed() > BOUND {
                let (state, farewell) = (self.ferry.state(), self.ferry.farewell());
                let why = format!("{what}: not within {BOUND:?}; Ferry's end: {state:?} ({farewell})");
                self.page.fail(&why);
            }
            self.poll();
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Polls for so long.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.until("time passes", |_| Instant::now() >= until);
    }

    /// Tells the page to do something.
    pub(crate) fn order(&mut self, order: &str) -> Asked {
        self.orders += 1;
        self.page.order(&format!("{} {order}", self.orders));
        Asked(self.orders)
    }

    /// Waits until the page has done it; what it found.
    pub(crate) fn answer(&mut self, asked: Asked) -> String {
        self.until("an order is answered", |duo| duo.answers.contains_key(&asked.0));
        match self.answers.remove(&asked.0).expect("just seen") {
            Ok(found) => found,
            Err(why) => self.page.fail(&why),
        }
    }

    /// Tells the page to do something, and waits until it has.
    pub(crate) fn ask(&mut self, order: &str) -> String {
        let asked = self.order(order);
        self.answer(asked)
    }

    /// Whether the page has said that this has happened.
    pub(crate) fn has_happened(&self, event: &str) -> bool {
        self.events.iter().any(|happened| happened == event)
    }

    /// Makes the channels of a game at both ends; `spelling` of their options in the page is Godot's, or `known` to
    /// browsers.
    pub(crate) fn game_channels(&mut self, spelling: &str) -> BTreeMap<&'static str, ChannelId> {
        self.ask(&format!("channels {spelling}"));
        let lossy = Persistence::Lifetime(Duration::from_millis(1));
        let channels = [
            ("reliable", 1, Persistence::Reliable, false),
            ("ordered", 2, lossy, false),
            ("unreliable", 3, lossy, true),
        ];
        let make = |(label, number, persistence, unordered)| {
            let init = ChannelInit {
                label: String::from(label),
                unordered,
                persistence,
                negotiated: Some(number),
                ..ChannelInit::default()
            };
            (label, self.ferry.create_channel(init).expect("a channel"))
        };
        channels.map(make).into()
    }

    /// One of the ends offers.
    pub(crate) fn offer(&mut self, who: Offers) {
        match who {
            Offers::Page => drop(self.ask("offer")),
            Offers::Ferry => self.ferry.create_offer().expect("an offer"),
        }
    }

    /// Waits until these are open at Ferry's end, and at the page's.
    pub(crate) fn until_open(&mut self, channels: &BTreeMap<&'static str, ChannelId>) {
        self.until("the channels are open", |duo| {
            channels.iter().all(|(label, channel)| {
                duo.ferry.channel_phase(*channel) == ChannelPhase::Open
                    && duo.has_happened(&format!("open {label}"))
            })
        });
    }

    /// Both ends with the channels of a game, connected.
    pub(crate) fn connected(who: Offers) -> Option<(Self, BTreeMap<&'static str, ChannelId>)> {
        let mut duo = Self::new()?;
        let channels = duo.connect(who);
        Some((duo, channels))
    }

    /// Makes the channels of a game and connects.
    pub(crate) fn connect(&mut self, who: Offers) -> BTreeMap<&'static str, ChannelId> {
        let channels = self.game_channels("godot");
        self.offer(who);
        self.until_open(&channels);
        channels
    }

    /// Puts a message.
    pub(crate) fn send(&self, channel: ChannelId, kind: Kind, payload: impl Into<Bytes>) {
        self.ferry.send(channel, kind, payload.into()).expect("it is taken");
    }

    /// Waits for the next message.
    pub(crate) fn next(&mut self, channel: ChannelId) -> (Kind, Bytes) {
        let mut next = None;
        self.until("a message comes", |duo| {
            next = duo.ferry.take_message(channel);
            next.is_some()
        });
        next.expect("just seen")
    }

    /// A message of this size passes each way. Where messages may get lost, one of a few does.
    pub(crate) fn exchange(&mut self, label: &str, channel: ChannelId, size: usize, seed: usize) {
        let tries = if label == "reliable" { 1 } else { TRIES };
        let wait = if label == "reliable" { BOUND / 2 } else { TRY_WAIT };
        let order = format!("finds {label} {size} {seed} {}", wait.as_millis());
        let there = (0..tries).any(|_| {
            self.send(channel, Kind::Binary, pattern(size, seed));
            self.ask(&order) == "true"
        });
        assert!(there, "{label}: {size} bytes did not get to the page");
        let wanted = (Kind::Binary, pattern(size, seed));
        let back = (0..tries).any(|_| {
            self.ask(&format!("bytes {label} {size} {seed}"));
            let (until, mut found) = (Instant::now() + wait, false);
            self.until("a message comes, or none", |duo| {
                while let Some(message) = duo.ferry.take_message(channel) {
                    found |= message == wanted;
                }
                found || Instant::now() > until
            });
            found
        });
        assert!(back, "{label}: {size} bytes did not get to Ferry");
    }
}

/// Whether there is an interface that leads to others. Sends nothing.
fn has_network() -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.connect("224.0.0.251:5353").is_ok()
}

/// Bytes that depend on their place, on the size and on the seed: as `pattern` in `pages/player.js` makes them.
pub(crate) fn pattern(size: usize, seed: usize) -> Bytes {
    (0..size).map(|place| (place * 31 + (place >> 8) * 7 + size + seed) as u8).collect()
}

/// Bytes of a message of a stream of numbers.
pub(crate) const NUMBERED_BYTES: usize = 64;

/// A message that tells its place in a stream of them.
pub(crate) fn numbered(number: u32) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(NUMBERED_BYTES, 0);
    bytes.into()
}

/// Which place it tells.
pub(crate) fn number_of(message: &[u8]) -> u32 {
    u32::from_be_bytes(*message.first_chunk().expect("a number"))
}

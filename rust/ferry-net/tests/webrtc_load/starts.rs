//! One connection after the other, with both games spinning and the machine at work: each has to open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use counted_memory::process::alone;
use ferry_net::limits::Limits;
use ferry_net::webrtc::{
    ChannelPhase, Connection, ConnectionState, DescriptionKind, Loopback, Settings, Signal,
};

use crate::pair::{End, numbered, read, send};

/// Longer is hanging.
const BOUND: Duration = Duration::from_secs(10);

/// Connections in a row in the usual run. `FERRY_CONNECTS=1000` for as many.
const USUAL: u32 = 100;

/// What one game tells the other, over whatever way it has.
enum Told {
    Description(DescriptionKind, String),
    Candidate(String),
    /// It heard the answer to what it had said: the next connection may begin.
    Done,
}

/// One of the two games, on a thread of its own.
struct Game {
    tell: Sender<Told>,
    hear: Receiver<Told>,
}

impl Game {
    /// Both.
    fn two() -> [Self; 2] {
        let (to_two, of_one) = channel();
        let (to_one, of_two) = channel();
        [Self { tell: to_two, hear: of_two }, Self { tell: to_one, hear: of_one }]
    }

    /// Polls once, without sleeping; true if the other game is through.
    fn turn(&self, connection: &Connection) -> bool {
        connection.begin_turn();
        while let Some(signal) = connection.next_signal() {
            let told = match signal {
                Signal::DescriptionCreated(kind, text) => {
                    connection.set_local_description(kind, &text).expect("its own");
                    Told::Description(kind, text)
                }
                Signal::CandidateCreated { candidate, .. } => Told::Candidate(candidate),
                Signal::ChannelReceived(_) => continue,
            };
            self.tell.send(told).expect("the other game is there");
        }
        while let Ok(told) = self.hear.try_recv() {
            match told {
                Told::Description(kind, text) => {
                    connection.set_remote_description(kind, &text).expect("the other's");
                }
                // It may be over already.
                Told::Candidate(line) => drop(connection.add_candidate(&line)),
                Told::Done => return true,
            }
        }
        false
    }

    fn spin_until(&self, end: &End, what: &str, mut done: impl FnMut(bool) -> bool) {
        let begun = Instant::now();
        loop {
            let through = self.turn(&end.connection);
            if done(through) {
                return;
            }
            let state = end.connection.state();
            assert!(
                begun.elapsed() < BOUND
                    && !matches!(state, ConnectionState::Failed | ConnectionState::Closed),
                "{what}: {state:?} ({}) after {:?}",
                end.connection.farewell(),
                begun.elapsed()
            );
        }
    }

    /// The game that offers; returns how long the channel took to open, and until an answer came over it.
    fn offers(&self, settings: &Settings) -> (Duration, Duration) {
        let end = End::new(settings.clone(), Limits::default());
        let channel = end.connection.create_channel(numbered(1)).expect("a channel");
        let begun = Instant::now();
        end.connection.create_offer().expect("an offer");
        let is_open = || end.connection.channel_phase(channel) == ChannelPhase::Open;
        self.spin_until(&end, "the channel opens", |_| is_open());
        let open = begun.elapsed();
        send(&end, channel, b"ping");
        self.spin_until(&end, "an answer comes", |_| !read(&end, channel).is_empty());
        let answered = begun.elapsed();
        self.tell.send(Told::Done).expect("the other game is there");
        end.connection.close();
        // What the other game still told is for nobody; its last word is that it is through.
        while !matches!(self.hear.recv_timeout(BOUND), Ok(Told::Done)) {
            assert!(begun.elapsed() < BOUND * 2, "the other game does not end");
        }
        (open, answered)
    }

    fn answers(&self, settings: &Settings) {
        let end = End::new(settings.clone(), Limits::default());
        let channel = end.connection.create_channel(numbered(1)).expect("a channel");
        let mut sent = false;
        self.spin_until(&end, "a question comes", |through| {
            sent |= through;
            !read(&end, channel).is_empty()
        });
        send(&end, channel, b"pong");
        if !sent {
            self.spin_until(&end, "the other game is through", |through| through);
        }
        end.connection.close();
        self.tell.send(Told::Done).expect("the other game is there");
    }
}

/// Work that keeps a core busy until it is dropped.
struct Work(Arc<AtomicBool>, Option<std::thread::JoinHandle<u64>>);

impl Work {
    fn begin() -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let seen = ending.clone();
        let thread = std::thread::spawn(move || {
            let mut sum = 1_u64;
            while !seen.load(Ordering::Relaxed) {
                for number in 0..10_000_u64 {
                    sum = std::hint::black_box(sum.rotate_left(7) ^ number);
                }
            }
            sum
        });
        Self(ending, Some(thread))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            let _ = thread.join();
        }
    }
}

fn connects_in_a_row(count: u32, settings: &Settings, what: &str) {
    let _work = Work::begin();
    let [one, two] = Game::two();
    let (mut open, mut answered) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(move || (0..count).for_each(|_| two.answers(settings)));
        for _ in 0..count {
            let (opened, answer) = one.offers(settings);
            open.push(opened);
            answered.push(answer);
        }
    });
    open.sort_unstable();
    answered.sort_unstable();
    let (last, middle) = (open.len() - 1, open.len() / 2);
    println!(
        "{what}: {count} connects: open median {:?}, p99 {:?}, max {:?}; answered median {:?}, max {:?}",
        open[middle],
        open[last * 99 / 100],
        open[last],
        answered[middle],
        answered[last]
    );
}

fn count() -> u32 {
    std::env::var("FERRY_CONNECTS").ok().and_then(|count| count.parse().ok()).unwrap_or(USUAL)
}

#[test]
fn no_connect_in_a_row_fails_or_hangs_while_games_spin_and_the_machine_works() {
    let _alone = alone();
    connects_in_a_row(count(), &Settings::default(), "usual addresses");
}

#[test]
fn nor_does_one_over_loopback_alone() {
    let _alone = alone();
    let settings = Settings {
        bind: ferry_net::bind_address::BindAddress::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        loopback: Loopback::Always,
        ..Settings::default()
    };
    connects_in_a_row(count(), &settings, "loopback");
}

//! A server's frames, and what is counted of them.

use std::time::Duration;

use counted_memory::process::allocations;
use ferry_net::multiplayer::{Carrier, Multiplayer};
use ferry_net::packet::TransferMode;

use crate::crowd::{poll, take_all};

/// A frame's length; shorter than a game's, to be through sooner.
pub(crate) const FRAME: Duration = Duration::from_millis(2);

/// Frames that are counted together.
const WINDOW: u32 = 40;

/// So often. Queues and buffers grow to their size at first, and once more when a busy machine holds up frames; what is
/// needed each time is there in the quietest window, too.
const WINDOWS: u32 = 7;

/// The longest packet here.
pub(crate) const LONGEST: usize = 1000;

/// On a busy machine there may be no quiet window.
const TRIES: u32 = 3;

/// What has been counted in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    allocations: u64,
    put: u64,
    read: u64,
}

impl Counted {
    /// Allocations of a frame.
    pub(crate) fn a_frame(self) -> f64 {
        self.allocations as f64 / f64::from(WINDOW)
    }

    /// Allocations for each packet that was put.
    pub(crate) fn a_packet_put(self) -> f64 {
        self.allocations as f64 / self.put as f64
    }

    /// Allocations for each packet that was read; more than any bound if next to nothing came.
    pub(crate) fn a_packet_read(self) -> f64 {
        let enough = self.read > u64::from(WINDOW);
        if enough { self.allocations as f64 / self.read as f64 } else { f64::INFINITY }
    }
}

/// One frame after another; the window with the fewest allocations among those that read the most, or nearly: where somebody
/// was starved there are few of either. `frame` says how many packets it put and read.
pub(crate) fn count(mut frame: impl FnMut() -> (usize, usize)) -> Counted {
    let windows: Vec<Counted> = (0..WINDOWS)
        .map(|_| {
            let mut counted = Counted { allocations: 0, put: 0, read: 0 };
            let before = allocations();
            for _ in 0..WINDOW {
                let (put, read) = frame();
                counted.put += put as u64;
                counted.read += read as u64;
                std::thread::sleep(FRAME);
            }
            counted.allocations = allocations() - before;
            counted
        })
        .collect();
    let most_read = windows.iter().map(|counted| counted.read).max().unwrap();
    let busy = windows.into_iter().filter(|counted| counted.read * 10 >= most_read * 9);
    busy.min_by_key(|counted| counted.allocations).unwrap()
}

/// Measures until it is within the bound, a few times at most.
pub(crate) fn stays_within(bound: f64, what: &str, mut measure: impl FnMut() -> f64) {
    let mut measured = Vec::new();
    for _ in 0..TRIES {
        let figure = measure();
        measured.push(figure);
        if figure <= bound {
            println!("{what}: {figure:.3} (bound {bound})");
            return;
        }
    }
    panic!("{what}: {measured:.3?} allocations, the bound is {bound}");
}

/// What a game sends in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    Nothing,
    /// Another packet to each, of this length.
    Own(TransferMode, usize),
    /// The same to each, as the engine sends an RPC to all.
    Rpc(usize),
    /// One put that is meant for all.
    Broadcast(usize),
}

impl Sends {
    /// Puts it; how many packets that was.
    pub(crate) fn put<C: Carrier>(self, peer: &mut Multiplayer<C>, ids: &[i32], packet: &mut [u8]) -> usize {
        let (mode, length) = match self {
            Self::Nothing => return 0,
            Self::Own(mode, length) => (mode, length),
            Self::Rpc(length) | Self::Broadcast(length) => (TransferMode::Reliable, length),
        };
        let targets = if let Self::Broadcast(_) = self { &[0][..] } else { ids };
        peer.set_mode(mode);
        let packet = &mut packet[..length];
        packet[0] = packet[0].wrapping_add(1);
        for target in targets {
            if let Self::Own(..) = self {
                packet[0] = packet[0].wrapping_add(1);
            }
            peer.set_target(*target);
            peer.put_packet(packet).unwrap();
        }
        targets.len()
    }
}

/// A server's frame; how many packets it put and read.
pub(crate) fn frame<C: Carrier>(
    server: &mut Multiplayer<C>,
    ids: &[i32],
    packet: &mut [u8],
    sends: Sends,
) -> (usize, usize) {
    poll(server);
    let read = take_all(server);
    let put = sends.put(server, ids, packet);
    server.flush();
    (put, read)
}

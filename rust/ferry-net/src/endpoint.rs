//! The seam between the game's thread and the network thread: commands one way, events the other, bounded both ways.
//!
//! A transport makes a [`pair`] for each of its endpoints. The [`Handle`] stays with the game's thread, which only ever holds
//! a lock for as long as it takes to append an entry or to swap a list. The [`Port`] goes to the driver on the network
//! thread, which swaps too and works on what it took.
//!
//! What the game queues in a frame leaves together: the driver takes it when the game says [`Handle::flush`] (once a frame),
//! when much has come together, or when that is [`OVERDUE`], as in a loading screen: when a frame as long as the last ones
//! ([`Handle::note_turn`]) should have been over.
//!
//! Entries that may get lost are bounded by dropping the oldest; for the others, whoever queues them asks first: the
//! game's side by each connection's own limit, the driver by [`Port::has_room`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::lock::lock;

/// How late a flush may be.
pub(crate) const OVERDUE: Duration = Duration::from_millis(5);

/// The longest frame that is waited for: 20 a second.
const LONGEST_FRAME: Duration = Duration::from_millis(50);

/// Frames that are looked back at. More than one, since some games poll twice in one.
const FRAMES_NOTED: usize = 4;

/// As many bytes leave without waiting for the frame's end: hundreds of full datagrams keep the network thread busy meanwhile.
/// What a frame brings for a thousand players is less, so that each gets it in one datagram.
const ENOUGH_TO_LEAVE: usize = 1024 * 1024;

/// Bytes of entries that may be dropped, in one direction. What a thousand players send in a second and a half, or the
/// game to them; more than that is stale.
const DROPPABLE_LIMIT: usize = 32 * 1024 * 1024;

/// What an entry costs besides its payload, about.
const ENTRY_BYTES: usize = 128;

/// An entry of a queue between the threads.
pub(crate) trait Entry {
    /// Bytes of its payload.
    fn payload_bytes(&self) -> usize;
    /// Whether it may get lost, as an unreliable packet may.
    fn may_be_dropped(&self) -> bool;
    /// Moves its payload out of memory that it shares with other entries.
    fn detach(&mut self);
}

/// Longer packets have memory of their own, or most of what they share.
const MAY_SHARE_UP_TO: usize = 4096;

/// Moves a packet out of memory that it shares with others, as [`Entry::detach`] wants it.
pub(crate) fn detach(payload: &mut Bytes) {
    if payload.len() <= MAY_SHARE_UP_TO {
        *payload = Bytes::copy_from_slice(payload);
    }
}

/// A list of entries, with its weight.
struct Batch<T> {
    entries: Vec<T>,
    bytes: usize,
    droppable_bytes: usize,
    dropped: u64,
    /// So many of the oldest entries share no memory.
    detached: usize,
}

impl<T: Entry> Batch<T> {
    const fn new() -> Self {
        Self { entries: Vec::new(), bytes: 0, droppable_bytes: 0, dropped: 0, detached: 0 }
    }

    /// Appends an entry; `lost` hears of each that is dropped for it.
    fn push(&mut self, entry: T, lost: impl FnMut(&T)) {
        let bytes = ENTRY_BYTES + entry.payload_bytes();
        self.bytes += bytes;
        if entry.may_be_dropped() {
            self.droppable_bytes += bytes;
        }
        self.entries.push(entry);
        if self.droppable_bytes > DROPPABLE_LIMIT {
            self.drop_oldest(lost);
        }
    }

    /// Drops down to half of the limit, so that this, which looks at all entries, is seldom. What stays among the dropped
    /// ones is detached from their memory, once: one packet of a byte could keep a thousand others'.
    fn drop_oldest(&mut self, mut lost: impl FnMut(&T)) {
        let mut excess = self.droppable_bytes - DROPPABLE_LIMIT / 2;
        let before = self.entries.len();
        let (mut bytes, mut droppable) = (self.bytes, self.droppable_bytes);
        let (already, mut kept) = (self.detached, 0);
        self.entries.retain_mut(|entry| {
            if excess == 0 {
                return true;
            }
            if !entry.may_be_dropped() {
                if kept >= already {
                    entry.detach();
                }
                kept += 1;
                return true;
            }
            let weight = ENTRY_BYTES + entry.payload_bytes();
            excess = excess.saturating_sub(weight);
            bytes -= weight;
            droppable -= weight;
            lost(entry);
            false
        });
        (self.bytes, self.droppable_bytes, self.detached) = (bytes, droppable, kept);
        self.dropped += (before - self.entries.len()) as u64;
    }

    /// Swaps the entries for an empty list, whose memory is used again.
    fn take(&mut self, empty: &mut Vec<T>) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut self.entries, empty);
        (self.bytes, self.droppable_bytes, self.detached) = (0, 0, 0);
    }
}

struct Outbox<C> {
    batch: Batch<C>,
    /// When the oldest entry came.
    since: Option<Instant>,
    flush: bool,
    closed: bool,
    /// The driver looks again by itself at this time: what is queued until then need not wake it. A game at its steady pace
    /// rings once a frame so, when it flushes.
    looked_at: Option<Instant>,
    frames: Frames,
}

/// How long the game's last frames took.
#[derive(Default)]
struct Frames {
    last_turn: Option<Instant>,
    lengths: [Duration; FRAMES_NOTED],
    next: usize,
}

impl Frames {
    fn note(&mut self, now: Instant) {
        if let Some(last) = self.last_turn.replace(now) {
            self.lengths[self.next] = (now - last).min(LONGEST_FRAME);
            self.next = (self.next + 1) % FRAMES_NOTED;
        }
    }

    /// How long what was queued may wait for its frame's end.
    fn patience(&self) -> Duration {
        OVERDUE + self.lengths.iter().copied().max().unwrap_or_default()
    }
}

struct Inbox<E> {
    batch: Batch<E>,
    limit: usize,
    /// The driver waits for room.
    awaited: bool,
    /// The driver has ended and let go of what it held.
    released: bool,
    /// So many wait at the game's side: ringing is a system call.
    waiting: usize,
}

struct Shared<C, E> {
    outbox: Mutex<Outbox<C>>,
    /// Rings the driver.
    bell: Notify,
    inbox: Mutex<Inbox<E>>,
    /// So that a poll with nothing to fetch takes no lock.
    has_events: AtomicBool,
    /// Rings whoever waits at the game's side.
    arrived: Condvar,
}

impl<C, E> Shared<C, E> {
    fn outbox(&self) -> MutexGuard<'_, Outbox<C>> {
        lock(&self.outbox)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<E>> {
        lock(&self.inbox)
    }
}

/// Both ends of a new endpoint's queues. Reliable events are taken in up to `inbound_limit` bytes.
pub(crate) fn pair<C: Entry, E: Entry>(inbound_limit: usize) -> (Handle<C, E>, Port<C, E>) {
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox {
            batch: Batch::new(),
            since: None,
            flush: false,
            closed: false,
            looked_at: None,
            frames: Frames::default(),
        }),
        bell: Notify::new(),
        inbox: Mutex::new(Inbox {
            batch: Batch::new(),
            limit: inbound_limit,
            awaited: false,
            released: false,
            waiting: 0,
        }),
        has_events: AtomicBool::new(false),
        arrived: Condvar::new(),
    });
    (Handle { shared: shared.clone(), spare: Vec::new(), driver_ended: false }, Port { shared })
}

/// The game's end.
pub(crate) struct Handle<C: Entry, E: Entry> {
    shared: Arc<Shared<C, E>>,
    spare: Vec<E>,
    driver_ended: bool,
}

impl<C: Entry, E: Entry> Handle<C, E> {
    /// Queues a command, to leave with the next flush. `lost` hears of each that is dropped for it.
    pub(crate) fn push(&self, command: C, lost: impl FnMut(&C)) {
        let mut outbox = self.shared.outbox();
        outbox.batch.push(command, lost);
        let first = outbox.since.is_none();
        if first {
            outbox.since = Some(Instant::now());
        }
        let enough = !outbox.flush && outbox.batch.bytes >= ENOUGH_TO_LEAVE;
        outbox.flush |= enough;
        let unseen = first && outbox.looked_at.is_none();
        drop(outbox);
        if unseen || enough {
            self.shared.bell.notify_one();
        }
    }

    /// Lets what is queued leave now.
    pub(crate) fn flush(&self) {
        let mut outbox = self.shared.outbox();
        if outbox.flush || outbox.batch.entries.is_empty() {
            return;
        }
        outbox.flush = true;
        drop(outbox);
        self.shared.bell.notify_one();
    }

    /// Another turn of the game begins: once a frame, or as often as it likes.
    pub(crate) fn note_turn(&self) {
        self.shared.outbox().frames.note(Instant::now());
    }

    /// Appends all events that have come. Returns whether the driver has ended.
    pub(crate) fn fetch(&mut self, events: &mut VecDeque<E>) -> bool {
        if !self.shared.has_events.load(Ordering::Acquire) {
            return self.driver_ended;
        }
        let mut inbox = self.shared.inbox();
        inbox.batch.take(&mut self.spare);
        self.shared.has_events.store(false, Ordering::Release);
        self.driver_ended = inbox.released;
        let awaited = std::mem::take(&mut inbox.awaited);
        drop(inbox);
        if awaited {
            self.shared.bell.notify_one();
        }
        events.extend(self.spare.drain(..));
        self.driver_ended
    }

    /// Something to wait with while the handle is not borrowed.
    pub(crate) fn waiter(&self) -> Waiter<C, E> {
        Waiter { shared: self.shared.clone() }
    }

    /// Unreliable packets that were dropped because a queue was full, in both directions.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.outbox().batch.dropped + self.shared.inbox().batch.dropped
    }

    /// Sets how many bytes of events may wait.
    pub(crate) fn set_inbound_limit(&self, limit: usize) {
        self.shared.inbox().limit = limit;
    }

    /// Tells the driver to send what is queued, to say goodbye and to end.
    pub(crate) fn close(&self) {
        let mut outbox = self.shared.outbox();
        outbox.closed = true;
        outbox.flush = true;
        drop(outbox);
        self.shared.bell.notify_one();
    }
}

/// Waits for the driver.
pub(crate) struct Waiter<C, E> {
    shared: Arc<Shared<C, E>>,
}

impl<C: Entry, E: Entry> Waiter<C, E> {
    /// Waits until there are events to fetch.
    pub(crate) fn wait_for_events(&self, bound: Duration) {
        self.wait(bound, |inbox| !inbox.batch.entries.is_empty() || inbox.released);
    }

    /// Waits until the driver has let go of its socket; false if it has not within the bound.
    pub(crate) fn wait_until_released(&self, bound: Duration) -> bool {
        self.wait(bound, |inbox| inbox.released)
    }

    fn wait(&self, bound: Duration, enough: impl Fn(&Inbox<E>) -> bool) -> bool {
        let until = Instant::now() + bound;
        let mut inbox = self.shared.inbox();
        inbox.waiting += 1;
        let mut left = bound;
        while !enough(&inbox) && !left.is_zero() {
            let woken = self.shared.arrived.wait_timeout(inbox, left);
            (inbox, _) = woken.unwrap_or_else(PoisonError::into_inner);
            left = until.saturating_duration_since(Instant::now());
        }
        inbox.waiting -= 1;
        enough(&inbox)
    }
}

impl<C: Entry, E: Entry> Drop for Handle<C, E> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The driver's end.
pub(crate) struct Port<C: Entry, E: Entry> {
    shared: Arc<Shared<C, E>>,
}

/// What came of looking for commands.
pub(crate) struct Taken {
    /// Look again at this time, if nothing happens before: something is queued whose frame goes on, or the game sends in every
    /// frame.
    pub(crate) look_at: Option<Instant>,
    /// The game's side wants this endpoint to end: these commands were the last.
    pub(crate) closed: bool,
}

impl<C: Entry, E: Entry> Port<C, E> {
    /// Takes the queued commands, if they are due, or `now_or_never`.
    pub(crate) fn take_commands(&self, commands: &mut Vec<C>, now: Instant, now_or_never: bool) -> Taken {
        let mut outbox = self.shared.outbox();
        let closed = outbox.closed;
        let flush = std::mem::take(&mut outbox.flush) || now_or_never || closed;
        let patience = outbox.frames.patience();
        outbox.looked_at = match outbox.since {
            None => outbox.looked_at.filter(|at| *at > now),
            Some(since) if !flush && now < since + patience => Some(since + patience),
            Some(_) => {
                outbox.batch.take(commands);
                outbox.since = None;
                Some(now + patience)
            }
        };
        Taken { look_at: outbox.looked_at, closed }
    }

    /// Whether more events are taken in. If not, the bell will ring when they are.
    pub(crate) fn has_room(&self) -> bool {
        let mut inbox = self.shared.inbox();
        // An empty queue has room for anything: also where the limit is nonsense, connections are made and end.
        let reliable = inbox.batch.bytes - inbox.batch.droppable_bytes;
        let room = reliable < inbox.limit || inbox.batch.entries.is_empty();
        inbox.awaited |= !room;
        room
    }

    /// Hands events over.
    pub(crate) fn deliver(&self, events: &mut Vec<E>) {
        if events.is_empty() {
            return;
        }
        let mut inbox = self.shared.inbox();
        for event in events.drain(..) {
            inbox.batch.push(event, |_| ());
        }
        self.shared.has_events.store(true, Ordering::Release);
        if inbox.waiting > 0 {
            self.shared.arrived.notify_all();
        }
    }

    /// Waits until the game's side has done something. Ringing counts also while nobody waits.
    pub(crate) async fn rung(&self) {
        self.shared.bell.notified().await;
    }
}

impl<C: Entry, E: Entry> Port<C, E> {
    /// Says that the driver has let go of whatever somebody may want again.
    pub(crate) fn let_go(&self) {
        self.shared.inbox().released = true;
        self.shared.has_events.store(true, Ordering::Release);
        self.shared.arrived.notify_all();
    }
}

impl<C: Entry, E: Entry> Drop for Port<C, E> {
    /// The last thing that a driver does, at the latest.
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Item {
        number: usize,
        size: usize,
        reliable: bool,
    }

    impl Entry for Item {
        fn payload_bytes(&self) -> usize {
            self.size
        }

        fn may_be_dropped(&self) -> bool {
            !self.reliable
        }

        fn detach(&mut self) {}
    }

    fn item(number: usize, size: usize, reliable: bool) -> Item {
        Item { number, size, reliable }
    }

    /// Which items a look brings, and when the next look is.
    fn look(port: &Port<Item, Item>, now: Instant) -> (Vec<usize>, Option<Instant>) {
        let mut taken = Vec::new();
        let look_at = port.take_commands(&mut taken, now, false).look_at;
        (taken.into_iter().map(|item| item.number).collect(), look_at)
    }

    #[test]
    fn commands_leave_with_the_flush_or_when_overdue() {
        let (handle, port) = pair::<Item, Item>(1000);
        assert_eq!(look(&port, Instant::now()), (vec![], None));
        handle.push(item(1, 10, true), |_| ());
        let now = Instant::now();
        let (taken, due) = look(&port, now);
        assert!(taken.is_empty() && due.is_some_and(|due| due <= now + OVERDUE), "the frame goes on");
        handle.push(item(2, 10, true), |_| ());
        handle.flush();
        assert_eq!(look(&port, now).0, [1, 2]);

        handle.push(item(3, 10, true), |_| ());
        assert_eq!(look(&port, Instant::now() + OVERDUE).0, [3]);
    }

    #[test]
    fn a_game_that_sends_in_every_frame_rings_when_it_flushes_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let rings = |port: &Port<Item, Item>| {
            runtime.block_on(async { tokio::time::timeout(Duration::ZERO, port.rung()).await.is_ok() })
        };
        let (handle, port) = pair::<Item, Item>(1000);
        handle.push(item(1, 10, true), |_| ());
        assert!(rings(&port), "nobody looks yet");
        handle.flush();
        assert!(rings(&port));
        let now = Instant::now();
        let (taken, next_look) = look(&port, now);
        assert_eq!(taken, [1]);
        let next_look = next_look.expect("the next frame is looked out for");

        handle.push(item(2, 10, true), |_| ());
        assert!(!rings(&port), "the driver looks by itself");
        let (taken, due) = look(&port, next_look);
        assert!(taken == [2] || due.is_some(), "nothing stays behind");
        look(&port, next_look + LONGEST_FRAME);

        // A game that has nothing to say is not looked after for ever.
        assert_eq!(look(&port, next_look + 2 * LONGEST_FRAME).1, None);
        handle.push(item(3, 10, true), |_| ());
        assert!(rings(&port));
    }

    #[test]
    fn a_frame_as_long_as_the_last_ones_is_waited_for() {
        let (handle, port) = pair::<Item, Item>(1000);
        let begin = Instant::now();
        let frame = Duration::from_millis(16);
        for turn in 0..3 {
            handle.shared.outbox().frames.note(begin + frame * turn);
        }
        handle.push(item(1, 10, true), |_| ());
        let soon = Instant::now() + OVERDUE + frame / 2;
        assert_eq!(look(&port, soon).0, []);
        assert_eq!(look(&port, soon + frame).0, [1]);
        // A loading screen is not.
        handle.shared.outbox().frames.note(begin + Duration::from_secs(9));
        assert_eq!(handle.shared.outbox().frames.patience(), LONGEST_FRAME + OVERDUE);
    }

    #[test]
    fn much_leaves_without_a_flush() {
        let (handle, port) = pair::<Item, Item>(1000);
        handle.push(item(1, ENOUGH_TO_LEAVE, true), |_| ());
        assert_eq!(look(&port, Instant::now()).0, [1]);
    }

    #[test]
    fn of_what_may_get_lost_the_oldest_does_and_the_rest_never() {
        let (mut handle, port) = pair::<Item, Item>(1000);
        let piece = DROPPABLE_LIMIT / 100;
        let mut events: Vec<Item> = (0..200).map(|number| item(number, piece, number % 10 == 0)).collect();
        port.deliver(&mut events);
        let mut fetched = VecDeque::new();
        handle.fetch(&mut fetched);
        let reliable = fetched.iter().filter(|item| item.reliable).count();
        assert_eq!(reliable, 20);
        let kept: usize = fetched.iter().filter(|item| !item.reliable).map(|item| item.size).sum();
        assert!(kept <= DROPPABLE_LIMIT && kept >= DROPPABLE_LIMIT / 2 - piece, "{kept}");
        assert_eq!(fetched.back().map(|item| item.number), Some(199));
        assert!(fetched.iter().is_sorted_by_key(|item| item.number));
        assert_eq!(handle.dropped() as usize, 200 - fetched.len());
    }

    #[test]
    fn a_driver_that_found_no_room_is_rung_when_there_is() {
        let (mut handle, port) = pair::<Item, Item>(1000);
        assert!(port.has_room());
        port.deliver(&mut vec![item(1, 2000, true)]);
        assert!(!port.has_room());
        let mut fetched = VecDeque::new();
        handle.fetch(&mut fetched);
        assert!(port.has_room());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(port.rung());
    }

    #[test]
    fn letting_go_of_the_handle_closes_and_of_the_port_releases() {
        let (handle, port) = pair::<Item, Item>(1000);
        assert!(!handle.waiter().wait_until_released(Duration::ZERO));
        assert!(!port.take_commands(&mut Vec::new(), Instant::now(), false).closed);
        handle.push(item(1, 10, true), |_| ());
        let second = Arc::clone(&handle.shared);
        drop(handle);
        let mut last = Vec::new();
        assert!(port.take_commands(&mut last, Instant::now(), false).closed);
        assert_eq!(last.len(), 1, "what was queued before the end is taken with it");
        drop(port);
        assert!(second.inbox().released);
    }
}

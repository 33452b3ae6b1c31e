//! One connection, as both sides of the seam know it.
//!
//! A link has a name that is never used again, and some memory that both threads share: how much of its outgoing queue is
//! taken, how many of its messages the game has not fetched, and its latest figures. The driver puts what the game wants
//! into its orders and wakes its task.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;

use super::close::Goodbye;
use crate::lock::lock;
use crate::reason::Farewell;
use crate::room::Room;
use crate::stats::LinkStats;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    /// Whether it may get lost when the other end reads too slowly.
    pub(crate) droppable: bool,
}

/// What the game wants of a link.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send this.
    Send(Outgoing),
    /// Say goodbye once everything is sent.
    Close(Goodbye),
    /// End at once, for a reason that the game hears.
    Abandon(Farewell),
    /// End at once, without a word to anybody.
    Drop,
    /// Whether small writes leave at once.
    NoDelay(bool),
    /// How often to ask for a sign of life.
    Heartbeat(Option<Duration>),
}

/// Where a link stands, as the game's side knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being made.
    Connecting,
    /// It stands.
    Open,
    /// This end has said, or is about to say, goodbye.
    Closing,
}

/// What is known of a link that stands, besides its figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// Where the other end is: behind a trusted proxy, what that one says.
    pub address: Option<SocketAddr>,
    /// The sub-protocol that both chose, or nothing.
    pub protocol: String,
    /// What was asked for.
    pub url: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// What both threads know of a link.
#[derive(Debug, Default)]
pub(crate) struct LinkShared {
    /// Bytes that wait to be sent.
    pub(super) room: Room,
    /// Packets that wait to be sent.
    pub(super) queued: AtomicUsize,
    /// Messages that the game has not fetched.
    pub(super) unread: AtomicUsize,
    /// Its task does not read, until somebody wakes it.
    pub(super) paused: AtomicBool,
    /// It has got orders that it was not woken for.
    pub(super) touched: AtomicBool,
    orders: Mutex<Vec<Order>>,
    waker: AtomicWaker,
    figures: Mutex<LinkStats>,
}

impl LinkShared {
    /// Gives an order. The task sees it when it is woken.
    pub(super) fn order(&self, order: Order) {
        lock(&self.orders).push(order);
    }

    /// Takes all orders.
    pub(super) fn take_orders(&self, into: &mut Vec<Order>) {
        std::mem::swap(&mut *lock(&self.orders), into);
    }

    /// Whether the game wants no more of it; if so, with the farewell that it wants to hear, if any.
    pub(super) fn given_up(&self) -> Option<Option<Farewell>> {
        let orders = lock(&self.orders);
        orders.iter().find_map(|order| match order {
            Order::Abandon(farewell) => Some(Some(farewell.clone())),
            Order::Close(_) | Order::Drop => Some(None),
            _ => None,
        })
    }

    /// Lets the link's task run.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Lets it run if it waits for room.
    pub(super) fn wake_if_paused(&self) {
        if self.paused.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// From now on, waking wakes this.
    pub(super) fn register(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    /// A message of this length, which took room, has left or was dropped.
    pub(super) fn release(&self, length: usize) {
        self.room.release(Room::cost_of(length));
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }

    /// The game has fetched a message.
    pub(super) fn fetched(&self) {
        self.unread.fetch_sub(1, Ordering::SeqCst);
        self.wake_if_paused();
    }

    pub(super) fn publish(&self, figures: &LinkStats) {
        lock(&self.figures).clone_from(figures);
    }

    pub(super) fn stats(&self) -> LinkStats {
        let figures = lock(&self.figures).clone();
        LinkStats { queued_bytes: self.room.taken() as u64, ..figures }
    }
}

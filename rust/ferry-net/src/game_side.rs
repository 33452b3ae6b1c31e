//! The game's side of an endpoint, whatever the transport: armed late, asked event by event, closed in two halves.
//!
//! A transport's handle keeps one of these under its lock, beside what it shows of its links. The endpoint is *armed*, that is
//! given to the network thread, when something is to leave or is asked for. Until then it is only set up, and nothing
//! leaves. When the driver ends without having said why, that becomes an event, too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::endpoint::{Entry, Handle, Waiter};
use crate::link::{LinkError, LinkId};
use crate::reason::{Farewell, Reason};
use crate::runtime::SpawnError;

/// One endpoint as the game holds it. `P` is what its driver is made of.
pub(crate) struct GameSide<C: Entry, E: Entry + From<Farewell>, P> {
    /// Gone once closed.
    handle: Option<Handle<C, E>>,
    /// There between the two halves of closing.
    closing: Option<Handle<C, E>>,
    /// There until the endpoint is armed.
    parts: Option<P>,
    start: fn(P) -> Result<(), SpawnError>,
    fetched: VecDeque<E>,
    /// The driver has ended by itself, and the game knows.
    failed: bool,
    /// Somebody may want the port again as soon as this endpoint is closed.
    frees_port: bool,
    adopted: bool,
    taken_away: Vec<LinkId>,
}

impl<C: Entry, E: Entry + From<Farewell>, P> GameSide<C, E, P> {
    /// An endpoint that is set up. With `frees_port`, closing waits until its port is free.
    pub(crate) fn new(
        handle: Handle<C, E>,
        parts: P,
        start: fn(P) -> Result<(), SpawnError>,
        frees_port: bool,
    ) -> Self {
        Self {
            handle: Some(handle),
            closing: None,
            parts: Some(parts),
            start,
            fetched: VecDeque::new(),
            failed: false,
            frees_port,
            adopted: false,
            taken_away: Vec::new(),
        }
    }

    /// Whether it has been closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_none()
    }

    /// Tells the driver something.
    ///
    /// # Errors
    ///
    /// [`LinkError::Gone`] once closed.
    pub(crate) fn push(&self, command: C) -> Result<(), LinkError> {
        self.push_or_lose(command, |_| ())
    }

    /// The same for what may get lost, or makes others get lost: `lost` hears of those.
    ///
    /// # Errors
    ///
    /// [`LinkError::Gone`] once closed.
    pub(crate) fn push_or_lose(&self, command: C, lost: impl FnMut(&C)) -> Result<(), LinkError> {
        self.handle.as_ref().ok_or(LinkError::Gone)?.push(command, lost);
        Ok(())
    }

    /// Lets everything that was queued leave.
    pub(crate) fn flush(&mut self) {
        self.arm();
        if let Some(handle) = &self.handle {
            handle.flush();
        }
    }

    /// Another turn of the game begins: lets everything leave that was queued in the last one.
    pub(crate) fn begin_turn(&mut self) {
        if let Some(handle) = &self.handle {
            handle.note_turn();
        }
        self.flush();
    }

    fn arm(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        if let Err(error) = (self.start)(parts) {
            self.fetched.push_back(Farewell::with(Reason::Network, error.to_string()).into());
        }
    }

    /// The next thing that the driver has told, unless `hold` wants it to wait: then it stays the next.
    pub(crate) fn next(&mut self, hold: impl FnOnce(&E) -> bool) -> Option<E> {
        self.arm();
        if self.fetched.is_empty() {
            self.fetch();
        }
        if hold(self.fetched.front()?) {
            return None;
        }
        self.fetched.pop_front()
    }

    fn fetch(&mut self) {
        let Some(handle) = &mut self.handle else { return };
        let driver_ended = handle.fetch(&mut self.fetched);
        if driver_ended && !self.failed && self.fetched.is_empty() {
            self.fetched
                .push_back(Farewell::with(Reason::Internal, "the network thread has given up").into());
        }
    }

    /// The game has heard that the endpoint itself has failed.
    pub(crate) fn has_failed(&mut self) {
        self.failed = true;
    }

    /// Something to wait for events with, while this is not borrowed; `None` once closed.
    pub(crate) fn wait(&self) -> Option<Wait<C, E>> {
        let waiter = self.handle.as_ref()?.waiter();
        Some(Wait { waiter: (!self.failed).then_some(waiter) })
    }

    /// Unreliable packets that were dropped between the threads.
    pub(crate) fn dropped(&self) -> u64 {
        self.handle.as_ref().map_or(0, Handle::dropped)
    }

    /// Sets how many bytes of events may wait.
    pub(crate) fn set_inbound_limit(&self, limit: usize) {
        if let Some(handle) = &self.handle {
            handle.set_inbound_limit(limit);
        }
    }

    /// From now on, notes links that the game ends without an event: whoever keeps a list of peers has to know.
    pub(crate) fn adopt(&mut self) {
        self.adopted = true;
    }

    /// The game has ended this link without an event.
    pub(crate) fn took_away(&mut self, link: LinkId) {
        if self.adopted {
            self.taken_away.push(link);
        }
    }

    /// The links that the game has ended without an event since it was asked last.
    pub(crate) fn taken_away(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.taken_away)
    }

    /// The first half of closing; does not wait. What was queued and never armed has a right to leave, too, if there is
    /// anybody (`has_links`).
    pub(crate) fn begin_close(&mut self, has_links: bool) {
        if self.handle.is_none() {
            return;
        }
        if has_links {
            self.arm();
        }
        self.parts = None;
        self.fetched.clear();
        self.closing = self.handle.take();
        if let Some(handle) = &self.closing {
            handle.close();
        }
    }

    /// The second half, to be waited for while this is not borrowed.
    pub(crate) fn closing(&mut self) -> Option<Closing<C, E>> {
        Some(Closing { handle: self.closing.take()?, wait: self.frees_port })
    }
}

/// Waits for events.
pub(crate) struct Wait<C, E> {
    waiter: Option<Waiter<C, E>>,
}

impl<C: Entry, E: Entry> Wait<C, E> {
    /// Waits until there is an event, at most for `bound`.
    pub(crate) fn for_events(&self, bound: Duration) {
        match &self.waiter {
            Some(waiter) => waiter.wait_for_events(bound),
            None => std::thread::sleep(bound),
        }
    }
}

/// The second half of closing.
pub(crate) struct Closing<C: Entry, E: Entry> {
    handle: Handle<C, E>,
    wait: bool,
}

impl<C: Entry, E: Entry> Closing<C, E> {
    /// Waits for the port, if somebody may want it.
    pub(crate) fn finish(self, until: Instant) {
        let bound = until.saturating_duration_since(Instant::now());
        if self.wait && !self.handle.waiter().wait_until_released(bound) {
            tracing::warn!("the port is not free yet: the network thread is busy");
        }
    }
}

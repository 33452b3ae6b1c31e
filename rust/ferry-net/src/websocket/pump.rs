//! A connection whose bytes a game carries itself: the engine's streams cannot be used on the network thread.
//!
//! The game's side holds a [`Pump`] and moves bytes, at each of its polls, between the engine's stream and here; the network
//! thread's side, a [`PumpEnd`], is a stream like any other. Each way holds [`CAPACITY`] bytes at most: beyond, whoever
//! puts more has to wait.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::Traffic;
use crate::lock::lock;

/// Bytes that wait, each way. At 60 polls a second, 15 MB/s.
const CAPACITY: usize = 256 * 1024;

/// Bytes that the engine's stream is given at once.
const PIECE: usize = 32 * 1024;

#[derive(Debug, Default)]
struct Shared {
    /// From the engine's stream.
    incoming: VecDeque<u8>,
    /// To it.
    outgoing: VecDeque<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The engine's stream has ended.
    hung_up: bool,
    /// The network thread's side sends no more.
    finished: bool,
    traffic: Traffic,
}

/// The game's side.
#[derive(Debug)]
pub struct Pump(Arc<Mutex<Shared>>);

/// The network thread's side.
#[derive(Debug)]
pub(super) struct PumpEnd(Arc<Mutex<Shared>>);

/// Both sides of a new connection.
pub(super) fn pair() -> (Pump, PumpEnd) {
    let shared = Arc::new(Mutex::default());
    (Pump(shared.clone()), PumpEnd(shared))
}

impl Pump {
    /// How many bytes may be put.
    pub fn room(&self) -> usize {
        CAPACITY.saturating_sub(lock(&self.0).incoming.len())
    }

    /// Takes in what has come from the stream.
    pub fn put(&self, bytes: &[u8]) {
        let mut shared = lock(&self.0);
        shared.incoming.extend(bytes);
        shared.traffic.bytes_in += bytes.len() as u64;
        shared.traffic.reads += 1;
        wake(shared.reader.take());
    }

    /// Hands what is to be sent to `write`, which returns how much of it the stream took; the rest stays. Returns how much was
    /// taken.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn take<E>(&self, mut write: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<usize, E> {
        let mut total = 0;
        loop {
            // Nobody waits for the lock while the stream is written.
            let piece: Vec<u8> = {
                let shared = lock(&self.0);
                let first = shared.outgoing.as_slices().0;
                first[..first.len().min(PIECE)].to_vec()
            };
            if piece.is_empty() {
                return Ok(total);
            }
            let written = write(&piece)?.min(piece.len());
            total += written;
            let mut shared = lock(&self.0);
            // This is the only place where something is taken.
            shared.outgoing.drain(..written);
            shared.traffic.bytes_out += written as u64;
            shared.traffic.writes += u64::from(written > 0);
            if written > 0 {
                wake(shared.writer.take());
            }
            if written < piece.len() {
                return Ok(total);
            }
        }
    }

    /// The stream has ended.
    pub fn hung_up(&self) {
        let mut shared = lock(&self.0);
        shared.hung_up = true;
        wake(shared.reader.take());
        wake(shared.writer.take());
    }

    /// Whether nothing more will come from the network thread's side, and all of it was taken.
    pub fn is_finished(&self) -> bool {
        let shared = lock(&self.0);
        shared.finished && shared.outgoing.is_empty()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.hung_up();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl PumpEnd {
    pub(super) fn traffic(&self) -> Traffic {
        lock(&self.0).traffic
    }
}

impl Drop for PumpEnd {
    fn drop(&mut self) {
        lock(&self.0).finished = true;
    }
}

impl AsyncRead for PumpEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.0);
        if shared.incoming.is_empty() && !shared.hung_up {
            shared.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let piece = shared.incoming.as_slices().0;
        let read = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..read]);
        shared.incoming.drain(..read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PumpEnd {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.0);
        if shared.hung_up {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY.saturating_sub(shared.outgoing.len());
        if room == 0 {
            shared.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let written = bytes.len().min(room);
        shared.outgoing.extend(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).finished = true;
        Poll::Ready(Ok(()))
    }
}

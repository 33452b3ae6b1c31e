//! The stream that a WebSocket runs over: TCP, TLS on it, or a stream of the engine that a game pumps.
//!
//! Reads from the system are large, whatever the WebSocket asks for: what it does not take at once waits here. A small
//! buffer for each idle connection is enough then, and a burst still takes few system calls. Once it is a WebSocket, frames
//! are looked at on the way (`frames`). A turn of a link reads no more than its allowance, so that one who floods does not
//! keep the others waiting.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::frames::{Frames, Violation, Whole};
use super::pump::PumpEnd;

/// What the system is asked for at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// Bytes that a link reads in a turn.
const READ_IN_A_TURN: usize = 128 * 1024;

/// How long what still comes is thrown away after the last word.
const LINGER: Duration = Duration::from_secs(1);

/// Memory that an idle connection keeps for reading ahead.
const KEPT: usize = 1024;

thread_local! {
    /// Reading borrows it while TLS may write an answer, so each has its own.
    static JOINED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
}

/// What went over a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

/// A TCP stream that counts.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) tcp: TcpStream,
    traffic: Traffic,
}

impl Counted {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, traffic: Traffic::default() }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        self.traffic.bytes_in += (buffer.filled().len() - before) as u64;
        self.traffic.reads += 1;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(context, bytes))?;
        self.traffic.bytes_out += written as u64;
        self.traffic.writes += 1;
        Poll::Ready(Ok(written))
    }

    /// TLS hands over its records as slices. The system's call for many of them ends a process like the engine's, which does
    /// not ignore SIGPIPE, when the other end has hung up; so they are joined.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        JOINED.with_borrow_mut(|scratch| {
            let mut length = 0;
            for slice in slices {
                let taken = slice.len().min(scratch.len() - length);
                scratch[length..length + taken].copy_from_slice(&slice[..taken]);
                length += taken;
            }
            self.poll_write(context, &scratch[..length])
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Carriage {
    Tcp(Counted),
    Tls(Box<TlsStream<Counted>>),
    Pumped(PumpEnd),
}

/// A stream for a WebSocket.
#[derive(Debug)]
pub(super) struct Wire {
    carriage: Carriage,
    /// What was read ahead, and how much of it has been taken.
    ahead: Vec<u8>,
    taken: usize,
    /// Bytes that may still be read in this turn.
    allowance: usize,
    /// Bytes that have come, ever.
    received: u64,
    /// There once it is a WebSocket.
    frames: Option<Frames>,
    /// What was wrong with the frames, until it was said.
    violation: Option<Violation>,
    /// The other end sends no more.
    ended: bool,
    /// A long message that is on its way out. Nothing passes it.
    whole: Option<Whole>,
    /// The line is broken: what is written goes nowhere.
    mute: bool,
}

impl Wire {
    pub(super) fn new(carriage: Carriage) -> Self {
        Self {
            carriage,
            ahead: Vec::new(),
            taken: 0,
            allowance: READ_IN_A_TURN,
            received: 0,
            frames: None,
            violation: None,
            ended: false,
            whole: None,
            mute: false,
        }
    }

    /// Another turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.allowance = READ_IN_A_TURN;
    }

    /// From here on it is a WebSocket, whose messages have so many bytes at most. These bytes of it have come already; if they
    /// are not to be borne, reading says so.
    pub(super) fn begin_frames(&mut self, max_message: usize, tail: &[u8]) {
        let rest = self.ahead.split_off(self.taken);
        self.taken = 0;
        self.ahead.clear();
        self.frames = Some(Frames::new(max_message));
        for bytes in [tail, &rest] {
            if self.violation.is_none() {
                self.take_in(bytes);
            }
        }
    }

    /// What has come is looked at and kept.
    fn take_in(&mut self, bytes: &[u8]) {
        let Some(frames) = &mut self.frames else { return self.ahead.extend_from_slice(bytes) };
        if let Err(violation) = frames.pass(bytes, &mut self.ahead) {
            self.violation = Some(violation);
            // What comes now is only thrown away.
            self.frames = None;
        }
    }

    /// Bytes that have come, ever: a sign of life also while a long message is on its way.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// What is held of a message that has come in part, about.
    pub(super) fn held(&self) -> usize {
        self.frames.as_ref().map_or(0, Frames::held)
    }

    /// Sends a long message, with the next flush. Everything before must have been flushed.
    pub(super) fn send_whole(&mut self, whole: Whole) {
        debug_assert!(self.whole.is_none(), "the last one must have been flushed");
        self.whole = Some(whole);
    }

    /// Whether a long message is on its way.
    pub(super) fn is_sending_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Nothing can be written any more, and trying must not keep what has come from being read.
    pub(super) fn stop_writing(&mut self) {
        self.mute = true;
        self.whole = None;
    }

    fn poll_carriage(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.carriage {
            Carriage::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Carriage::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
            Carriage::Pumped(end) => Pin::new(end).poll_write(context, bytes),
        }
    }

    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut whole) = self.whole.take() else { return Poll::Ready(Ok(())) };
        loop {
            let next = whole.next();
            if next.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_carriage(context, next) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => whole.written(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.whole = Some(whole);
                    return Poll::Pending;
                }
            }
        }
    }

    /// What went over the network; nothing if the engine's stream does that.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.carriage {
            Carriage::Tcp(counted) => counted.traffic,
            Carriage::Tls(tls) => tls.get_ref().0.traffic,
            Carriage::Pumped(end) => end.traffic(),
        }
    }

    /// Says that nothing more will be sent, and throws away what still comes, for a while: a socket that is dropped with
    /// unread bytes in it takes back what the other end has not read yet.
    pub(super) async fn linger(&mut self) {
        self.frames = None;
        let last_words = async {
            let _ = self.shutdown().await;
            let mut rest = [0; 512];
            loop {
                self.begin_turn();
                match self.read(&mut rest).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, last_words).await;
    }

    /// Whether it is TLS of ours.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.carriage, Carriage::Tls(_))
    }

    /// Whether small writes leave at once.
    pub(super) fn set_no_delay(&self, enabled: bool) {
        let tcp = match &self.carriage {
            Carriage::Tcp(counted) => &counted.tcp,
            Carriage::Tls(tls) => &tls.get_ref().0.tcp,
            Carriage::Pumped(_) => return,
        };
        if let Err(error) = tcp.set_nodelay(enabled) {
            tracing::debug!("no delay could not be set: {error}");
        }
    }

    /// Reads ahead as much as there is.
    fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut large = ReadBuf::new(scratch);
            ready!(match &mut self.carriage {
                Carriage::Tcp(tcp) => Pin::new(tcp).poll_read(context, &mut large),
                Carriage::Tls(tls) => Pin::new(tls).poll_read(context, &mut large),
                Carriage::Pumped(end) => Pin::new(end).poll_read(context, &mut large),
            })?;
            let read = large.filled();
            self.ended = read.is_empty();
            self.received += read.len() as u64;
            self.allowance = self.allowance.saturating_sub(read.len());
            self.take_in(read);
            Poll::Ready(Ok(()))
        })
    }

    fn take_ahead(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.ahead[self.taken..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.taken += taken;
        if self.taken == self.ahead.len() {
            self.taken = 0;
            self.ahead.clear();
            self.ahead.shrink_to(KEPT);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A header may have come in part, and then there is nothing to pass on yet.
        while this.ahead.is_empty() && !this.ended {
            if let Some(violation) = this.violation.take() {
                return Poll::Ready(Err(io::Error::other(violation)));
            }
            if this.allowance == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(this.poll_read_ahead(context))?;
        }
        this.take_ahead(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.mute {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(this.poll_whole(context))?;
        this.poll_carriage(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.mute {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_whole(context))?;
        match &mut this.carriage {
            Carriage::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Carriage::Tls(tls) => Pin::new(tls).poll_flush(context),
            Carriage::Pumped(end) => Pin::new(end).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carriage {
            Carriage::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Carriage::Tls(tls) => Pin::new(tls).poll_shutdown(context),
            Carriage::Pumped(end) => Pin::new(end).poll_shutdown(context),
        }
    }
}

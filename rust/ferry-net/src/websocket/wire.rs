//! The stream that a WebSocket runs over: TCP, TLS on it, or a stream of the engine that a game pumps.
//!
//! Reads from the system are large, whatever the WebSocket asks for: what it does not take at once waits here. A small
//! buffer for each idle connection is enough then, and a burst still takes few system calls. A turn of a link reads no more
//! than its allowance, so that one who floods does not keep the others waiting.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::pump::PumpEnd;

/// What the system is asked for at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// Bytes that a link reads in a turn.
const READ_IN_A_TURN: usize = 128 * 1024;

/// Memory that an idle connection keeps for reading ahead.
const KEPT: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
}

/// What went over a stream.
#[derive(Clone, Copy, Debug, Default)]
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
        self.count_write(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(context, slices))?;
        self.count_write(written);
        Poll::Ready(Ok(written))
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

impl Counted {
    fn count_write(&mut self, written: usize) {
        self.traffic.bytes_out += written as u64;
        self.traffic.writes += 1;
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
    /// Bytes that were taken, ever.
    total: u64,
}

impl Wire {
    pub(super) fn new(carriage: Carriage) -> Self {
        Self { carriage, ahead: Vec::new(), taken: 0, allowance: READ_IN_A_TURN, total: 0 }
    }

    /// Another turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.allowance = READ_IN_A_TURN;
    }

    /// Bytes that the WebSocket has taken, ever.
    pub(super) fn total_read(&self) -> u64 {
        self.total
    }

    /// What went over the network; nothing if the engine's stream does that.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.carriage {
            Carriage::Tcp(counted) => counted.traffic,
            Carriage::Tls(tls) => tls.get_ref().0.traffic,
            Carriage::Pumped(end) => end.traffic(),
        }
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

    /// Reads as much as there is, and keeps for later what the buffer has no room for.
    fn poll_read_large(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut large = ReadBuf::new(scratch);
            ready!(match &mut self.carriage {
                Carriage::Tcp(tcp) => Pin::new(tcp).poll_read(context, &mut large),
                Carriage::Tls(tls) => Pin::new(tls).poll_read(context, &mut large),
                Carriage::Pumped(end) => Pin::new(end).poll_read(context, &mut large),
            })?;
            let (now, later) = large.filled().split_at(large.filled().len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.ahead.extend_from_slice(later);
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
        if this.allowance == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if this.ahead.is_empty() {
            ready!(this.poll_read_large(context, buffer))?;
        } else {
            this.take_ahead(buffer);
        }
        let read = buffer.filled().len() - before;
        this.allowance = this.allowance.saturating_sub(read);
        this.total += read as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carriage {
            Carriage::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Carriage::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
            Carriage::Pumped(end) => Pin::new(end).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carriage {
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

//! A TCP connection without manners: sends what it likes in pieces of any size, and never waits.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::frames::{self, CLOSE, Frame};

/// How the other end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It closed.
    Closed,
    /// The connection was reset.
    Reset,
}

/// What is read in one go, so that nobody else waits long.
const READ_IN_A_TURN: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
    /// Waits to be sent.
    out: VecDeque<u8>,
    /// The longest piece that is sent at once.
    chop: usize,
    /// The most that is read in a turn.
    pace: u64,
    /// Came, and was not looked at.
    came: Vec<u8>,
    taken: usize,
    pub(crate) gone: Option<Gone>,
    /// Bytes that came, ever.
    pub(crate) received: u64,
    /// Heads of requests or answers that were taken.
    pub(crate) heads: usize,
    /// A client masks what it sends.
    masks: bool,
}

impl Raw {
    /// A client of this port.
    pub(crate) fn connect(port: u16) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, port).unwrap()
    }

    /// From one of the machine's loopback addresses; an error where there is only one.
    pub(crate) fn connect_from(host: Ipv4Addr, port: u16) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(host), 0).into())?;
        socket
            .connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), Duration::from_secs(5))?;
        Ok(Self::new(socket.into(), true))
    }

    /// The next client of a server that a test plays, if there is one.
    pub(crate) fn accept(listener: &TcpListener) -> Option<Self> {
        let (stream, _) = listener.accept().ok()?;
        Some(Self::new(stream, false))
    }

    fn new(stream: TcpStream, masks: bool) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            out: VecDeque::new(),
            chop: usize::MAX,
            pace: READ_IN_A_TURN,
            came: Vec::new(),
            taken: 0,
            gone: None,
            received: 0,
            heads: 0,
            masks,
        }
    }

    /// From now on sends in pieces of this size.
    pub(crate) fn chop(&mut self, chop: usize) {
        self.chop = chop;
    }

    /// From now on reads no more than this in a turn.
    pub(crate) fn read_slowly(&mut self, bytes_in_a_turn: u64) {
        self.pace = bytes_in_a_turn;
    }

    /// A receive buffer this small, so that the other end's writes soon stop.
    pub(crate) fn read_little(&self, bytes: usize) {
        socket2::SockRef::from(&self.stream).set_recv_buffer_size(bytes).unwrap();
    }

    /// Sends, as soon as it can be.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.out.extend(bytes.as_ref());
        self.write();
    }

    /// Sends a frame, masked as it should be.
    pub(crate) fn send_frame(&mut self, frame: &Frame) {
        self.send(frame.bytes(self.masks));
    }

    /// Sends a frame that is masked where it should not be, and the other way round.
    pub(crate) fn send_wrongly_masked(&mut self, frame: &Frame) {
        self.send(frame.bytes(!self.masks));
    }

    /// How much waits to be sent because the other end does not read.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Writes what the system takes.
    pub(crate) fn write(&mut self) {
        while self.gone.is_none() && !self.out.is_empty() {
            let piece = self.out.as_slices().0;
            let piece = &piece[..piece.len().min(self.chop)];
            match self.stream.write(piece) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Why is for reading to tell: there may be a last word.
                Err(_) => self.out.clear(),
            }
        }
    }

    /// Writes what the system takes, and reads what has come.
    pub(crate) fn turn(&mut self) {
        self.write();
        let mut buffer = [0; 16 * 1024];
        let until = self.received + self.pace;
        while self.gone.is_none() && self.received < until {
            let most = buffer.len().min((until - self.received) as usize);
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => self.gone = Some(Gone::Closed),
                Ok(read) => {
                    self.came.extend_from_slice(&buffer[..read]);
                    self.received += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone = Some(Gone::Reset),
            }
        }
    }

    /// Takes the head of a request or an answer, once it is there.
    pub(crate) fn take_head(&mut self) -> Option<String> {
        let rest = &self.came[self.taken..];
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.taken += end;
        self.heads += 1;
        Some(head)
    }

    /// Takes everything that has come, as it is.
    pub(crate) fn take_all(&mut self) -> Vec<u8> {
        let rest = self.came.split_off(self.taken);
        self.came.clear();
        self.taken = 0;
        rest
    }

    /// Takes the next frame, once it is whole. That it is masked if and only if a client sent it is asserted.
    pub(crate) fn take_frame(&mut self) -> Option<Frame> {
        let (frame, masked) = frames::take(&mut self.came, &mut self.taken)?;
        assert_ne!(masked, self.masks, "masked by the wrong end: {frame:?}");
        Some(frame)
    }

    /// Takes frames until a goodbye comes: its code, 0 if it has none.
    pub(crate) fn take_goodbye(&mut self) -> Option<u16> {
        loop {
            let frame = self.take_frame()?;
            if frame.opcode == CLOSE {
                return Some(frame.code().unwrap_or_default());
            }
        }
    }

    /// Says that nothing more will come.
    pub(crate) fn finish(&self) {
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Hangs up with a reset.
    pub(crate) fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Hands on what has come at either end, as somebody between two.
pub(crate) fn pass_on(near: &mut Raw, far: &mut Raw) {
    near.turn();
    far.turn();
    far.send(near.take_all());
    near.send(far.take_all());
}

//! A man in the middle: passes datagrams between a client and the server, and keeps copies to do harm with.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};

/// Copies of each direction that are kept.
const KEPT: usize = 512;
/// Datagrams passed on in a turn.
const PASSED_PER_TURN: usize = 1024;

pub(crate) struct Relay {
    front: UdpSocket,
    back: UdpSocket,
    client: Option<SocketAddr>,
    pub(crate) cut: bool,
    pub(crate) to_server: VecDeque<Vec<u8>>,
    pub(crate) to_client: VecDeque<Vec<u8>>,
}

impl Relay {
    pub(crate) fn new(server_port: u16) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(("127.0.0.1", server_port)).unwrap();
        for socket in [&front, &back] {
            socket.set_nonblocking(true).unwrap();
        }
        let (to_server, to_client) = (VecDeque::new(), VecDeque::new());
        Self { front, back, client: None, cut: false, to_server, to_client }
    }

    /// Where the client finds the server.
    pub(crate) fn port(&self) -> u16 {
        self.front.local_addr().unwrap().port()
    }

    pub(crate) fn pass_on(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..PASSED_PER_TURN {
            let Ok((len, from)) = self.front.recv_from(&mut buffer) else { break };
            self.client = Some(from);
            if !self.cut {
                self.harm_server(&buffer[..len]);
                keep(&mut self.to_server, &buffer[..len]);
            }
        }
        for _ in 0..PASSED_PER_TURN {
            let Ok(len) = self.back.recv(&mut buffer) else { break };
            if !self.cut {
                self.harm_client(&buffer[..len]);
                keep(&mut self.to_client, &buffer[..len]);
            }
        }
    }

    /// Sends something to the server that comes from the client's address, as far as the server can tell.
    pub(crate) fn harm_server(&self, bytes: &[u8]) {
        let _ = self.back.send(bytes);
    }

    /// The same the other way.
    pub(crate) fn harm_client(&self, bytes: &[u8]) {
        if let Some(client) = self.client {
            let _ = self.front.send_to(bytes, client);
        }
    }
}

fn keep(copies: &mut VecDeque<Vec<u8>>, datagram: &[u8]) {
    if copies.len() == KEPT {
        copies.pop_front();
    }
    copies.push_back(datagram.to_vec());
}

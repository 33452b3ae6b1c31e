//! A player made of the parts below a connection: a path, the encryption, SCTP. It follows the rules until a test says
//! otherwise, and can be told to say anything.
//!
//! It makes the offer, is the server of the encryption, and runs when [`Raw::turn`] is called: it has no thread.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::{Dtls, DtlsCertificate, Output};
use ferry_net::webrtc::{Connection, DescriptionKind, Signal};
use ferry_sctp::{Association, Config, Event, Message, Reliability};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};

/// The kinds of SCTP messages that data channels use.
pub(crate) const CONTROL: u32 = 50;
pub(crate) const BINARY: u32 = 53;

/// What it does otherwise than others, from the beginning.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manners {
    /// Its description tells a hash that is not its certificate's.
    pub(crate) wrong_hash: bool,
    /// It lets nobody in: nothing is said about encryption.
    pub(crate) silent_dtls: bool,
    /// It says nothing once encrypted.
    pub(crate) silent_sctp: bool,
}

/// See the module.
pub(crate) struct Raw {
    manners: Manners,
    socket: UdpSocket,
    pub(crate) local: SocketAddr,
    ice: IceAgent,
    pub(crate) way: Option<SocketAddr>,
    dtls: Dtls,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
    pub(crate) sctp: Association,
    pub(crate) established: bool,
    /// The number that the other end knows packets of this association by.
    tag: [u8; 4],
    pub(crate) received: Vec<Message>,
    pub(crate) events: Vec<Event>,
    fingerprint: String,
    buffer: Vec<u8>,
    packet: Vec<u8>,
}

impl Raw {
    pub(crate) fn new(manners: Manners) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let local = socket.local_addr().unwrap();
        let mut ice = IceAgent::new(IceCreds::new());
        ice.set_controlling(true);
        ice.set_timing_advance(Duration::from_millis(5));
        ice.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
        let hash = ring::digest::digest(&ring::digest::SHA256, &certificate);
        let mut hash = hash.as_ref().to_vec();
        if manners.wrong_hash {
            hash[7] ^= 1;
        }
        let fingerprint = hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let config = dimpl::Config::builder()
            .mtu(1200)
            .use_server_cookie(false)
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .build()
            .unwrap();
        let certificate = DtlsCertificate { certificate, private_key: key.serialize_der() };
        let mut dtls = Dtls::new_auto(Arc::new(config), certificate, Instant::now());
        dtls.handle_timeout(Instant::now()).unwrap();
        let sctp = Association::new(
            Config { role_client: false, seed: u64::from(local.port()), ..Config::default() },
            Instant::now(),
        );
        Self {
            manners,
            socket,
            local,
            ice,
            way: None,
            dtls,
            connected: false,
            closed: false,
            sctp,
            established: false,
            tag: [0; 4],
            received: Vec::new(),
            events: Vec::new(),
            fingerprint,
            buffer: vec![0; 4096],
            packet: Vec::new(),
        }
    }

    /// Its description, as an offer with its candidate.
    pub(crate) fn offer(&self) -> String {
        let own = self.ice.local_credentials();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\n\
             a=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n\
             a=max-message-size:262144\r\na=candidate:1 1 udp 2130706431 127.0.0.1 {} typ host\r\n",
            own.ufrag,
            own.pass,
            self.fingerprint,
            self.local.port()
        )
    }

    /// Takes the answer.
    fn answered(&mut self, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        self.ice.set_remote_credentials(IceCreds { ufrag: value("a=ice-ufrag:"), pass: value("a=ice-pwd:") });
    }

    /// Carries what the connection wants to tell; gives back the channels that it heard of.
    pub(crate) fn hear(&mut self, other: &Connection) -> usize {
        other.begin_turn();
        let mut announced = 0;
        while let Some(signal) = other.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    assert_eq!(kind, DescriptionKind::Answer);
                    other.set_local_description(kind, &text).unwrap();
                    self.answered(&text);
                }
                Signal::CandidateCreated { candidate, .. } => {
                    if let Ok(candidate) = Candidate::from_sdp_string(&candidate) {
                        self.ice.add_remote_candidate(candidate);
                    }
                }
                Signal::ChannelReceived(_) => announced += 1,
            }
        }
        announced
    }

    /// Does what is due.
    pub(crate) fn turn(&mut self) {
        let now = Instant::now();
        let mut datagram = [0; 4096];
        while let Ok((length, from)) = self.socket.recv_from(&mut datagram) {
            self.handle(now, from, &datagram[..length]);
        }
        self.ice.handle_timeout(now);
        while let Some(transmit) = self.ice.poll_transmit() {
            let _ = self.socket.send_to(&transmit.contents, transmit.destination);
        }
        while let Some(event) = self.ice.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.way = Some(destination);
            }
        }
        if !self.manners.silent_dtls {
            let _ = self.dtls.handle_timeout(now);
            self.drain_dtls(now);
        }
        self.step_sctp(now);
    }

    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        match datagram.first() {
            Some(0..=3) => {
                let Ok(message) = StunMessage::parse(datagram) else { return };
                let packet =
                    StunPacket { proto: Protocol::Udp, source: from, destination: self.local, message };
                self.ice.handle_packet(now, packet);
            }
            Some(20..=63) if !self.manners.silent_dtls => {
                self.way.get_or_insert(from);
                let _ = self.dtls.handle_packet(datagram);
                self.drain_dtls(now);
            }
            _ => {}
        }
    }

    fn drain_dtls(&mut self, now: Instant) {
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                Output::Packet(datagram) => {
                    if let Some(way) = self.way {
                        let _ = self.socket.send_to(datagram, way);
                    }
                }
                Output::ApplicationData(plain) => {
                    let packet = Bytes::copy_from_slice(plain);
                    if !self.manners.silent_sctp {
                        self.sctp.handle_input(now, packet);
                    }
                }
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                Output::Connected => {
                    self.connected = true;
                    if !self.manners.silent_sctp {
                        self.sctp.connect(now);
                    }
                }
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn step_sctp(&mut self, now: Instant) {
        if !self.connected || self.manners.silent_sctp {
            return;
        }
        if self.sctp.poll_timeout().is_some_and(|due| due <= now) {
            self.sctp.handle_timeout(now);
        }
        while let Some(event) = self.sctp.poll_event() {
            match event {
                Event::Established => self.established = true,
                Event::Message(message) => self.received.push(message),
                Event::Closed(reason) => {
                    self.closed = true;
                    self.events.push(Event::Closed(reason));
                }
                other => self.events.push(other),
            }
        }
        let mut packet = std::mem::take(&mut self.packet);
        while self.sctp.poll_transmit(now, &mut packet) {
            // An INIT has none yet.
            if packet[4..8] != [0; 4] {
                self.tag.copy_from_slice(&packet[4..8]);
            }
            self.say(&packet);
        }
        self.packet = packet;
    }

    /// Says this inside the encryption.
    pub(crate) fn say(&mut self, plain: &[u8]) {
        if self.dtls.send_application_data(plain).is_ok() {
            self.drain_dtls(Instant::now());
        }
    }

    /// Says these chunks, in a packet as the other end takes it.
    pub(crate) fn say_chunks(&mut self, chunks: &[u8]) {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend_from_slice(&self.tag);
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(chunks);
        let sum = crc32c(&packet);
        packet[8..12].copy_from_slice(&sum.to_le_bytes());
        self.say(&packet);
    }

    /// Sends what is in the datagram as it is.
    pub(crate) fn say_bare(&mut self, datagram: &[u8]) {
        if let Some(way) = self.way {
            let _ = self.socket.send_to(datagram, way);
        }
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, stream: u16, ppid: u32, payload: impl Into<Bytes>) {
        let message = Message { stream, ppid, payload: payload.into() };
        self.sctp.send(Instant::now(), message, Reliability::RELIABLE);
    }

    pub(crate) fn reset(&mut self, stream: u16) {
        self.sctp.reset_stream(Instant::now(), stream);
    }
}

/// The announcement of a channel.
pub(crate) fn open(label: &str, protocol: &str) -> Vec<u8> {
    let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&(label.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
    bytes.extend_from_slice(label.as_bytes());
    bytes.extend_from_slice(protocol.as_bytes());
    bytes
}

/// The checksum of SCTP's packets, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| {
                if sum & 1 == 1 { (sum >> 1) ^ 0x82F6_3B78 } else { sum >> 1 }
            },
        )
    })
}

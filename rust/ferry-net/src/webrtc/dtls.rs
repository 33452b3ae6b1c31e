//! The encryption of one connection (DTLS 1.2 or 1.3, RFC 8827): handshake, one record in a datagram, the goodbye.
//!
//! The other end is known by its certificate's hash, which its description told; one with another hash ends the connection,
//! before any of its bytes is believed. What makes no sense is dropped by the engine below without a word: datagrams can be
//! forged. What comes before the handshake is complete waits in a bounded queue there.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dimpl::{Config, DtlsCertificate, Output, UnexpectedMessageError};

use super::description::{Fingerprint, hexadecimal};
use super::identity::{Identity, fingerprint_of};
use crate::lock::lock;

/// The longest datagram of a handshake. Data is kept shorter by SCTP.
const HANDSHAKE_MTU: usize = 1200;

/// A lost flight is sent again after this long, then twice that, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(150);

/// So often.
const RETRIES: usize = 8;

/// Datagrams of the other end's that may wait for the handshake to end: it may be through with it while its last flight to us
/// is lost, and sends a window full.
const WAITING: usize = 128;

/// A record holds 16 KiB, and what encryption adds.
const LONGEST_RECORD: usize = (16 << 10) + 512;

/// What this end is to do, or to know.
pub(super) enum Outcome<'a> {
    /// Send this.
    Datagram(&'a [u8]),
    /// The other end has said this.
    Plain(&'a [u8]),
    /// Both have the keys, and each is who it said.
    Connected,
    /// The other end has said goodbye.
    Closed,
}

/// One end.
pub(super) struct Dtls {
    machine: dimpl::Dtls,
    expected: Fingerprint,
    verified: bool,
    connected: bool,
    due: Option<Instant>,
    buffer: Vec<u8>,
}

impl Dtls {
    pub(super) fn new(
        identity: &Identity,
        is_client: bool,
        expected: Fingerprint,
        timeout: Duration,
        now: Instant,
    ) -> Result<Self, String> {
        let config = config(timeout.max(FIRST_RETRY))?;
        let certificate =
            DtlsCertificate { certificate: identity.certificate.clone(), private_key: identity.key.clone() };
        let mut machine = dimpl::Dtls::new_auto(config, certificate, now);
        if is_client {
            machine.set_active(true);
        }
        let buffer = vec![0; 2048];
        let mut own = Self { machine, expected, verified: false, connected: false, due: None, buffer };
        own.machine.handle_timeout(now).map_err(|error| error.to_string())?;
        own.due = Some(now);
        Ok(own)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// A datagram of the other end's.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        each: impl FnMut(Outcome<'_>),
    ) -> Result<(), String> {
        self.machine.handle_timeout(now).map_err(explain)?;
        match self.machine.handle_packet(datagram) {
            Err(error) if !is_of_one_datagram(&error) => Err(explain(error)),
            _ => self.drain(each),
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        each: impl FnMut(Outcome<'_>),
    ) -> Result<(), String> {
        self.machine.handle_timeout(now).map_err(explain)?;
        self.drain(each)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Encrypts something for the other end, once connected.
    pub(super) fn seal(&mut self, plain: &[u8], each: impl FnMut(Outcome<'_>)) -> Result<(), String> {
        self.machine.send_application_data(plain).map_err(explain)?;
        self.drain(each)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, each: impl FnMut(Outcome<'_>)) {
        // One that has failed has nothing to say any more.
        if self.machine.close().is_ok() {
            let _ = self.drain(each);
        }
    }

    fn drain(&mut self, mut each: impl FnMut(Outcome<'_>)) -> Result<(), String> {
        loop {
            match self.machine.poll_output(&mut self.buffer) {
                Output::Packet(datagram) => each(Outcome::Datagram(datagram)),
                Output::ApplicationData(plain) if self.verified => each(Outcome::Plain(plain)),
                Output::BufferTooSmall { needed } if needed <= LONGEST_RECORD => {
                    self.buffer.resize(needed, 0);
                }
                Output::BufferTooSmall { .. } => return Err("a record was too long".to_owned()),
                Output::PeerCert(certificate) => {
                    let shown = fingerprint_of(certificate);
                    if shown != self.expected {
                        return Err(format!(
                            "its certificate is not the one that its description told: its hash is {}, not {}",
                            hexadecimal(&shown),
                            hexadecimal(&self.expected)
                        ));
                    }
                    self.verified = true;
                }
                Output::Connected if self.verified => {
                    self.connected = true;
                    each(Outcome::Connected);
                }
                Output::Connected => return Err("it showed no certificate".to_owned()),
                Output::CloseNotify => each(Outcome::Closed),
                Output::Timeout(due) => {
                    self.due = Some(due);
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

/// How a handshake is made that may take this long. Made once and kept, until another time is wanted: with each, the crate
/// tries all its cryptography out, which takes longer than the handshake.
fn config(timeout: Duration) -> Result<Arc<Config>, String> {
    static LAST: Mutex<Option<(Duration, Arc<Config>)>> = Mutex::new(None);
    let mut last = lock(&LAST);
    if let Some((_, config)) = last.as_ref().filter(|(made_for, _)| *made_for == timeout) {
        return Ok(config.clone());
    }
    let config = Config::builder()
        .mtu(HANDSHAKE_MTU)
        .flight_start_rto(FIRST_RETRY)
        .flight_retries(RETRIES)
        .handshake_timeout(timeout)
        .max_queue_rx(WAITING)
        .max_queue_tx(WAITING)
        // Whoever gets here has answered a check of ICE: the address is no forged one.
        .use_server_cookie(false)
        .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
        .build()
        .map_err(|error| error.to_string())?;
    let config = Arc::new(config);
    *last = Some((timeout, config.clone()));
    Ok(config)
}

/// Such a datagram is as good as lost: it came before the one that it follows, is nobody's, or one too many.
fn is_of_one_datagram(error: &dimpl::Error) -> bool {
    matches!(
        error,
        dimpl::Error::UnexpectedMessage(UnexpectedMessageError::UnrecognizedAutoServerResponse)
            | dimpl::Error::ReceiveQueueFull
            | dimpl::Error::TooManyClientHelloFragments
    )
}

fn explain(error: dimpl::Error) -> String {
    match error {
        dimpl::Error::Timeout(_) => "the other end did not answer in time".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::identity;

    struct End {
        dtls: Dtls,
        sent: Vec<Vec<u8>>,
        plain: Vec<Vec<u8>>,
        closed: bool,
    }

    impl End {
        fn new(is_client: bool, now: Instant) -> Self {
            let identity = identity::own().expect("one");
            let timeout = Duration::from_secs(10);
            let dtls = Dtls::new(identity, is_client, identity.fingerprint, timeout, now).expect("an end");
            Self { dtls, sent: Vec::new(), plain: Vec::new(), closed: false }
        }

        fn run(
            &mut self,
            run: impl FnOnce(&mut Dtls, &mut dyn FnMut(Outcome<'_>)) -> Result<(), String>,
        ) -> Result<(), String> {
            let Self { dtls, sent, plain, closed } = self;
            run(dtls, &mut |outcome| match outcome {
                Outcome::Datagram(bytes) => sent.push(bytes.to_vec()),
                Outcome::Plain(bytes) => plain.push(bytes.to_vec()),
                Outcome::Closed => *closed = true,
                Outcome::Connected => {}
            })
        }

        fn hears(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
            self.run(|dtls, each| dtls.handle_datagram(now, datagram, each))
        }
    }

    /// Both with all that was said, once they are connected.
    fn connected(now: &mut Instant) -> (End, End, Vec<Vec<u8>>) {
        let (mut client, mut server) = (End::new(true, *now), End::new(false, *now));
        let mut said = Vec::new();
        for _ in 0..50 {
            if client.dtls.is_connected() && server.dtls.is_connected() {
                break;
            }
            *now += Duration::from_millis(10);
            for end in [&mut client, &mut server] {
                end.run(|dtls, each| dtls.handle_timeout(*now, each)).expect("nothing is wrong");
            }
            let (there, back) = (std::mem::take(&mut client.sent), std::mem::take(&mut server.sent));
            there.iter().for_each(|datagram| server.hears(*now, datagram).expect("the client's"));
            back.iter().for_each(|datagram| client.hears(*now, datagram).expect("the server's"));
            said.extend(there);
            said.extend(back);
        }
        assert!(client.dtls.is_connected() && server.dtls.is_connected());
        (client, server, said)
    }

    #[test]
    fn a_first_answer_that_makes_no_sense_is_passed_over() {
        let mut now = Instant::now();
        let (mut client, mut server) = (End::new(true, now), End::new(false, now));
        for nonsense in [&[22; 40][..], &[0x2f; 100], &[23, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7]] {
            client.hears(now, nonsense).expect("passed over");
        }
        for _ in 0..50 {
            now += Duration::from_millis(10);
            for end in [&mut client, &mut server] {
                end.run(|dtls, each| dtls.handle_timeout(now, each)).expect("nothing is wrong");
            }
            std::mem::take(&mut client.sent).iter().for_each(|each| server.hears(now, each).expect("good"));
            std::mem::take(&mut server.sent).iter().for_each(|each| client.hears(now, each).expect("good"));
        }
        assert!(client.dtls.is_connected() && server.dtls.is_connected());
    }

    #[test]
    fn nothing_forged_repeated_or_cut_ends_a_connection_that_stands() {
        let mut now = Instant::now();
        let (mut client, mut server, mut said) = connected(&mut now);
        server.run(|dtls, each| dtls.seal(b"hello", each)).expect("sealed");
        said.push(server.sent.pop().expect("a record"));
        let mut seed = 7_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        let mut bad = std::collections::BTreeSet::new();
        for round in 0..4000 {
            now += Duration::from_micros(100);
            let mut datagram = said[random() % said.len()].clone();
            match random() % 5 {
                0 => {}
                1 => datagram.truncate(random() % datagram.len()),
                2 => (0..=random() % 4).for_each(|_| {
                    let at = random() % datagram.len();
                    datagram[at] = random() as u8;
                }),
                3 => datagram = (0..random() % 60).map(|_| random() as u8).collect(),
                // A goodbye, or some other alert, without any key.
                _ => {
                    datagram = vec![
                        21,
                        254,
                        253,
                        0,
                        0,
                        0,
                        0,
                        0,
                        random() as u8,
                        0,
                        9,
                        0,
                        2,
                        1 + (random() % 2) as u8,
                        0,
                    ];
                }
            }
            for end in [&mut client, &mut server] {
                if let Err(error) = end.hears(now, &datagram) {
                    bad.insert(error);
                }
                if end.closed {
                    bad.insert(format!("closed by {datagram:?} in round {round}"));
                }
            }
        }
        assert!(bad.is_empty(), "{bad:?}");
        client.sent.clear();
        client.run(|dtls, each| dtls.seal(b"there", each)).expect("sealed");
        let last = client.sent.pop().expect("a record");
        server.hears(now, &last).expect("good");
        assert_eq!(server.plain.last().map(Vec::as_slice), Some(&b"there"[..]));
    }
}

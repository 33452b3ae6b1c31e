//! A real TURN server, over real sockets of the own machine: UDP, TCP and TLS, both address families, wrong passwords, and
//! packets of the server's with bytes changed.
//!
//! The program is named in `FERRY_TEST_COTURN`; where there is none, these tests skip and say so.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::super::*;
use super::world::{config, ms};

const VARIABLE: &str = "FERRY_TEST_COTURN";

/// Between two looks at all the sockets, which are of three kinds.
const TICK: Duration = Duration::from_micros(100);

struct Coturn {
    process: Child,
    folder: PathBuf,
    port: u16,
    tls_port: u16,
    certificate: String,
}

impl Coturn {
    fn start() -> Option<Coturn> {
        let Some(program) = std::env::var_os(VARIABLE) else {
            println!("skipped: {VARIABLE} names no turnserver");
            return None;
        };
        let folder = std::env::temp_dir().join(format!(
            "ferry-coturn-{}-{}",
            std::process::id(),
            crate::random::word()
        ));
        std::fs::create_dir_all(&folder).expect("a folder");
        let pair = crate::tls::self_signed(&["localhost".to_owned()], 30).expect("a pair");
        std::fs::write(folder.join("cert.pem"), &pair.certificate).expect("written");
        std::fs::write(folder.join("key.pem"), &pair.key).expect("written");
        let (port, tls_port) = (free_port(), free_port());
        let place = folder.display();
        let settings = format!(
            "listening-ip=127.0.0.1\nlistening-ip=::1\nrelay-ip=127.0.0.1\nrelay-ip=::1\n\
             listening-port={port}\ntls-listening-port={tls_port}\nlt-cred-mech\nuser=ferry:secret\nrealm=test\n\
             cert={place}/cert.pem\npkey={place}/key.pem\nallow-loopback-peers\nno-cli\nno-rfc5780\n\
             pidfile={place}/pid\nuserdb={place}/db\nlog-file=stdout\n",
        );
        std::fs::write(folder.join("settings"), settings).expect("written");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let process = Command::new(program)
            .arg("-c")
            .arg(folder.join("settings"))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let coturn = Coturn { process, folder, port, tls_port, certificate: pair.certificate };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", tls_port)).is_err() {
            assert!(Instant::now() < until, "turnserver does not listen");
            std::thread::sleep(ms(20));
        }
        Some(coturn)
    }

    fn server(&self, how: &str, password: &str) -> Server {
        let url = match how {
            "udp" => format!("turn:127.0.0.1:{}?transport=udp", self.port),
            "udp6" => format!("turn:[::1]:{}?transport=udp", self.port),
            "tcp" => format!("turn:127.0.0.1:{}?transport=tcp", self.port),
            "tls" => format!("turns:localhost:{}?transport=tcp", self.tls_port),
            _ => format!("stun:127.0.0.1:{}", self.port),
        };
        Server::parse(&url, "ferry", password).expect("good")
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// An agent with real sockets.
struct Machine {
    agent: Agent,
    credentials: Credentials,
    sockets: Vec<UdpSocket>,
    streams: HashMap<Token, Stream>,
    roots: Arc<ClientConfig>,
    lines: Vec<String>,
    troubles: Vec<String>,
    data: Vec<Bytes>,
    /// Packets that left as channel data.
    on_channels: u32,
    /// Before each packet, it also gets some with changed bytes.
    corrupt: bool,
    changed: u32,
}

impl Machine {
    fn new(coturn: &Coturn, controlling: bool, servers: Vec<Server>, relay_only: bool) -> Machine {
        let credentials = Credentials::random();
        let settings = Config { servers, relay_only, ..config(controlling) };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(coturn.certificate.as_bytes()).expect("a pem"))
            .expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("good versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut machine = Machine {
            agent: Agent::new(settings, credentials.clone(), Instant::now()),
            credentials,
            sockets: Vec::new(),
            streams: HashMap::new(),
            roots: Arc::new(tls),
            lines: Vec::new(),
            troubles: Vec::new(),
            data: Vec::new(),
            on_channels: 0,
            corrupt: false,
            changed: 0,
        };
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(place) else { continue };
            socket.set_nonblocking(true).expect("set");
            machine.agent.add_base(Instant::now(), socket.local_addr().expect("bound"));
            machine.sockets.push(socket);
        }
        machine.agent.bases_complete(Instant::now());
        machine
    }

    fn step(&mut self) {
        let mut buffer = [0; 2048];
        for place in 0..self.sockets.len() {
            let local = self.sockets[place].local_addr().expect("bound");
            while let Ok((length, from)) = self.sockets[place].recv_from(&mut buffer) {
                self.corrupted(&buffer[..length], |agent, bytes, data| {
                    agent.handle_datagram(Instant::now(), local, from, bytes, data);
                });
                self.agent.handle_datagram(Instant::now(), local, from, &buffer[..length], &mut self.data);
            }
        }
        for token in self.streams.keys().copied().collect::<Vec<_>>() {
            loop {
                let read = match self.streams.get_mut(&token) {
                    Some(Stream::Plain(stream)) => stream.read(&mut buffer),
                    Some(Stream::Tls(stream)) => stream.read(&mut buffer),
                    None => break,
                };
                match read {
                    Ok(0) => self.end(token, "closed"),
                    Ok(length) => {
                        self.agent.stream_received(Instant::now(), token, &buffer[..length], &mut self.data);
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        break;
                    }
                    Err(error) => self.end(token, &error.to_string()),
                }
            }
        }
        self.agent.handle_timeout(Instant::now());
        self.drain();
        std::thread::sleep(TICK);
    }

    fn corrupted(&mut self, bytes: &[u8], mut hand: impl FnMut(&mut Agent, &[u8], &mut Vec<Bytes>)) {
        if !self.corrupt || bytes.is_empty() {
            return;
        }
        for _ in 0..20 {
            let mut bytes = bytes.to_vec();
            let place = crate::random::word() as usize % bytes.len();
            match crate::random::word() % 3 {
                0 => bytes.truncate(place),
                1 => bytes[place] ^= 1 << (crate::random::word() % 8),
                _ => bytes[place] = crate::random::word() as u8,
            }
            self.changed += 1;
            hand(&mut self.agent, &bytes, &mut Vec::new());
        }
    }

    fn end(&mut self, token: Token, why: &str) {
        self.streams.remove(&token);
        self.agent.stream_ended(Instant::now(), token, why);
    }

    fn drain(&mut self) {
        while let Some(want) = self.agent.poll_want() {
            match want {
                Want::Resolve { token, name, .. } => {
                    assert_eq!(name, "localhost");
                    let found = Ok(vec![[127, 0, 0, 1].into()]);
                    self.agent.resolved(Instant::now(), token, found);
                }
                Want::OpenStream { token, address, tls_name } => self.open(token, address, tls_name),
                Want::CloseStream { token } => drop(self.streams.remove(&token)),
            }
        }
        while let Some(Transmit { by, bytes }) = self.agent.poll_transmit() {
            self.on_channels += u32::from(bytes[0] == 0x40);
            match by {
                Via::Socket { local, remote } => {
                    let socket =
                        self.sockets.iter().find(|socket| socket.local_addr().expect("bound") == local);
                    let _ = socket.expect("one of ours").send_to(&bytes, remote);
                }
                Via::Stream(token) => match self.streams.get_mut(&token) {
                    Some(Stream::Plain(stream)) => stream.write_all(&bytes).expect("written"),
                    Some(Stream::Tls(stream)) => stream.write_all(&bytes).expect("written"),
                    None => {}
                },
            }
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Candidate(line) => self.lines.push(line),
                Event::GatheringTrouble { server, text } => self.troubles.push(format!("{server}: {text}")),
                Event::State(_) | Event::GatheringChanged(_) => {}
            }
        }
    }

    fn open(&mut self, token: Token, address: SocketAddr, tls_name: Option<String>) {
        let stream = TcpStream::connect(address).expect("connected");
        let local = stream.local_addr().expect("connected");
        stream.set_nonblocking(tls_name.is_none()).expect("set");
        let stream = match tls_name {
            None => Stream::Plain(stream),
            Some(name) => {
                let name = ServerName::try_from(name).expect("a name");
                let tls = ClientConnection::new(self.roots.clone(), name).expect("good settings");
                let mut tls = StreamOwned::new(tls, stream);
                tls.conn.complete_io(&mut tls.sock).expect("the handshake");
                tls.sock.set_nonblocking(true).expect("set");
                Stream::Tls(Box::new(tls))
            }
        };
        self.streams.insert(token, stream);
        self.agent.stream_opened(Instant::now(), token, local);
    }

    fn gather(&mut self) -> Duration {
        let begin = Instant::now();
        while self.agent.gathering_state() != GatheringState::Complete {
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", self.troubles);
            self.step();
        }
        begin.elapsed()
    }
}

fn until(machines: &mut [Machine; 2], what: &str, done: impl Fn(&[Machine; 2]) -> bool) {
    let begin = Instant::now();
    while !done(machines) {
        let troubles = machines.each_ref().map(|machine| &machine.troubles);
        assert!(begin.elapsed() < Duration::from_secs(15), "{what}: {troubles:?}");
        machines.iter_mut().for_each(Machine::step);
    }
}

fn connect(machines: &mut [Machine; 2]) {
    for side in 0..2 {
        let other = machines[1 - side].credentials.clone();
        let lines = machines[1 - side].lines.clone();
        let agent = &mut machines[side].agent;
        agent.set_remote_credentials(Instant::now(), other).expect("good");
        for line in lines {
            agent.add_remote_candidate(Instant::now(), &line).expect("good");
        }
    }
    until(machines, "connected", |machines| {
        machines.iter().all(|machine| machine.agent.state() == State::Connected)
    });
}

/// Sends until both have bound channels for it.
fn go_over_to_channels(machines: &mut [Machine; 2]) {
    let begin = Instant::now();
    while machines.iter().any(|machine| machine.on_channels == 0) {
        assert!(begin.elapsed() < Duration::from_secs(5), "no channel was bound");
        for machine in machines.iter_mut() {
            assert!(machine.agent.send(Instant::now(), b"\x17"));
            machine.step();
        }
    }
}

/// Packets of every length, so that paddings are all met, both ways; checks may lose some, so each is sent until it came.
fn exchange(machines: &mut [Machine; 2]) {
    for length in [1_usize, 2, 3, 4, 5, 63, 64, 600, 1199, 1200].into_iter().chain(100..108) {
        for from in 0..2 {
            let packet = vec![0x17; length];
            machines[1 - from].data.clear();
            assert!(machines[from].agent.send(Instant::now(), &packet));
            let arrived =
                |machines: &[Machine; 2]| machines[1 - from].data.iter().any(|data| *data == packet);
            until(machines, "data", arrived);
        }
    }
}

#[test]
fn relays_over_udp_tcp_and_tls_carry_data_whatever_the_other_end_uses() {
    let Some(coturn) = Coturn::start() else { return };
    for (one, other) in [("udp", "udp"), ("tcp", "udp"), ("tls", "tcp"), ("udp", "tls"), ("udp6", "tcp")] {
        let mut machines = [(one, true), (other, false)].map(|(how, controlling)| {
            Machine::new(&coturn, controlling, vec![coturn.server(how, "secret")], true)
        });
        let took = machines.each_mut().map(Machine::gather);
        for machine in &machines {
            assert!(machine.troubles.is_empty(), "{:?}", machine.troubles);
            assert!(
                machine.lines.iter().all(|line| line.contains(" typ relay raddr ")),
                "{:?}",
                machine.lines
            );
            assert!(machine.lines.iter().any(|line| line.contains(" 127.0.0.1 ")), "{:?}", machine.lines);
        }
        let begin = Instant::now();
        connect(&mut machines);
        println!("{one} and {other}: gathered in {took:?}, connected in {:?}", begin.elapsed());
        for machine in &machines {
            assert!(machine.agent.selected().expect("connected").relayed);
            assert_eq!(machine.agent.path(), Some(Path::Relayed));
        }
        exchange(&mut machines);
        go_over_to_channels(&mut machines);
        exchange(&mut machines);
        for machine in &mut machines {
            machine.agent.close(Instant::now());
            machine.drain();
            assert!(machine.streams.is_empty());
        }
    }
}

#[test]
fn with_all_kinds_of_candidates_the_direct_way_wins() {
    let Some(coturn) = Coturn::start() else { return };
    let servers: Vec<Server> =
        ["stun", "udp", "tcp", "tls"].iter().map(|how| coturn.server(how, "secret")).collect();
    let mut machines =
        [true, false].map(|controlling| Machine::new(&coturn, controlling, servers.clone(), false));
    for machine in &mut machines {
        machine.gather();
        assert!(machine.troubles.is_empty(), "{:?}", machine.troubles);
        let relays = machine.lines.iter().filter(|line| line.contains("typ relay")).count();
        assert!(relays >= 3, "{:?}", machine.lines);
    }
    connect(&mut machines);
    until(&mut machines, "a direct way", |machines| {
        machines.iter().all(|machine| !machine.agent.selected().expect("connected").relayed)
    });
    exchange(&mut machines);
}

#[test]
fn a_wrong_password_is_told_at_once_and_gathering_completes() {
    let Some(coturn) = Coturn::start() else { return };
    for how in ["udp", "tcp", "tls"] {
        let mut machine = Machine::new(&coturn, true, vec![coturn.server(how, "wrong")], true);
        let took = machine.gather();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(machine.troubles[0].contains("401"), "{:?}", machine.troubles);
        assert!(machine.lines.is_empty());
    }
}

#[test]
fn changed_bytes_of_the_servers_packets_do_no_harm() {
    let Some(coturn) = Coturn::start() else { return };
    let mut machines = [true, false]
        .map(|controlling| Machine::new(&coturn, controlling, vec![coturn.server("udp", "secret")], true));
    for machine in &mut machines {
        machine.gather();
    }
    machines.iter_mut().for_each(|machine| machine.corrupt = true);
    connect(&mut machines);
    exchange(&mut machines);
    assert!(machines.iter().all(|machine| machine.changed > 300));
}

#[test]
fn a_server_that_goes_away_takes_the_path_with_it() {
    let Some(mut coturn) = Coturn::start() else { return };
    let mut machines = [("tcp", true), ("udp", false)].map(|(how, controlling)| {
        Machine::new(&coturn, controlling, vec![coturn.server(how, "secret")], true)
    });
    for machine in &mut machines {
        machine.gather();
    }
    connect(&mut machines);
    coturn.process.kill().expect("killed");
    coturn.process.wait().expect("ended");
    until(&mut machines, "noticed", |machines| {
        machines.iter().all(|machine| machine.agent.state() == State::Disconnected)
    });
    assert!(
        machines[0].troubles.iter().any(|trouble| trouble.contains("stream")),
        "{:?}",
        machines[0].troubles
    );
}

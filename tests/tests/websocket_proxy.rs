//! A Ferry server behind a reverse proxy, as games on the internet stand: nginx takes the players, ends TLS for them, and
//! passes them on.
//!
//! `cargo xtask test` brings nginx and names it in `FERRY_TEST_NGINX`; where there is none to be had, these tests skip and
//! say so. It runs as one process in the foreground, below a folder that goes with the test.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::reason::Reason;
use ferry_net::tls;
use ferry_net::websocket::{ProxyHeader, Settings, Sockets};
use ferry_tests::brought;
use ferry_tests::players::{join_websocket, poll, serve_websocket};
use ferry_tests::project_copy::Folder;

type Peer = Multiplayer<Sockets>;

const NGINX_VARIABLE: &str = "FERRY_TEST_NGINX";

/// Whatever is waited for comes within this time, or never.
const BOUND: Duration = Duration::from_secs(20);

/// How often a port is tried that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;

/// How long nginx lets a connection be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(8);

/// Where the proxy connects to the game from, so that it can be told from the players, who come from 127.0.0.1.
const PROXY_ADDRESS: &str = "127.0.0.3";

/// What the proxy says of players on this path, as if it stood behind another.
const FORWARDED_PATH: &str = "/forwarded";
const FORWARDED_ADDRESS: &str = "2001:db8::7";

#[test]
fn players_get_in_through_a_proxy_and_long_packets_pass() {
    let Some(mut world) = World::new(Settings::default(), Limits::default()) else { return };
    let urls = [world.nginx.url("ws", ""), world.nginx.url("wss", "/a/path?with=a&query")];
    let mut clients = urls.map(|url| world.client(&url, Settings::default()));
    world.join(&mut clients);

    const LONG: usize = 1 << 20;
    world.server.set_target(0);
    for round in 0..3_u8 {
        world.server.put_packet(&vec![round; LONG]).unwrap();
        for client in &mut clients {
            client.put_packet(&vec![0x10 | round; LONG]).unwrap();
        }
    }
    world.until("all packets", &mut clients, |world, clients| {
        world.server.available_packets() == 6 && clients.iter().all(|client| client.available_packets() == 3)
    });
    for round in 0..3_u8 {
        for client in &mut clients {
            assert!(client.take_packet().unwrap() == vec![round; LONG], "down, {round}");
        }
    }
    let mut up: Vec<u8> = Vec::new();
    while let Some(packet) = world.server.take_packet() {
        assert!(packet.len() == LONG && packet.iter().all(|byte| *byte == packet[0]));
        up.push(packet[0]);
    }
    up.sort_unstable();
    assert_eq!(up, [0x10, 0x10, 0x11, 0x11, 0x12, 0x12]);

    // A goodbye goes through, too, either way.
    let id = clients[0].unique_id();
    clients[0].close();
    world.until("it left", &mut clients[1..], |world, _| world.told.len() == 2);
    assert_eq!(world.told, [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::RemoteClose.into())]);
    world.server.disconnect_peer(clients[1].unique_id(), false).unwrap();
    world.until("out", &mut clients[1..], |_, clients| clients[0].status() == Status::Disconnected);
    assert_eq!(clients[1].farewell(1).reason, Reason::Kicked);
}

#[test]
fn a_player_s_address_is_that_which_a_trusted_proxy_tells() {
    let trusting = |trusted: &str, proxy_header| Settings {
        trusted_proxies: vec![trusted.parse().unwrap()],
        proxy_header,
        ..Settings::default()
    };
    // Players may say what they like: what the proxy adds stands behind it, and the header that it leaves alone does not
    // count.
    let lies = ["X-Forwarded-For: 198.51.100.6", "Forwarded: for=198.51.100.6"];
    let somebody_else = "10.0.0.0/8";
    for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
        let (path, told) = match header {
            ProxyHeader::XForwardedFor => ("/", "127.0.0.1"),
            ProxyHeader::Forwarded => (FORWARDED_PATH, FORWARDED_ADDRESS),
        };
        for trusted in [PROXY_ADDRESS, "127.0.0.2/31"] {
            let Some(mut world) = World::new(trusting(trusted, header), Limits::default()) else { return };
            assert_eq!(address_told(&mut world, path, &[]).to_string(), told, "{header:?} of {trusted}");
            assert_eq!(address_told(&mut world, path, &lies).to_string(), told, "{header:?} of {trusted}");
        }
        let Some(mut world) = World::new(trusting(somebody_else, header), Limits::default()) else { return };
        assert_eq!(address_told(&mut world, path, &lies).to_string(), PROXY_ADDRESS, "{header:?}");
    }
}

/// What the server takes for the address of a player who comes by the proxy.
fn address_told(world: &mut World, path: &str, headers: &[&str]) -> IpAddr {
    let headers = headers.iter().map(|line| (*line).to_owned()).collect();
    let url = world.nginx.url("ws", path);
    let mut client = [world.client(&url, Settings { headers, ..Settings::default() })];
    world.join(&mut client);
    let address = world.server.stats(client[0].unique_id()).unwrap().address.unwrap();
    client[0].close();
    world.until("left", &mut [], |world, _| world.server.peer_ids().is_empty());
    address.ip()
}

#[test]
fn an_idle_connection_outlives_the_proxy_s_patience() {
    let Some(mut world) = World::new(Settings::default(), Limits::default()) else { return };
    let urls = [world.nginx.url("ws", "/"), world.nginx.url("wss", "/")];
    let mut clients = urls.map(|url| world.client(&url, Settings::default()));
    world.join(&mut clients);
    let until = Instant::now() + READ_TIMEOUT * 2 + Duration::from_secs(1);
    world.until("a long while", &mut clients, |_, _| Instant::now() > until);
    assert_eq!(world.told, [], "nobody was lost");
    world.server.set_target(0);
    world.server.put_packet(b"still there?").unwrap();
    world.until("a packet", &mut clients, |_, clients| {
        clients.iter().all(|client| client.available_packets() == 1)
    });
}

// So that the test before this one is worth something: it is the pings that keep a connection.
#[test]
fn without_pings_the_proxy_ends_an_idle_connection_and_both_ends_hear_of_it() {
    let silent = || Settings { heartbeat: Some(Duration::from_secs(600)), ..Settings::default() };
    let Some(mut world) = World::new(silent(), Limits::default()) else { return };
    let mut clients = [world.client(&world.nginx.url("ws", "/"), silent())];
    world.join(&mut clients);
    let start = Instant::now();
    world.everybody_hears_of_the_end(&mut clients);
    let took = start.elapsed();
    assert!(took > READ_TIMEOUT - Duration::from_secs(2), "{took:?}");
}

#[test]
fn everybody_hears_of_it_when_the_proxy_is_stopped() {
    for how in ["-TERM", "-KILL"] {
        let Some(mut world) = World::new(Settings::default(), Limits::default()) else { return };
        let urls = [world.nginx.url("ws", "/"), world.nginx.url("wss", "/"), world.nginx.url("ws", "/")];
        let mut clients = urls.map(|url| world.client(&url, Settings::default()));
        world.join(&mut clients);
        world.nginx.signal(how);
        let start = Instant::now();
        world.everybody_hears_of_the_end(&mut clients);
        assert!(start.elapsed() < Duration::from_secs(5), "{how}: {:?}", start.elapsed());
    }
}

#[test]
fn a_server_that_is_away_is_a_refused_handshake() {
    let Some(mut world) = World::new(Settings::default(), Limits::default()) else { return };
    world.server.close();
    let mut clients = [world.client(&world.nginx.url("ws", "/"), Settings::default())];
    world.until("told", &mut clients, |_, clients| clients[0].status() == Status::Disconnected);
    let farewell = clients[0].farewell(1);
    assert_eq!(farewell.reason, Reason::Handshake, "{farewell}");
    assert!(farewell.detail.contains("502"), "{farewell}");
}

/// A game's server, and the proxy before it.
struct World {
    server: Peer,
    /// What the server was told, but for who came.
    told: Vec<Notice>,
    nginx: Nginx,
}

impl World {
    /// None, with a word, where there is no nginx to be had.
    fn new(settings: Settings, limits: Limits) -> Option<Self> {
        let program = brought::or_skip(NGINX_VARIABLE)?;
        let (server, port) = serve_websocket(settings, limits);
        Some(Self { server, told: Vec::new(), nginx: Nginx::start(&program, port) })
    }

    fn client(&self, url: &str, settings: Settings) -> Peer {
        join_websocket(url, Some(self.nginx.certificate.clone()), settings, Limits::default())
    }

    fn join(&mut self, clients: &mut [Peer]) {
        let wanted = clients.len();
        self.until("in", clients, |world, clients| {
            for client in clients.iter() {
                assert_ne!(client.status(), Status::Disconnected, "{}", client.farewell(1));
            }
            clients.iter().all(|client| client.status() == Status::Connected)
                && world.server.peer_ids().len() == wanted
        });
    }

    /// Polls all until the condition holds.
    fn until(
        &mut self,
        what: &str,
        clients: &mut [Peer],
        mut condition: impl FnMut(&mut Self, &mut [Peer]) -> bool,
    ) {
        let start = Instant::now();
        loop {
            let told = poll(&mut self.server);
            self.told.extend(told.into_iter().filter(|notice| !matches!(notice, Notice::PeerConnected(_))));
            for client in clients.iter_mut() {
                drop(poll(client));
            }
            if condition(self, clients) {
                return;
            }
            assert!(start.elapsed() < BOUND, "not in time: {what}; the server was told {:?}", self.told);
            sleep(Duration::from_millis(1));
        }
    }

    /// No end said goodbye: the connections just ended.
    fn everybody_hears_of_the_end(&mut self, clients: &mut [Peer]) {
        let wanted = 2 * clients.len();
        self.until("everybody knows", clients, |world, clients| {
            world.told.len() >= wanted && clients.iter().all(|client| client.status() == Status::Disconnected)
        });
        let hung_up = |reason| matches!(reason, Reason::RemoteClose | Reason::Network);
        for client in clients {
            assert!(hung_up(client.farewell(1).reason), "{}", client.farewell(1));
        }
        for notice in &self.told {
            let Notice::PeerLost(_, farewell) = notice else { continue };
            assert!(hung_up(farewell.reason), "{farewell}");
        }
    }
}

/// A running nginx that passes everybody on to one port.
struct Nginx {
    child: Child,
    plain_port: u16,
    secure_port: u16,
    /// In PEM, for its clients to trust.
    certificate: String,
    _folder: Folder,
}

impl Nginx {
    fn start(program: &std::path::Path, game_port: u16) -> Self {
        let pair = tls::self_signed(&["localhost".to_owned()], 2).unwrap();
        let mut said = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let [plain_port, secure_port] = free_ports();
            let folder = Folder::new(&format!("ferry-nginx-{plain_port}"));
            let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
            write("certificate.pem", &pair.certificate);
            write("key.pem", &pair.key);
            write("nginx.conf", &configuration(plain_port, secure_port, game_port));
            let mut command = Command::new(program);
            command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
            let certificate = pair.certificate.clone();
            let mut nginx = Self { child, plain_port, secure_port, certificate, _folder: folder };
            match nginx.wait_until_it_listens() {
                Ok(()) => return nginx,
                Err(text) => said = text,
            }
        }
        panic!("nginx does not start: {said}");
    }

    /// The error is what it said before it ended: somebody else may have one of the ports.
    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                let mut said = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                return Err(said);
            }
            if [self.plain_port, self.secure_port]
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
            {
                return Ok(());
            }
            assert!(start.elapsed() < BOUND, "nginx does not listen");
            sleep(Duration::from_millis(10));
        }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        match scheme {
            "wss" => format!("wss://localhost:{}{path}", self.secure_port),
            _ => format!("ws://127.0.0.1:{}{path}", self.plain_port),
        }
    }

    fn signal(&mut self, signal: &str) {
        // It was not waited for, so that the id is still its own.
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    listeners.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

/// As its manual has it for WebSocket, and as little more as will do.
fn configuration(plain_port: u16, secure_port: u16, game_port: u16) -> String {
    let seconds = READ_TIMEOUT.as_secs();
    let pass = format!(
        "proxy_pass http://127.0.0.1:{game_port};
            proxy_bind {PROXY_ADDRESS};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_read_timeout {seconds}s;
            proxy_send_timeout {seconds}s;"
    );
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{plain_port};
        listen 127.0.0.1:{secure_port} ssl;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        location / {{
            {pass}
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
        location {FORWARDED_PATH} {{
            {pass}
            proxy_set_header Forwarded 'for=\"[{FORWARDED_ADDRESS}]:4711\";proto=https';
        }}
    }}
}}
"
    )
}

//! A real STUN and TURN server, for the time of a test.
//!
//! `cargo xtask test` brings coturn and names its program in `FERRY_TEST_COTURN`; where there is none to be had, the tests that
//! need it skip and say so. It knows one user, shows a certificate of its own, and lets players relay to addresses of the
//! machine that it runs on, which a server on the internet must not.

use std::fs;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::tls;
use ferry_net::webrtc::{Server, Settings};

use crate::brought;
use crate::ports::free_port;
use crate::project_copy::Folder;

const VARIABLE: &str = "FERRY_TEST_COTURN";

/// It listens within a second; on a loaded machine, some.
const START_BOUND: Duration = Duration::from_secs(20);

/// How often ports are tried that were free a moment ago.
const PORT_ATTEMPTS: usize = 5;

const USER: &str = "ferry";

/// The user's password.
pub const PASSWORD: &str = "secret";

/// How a relay is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// An encrypted stream.
    Tls,
}

/// The server. It ends with this object.
pub struct Coturn {
    process: Child,
    address: IpAddr,
    port: u16,
    tls_port: u16,
    certificate: String,
    folder: Folder,
}

impl Coturn {
    /// Starts it at an address of this machine, with these lines of settings beside the usual ones. Skips, with a word, where
    /// there is none to be had.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(address: IpAddr, settings: &str) -> Option<Self> {
        let program = brought::or_skip(VARIABLE)?;
        let started = (0..PORT_ATTEMPTS).find_map(|_| Self::try_start(&program, address, settings));
        Some(started.expect("coturn starts"))
    }

    /// Starts it at the loopback address, with the usual settings.
    #[must_use]
    pub fn on_loopback() -> Option<Self> {
        Self::start([127, 0, 0, 1].into(), "")
    }

    /// None if somebody else took a port meanwhile.
    fn try_start(program: &Path, address: IpAddr, more: &str) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let folder = Folder::new(&format!("coturn-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
        let names = ["localhost".to_owned(), address.to_string()];
        let pair = tls::self_signed(&names, 30).expect("a certificate");
        fs::write(folder.path().join("cert.pem"), &pair.certificate).expect("written");
        fs::write(folder.path().join("key.pem"), &pair.key).expect("written");
        let (port, tls_port) = (free_port(address), free_port(address));
        let place = folder.path().display();
        let settings = format!(
            "listening-ip={address}\nrelay-ip={address}\nlistening-port={port}\ntls-listening-port={tls_port}\n\
             lt-cred-mech\nuser={USER}:{PASSWORD}\nrealm=ferry\ncert={place}/cert.pem\npkey={place}/key.pem\n\
             allow-loopback-peers\nno-cli\nno-rfc5780\npidfile={place}/pid\nuserdb={place}/db\n\
             relay-threads=1\nlog-file=stdout\n{more}\n",
        );
        fs::write(folder.path().join("settings"), settings).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.path().join("settings")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let process = command.spawn().expect("it is there");
        let mut coturn = Self { process, address, port, tls_port, certificate: pair.certificate, folder };
        coturn.listens().then_some(coturn)
    }

    /// Waits until both ports take connections.
    fn listens(&mut self) -> bool {
        let start = Instant::now();
        let open = |port| TcpStream::connect((self.address, port)).is_ok();
        while !(open(self.port) && open(self.tls_port)) {
            assert!(start.elapsed() < START_BOUND, "coturn does not listen: {}", self.log());
            if self.process.try_wait().expect("it can be waited for").is_some() {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }

    /// Its URL as a relay.
    #[must_use]
    pub fn relay_url(&self, by: By) -> String {
        let Self { address, port, tls_port, .. } = self;
        match by {
            By::Udp => format!("turn:{address}:{port}?transport=udp"),
            By::Tcp => format!("turn:{address}:{port}?transport=tcp"),
            By::Tls => format!("turns:{address}:{tls_port}?transport=tcp"),
        }
    }

    /// Its URL as a server that only tells addresses.
    #[must_use]
    pub fn stun_url(&self) -> String {
        format!("stun:{}:{}", self.address, self.port)
    }

    /// It as a relay.
    #[must_use]
    pub fn relay(&self, by: By, password: &str) -> Server {
        server(&self.relay_url(by), password)
    }

    /// It as a server that only tells addresses.
    #[must_use]
    pub fn stun(&self) -> Server {
        server(&self.stun_url(), PASSWORD)
    }

    /// Settings of a player who knows these servers and believes in its certificate.
    ///
    /// # Panics
    /// When the certificate makes no sense.
    #[must_use]
    pub fn settings(&self, servers: Vec<Server>) -> Settings {
        let options =
            tls::ClientOptions { trusted: Some(self.certificate.clone()), ..tls::ClientOptions::default() };
        Settings {
            servers,
            trust: tls::Client::new(&options).expect("its certificate"),
            ..Settings::default()
        }
    }

    /// Ends it at once, without a word to anybody.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            println!("coturn said:\n{}", self.log());
        }
    }
}

/// A server by its URL, for the user that coturn knows.
///
/// # Panics
/// When the URL makes no sense.
#[must_use]
pub fn server(url: &str, password: &str) -> Server {
    Server::parse(url, USER, password).expect("a URL")
}

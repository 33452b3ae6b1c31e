//! The server and the honest client of the game that is played meanwhile, over ENet.

use ferry_net::bind_address::BindAddress;
use ferry_net::enet::{self, Connection, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Multiplayer;

use crate::under_attack::{self, Long};
pub(crate) use crate::under_attack::{BOUND, alone, meet, poll};

pub(crate) type Peer = Multiplayer<Connection>;
pub(crate) type Game = under_attack::Game<Connection>;

/// Cut into fragments.
const LONG: Long = Long { one_of: 16, length: 3000 };

pub(crate) fn server(settings: HostSettings, limits: Limits) -> Peer {
    let mut peer = Peer::default();
    peer.set_limits(limits);
    // IPv4, so that each loopback address is a host of its own on every system.
    let settings = HostSettings { bind: BindAddress::Ip([127, 0, 0, 1].into()), ..settings };
    peer.start_server(enet::open_server(settings, limits).unwrap()).unwrap();
    // The first poll arms it.
    poll(&mut peer);
    peer
}

pub(crate) fn client(port: u16, limits: Limits) -> Peer {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let (connection, link, id) =
        enet::open_client(settings, Target::new("127.0.0.1", port), 0, limits).unwrap();
    let mut peer = Peer::default();
    peer.set_limits(limits);
    peer.start_client(connection, link, Some(id)).unwrap();
    peer
}

pub(crate) fn port(server: &Peer) -> u16 {
    server.carrier().unwrap().local_port()
}

/// A server and a client that is in.
pub(crate) fn pair(settings: HostSettings, limits: Limits) -> (Peer, Peer) {
    let mut server = server(settings, limits);
    let mut client = client(port(&server), Limits::default());
    meet(&mut server, &mut client);
    (server, client)
}

/// The megabytes of memory that the process has in use, where the system tells.
pub(crate) fn memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

impl Game {
    pub(crate) fn new() -> Self {
        Self::with(HostSettings::default(), Limits::default())
    }

    pub(crate) fn with(settings: HostSettings, limits: Limits) -> Self {
        let (server, honest) = pair(settings, limits);
        Self::between(server, honest, LONG)
    }

    pub(crate) fn port(&self) -> u16 {
        port(&self.server)
    }
}

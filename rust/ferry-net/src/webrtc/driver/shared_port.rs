//! One UDP port for many connections: so that a server behind a firewall needs one port open.
//!
//! Each address of the machine has a socket with that port, and a task that reads it. Whose a datagram is, is told by the user
//! fragment in the checks of ICE; an answer goes to whoever asked; what else comes goes to whoever sends to that address. That
//! may be more than one, if the other end shares a port, too: each gets it then, and drops what its keys do not open. What is
//! nobody's is dropped. A datagram that its connection has no time for is dropped, too, as a full socket would.
//!
//! A check is not proven here, and its sender's address may be forged: so nothing is learned from what comes. A connection
//! sends to its candidates and answers checks that it has proven; that is what routes are made of. Each has so many of its own.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use crate::bind_address::BindAddress;
use crate::lock::lock;
use crate::udp::{AsyncPort, UdpPort};
use crate::webrtc::ice::{self, Transaction};

/// Datagrams that may wait for one connection: what a megabyte of window brings.
const WAITING: usize = 1024;

/// Addresses that may lead to one connection: candidates of the other end's, and those behind a router that changes its ports.
const ROUTES_EACH: usize = 128;

/// Connections that one address may lead to.
const SHARING: usize = 8;

/// A route that was not sent on for so long gives way: those that are in use are asked for consent each second.
const UNUSED: Duration = Duration::from_secs(3);

/// Names that one connection goes by: the last one is still good while paths are looked for anew.
const NAMES: usize = 2;

/// Questions whose answers are awaited: checks and those to servers, of all connections. The oldest are forgotten.
const QUESTIONS: usize = 4096;

/// The sockets that are open, whoever uses them.
static OPEN: Mutex<Vec<Weak<Socket>>> = Mutex::new(Vec::new());

/// A datagram: to which of our addresses, from whom, and what.
type Arrived = (SocketAddr, SocketAddr, Bytes);

struct Socket {
    local: SocketAddr,
    port: Mutex<AsyncPort>,
    routes: Mutex<Routes>,
    /// Rings when the last connection has gone.
    unused: Notify,
}

/// Names a connection of a port.
type MemberId = u64;

/// Whose what is.
#[derive(Default)]
struct Routes {
    members: HashMap<MemberId, Member>,
    by_name: HashMap<String, MemberId>,
    by_address: HashMap<SocketAddr, Vec<Route>>,
    /// Who has asked what, and in which order.
    asked: HashMap<Transaction, MemberId>,
    asked_before: VecDeque<Transaction>,
}

struct Member {
    tell: mpsc::Sender<Arrived>,
    /// So many addresses lead to it.
    routes: usize,
}

struct Route {
    member: MemberId,
    used_at: Instant,
}

impl Routes {
    /// Whom a datagram may be for.
    fn of(&self, from: SocketAddr, bytes: &[u8]) -> impl Iterator<Item = &mpsc::Sender<Arrived>> {
        let one = match ice::asked_for(bytes) {
            Some(asked) => Some(self.by_name.get(asked)),
            None => ice::answered(bytes).map(|answered| self.asked.get(&answered)),
        };
        let there = if one.is_none() { self.by_address.get(&from) } else { None };
        let all = there.into_iter().flatten().map(|route| &route.member);
        one.flatten().into_iter().chain(all).filter_map(|id| Some(&self.members.get(id)?.tell))
    }

    /// This connection sends to that address: what comes from there may be its.
    fn sends(&mut self, id: MemberId, to: SocketAddr, bytes: &[u8], now: Instant) {
        self.note_question(id, bytes);
        let there = self.by_address.entry(to).or_default();
        if let Some(route) = there.iter_mut().find(|route| route.member == id) {
            route.used_at = now;
            return;
        }
        let is_old = |route: &Route| now >= route.used_at + UNUSED;
        let gives_way = if there.len() < SHARING { None } else { there.iter().position(is_old) };
        let has_room = there.len() < SHARING || gives_way.is_some();
        let own = self.members.get_mut(&id).filter(|own| own.routes < ROUTES_EACH);
        if let Some(own) = own.filter(|_| has_room) {
            own.routes += 1;
            there.push(Route { member: id, used_at: now });
            let before = gives_way.map(|place| there.swap_remove(place).member);
            if let Some(before) = before.and_then(|before| self.members.get_mut(&before)) {
                before.routes -= 1;
            }
        }
        if self.by_address.get(&to).is_some_and(Vec::is_empty) {
            self.by_address.remove(&to);
        }
    }

    /// The answer to this, if it is a question, is for this connection.
    fn note_question(&mut self, id: MemberId, bytes: &[u8]) {
        let Some(question) = ice::question(bytes) else { return };
        // The same is asked again until there is an answer.
        if self.asked.insert(question, id).is_none() {
            self.asked_before.push_back(question);
        }
        if self.asked_before.len() > QUESTIONS
            && let Some(oldest) = self.asked_before.pop_front()
        {
            self.asked.remove(&oldest);
        }
    }

    /// Somebody has gone.
    fn forget(&mut self, id: MemberId) {
        self.members.remove(&id);
        self.by_name.retain(|_, known| *known != id);
        self.by_address.retain(|_, there| {
            there.retain(|route| route.member != id);
            !there.is_empty()
        });
    }
}

/// One connection's part in the sockets of a port.
pub(super) struct Membership {
    id: MemberId,
    sockets: Vec<Arc<Socket>>,
    /// The newest last.
    names: Vec<String>,
    channel: Option<(mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>)>,
    first: Option<Arrived>,
}

impl Membership {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        Self { id, sockets: Vec::new(), names: Vec::new(), channel: None, first: None }
    }

    /// Joins the sockets of a port, opening those that are not open; returns addresses that are new to this connection.
    pub(super) fn join(
        &mut self,
        port: u16,
        addresses: &[IpAddr],
        ufrag: &str,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut joined = Vec::new();
        let mut failure = None;
        for ip in addresses {
            let local = SocketAddr::new(*ip, port);
            if self.sockets.iter().any(|socket| socket.local == local) {
                continue;
            }
            match socket(local) {
                Ok(socket) => {
                    joined.push(local);
                    self.sockets.push(socket);
                }
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure.filter(|_| self.sockets.is_empty()) {
            return Err(error);
        }
        let (tell, _) = self.channel.get_or_insert_with(|| mpsc::channel(WAITING));
        let old = if self.names.len() >= NAMES { Some(self.names.remove(0)) } else { None };
        self.names.push(ufrag.to_owned());
        for socket in &self.sockets {
            let mut routes = lock(&socket.routes);
            routes.members.entry(self.id).or_insert_with(|| Member { tell: tell.clone(), routes: 0 });
            if let Some(old) = &old {
                routes.by_name.remove(old);
            }
            for name in &self.names {
                routes.by_name.insert(name.clone(), self.id);
            }
        }
        Ok(joined)
    }

    /// Waits until something has come.
    pub(super) async fn arrived(&mut self) {
        if self.first.is_none() {
            self.first = match &mut self.channel {
                Some((_, arrived)) => arrived.recv().await,
                None => std::future::pending().await,
            };
        }
    }

    /// Hands over what has come; false if there may be more.
    pub(super) fn read(&mut self, mut each: impl FnMut(SocketAddr, SocketAddr, &[u8])) -> bool {
        let Some((_, arrived)) = &mut self.channel else { return true };
        for _ in 0..WAITING {
            let Some((local, remote, bytes)) = self.first.take().or_else(|| arrived.try_recv().ok()) else {
                return true;
            };
            each(local, remote, &bytes);
        }
        false
    }

    /// Sends a datagram.
    pub(super) fn send(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let Some(socket) = self.sockets.iter().find(|socket| socket.local == local) else { return };
        lock(&socket.routes).sends(self.id, remote, bytes, Instant::now());
        // What the system does not take at once is lost, as datagrams may be; whoever sent it sends it again.
        lock(&socket.port).send(remote, bytes);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        for socket in &self.sockets {
            let mut routes = lock(&socket.routes);
            routes.forget(self.id);
            if routes.members.is_empty() {
                socket.unused.notify_one();
            }
        }
    }
}

/// The socket of this address, opened if nobody has it open.
fn socket(local: SocketAddr) -> io::Result<Arc<Socket>> {
    let mut open = lock(&OPEN);
    open.retain(|socket| socket.strong_count() > 0);
    if let Some(socket) = open.iter().filter_map(Weak::upgrade).find(|socket| socket.local == local) {
        return Ok(socket);
    }
    let port = UdpPort::bind(BindAddress::Ip(local.ip()), local.port())
        .and_then(UdpPort::into_async)
        .map_err(|error| io::Error::new(error.kind(), format!("the shared port {local}: {error}")))?;
    let socket =
        Arc::new(Socket { local, port: Mutex::new(port), routes: Mutex::default(), unused: Notify::new() });
    open.push(Arc::downgrade(&socket));
    tokio::spawn(read(socket.clone()));
    Ok(socket)
}

/// Reads a socket for as long as somebody uses it.
async fn read(socket: Arc<Socket>) {
    loop {
        tokio::select! {
            () = std::future::poll_fn(|context| lock(&socket.port).poll_readable(context)) => {}
            () = socket.unused.notified() => {
                if lock(&socket.routes).members.is_empty() {
                    return;
                }
            }
        }
        let received = lock(&socket.port).receive(|from, datagram| {
            let mut bytes = None;
            for tell in lock(&socket.routes).of(from, datagram) {
                let bytes = bytes.get_or_insert_with(|| Bytes::copy_from_slice(datagram)).clone();
                // Full: lost, as in a full socket.
                let _ = tell.try_send((socket.local, from, bytes));
            }
        });
        match received {
            Ok(0) => {}
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                tracing::error!("the port {} has failed: {error}", socket.local);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    /// A port with so many connections on it.
    fn routes(members: u64) -> (Routes, Vec<mpsc::Receiver<Arrived>>) {
        let mut routes = Routes::default();
        let mut ends = Vec::new();
        for id in 0..members {
            let (tell, told) = mpsc::channel(1);
            routes.members.insert(id, Member { tell, routes: 0 });
            routes.by_name.insert(format!("name{id}"), id);
            ends.push(told);
        }
        (routes, ends)
    }

    fn whose(routes: &Routes, from: SocketAddr, bytes: &[u8]) -> Vec<u64> {
        let name = |tell: &mpsc::Sender<Arrived>| {
            routes.members.iter().find(|(_, member)| member.tell.same_channel(tell)).map(|(id, _)| *id)
        };
        routes.of(from, bytes).filter_map(name).collect()
    }

    /// A check as anybody can write it who has seen the name.
    fn check(name: &str) -> Vec<u8> {
        let user = format!("{name}:them");
        let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        bytes.extend_from_slice(&[7; 12]);
        bytes.extend_from_slice(&[0, 6, 0, user.len() as u8]);
        bytes.extend_from_slice(user.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[3] = (bytes.len() - 20) as u8;
        bytes
    }

    const DATA: [u8; 50] = [22; 50];

    /// A player's checks from any number of ports used to fill the table, and nobody else could connect; and one with another's
    /// address in it, which is easily forged, took his datagrams away.
    #[test]
    fn checks_lead_to_whom_they_name_and_change_nobodys_routes() {
        let (mut routes, _ends) = routes(2);
        routes.sends(0, address(1), &DATA, Instant::now());
        for port in 1..2000 {
            assert_eq!(whose(&routes, address(port), &check("name1")), [1]);
        }
        assert_eq!(whose(&routes, address(1), &DATA), [0]);
        assert_eq!(whose(&routes, address(2), &DATA), []);
    }

    #[test]
    fn an_address_that_several_send_to_leads_to_each_and_those_in_use_stay() {
        let (mut routes, _ends) = routes(SHARING as u64 + 1);
        let now = Instant::now();
        (0..=SHARING as u64).for_each(|id| routes.sends(id, address(1), &DATA, now));
        let all: Vec<u64> = (0..SHARING as u64).collect();
        assert_eq!(whose(&routes, address(1), &DATA), all);
        let later = now + UNUSED;
        (1..SHARING as u64).for_each(|id| routes.sends(id, address(1), &DATA, later));
        routes.sends(SHARING as u64, address(1), &DATA, later);
        let there = whose(&routes, address(1), &DATA);
        assert!(there.contains(&(SHARING as u64)) && !there.contains(&0), "{there:?}");
    }

    #[test]
    fn an_answer_goes_to_whoever_asked() {
        let (mut routes, _ends) = routes(2);
        let now = Instant::now();
        let question = check("theirs");
        routes.sends(0, address(1), &question, now);
        routes.sends(1, address(1), &DATA, now);
        let mut answer = question;
        (answer[0], answer[1]) = (1, 1);
        assert_eq!(whose(&routes, address(1), &answer), [0]);
        answer[10] = 9;
        assert_eq!(whose(&routes, address(1), &answer), []);
    }

    #[test]
    fn routes_are_bounded_for_each_and_go_with_their_owner() {
        let (mut routes, _ends) = routes(2);
        let now = Instant::now();
        (1..2000).for_each(|port| routes.sends(0, address(port), &DATA, now));
        assert_eq!(routes.by_address.len(), ROUTES_EACH);
        routes.sends(1, address(5000), &DATA, now);
        assert_eq!(whose(&routes, address(5000), &DATA), [1]);
        routes.forget(0);
        assert_eq!((routes.by_address.len(), routes.by_name.len(), routes.members.len()), (1, 1, 1));
    }
}

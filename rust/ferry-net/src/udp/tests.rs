//! The port against plain sockets on this machine. Where the machine has no IPv6, the tests that need it say so and pass.

use std::collections::HashSet;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket as Plain};
use std::time::Duration;

use super::*;

/// More than enough for anything on one machine.
const PATIENCE: Duration = Duration::from_secs(10);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn run<F: Future>(body: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, body).await.expect("it takes too long") })
}

fn open(address: BindAddress) -> AsyncPort {
    UdpPort::bind(address, 0).expect("a free port").into_async().expect("in a runtime")
}

fn plain(ip: IpAddr) -> Plain {
    let socket = Plain::bind((ip, 0)).expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket
}

fn has_ipv6() -> bool {
    let found = Plain::bind((V6, 0)).is_ok();
    if !found {
        eprintln!("this machine has no IPv6: not tested");
    }
    found
}

/// Takes datagrams until there were this many.
async fn take(port: &mut AsyncPort, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        port.readable().await;
        while port.receive(|from, datagram| taken.push((from, datagram.to_vec()))).expect("a socket") > 0 {}
    }
    taken
}

fn put(outgoing: &mut Outgoing, to: SocketAddr, datagram: &[u8]) {
    outgoing.buffer().expect("there is room")[..datagram.len()].copy_from_slice(datagram);
    outgoing.push(to, datagram.len());
}

async fn flush(port: &mut AsyncPort, outgoing: &mut Outgoing) -> Sent {
    let mut all = Sent::default();
    loop {
        let sent = port.flush(outgoing).expect("a socket");
        all.sent += sent.sent;
        all.skipped += sent.skipped;
        if !sent.blocked {
            return all;
        }
        port.writable().await;
    }
}

fn answer_to(socket: &Plain) -> Vec<u8> {
    let mut buffer = [0; 8192];
    let (len, _) = socket.recv_from(&mut buffer).expect("an answer");
    buffer[..len].to_vec()
}

#[test]
fn a_port_is_chosen_without_a_runtime_and_told() {
    let port = UdpPort::bind(BindAddress::Any, 0).expect("a free port");
    assert_ne!(port.local_address().port(), 0);
    let port = UdpPort::bind(BindAddress::Ip(V4), 0).expect("a free port");
    assert_eq!(port.local_address().ip(), V4);
}

#[test]
fn a_port_in_use_is_an_error_and_free_once_its_owner_is_gone() {
    for address in [BindAddress::Any, BindAddress::Ip(V4)] {
        let port = UdpPort::bind(address, 0).expect("a free port");
        let number = port.local_address().port();
        let second = UdpPort::bind(address, number);
        assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        let async_port = run(async { port.into_async() }).expect("in a runtime");
        assert!(UdpPort::bind(address, number).is_err());
        drop(async_port);
        UdpPort::bind(address, number).expect("it is free again");
    }
}

#[test]
fn a_port_that_ipv4_uses_is_in_use_for_all_addresses() {
    let taken = Plain::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let number = taken.local_addr().expect("it is bound").port();
    let error = UdpPort::bind(BindAddress::Any, number).expect_err("it is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn an_address_of_another_machine_cannot_be_bound() {
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert!(UdpPort::bind(BindAddress::Ip(elsewhere), 0).is_err());
}

#[test]
fn one_port_talks_to_ipv4_and_ipv6_and_shows_their_own_addresses() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let mut port = open(BindAddress::Any);
        assert!(port.reaches_ipv6());
        let number = port.local_address().port();
        let clients = [plain(V4), plain(V6)];
        for (client, ip) in clients.iter().zip([V4, V6]) {
            client.send_to(b"hello", (ip, number)).expect("sent");
        }
        let mut outgoing = Outgoing::new();
        for (from, datagram) in take(&mut port, 2).await {
            assert_eq!(datagram, b"hello");
            assert!(clients.iter().any(|client| client.local_addr().expect("it is bound") == from), "{from}");
            put(&mut outgoing, from, from.to_string().as_bytes());
        }
        assert_eq!(flush(&mut port, &mut outgoing).await, Sent { sent: 2, ..Sent::default() });
        for client in &clients {
            let own = client.local_addr().expect("it is bound").to_string();
            assert_eq!(answer_to(client), own.as_bytes());
        }
    });
}

#[test]
fn a_port_on_ipv4_alone_skips_destinations_on_ipv6() {
    run(async {
        let mut port = open(BindAddress::Ip(V4));
        assert!(!port.reaches_ipv6());
        let client = plain(V4);
        let client_at = client.local_addr().expect("it is bound");
        let mapped = SocketAddr::new(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), client_at.port());
        let mut outgoing = Outgoing::new();
        put(&mut outgoing, SocketAddr::new(V6, 9), b"lost");
        put(&mut outgoing, client_at, b"plain");
        put(&mut outgoing, SocketAddr::new(V6, 9), b"lost");
        put(&mut outgoing, mapped, b"mapped");
        let sent = flush(&mut port, &mut outgoing).await;
        assert_eq!(sent, Sent { sent: 2, skipped: 2, blocked: false });
        assert_eq!((answer_to(&client), answer_to(&client)), (b"plain".to_vec(), b"mapped".to_vec()));
    });
}

#[test]
fn a_batch_goes_to_many_and_what_many_send_comes_in_batches() {
    run(async {
        let mut port = open(BindAddress::Ip(V4));
        let port_at = port.local_address();
        let clients: Vec<Plain> = (0..200).map(|_| plain(V4)).collect();
        for client in &clients {
            client
                .send_to(client.local_addr().expect("it is bound").to_string().as_bytes(), port_at)
                .expect("sent");
        }
        let taken = take(&mut port, clients.len()).await;
        let from: HashSet<SocketAddr> = taken.iter().map(|(from, _)| *from).collect();
        assert_eq!(from.len(), clients.len());
        assert!(taken.iter().all(|(from, datagram)| from.to_string().as_bytes() == datagram));

        let mut outgoing = Outgoing::new();
        for (index, client) in clients.iter().enumerate() {
            put(&mut outgoing, client.local_addr().expect("it is bound"), &vec![index as u8; 1 + index * 7]);
            if outgoing.buffer().is_none() || index + 1 == clients.len() {
                let waiting = outgoing.len();
                let sent = flush(&mut port, &mut outgoing).await;
                assert_eq!(sent, Sent { sent: waiting, ..Sent::default() });
            }
        }
        for (index, client) in clients.iter().enumerate() {
            assert_eq!(answer_to(client), vec![index as u8; 1 + index * 7]);
        }
    });
}

#[test]
fn a_destination_that_cannot_be_reached_costs_only_its_own_datagram() {
    run(async {
        for address in [BindAddress::Any, BindAddress::Ip(V4)] {
            let mut port = open(address);
            let client = plain(V4);
            let client_at = client.local_addr().expect("it is bound");
            let nowhere = SocketAddr::new(V4, 0);
            let mut outgoing = Outgoing::new();
            for mark in 0..20_u8 {
                put(&mut outgoing, if mark % 5 == 0 { nowhere } else { client_at }, &[mark]);
            }
            let sent = flush(&mut port, &mut outgoing).await;
            assert_eq!(sent, Sent { sent: 16, skipped: 4, blocked: false });
            assert_eq!(port.faults().unsendable, 4);
            for mark in (0..20_u8).filter(|mark| mark % 5 != 0) {
                assert_eq!(answer_to(&client), [mark]);
            }
        }
    });
}

#[test]
fn a_peer_that_is_gone_does_not_keep_the_others_from_being_heard() {
    run(async {
        let mut port = open(BindAddress::Any);
        let number = port.local_address().port();
        let gone = plain(V4).local_addr().expect("it was bound");
        let mut outgoing = Outgoing::new();
        for _ in 0..10 {
            put(&mut outgoing, gone, b"anybody there?");
            flush(&mut port, &mut outgoing).await;
        }
        let client = plain(V4);
        client.send_to(b"here", (V4, number)).expect("sent");
        assert_eq!(take(&mut port, 1).await, [(client.local_addr().expect("it is bound"), b"here".to_vec())]);
    });
}

#[test]
fn datagrams_that_are_too_long_are_dropped_and_counted_and_empty_ones_arrive() {
    run(async {
        let mut port = open(BindAddress::Ip(V4));
        let client = plain(V4);
        let lengths = [MAXIMUM_DATAGRAM, MAXIMUM_DATAGRAM + 1, 0, 9000, 60_000, 1];
        for len in lengths {
            client.send_to(&vec![7; len], port.local_address()).expect("sent");
        }
        let arrived: Vec<usize> =
            take(&mut port, 3).await.iter().map(|(_, datagram)| datagram.len()).collect();
        assert_eq!(arrived, [MAXIMUM_DATAGRAM, 0, 1]);
        assert_eq!(port.faults(), Faults { oversized: 3, ..Faults::default() });
    });
}

#[test]
fn a_port_that_nobody_writes_to_has_nothing() {
    run(async {
        let mut port = open(BindAddress::Any);
        let taken = port.receive(|_, _| unreachable!("nobody sends")).expect("a socket");
        assert_eq!(taken, 0);
        let waited = tokio::time::timeout(Duration::from_millis(20), async {
            port.readable().await;
            assert_eq!(port.receive(|_, _| unreachable!("nobody sends")).expect("a socket"), 0);
            port.readable().await;
        });
        assert!(waited.await.is_err(), "it is readable with nothing to read");
    });
}

#[test]
fn a_port_may_move_to_another_thread() {
    fn movable<T: Send + 'static>(_: &T) {}
    run(async { movable(&open(BindAddress::Any)) });
    movable(&Outgoing::new());
}

#[test]
fn systems_without_calls_for_many_datagrams_do_the_same() {
    run(async {
        let port = open(BindAddress::Any);
        let ipv6 = port.reaches_ipv6();
        let client = plain(V4);
        let client_at = client.local_addr().expect("it is bound");
        let mut outgoing = Outgoing::new();
        put(&mut outgoing, client_at, b"one");
        put(&mut outgoing, client_at, b"two");
        put(&mut outgoing, SocketAddr::new(V4, 0), b"lost");
        port.writable().await;
        let sent = one_by_one::send(&port.socket, ipv6, &outgoing, &mut one_by_one::Names::new())
            .expect("the first goes");
        assert_eq!(sent, 2);
        outgoing.remove(sent);
        one_by_one::send(&port.socket, ipv6, &outgoing, &mut one_by_one::Names::new())
            .expect_err("nowhere to go");
        assert_eq!((answer_to(&client), answer_to(&client)), (b"one".to_vec(), b"two".to_vec()));

        for len in [3, 9000, 0] {
            client.send_to(&vec![7; len], (V4, port.local_address().port())).expect("sent");
        }
        port.readable().await;
        let mut buffers = vec![0; BATCH * SLOT];
        let mut arrived = Vec::new();
        one_by_one::receive(&port.socket, ipv6, &mut buffers, &mut arrived).expect("they are there");
        let found: Vec<Arrived> = arrived.drain(..).map(|(from, len)| (canonical(from), len)).collect();
        assert_eq!(found, [(client_at, 3), (client_at, SLOT), (client_at, 0)]);
        let nothing = one_by_one::receive(&port.socket, ipv6, &mut buffers, &mut arrived);
        assert_eq!(nothing.err().map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    });
}

//! WebSocket over TLS on real sockets: who gets in, and what each end is told when somebody does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::reason::{Farewell, Reason};
use ferry_net::tls::{self, ClientOptions};
use ferry_net::websocket::{self, Settings, Url};

use play::over_websocket::{Peer, port};
use play::{over_websocket, until};

fn pair() -> tls::Pair {
    tls::self_signed(&["localhost".to_owned(), "127.0.0.1".to_owned()], 30).unwrap()
}

fn identity(pair: &tls::Pair) -> tls::Server {
    tls::Server::new(&pair.certificate, &pair.key).unwrap()
}

fn server(pair: &tls::Pair) -> Peer {
    let mut peer = Peer::default();
    let sockets = websocket::open_server(
        BindAddress::Any,
        0,
        Some(identity(pair)),
        Settings::default(),
        Limits::default(),
    );
    peer.start_server(sockets.unwrap()).unwrap();
    peer
}

fn client(url: &str, options: &ClientOptions) -> Peer {
    let trust = tls::Client::new(options).unwrap();
    let (sockets, link) =
        websocket::open_client(Url::parse(url).unwrap(), trust, Settings::default(), Limits::default())
            .unwrap();
    let mut peer = Peer::default();
    peer.start_client(sockets, link, None).unwrap();
    peer
}

fn trusting(pair: &tls::Pair) -> ClientOptions {
    ClientOptions { trusted: Some(pair.certificate.clone()), common_name: None, verify: true }
}

fn join(server: &mut Peer, client: &mut Peer) {
    until(&mut [server, client], |peers, told| peers[1].status() == Status::Connected && !told[0].is_empty());
}

fn failed(server: &mut Peer, client: &mut Peer) -> Farewell {
    let told = until(&mut [server, client], |_, told| !told[1].is_empty());
    let [Notice::ConnectionFailed(farewell)] = &told[1][..] else { panic!("{told:?}") };
    farewell.clone()
}

#[test]
fn packets_of_all_lengths_pass_encrypted() {
    let pair = pair();
    let mut server = server(&pair);
    for url in ["wss://localhost", "wss://127.0.0.1"] {
        let mut client = client(&format!("{url}:{}", port(&server)), &trusting(&pair));
        join(&mut server, &mut client);
        for length in [1, 1000, 100_000, 5_000_000] {
            let packet: Vec<u8> = (0..length).map(|place| (place * 31) as u8).collect();
            client.put_packet(&packet).unwrap();
            server.put_packet(&packet).unwrap();
            until(&mut [&mut server, &mut client], |peers, _| {
                peers.iter().all(|peer| peer.available_packets() == 1)
            });
            assert_eq!(server.take_packet().unwrap(), packet);
            assert_eq!(client.take_packet().unwrap(), packet);
        }
        client.close();
        until(&mut [&mut server], |peers, _| peers[0].peer_ids().is_empty());
    }
}

#[test]
fn a_client_that_does_not_trust_the_server_says_why() {
    let pair = pair();
    let mut server = server(&pair);
    let url = format!("wss://localhost:{}", port(&server));
    let other = ClientOptions { trusted: Some(self::pair().certificate), ..trusting(&pair) };
    let told = failed(&mut server, &mut client(&url, &other));
    assert_eq!(told.reason, Reason::Tls, "{told}");
    assert!(told.detail.contains("trust") || told.detail.contains("issuer"), "{told}");

    let elsewhere = ClientOptions { common_name: Some("elsewhere.example".to_owned()), ..trusting(&pair) };
    let told = failed(&mut server, &mut client(&url, &elsewhere));
    assert_eq!(told.reason, Reason::Tls);
    assert!(told.detail.contains("elsewhere.example"), "{told}");

    let system = ClientOptions { trusted: None, ..trusting(&pair) };
    let told = failed(&mut server, &mut client(&url, &system));
    assert_eq!(told.reason, Reason::Tls, "{told}");

    let unsafe_one = ClientOptions { trusted: None, common_name: None, verify: false };
    join(&mut server, &mut client(&url, &unsafe_one));
}

#[test]
fn plain_and_encrypted_do_not_meet_and_both_say_so() {
    let pair = pair();
    let mut encrypted = server(&pair);
    let mut unsuspecting = over_websocket::client(port(&encrypted));
    let told = failed(&mut encrypted, &mut unsuspecting);
    assert_eq!(told.reason, Reason::Handshake, "{told}");
    assert!(told.detail.contains("wss://"), "{told}");

    let mut plain = over_websocket::server();
    let url = format!("wss://localhost:{}", port(&plain));
    let told = failed(&mut plain, &mut client(&url, &trusting(&pair)));
    assert_eq!(told.reason, Reason::Tls, "{told}");
    assert!(told.detail.to_lowercase().contains("not") && told.detail.contains("TLS"), "{told}");
    // Counted once the answer has had its time to be read.
    until(&mut [&mut plain], |peers, _| peers[0].endpoint_stats().datagrams_rejected == 1);
}

#[test]
fn a_renewed_certificate_counts_for_those_who_come_and_drops_nobody() {
    let (old, new) = (pair(), pair());
    let mut server = server(&old);
    let url = format!("wss://localhost:{}", port(&server));
    let mut early = client(&url, &trusting(&old));
    join(&mut server, &mut early);
    server.carrier().unwrap().renew_tls(identity(&new));
    let mut late = client(&url, &trusting(&new));
    join(&mut server, &mut late);
    assert_eq!(failed(&mut server, &mut client(&url, &trusting(&old))).reason, Reason::Tls);
    server.set_target(0);
    server.put_packet(b"both").unwrap();
    until(&mut [&mut server, &mut early, &mut late], |peers, _| {
        peers[1..].iter().all(|peer| peer.available_packets() == 1)
    });
}

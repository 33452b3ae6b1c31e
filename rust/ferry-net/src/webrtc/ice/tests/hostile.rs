//! What strangers and peers can send, and that it neither harms nor grows.

use super::super::*;
use super::world::*;

/// An authentic check of a peer's that knows all passwords, with a user fragment of its own.
fn check_of(world: &World, to: usize, seed: u64) -> Vec<u8> {
    let peer = &world.sides[1 - to].credentials;
    let victim = &world.sides[to].credentials;
    let username = format!("{}:{}", victim.ufrag, peer.ufrag);
    let message = is::stun::StunMessage::binding_request(
        &username,
        is::stun::TransId::new(),
        true,
        seed,
        1_862_270_975,
        seed.is_multiple_of(2),
    );
    let mut bytes = vec![0; 500];
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        is::Sha1HmacProvider::sha1_hmac(&is::DefaultSha1HmacProvider, key, parts)
    };
    let length = message.to_bytes(Some(victim.password.as_bytes()), &mut bytes, hmac).expect("it fits");
    bytes.truncate(length);
    bytes
}

fn quiet(world: &mut World) -> &mut Agent {
    &mut world.sides[0].agent
}

#[test]
fn a_thousand_candidates_are_taken_up_to_the_bound_and_do_not_keep_the_right_one_out() {
    let mut world = World::plain(1);
    world.introduce_both();
    world.connect(ms(500));
    let now = world.now;
    for number in 0..1000 {
        let ip = format!("10.{}.{}.1", number / 250, number % 250);
        let line = format!("candidate:{number} 1 udp {} {ip} 5000 typ host", 2_000_000_000 + number);
        quiet(&mut world).add_remote_candidate(now, &line).expect("well-formed");
    }
    for number in 0..1000 {
        let line = format!("candidate:1 1 udp 5 {number}-x.local 5000 typ host");
        quiet(&mut world).add_remote_candidate(now, &line).expect("well-formed");
    }
    world.drain(0);
    assert_eq!(world.sides[0].wants.len(), 8, "names looked up");
    assert!(world.sides[0].agent.dropped() >= 900);
    let before = world.sent;
    world.run(Duration::from_secs(60));
    assert!(world.both_connected());
    assert!(world.sent - before < 60 * 210, "{} packets in a minute", world.sent - before);
}

#[test]
fn a_wrong_password_never_connects_and_says_so() {
    let mut world = World::plain(2);
    for side in 0..2 {
        let right = world.sides[1 - side].credentials.clone();
        let wrong = Credentials { ufrag: right.ufrag, ..Credentials::random() };
        world.sides[side].agent.set_remote_credentials(world.now, wrong).expect("well-formed");
        world.drain(side);
    }
    world.run(Duration::from_secs(31));
    for side in &world.sides {
        assert_eq!(side.agent.state(), State::Failed);
        assert!(side.agent.failure().contains("no candidate pair answered"));
    }
}

#[test]
fn credentials_that_would_break_a_check_are_refused() {
    let mut world = World::plain(3);
    let good = Credentials::random();
    for ufrag in ["x".repeat(200), "a:b:c".to_owned(), String::new()] {
        let bad = Credentials { ufrag, ..good.clone() };
        let now = world.now;
        assert!(quiet(&mut world).set_remote_credentials(now, bad).is_err());
    }
    let longest = Credentials { ufrag: "x".repeat(100), ..good };
    let now = world.now;
    quiet(&mut world).set_remote_credentials(now, longest).expect("allowed");
    world.run(Duration::from_secs(1));
}

#[test]
fn data_from_where_no_check_came_is_dropped() {
    let mut world = World::plain(4);
    world.introduce_both();
    world.connect(ms(500));
    let (local, remote) = (world.sides[0].bases[0], world.sides[1].bases[0]);
    let (now, mut data) = (world.now, Vec::new());
    let stranger = address("192.0.2.66:6");
    quiet(&mut world).handle_datagram(now, local, stranger, b"\x16forged", &mut data);
    quiet(&mut world).handle_datagram(now, address("192.0.2.1:1"), remote, b"\x16forged", &mut data);
    assert!(data.is_empty());
    quiet(&mut world).handle_datagram(now, local, remote, b"\x16data", &mut data);
    assert_eq!(data.len(), 1);
    assert!(!world.sides[0].agent.is_path(local, stranger));
    assert!(world.sides[0].agent.is_path(local, remote));
}

#[test]
fn checks_from_ever_new_addresses_are_bounded_and_the_path_stays() {
    let mut world = World::plain(5);
    world.introduce_both();
    world.connect(ms(500));
    let local = world.sides[0].bases[0];
    for number in 0..5000_u64 {
        let from = SocketAddr::new([192, 0, (number / 250) as u8, (number % 250) as u8].into(), 7);
        let bytes = check_of(&world, 0, number);
        let now = world.now;
        quiet(&mut world).handle_datagram(now, local, from, &bytes, &mut Vec::new());
        world.drain(0);
    }
    assert!(world.sides[0].agent.session.peers().count() <= 64 + 64);
    let before = world.sent;
    world.run(Duration::from_secs(10));
    assert!(world.sent - before < 10 * 250, "{}", world.sent - before);
    assert!(world.both_connected());
}

#[test]
fn checks_before_the_credentials_wait_in_bounded_number_and_wake_nobody() {
    let mut world = World::plain(6);
    world.introduce(1);
    let local = world.sides[0].bases[0];
    for number in 0..2000_u64 {
        let bytes = check_of(&world, 0, number);
        let now = world.now;
        quiet(&mut world).handle_datagram(now, local, address("198.51.100.2:5000"), &bytes, &mut Vec::new());
        world.drain(0);
    }
    assert_eq!(world.sides[0].agent.poll_timeout(), None);
    world.introduce(0);
    world.connect(ms(500));
}

#[test]
fn no_truncation_and_no_changed_byte_of_a_check_panics_or_is_taken() {
    for connected in [false, true] {
        let mut world = World::plain(7);
        world.introduce_both();
        if connected {
            world.connect(ms(500));
        }
        let whole = check_of(&world, 0, 1);
        let (local, remote, now) = (world.sides[0].bases[0], address("192.0.2.50:50"), world.now);
        let mut broken: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        // The fingerprint in the end is only there to tell STUN from other things.
        for place in 0..whole.len() - 8 {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                broken.push(bytes);
            }
        }
        for bytes in broken {
            let mut data = Vec::new();
            quiet(&mut world).handle_datagram(now, local, remote, &bytes, &mut data);
            assert!(data.is_empty());
        }
        assert!(!world.sides[0].agent.session.peers().any(|peer| peer == remote));
        world.drain(0);
        quiet(&mut world).handle_datagram(now, local, remote, &whole, &mut Vec::new());
        assert!(world.sides[0].agent.session.peers().any(|peer| peer == remote), "the whole one counts");
    }
}

#[test]
fn random_bytes_at_every_entrance_are_borne() {
    let mut world = World::plain(8);
    world.introduce_both();
    world.connect(ms(500));
    let local = world.sides[0].bases[0];
    for _ in 0..20_000 {
        let length = world.random(120) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| world.random(256) as u8).collect();
        if length >= 20 && world.random(2) == 0 {
            bytes[..8].copy_from_slice(&[
                world.random(4) as u8,
                1,
                0,
                length as u8 - 20,
                0x21,
                0x12,
                0xA4,
                0x42,
            ]);
        }
        let now = world.now;
        quiet(&mut world).handle_datagram(now, local, address("192.0.2.50:50"), &bytes, &mut Vec::new());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = quiet(&mut world).add_remote_candidate(now, &text);
        let _ = Server::parse(&text, "u", "p");
        let _ = mdns::answer(&bytes, "abc.local");
    }
    world.drain(0);
    world.run(Duration::from_secs(2));
    assert!(world.both_connected());
}

#[test]
fn a_peer_that_sees_us_at_ever_new_addresses_is_listened_to_for_a_while() {
    let mut world = World::plain(9);
    world.introduce(0);
    let line = "candidate:1 1 udp 2130706431 198.51.100.2 5000 typ host";
    let (local, peer) = (world.sides[0].bases[0], world.sides[1].bases[0]);
    let password = world.sides[1].credentials.password.clone();
    world.sides[1].cut = true;
    let Side { agent, .. } = &mut world.sides[0];
    let mut now = world.now;
    agent.add_remote_candidate(now, line).expect("good");
    let mut answered = 0_u32;
    while answered < 500 {
        while let Some(transmit) = agent.poll_transmit() {
            let check = is::stun::StunMessage::parse(&transmit.bytes).expect("our own");
            let mapped = SocketAddr::new([10, 0, (answered / 250) as u8, (answered % 250) as u8].into(), 9);
            let mut bytes = vec![0; 500];
            let hmac = |key: &[u8], parts: &[&[u8]]| {
                is::Sha1HmacProvider::sha1_hmac(&is::DefaultSha1HmacProvider, key, parts)
            };
            let length = is::stun::StunMessage::binding_reply(check.trans_id(), mapped)
                .to_bytes(Some(password.as_bytes()), &mut bytes, hmac)
                .expect("it fits");
            agent.handle_datagram(now, local, peer, &bytes[..length], &mut Vec::new());
            answered += 1;
        }
        now = agent.poll_timeout().expect("it goes on");
        agent.handle_timeout(now);
        while agent.poll_event().is_some() {}
        if agent.state() == State::Failed {
            break;
        }
    }
    assert!((64..200).contains(&answered), "{answered}");
    assert_eq!(agent.state(), State::Failed);
}

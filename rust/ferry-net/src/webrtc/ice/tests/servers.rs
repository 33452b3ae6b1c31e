//! Gathering with servers that answer, are silent, lie or are not found; names and streams.

use super::super::*;
use super::world::*;

fn with_servers(urls: &[&str]) -> World {
    let servers = urls.iter().map(|url| Server::parse(url, "user", "secret").expect("good")).collect();
    World::with([Config { servers, ..config(true) }, config(false)], 1)
}

fn gathering(world: &World) -> Vec<GatheringState> {
    let changed = |event: &Event| match event {
        Event::GatheringChanged(state) => Some(*state),
        _ => None,
    };
    world.sides[0].events.iter().filter_map(changed).collect()
}

fn troubles(world: &World) -> Vec<String> {
    let trouble = |event: &Event| match event {
        Event::GatheringTrouble { server, text } => Some(format!("{server} {text}")),
        _ => None,
    };
    world.sides[0].events.iter().filter_map(trouble).collect()
}

const BOTH: [GatheringState; 2] = [GatheringState::Gathering, GatheringState::Complete];

#[test]
fn without_servers_gathering_is_complete_with_the_last_base() {
    let mut world = World::new(1);
    world.bind(0, &["198.51.100.1:5000", "[2001:db8::1]:5000"]);
    assert_eq!(gathering(&world), BOTH);
    let lines = world.sides[0].agent.local_candidates();
    assert_eq!(lines.len(), 2);
    for (line, place) in
        lines.iter().zip([" 198.51.100.1 5000 typ host ufrag ", " 2001:db8::1 5000 typ host ufrag "])
    {
        assert!(line.starts_with("candidate:") && line.contains(place), "{line}");
        candidate::parse(line).expect("our own lines are good");
    }
}

#[test]
fn addresses_that_nobody_can_use_are_not_told() {
    let mut world = World::new(1);
    world.bind(0, &["[fe80::1]:5000", "169.254.7.7:5000", "0.0.0.0:5000", "[::]:5000", "127.0.0.1:5000"]);
    assert_eq!(world.sides[0].agent.local_candidates().len(), 1);
}

#[test]
fn a_silent_server_has_five_seconds_and_is_named() {
    let mut world = with_servers(&["stun:192.0.2.1", "stun:203.0.113.1:3478"]);
    world.sides[0].router = Some(Router::new(Nat::FullCone, "192.0.2.10"));
    world.bind(0, &["10.0.0.1:5000"]);
    world.run(ms(4900));
    assert_eq!(gathering(&world), BOTH[..1]);
    world.run(ms(200));
    assert_eq!(gathering(&world), BOTH);
    assert_eq!(troubles(&world), ["stun:192.0.2.1:3478 did not answer"]);
    let lines = world.sides[0].agent.local_candidates();
    assert!(
        lines[1].contains(" 192.0.2.10 20001 typ srflx ")
            || lines[1].contains(" 192.0.2.10 20000 typ srflx "),
        "{lines:?}"
    );
    assert!(world.sides[0].events.len() < 10);
}

#[test]
fn loopback_bases_ask_nobody_outside() {
    let mut world = with_servers(&["stun:192.0.2.1", "turn:192.0.2.1", "turn:192.0.2.1?transport=tcp"]);
    world.bind(0, &["127.0.0.1:5000", "[::1]:5000"]);
    assert_eq!(gathering(&world), BOTH);
    assert_eq!(world.sent, 0);
    assert!(world.sides[0].wants.is_empty());
}

#[test]
fn a_name_is_looked_up_once_for_all_its_servers_and_may_not_be_found() {
    let mut world =
        with_servers(&["stun:ice.example", "turn:ice.example", "turns:ice.example?transport=tcp"]);
    world.bind(0, &["198.51.100.1:5000"]);
    let [Want::Resolve { token, name, is_mdns: false }] = &world.sides[0].wants[..] else {
        panic!("{:?}", world.sides[0].wants)
    };
    assert_eq!(name, "ice.example");
    let token = *token;
    assert_eq!(gathering(&world), BOTH[..1]);
    world.sides[0].agent.resolved(world.now, token, Err("no such name".to_owned()));
    world.drain(0);
    assert_eq!(gathering(&world), BOTH);
    assert_eq!(troubles(&world).len(), 3);
    assert_eq!(troubles(&world)[0], "stun:ice.example:3478 no such name");
}

#[test]
fn a_look_up_that_never_ends_does_not_hold_gathering_up() {
    let mut world = with_servers(&["stun:ice.example"]);
    world.bind(0, &["198.51.100.1:5000"]);
    world.run(ms(5100));
    assert_eq!(gathering(&world), BOTH);
    assert_eq!(troubles(&world), ["stun:ice.example:3478 its name was not found in time"]);
}

#[test]
fn a_stream_is_opened_to_each_address_in_turn_and_given_up_in_time() {
    let mut world = with_servers(&["turns:ice.example"]);
    world.bind(0, &["198.51.100.1:5000"]);
    let Some(Want::Resolve { token, .. }) = world.sides[0].wants.pop() else { panic!("no look-up") };
    let found = Ok(vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()]);
    world.sides[0].agent.resolved(world.now, token, found);
    world.drain(0);
    let Some(Want::OpenStream { token, address: to, tls_name }) = world.sides[0].wants.pop() else {
        panic!("no stream")
    };
    assert_eq!((to, tls_name.as_deref()), (address("192.0.2.1:5349"), Some("ice.example")));
    world.sides[0].agent.stream_ended(world.now, token, "refused");
    world.drain(0);
    let Some(Want::OpenStream { token, address: to, .. }) = world.sides[0].wants.pop() else {
        panic!("no second try")
    };
    assert_eq!(to, address("192.0.2.2:5349"));
    world.run(ms(5100));
    assert_eq!(world.sides[0].wants, [Want::CloseStream { token }]);
    assert_eq!(
        troubles(&world),
        ["turns:ice.example:5349?transport=tcp could not be reached: no connection in time"]
    );
    assert_eq!(gathering(&world), BOTH);
}

#[test]
fn a_stream_server_that_talks_nonsense_ends_its_allocation_only() {
    for talk in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xFF; 3000], &[0, 0, 0xFF, 0xFC], &[0x40; 70_000]]
    {
        let mut world = with_servers(&["turn:192.0.2.1?transport=tcp"]);
        world.bind(0, &["198.51.100.1:5000"]);
        let Some(Want::OpenStream { token, .. }) = world.sides[0].wants.pop() else { panic!("no stream") };
        world.sides[0].agent.stream_opened(world.now, token, address("198.51.100.1:7"));
        world.drain(0);
        for part in talk.chunks(1000) {
            let mut data = Vec::new();
            world.sides[0].agent.stream_received(world.now, token, part, &mut data);
            world.drain(0);
            assert!(data.is_empty());
        }
        world.run(ms(5100));
        assert_eq!(troubles(&world).len(), 1, "{:?}", troubles(&world));
        assert_eq!(world.sides[0].wants, [Want::CloseStream { token }]);
        assert_eq!(gathering(&world), BOTH);
    }
}

#[test]
fn a_stun_server_that_errs_or_lies_gives_no_candidate() {
    let mut world = with_servers(&["stun:192.0.2.1"]);
    world.sides[0].agent.add_base(world.now, address("10.0.0.1:5000"));
    world.sides[0].agent.bases_complete(world.now);
    let transmit = world.sides[0].agent.poll_transmit().expect("a question");
    let question = stun::Message::parse(&transmit.bytes).expect("good");
    let (now, local, server) = (world.now, address("10.0.0.1:5000"), address("192.0.2.1:3478"));
    let answer = stun::tests::binding_answer(question.transaction, address("0.0.0.0:0"));
    let agent = &mut world.sides[0].agent;
    // From another address than the one asked, it is nobody's answer.
    agent.handle_datagram(now, local, address("192.0.2.2:3478"), &answer, &mut Vec::new());
    assert_eq!(agent.gathering_state(), GatheringState::Gathering);
    for end in 0..answer.len() {
        agent.handle_datagram(now, local, server, &answer[..end], &mut Vec::new());
    }
    assert_eq!(agent.gathering_state(), GatheringState::Gathering);
    agent.handle_datagram(now, local, server, &answer, &mut Vec::new());
    assert_eq!(agent.gathering_state(), GatheringState::Complete);
    assert_eq!(agent.local_candidates().len(), 1, "only the host");
}

#[test]
fn a_stun_server_over_tls_is_left_aside_with_a_word() {
    let mut world = with_servers(&["stuns:192.0.2.1"]);
    world.bind(0, &["198.51.100.1:5000"]);
    assert_eq!(gathering(&world), BOTH);
    assert!(troubles(&world)[0].contains("says nothing about UDP"));
}

#[test]
fn a_hidden_candidate_is_looked_up_and_used() {
    let mut world = World::new(9);
    world.signalling = None;
    world.bind(0, &["198.51.100.1:5000"]);
    world.bind(1, &["198.51.100.2:5000"]);
    world.introduce_both();
    for (number, kind) in ["host", "srflx"].iter().enumerate() {
        let line = format!("candidate:{number} 1 udp {} aBc-1.local 5000 typ {kind}", 100_000 + number);
        world.sides[0].agent.add_remote_candidate(world.now, &line).expect("good");
    }
    world.drain(0);
    let [Want::Resolve { token, name, is_mdns: true }] = &world.sides[0].wants[..] else {
        panic!("{:?}", world.sides[0].wants)
    };
    assert_eq!(name, "abc-1.local");
    let token = *token;
    world.sides[0].agent.resolved(world.now, token, Ok(vec![[198, 51, 100, 2].into()]));
    world.drain(0);
    world.connect(ms(500));
    // A second answer, and one that nobody asked for, change nothing.
    world.sides[0].agent.resolved(world.now, token, Ok(vec![[198, 51, 100, 3].into()]));
    world.sides[0].agent.resolved(world.now, Token(99), Err(String::new()));
}

#[test]
fn with_relays_only_nothing_of_the_own_machine_is_told_or_used() {
    let servers = vec![Server::parse("turn:192.0.2.1", "user", "secret").expect("good")];
    let relay_only = Config { servers, relay_only: true, ..config(true) };
    let mut world = World::with([relay_only, config(false)], 1);
    world.bind(0, &["198.51.100.1:5000"]);
    world.bind(1, &["198.51.100.2:5000"]);
    world.introduce_both();
    world.sides[1]
        .agent
        .add_remote_candidate(world.now, "candidate:1 1 udp 9 198.51.100.1 5000 typ host")
        .expect("good");
    world.run(Duration::from_secs(31));
    assert_eq!(gathering(&world), BOTH);
    assert!(world.sides[0].agent.local_candidates().is_empty());
    assert_eq!(world.sides[0].agent.state(), State::Failed);
    let failure = world.sides[0].agent.failure();
    assert!(failure.contains("turn:192.0.2.1:3478?transport=udp: did not answer"), "{failure}");
}

#[test]
fn closing_closes_streams_that_are_being_opened() {
    let mut world = with_servers(&["turn:192.0.2.1?transport=tcp"]);
    world.bind(0, &["198.51.100.1:5000"]);
    let Some(Want::OpenStream { token, .. }) = world.sides[0].wants.pop() else { panic!("no stream") };
    world.sides[0].agent.close(world.now);
    world.drain(0);
    assert_eq!(world.sides[0].wants, [Want::CloseStream { token }]);
}

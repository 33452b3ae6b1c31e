//! Random traffic over random networks: exactly once, in order, and quiet in the end. A failure names its seed.

use std::collections::BTreeMap;

use ferry_sctp::{Config, Reliability};

use crate::world::{MS, RELIABLE, Random, UNRELIABLE, UNRELIABLE_ORDERED, Way, World, config};

const STREAMS: u16 = 6;

fn reliability(stream: u16) -> Reliability {
    match stream {
        0 | 1 => RELIABLE,
        2 => Reliability { ordered: false, ..RELIABLE },
        3 => UNRELIABLE,
        4 => UNRELIABLE_ORDERED,
        _ => Reliability { retransmits: Some(1), ..RELIABLE },
    }
}

fn message(random: &mut Random, number: u32) -> Vec<u8> {
    let size = match random.below(10) {
        0 => random.below(20_000),
        1 => 1100 + random.below(100),
        _ => random.below(200),
    };
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend((0..size).map(|index| (number as u8).wrapping_add(index as u8)));
    payload
}

fn intact(payload: &[u8]) -> u32 {
    let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
    let rest = payload[4..].iter().enumerate();
    assert!(rest.into_iter().all(|(index, &byte)| byte == (number as u8).wrapping_add(index as u8)));
    number
}

fn play(seed: u64) {
    let mut random = Random(seed * 2 + 1);
    random.next();
    let way = Way {
        loss: [0.0, 1.0, 5.0, 20.0][random.below(4) as usize],
        duplicates: [0.0, 5.0][random.below(2) as usize],
        delay: MS(random.below(80)),
        jitter: MS([0, 1, 30][random.below(3) as usize]),
    };
    let configs = [0, 1].map(|end| Config {
        mtu: 600 + 4 * random.below(200) as usize,
        receive_window: 20_000 << random.below(6),
        ..config(seed, end)
    });
    let mut world = World::with(seed, way, configs);
    world.connect();
    let mut sent: BTreeMap<(usize, u16), u32> = BTreeMap::new();
    for _ in 0..300 {
        for _ in 0..random.below(6) {
            let (end, stream) = (random.below(2) as usize, random.below(u64::from(STREAMS)) as u16);
            let count = sent.entry((end, stream)).or_default();
            let payload = message(&mut random, *count);
            *count += 1;
            world.send(end, stream, payload, reliability(stream));
        }
        if random.below(20) == 0 {
            let (end, receiving) = (random.below(2) as usize, random.below(2) == 0);
            world.ends[end].set_receiving(receiving);
        }
        world.run(MS(random.below(20)));
    }
    for end in &mut world.ends {
        end.set_receiving(true);
    }
    world.run_until(MS(600_000), |world| world.ends.iter().all(|end| end.outstanding_bytes() == 0));
    world.run(MS(10_000));
    for end in 0..2 {
        assert_eq!(world.closed(end), None);
        for stream in 0..STREAMS {
            let of_stream = world.received[end].iter().filter(|(_, message)| message.stream == stream);
            let mut numbers: Vec<u32> = of_stream.map(|(_, message)| intact(&message.payload)).collect();
            let count = sent.get(&(1 - end, stream)).copied().unwrap_or_default();
            let reliability = reliability(stream);
            if reliability.ordered {
                assert!(numbers.is_sorted(), "stream {stream}");
            }
            numbers.sort_unstable();
            let all = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "once each");
            if reliability.lifetime.is_none() && reliability.retransmits.is_none() {
                assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "stream {stream}");
            }
        }
    }
    world.assert_quiet();
}

#[test]
fn every_message_comes_once_and_in_order() {
    let one = std::env::var("FERRY_SCTP_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = std::env::var("FERRY_SCTP_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(150);
    for seed in one.map_or(0..count, |seed: u64| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| play(seed));
        assert!(result.is_ok(), "replay with FERRY_SCTP_SEED={seed}");
    }
}

//! Sections 9 and 10: large messages, whole and in fragments, in large pieces and small ones; many messages.

use crate::cases::{Case, fragments};
use crate::play;
use crate::websocket_support::frames::{BINARY, Frame, TEXT};

const KILO: usize = 1 << 10;
const MEGA: usize = 1 << 20;

const KINDS: [(u8, u8); 2] = [(TEXT, b'*'), (BINARY, 0xFE)];

fn numbered(sections: [&str; 2], cases: impl Fn(u8, u8) -> Vec<Case>) -> Vec<Case> {
    let mut all = Vec::new();
    for (section, (opcode, fill)) in sections.into_iter().zip(KINDS) {
        for (case, number) in cases(opcode, fill).into_iter().zip(1..) {
            all.push(Case { id: format!("{section}.{number}"), ..case });
        }
    }
    all
}

#[test]
fn section_9_1_and_2_messages_of_up_to_16_mib_come_back() {
    play(&numbered(["9.1", "9.2"], |opcode, fill| {
        [64 * KILO, 256 * KILO, MEGA, 4 * MEGA, 8 * MEGA, 16 * MEGA]
            .map(|len| Case::new("", vec![Frame::new(opcode, vec![fill; len])]))
            .to_vec()
    }));
}

#[test]
fn section_9_3_and_4_large_messages_in_fragments_come_back() {
    play(&numbered(["9.3", "9.4"], |opcode, fill| {
        let whole = vec![fill; 4 * MEGA];
        [64, 256, KILO, 4 * KILO, 16 * KILO, 64 * KILO, 256 * KILO, MEGA, 4 * MEGA]
            .map(|len| Case::new("", fragments(opcode, &whole, len)))
            .to_vec()
    }));
}

#[test]
fn section_9_5_and_6_large_messages_in_small_pieces_come_back() {
    play(&numbered(["9.5", "9.6"], |opcode, fill| {
        [64, 128, 256, 512, KILO, 2 * KILO]
            .map(|chop| Case::new("", vec![Frame::new(opcode, vec![fill; MEGA])]).chopped(chop))
            .to_vec()
    }));
}

#[test]
fn section_9_7_and_8_many_messages_come_back() {
    play(&numbered(["9.7", "9.8"], |opcode, fill| {
        [0, 16, 64, 256, KILO, 4 * KILO]
            .map(|len| Case::new("", vec![Frame::new(opcode, vec![fill; len]); 1000]))
            .to_vec()
    }));
}

#[test]
fn section_10_a_message_in_fragments_that_a_library_made_comes_back() {
    play(&[Case::new("10.1.1", fragments(TEXT, &[b'*'; 65_536], 1300))]);
}

//! Sections 1 to 4: single messages, pings, reserved bits, reserved opcodes.

use crate::cases::Case;
use crate::play;
use crate::websocket_support::frames::{BINARY, Frame, TEXT};

const HELLO: &str = "Hello, world!";

#[test]
fn section_1_messages_of_any_length_come_back() {
    let mut cases = Vec::new();
    for (section, opcode, fill) in [("1.1", TEXT, b'*'), ("1.2", BINARY, 0xFE)] {
        for (number, len) in [0, 125, 126, 127, 128, 65_535, 65_536, 65_536].into_iter().enumerate() {
            let case =
                Case::new(format!("{section}.{}", number + 1), vec![Frame::new(opcode, vec![fill; len])]);
            // The last one is the one before in pieces.
            cases.push(if number == 7 { case.chopped(997) } else { case });
        }
        // And, beyond the suite, every length of a piece that cuts a header somewhere.
        for chop in 1..15 {
            let frames = [0, 125, 126, 65_536].map(|len| Frame::new(opcode, vec![fill; len]));
            cases.push(Case::new(format!("{section}.chop{chop}"), frames.to_vec()).chopped(chop));
        }
    }
    play(&cases);
}

#[test]
fn section_2_pings_are_answered_and_pongs_are_not() {
    let long = [0xFE; 125];
    let ten: Vec<Frame> = (0..10).map(|number| Frame::ping(format!("payload-{number}"))).collect();
    play(&[
        Case::new("2.1", vec![Frame::ping("")]),
        Case::new("2.2", vec![Frame::ping(HELLO)]),
        Case::new("2.3", vec![Frame::ping([0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF])]),
        Case::new("2.4", vec![Frame::ping(long)]),
        Case::new("2.5", vec![Frame::ping([0xFE; 126])]).breaks_protocol(),
        Case::new("2.6", vec![Frame::ping(long)]).chopped(1),
        Case::new("2.7", vec![Frame::pong("")]),
        Case::new("2.8", vec![Frame::pong("unsolicited pong payload")]),
        Case::new("2.9", vec![Frame::pong("unsolicited pong payload"), Frame::ping("ping payload")]),
        Case::new("2.10", ten.clone()),
        Case::new("2.11", ten).chopped(1),
    ]);
}

#[test]
fn section_3_reserved_bits_break_the_protocol() {
    let (hello, ping) = (Frame::text(HELLO), Frame::ping(""));
    let with = |reserved| vec![hello.clone(), hello.clone().with_reserved(reserved), ping.clone()];
    play(&[
        Case::new("3.1", vec![hello.clone().with_reserved(1)]).breaks_protocol(),
        Case::new("3.2", with(2)).breaks_protocol(),
        Case::new("3.3", with(3)).breaks_protocol(),
        Case::new("3.4", with(4)).chopped(1).breaks_protocol(),
        Case::new("3.5", vec![Frame::binary([0xFF; 8]).with_reserved(5)]).breaks_protocol(),
        Case::new("3.6", vec![ping.clone().with_reserved(6)]).breaks_protocol(),
        Case::new("3.7", vec![Frame::close(1000, "").with_reserved(7)]).breaks_protocol(),
    ]);
}

#[test]
fn section_4_reserved_opcodes_break_the_protocol() {
    let mut cases = Vec::new();
    for (section, opcodes) in [("4.1", 3..=7), ("4.2", 11..=15)] {
        for (number, opcode) in opcodes.enumerate() {
            let payload = if number % 2 == 1 { "reserved opcode payload" } else { "" };
            let mut frames = vec![Frame::new(opcode, payload)];
            if number >= 2 {
                frames.insert(0, Frame::text(HELLO));
                frames.push(Frame::ping(""));
            }
            let case = Case::new(format!("{section}.{}", number + 1), frames).breaks_protocol();
            cases.push(if number == 4 { case.chopped(1) } else { case });
        }
    }
    play(&cases);
}

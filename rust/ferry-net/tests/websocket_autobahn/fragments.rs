//! Section 5: messages in fragments, and what may stand between them.

use crate::cases::{Case, text_in};
use crate::play;
use crate::websocket_support::frames::{Frame, PING, PONG};

fn control_in_two(opcode: u8) -> Vec<Frame> {
    vec![Frame::new(opcode, "fragment1").unfinished(), Frame::more("fragment2")]
}

fn text_in_two() -> Vec<Frame> {
    text_in(&[b"fragment1", b"fragment2"])
}

/// A ping after the first fragment.
fn with_ping() -> Vec<Frame> {
    let mut frames = text_in_two();
    frames.insert(1, Frame::ping("ping payload"));
    frames
}

/// Five fragments, pings after the second and the fourth.
fn with_two_pings() -> Vec<Frame> {
    let mut frames = text_in(&[b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5"]);
    frames.insert(2, Frame::ping("pongme 1!"));
    frames.insert(5, Frame::ping("pongme 2!"));
    frames
}

/// A continuation that continues nothing, then a text.
fn continues_nothing(last: bool) -> Vec<Frame> {
    let more = Frame::more("non-continuation payload");
    vec![if last { more } else { more.unfinished() }, Frame::text("Hello, world!")]
}

#[test]
fn section_5_fragments_make_a_message_and_control_frames_have_none() {
    let two_after = {
        let mut frames = text_in_two();
        frames.extend(continues_nothing(false));
        frames
    };
    let more = |last: bool| if last { Frame::more("x") } else { Frame::more("x").unfinished() };
    let twice = |frames: [Frame; 2]| [frames.clone(), frames].concat();
    let mut two_texts = text_in_two();
    two_texts[1].opcode = 1;
    play(&[
        Case::new("5.1", control_in_two(PING)).breaks_protocol(),
        Case::new("5.2", control_in_two(PONG)).breaks_protocol(),
        Case::new("5.3", text_in_two()),
        Case::new("5.4", text_in_two()).chopped(7),
        Case::new("5.5", text_in_two()).chopped(1),
        Case::new("5.6", with_ping()),
        Case::new("5.7", with_ping()).chopped(7),
        Case::new("5.8", with_ping()).chopped(1),
        Case::new("5.9", continues_nothing(true)).breaks_protocol(),
        Case::new("5.10", continues_nothing(true)).chopped(7).breaks_protocol(),
        Case::new("5.11", continues_nothing(true)).chopped(1).breaks_protocol(),
        Case::new("5.12", continues_nothing(false)).breaks_protocol(),
        Case::new("5.13", continues_nothing(false)).chopped(7).breaks_protocol(),
        Case::new("5.14", continues_nothing(false)).chopped(1).breaks_protocol(),
        Case::new("5.15", two_after).breaks_protocol(),
        Case::new("5.16", twice([more(false), Frame::more("fragment2")])).breaks_protocol(),
        Case::new("5.17", twice([more(true), Frame::text("fragment2")])).breaks_protocol(),
        Case::new("5.18", two_texts).breaks_protocol(),
        Case::new("5.19", with_two_pings()),
        Case::new("5.20", with_two_pings()).chopped(1),
    ]);
}

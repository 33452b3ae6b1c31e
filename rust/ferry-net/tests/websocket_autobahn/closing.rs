//! Section 7: goodbyes.

use crate::cases::Case;
use crate::play;
use crate::websocket_support::frames::{CLOSE, Frame};

const HELLO: &str = "Hello World!";

fn goodbye() -> Frame {
    Frame::close(1000, "")
}

#[test]
fn section_7_1_nothing_counts_behind_a_goodbye() {
    let in_between = vec![Frame::text("fragment1").unfinished(), goodbye(), Frame::more("fragment2")];
    let large = vec![Frame::text(vec![b'*'; 256 * 1024]), Frame::text(HELLO), goodbye(), Frame::ping("")];
    let mut behind_large = Case::new("7.1.6", large).closes(Some(1000));
    // Sent back in as far as there was time for it.
    behind_large.may_lose_echoes = true;
    play(&[
        Case::new("7.1.1", vec![Frame::text(HELLO)]),
        Case::new("7.1.2", vec![goodbye(), goodbye()]).closes(Some(1000)),
        Case::new("7.1.3", vec![goodbye(), Frame::ping("")]).closes(Some(1000)),
        Case::new("7.1.4", vec![goodbye(), Frame::text(HELLO)]).closes(Some(1000)),
        Case::new("7.1.5", in_between).closes(Some(1000)),
        behind_large,
    ]);
}

#[test]
fn section_7_3_goodbyes_have_a_code_and_a_text_or_nothing() {
    let says = |payload: &[u8]| vec![Frame::new(CLOSE, payload)];
    let with_text = |len: usize| vec![Frame::close(1000, vec![b'*'; len])];
    play(&[
        Case::new("7.3.1", says(&[])).closes(None),
        Case::new("7.3.2", says(b"a")).breaks_protocol(),
        Case::new("7.3.3", with_text(0)).closes(Some(1000)),
        Case::new("7.3.4", with_text(12)).closes(Some(1000)),
        Case::new("7.3.5", with_text(123)).closes(Some(1000)),
        Case::new("7.3.6", with_text(124)).breaks_protocol(),
    ]);
}

#[test]
fn section_7_5_a_goodbyes_text_is_utf8() {
    let text = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80\x65\x64\x69\x74\x65\x64";
    play(&[Case::new("7.5.1", vec![Frame::close(1000, text)]).breaks_utf8()]);
}

#[test]
fn section_7_7_valid_codes_are_answered_in_kind() {
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let cases: Vec<Case> = codes
        .into_iter()
        .zip(1..)
        .map(|(code, number)| {
            Case::new(format!("7.7.{number} ({code})"), vec![Frame::close(code, "")]).closes(Some(code))
        })
        .collect();
    play(&cases);
}

#[test]
fn section_7_9_and_7_13_codes_that_nobody_may_say_break_the_protocol() {
    let codes = [
        ("7.9.1", 0),
        ("7.9.2", 999),
        ("7.9.3", 1004),
        ("7.9.4", 1005),
        ("7.9.5", 1006),
        ("7.9.6", 1016),
        ("7.9.7", 1100),
        ("7.9.8", 2000),
        ("7.9.9", 2999),
        ("7.13.1", 5000),
        ("7.13.2", 65_535),
    ];
    let cases: Vec<Case> = codes
        .into_iter()
        .map(|(id, code)| Case::new(format!("{id} ({code})"), vec![Frame::close(code, "")]).breaks_protocol())
        .collect();
    play(&cases);
}

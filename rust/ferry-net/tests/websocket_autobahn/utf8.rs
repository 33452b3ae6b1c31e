//! Section 6: text is UTF-8, however it is cut.

use crate::cases::{Case, text_in};
use crate::play;
use crate::websocket_support::frames::Frame;

/// A Greek word, and what the suite calls edited: a surrogate behind it.
const WORD: &[u8] = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";
const SURROGATE: &[u8] = b"\xED\xA0\x80";
const BEYOND: &[u8] = b"\xF4\x90\x80\x80";
const EDITED: &[u8] = b"edited";

/// Letters of one to four bytes.
const LETTERS: &str = "Hello-µ@ßöäüàá-UTF-8!!";

/// Every byte a fragment.
fn bytewise(text: &[u8]) -> Vec<Frame> {
    text_in(&text.chunks(1).collect::<Vec<_>>())
}

#[test]
fn section_6_1_and_2_text_may_be_cut_anywhere() {
    let text = LETTERS.as_bytes();
    play(&[
        Case::new("6.1.1", vec![Frame::text("")]),
        Case::new("6.1.2", text_in(&[b"", b"", b""])),
        Case::new("6.1.3", text_in(&[b"", b"middle frame payload", b""])),
        Case::new("6.2.1", vec![Frame::text(text)]),
        Case::new("6.2.2", text_in(&[&text[..12], &text[12..]])),
        Case::new("6.2.3", bytewise(text)),
        Case::new("6.2.4", bytewise(WORD)),
    ]);
}

#[test]
fn section_6_3_and_4_text_that_is_not_utf8_ends_the_connection() {
    let invalid = [WORD, SURROGATE, EDITED].concat();
    let beyond = [WORD, BEYOND, EDITED].concat();
    play(&[
        Case::new("6.3.1", vec![Frame::text(&invalid)]).breaks_utf8(),
        Case::new("6.3.2", bytewise(&invalid)).breaks_utf8(),
        Case::new("6.4.1", text_in(&[WORD, BEYOND, EDITED])).breaks_utf8(),
        Case::new("6.4.2", text_in(&[&beyond[..12], &beyond[12..13], &beyond[13..]])).breaks_utf8(),
        Case::new("6.4.3", text_in(&[WORD, BEYOND, EDITED])).chopped(3).breaks_utf8(),
        Case::new("6.4.4", vec![Frame::text(&beyond)]).chopped(1).breaks_utf8(),
    ]);
}

/// A section of texts, each of which is UTF-8 or not: whole, and again with every byte a fragment.
fn section(number: u32, texts: &[(&[u8], bool)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for ((text, valid), part) in texts.iter().zip(1..) {
        let id = format!("6.{number}.{part}");
        for (id, frames) in [(format!("{id} bytewise"), bytewise(text)), (id, vec![Frame::text(text)])] {
            let case = Case::new(id, frames);
            cases.push(if *valid { case } else { case.breaks_utf8() });
        }
    }
    cases
}

/// Some texts that are not UTF-8.
fn invalid<'a>(texts: &[&'a [u8]]) -> Vec<(&'a [u8], bool)> {
    texts.iter().map(|text| (*text, false)).collect()
}

#[test]
fn section_6_5_to_8_sequences_of_every_length() {
    // A text that stops within a letter is none.
    let prefixes = |text: &'static [u8]| -> Vec<(&'static [u8], bool)> {
        (1..=text.len()).map(|end| (&text[..end], std::str::from_utf8(&text[..end]).is_ok())).collect()
    };
    play(&section(5, &prefixes(WORD)[..5]));
    play(&section(6, &prefixes(WORD)));
    play(&section(
        7,
        &[(b"\0", true), (b"\xC2\x80", true), (b"\xE0\xA0\x80", true), (b"\xF0\x90\x80\x80", true)],
    ));
    play(&section(8, &invalid(&[b"\xF8\x88\x80\x80\x80", b"\xFC\x84\x80\x80\x80\x80"])));
}

#[test]
fn section_6_9_to_11_last_letters_of_every_length() {
    play(&section(
        9,
        &[(b"\x7F", true), (b"\xDF\xBF", true), (b"\xEF\xBF\xBF", true), (b"\xF4\x8F\xBF\xBF", true)],
    ));
    play(&section(
        10,
        &invalid(&[b"\xF7\xBF\xBF\xBF", b"\xFB\xBF\xBF\xBF\xBF", b"\xFD\xBF\xBF\xBF\xBF\xBF"]),
    ));
    play(&section(
        11,
        &[
            (b"\xED\x9F\xBF", true),
            (b"\xEE\x80\x80", true),
            (b"\xEF\xBF\xBD", true),
            (b"\xF4\x8F\xBF\xBF", true),
            (b"\xF4\x90\x80\x80", false),
        ],
    ));
}

#[test]
fn section_6_12_to_14_bytes_that_stand_alone() {
    let all: Vec<u8> = (0x80..=0xBF).collect();
    let alternating = |count: usize| -> Vec<u8> { [0x80, 0xBF].into_iter().cycle().take(count).collect() };
    let some: Vec<Vec<u8>> = (2..=7).map(alternating).collect();
    let mut texts: Vec<&[u8]> = vec![b"\x80", b"\xBF"];
    texts.extend(some.iter().map(Vec::as_slice));
    texts.push(&all);
    play(&section(12, &invalid(&texts)));

    let lonely = |starts: std::ops::RangeInclusive<u8>| -> Vec<u8> {
        starts.flat_map(|start| [start, b' ']).collect()
    };
    let starts = [0xC0..=0xDF, 0xE0..=0xEF, 0xF0..=0xF7, 0xF8..=0xFB, 0xFC..=0xFD].map(lonely);
    play(&section(13, &invalid(&starts.each_ref().map(Vec::as_slice))));
    play(&section(14, &invalid(&CUT_SHORT)));
}

/// Letters without their last byte.
const CUT_SHORT: [&[u8]; 10] = [
    b"\xC0",
    b"\xE0\x80",
    b"\xF0\x80\x80",
    b"\xF8\x80\x80\x80",
    b"\xFC\x80\x80\x80\x80",
    b"\xDF",
    b"\xEF\xBF",
    b"\xF7\xBF\xBF",
    b"\xFB\xBF\xBF\xBF",
    b"\xFD\xBF\xBF\xBF\xBF",
];

#[test]
fn section_6_15_to_19_impossible_and_overlong_letters() {
    play(&section(15, &invalid(&[&CUT_SHORT.concat()])));
    play(&section(16, &invalid(&[b"\xFE", b"\xFF", b"\xFE\xFE\xFF\xFF"])));
    play(&section(
        17,
        &invalid(&[
            b"\xC0\xAF",
            b"\xE0\x80\xAF",
            b"\xF0\x80\x80\xAF",
            b"\xF8\x80\x80\x80\xAF",
            b"\xFC\x80\x80\x80\x80\xAF",
        ]),
    ));
    play(&section(
        18,
        &invalid(&[
            b"\xC1\xBF",
            b"\xE0\x9F\xBF",
            b"\xF0\x8F\xBF\xBF",
            b"\xF8\x87\xBF\xBF\xBF",
            b"\xFC\x83\xBF\xBF\xBF\xBF",
        ]),
    ));
    play(&section(
        19,
        &invalid(&[
            b"\xC0\x80",
            b"\xE0\x80\x80",
            b"\xF0\x80\x80\x80",
            b"\xF8\x80\x80\x80\x80",
            b"\xFC\x80\x80\x80\x80\x80",
        ]),
    ));
}

#[test]
fn section_6_20_and_21_surrogates_are_no_letters() {
    let high: [&[u8]; 4] = [b"\xED\xA0\x80", b"\xED\xAD\xBF", b"\xED\xAE\x80", b"\xED\xAF\xBF"];
    let low: [&[u8]; 3] = [b"\xED\xB0\x80", b"\xED\xBE\x80", b"\xED\xBF\xBF"];
    play(&section(20, &invalid(&[high.as_slice(), &low].concat())));
    let pairs: Vec<Vec<u8>> =
        high.iter().flat_map(|high| [low[0], low[2]].map(|low| [high, low].concat())).collect();
    play(&section(21, &invalid(&pairs.iter().map(Vec::as_slice).collect::<Vec<_>>())));
}

#[test]
fn section_6_22_and_23_letters_that_mean_nothing_are_letters() {
    // The last two of each plane.
    let last_two: Vec<String> = (0..=16_u32)
        .flat_map(|plane| [0xFFFE, 0xFFFF].map(|last| plane << 16 | last))
        .map(|letter| char::from_u32(letter).unwrap().to_string())
        .collect();
    assert_eq!(last_two.len(), 34);
    let special: Vec<String> = ('\u{FFF9}'..='\u{FFFF}').map(|letter| letter.to_string()).collect();
    for (number, letters) in [(22, last_two), (23, special)] {
        let texts: Vec<(&[u8], bool)> = letters.iter().map(|letter| (letter.as_bytes(), true)).collect();
        play(&section(number, &texts));
    }
}

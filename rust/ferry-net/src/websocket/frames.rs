//! Frames on their way in and out, as far as tungstenite cannot be left alone with them (RFC 6455, section 5.2).
//!
//! tungstenite makes room for a whole frame as soon as its header claims a length, and does not tell how much of a message
//! it holds. So what comes in passes through here first: a message that is too long is stopped at the header that says
//! so, a long frame is cut into pieces of [`PIECE`], and it is known how much of a message has come ([`Frames::held`]). A
//! message of many tiny pieces is stopped, too. Whether frames make sense otherwise is tungstenite's to judge.
//!
//! On the way out, a [`Whole`] is a long message in one frame, which tungstenite would copy and keep the memory of. In pieces it
//! would be less trouble, but the engine's own class never ends a message in pieces that is longer than it takes: it
//! stops reading for ever.

use std::fmt;

use bytes::{Buf, Bytes};

/// Frames leave here no longer than this. A multiple of 4: the mask of a cut frame goes on as it began.
pub(super) const PIECE: usize = 32 * 1024;

/// The longest header: two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;

/// The longest payload of a control frame.
const LONGEST_CONTROL: u64 = 125;

/// A message may have so many pieces ...
const FREE_PIECES: u64 = 1024;
/// ... and one more for each so many bytes in it.
const BYTES_PER_PIECE: u64 = 32;

/// What a piece counts besides its bytes.
const PIECE_OVERHEAD: usize = 16;

/// Why no more is taken from the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// A message is longer than the limit.
    TooLong { claimed: u64, limit: u64 },
    /// A ping, pong or goodbye is longer than those may be.
    LongControl,
    /// A message comes in more pieces than anybody needs.
    TooManyPieces,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { claimed, limit } => write!(
                formatter,
                "a message of {claimed} bytes or more came, the limit is {limit} (inbound_buffer_size)"
            ),
            Self::LongControl => formatter.write_str("a control frame of more than 125 bytes"),
            Self::TooManyPieces => formatter.write_str("a flood of tiny fragments"),
        }
    }
}

impl std::error::Error for Violation {}

#[derive(Debug)]
enum State {
    /// Collecting a header; so many bytes are there.
    Header { bytes: [u8; LONGEST_HEADER], have: usize },
    /// Passing a payload on.
    Payload(Payload),
}

#[derive(Debug)]
struct Payload {
    /// Of the piece that is being passed on.
    piece: u64,
    /// Of the frame, after that piece.
    rest: u64,
    head: Head,
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
struct Head {
    first: u8,
    length: u64,
    mask: Option<[u8; 4]>,
}

const FINAL: u8 = 0x80;
const CONTROL: u8 = 0x08;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;

impl Head {
    fn is_control(self) -> bool {
        self.first & CONTROL != 0
    }

    fn is_final(self) -> bool {
        self.first & FINAL != 0
    }

    /// How long a header is that begins with these bytes; `None` if there are too few to tell.
    fn size(bytes: &[u8]) -> Option<usize> {
        let second = bytes.get(1)?;
        let length = match second & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        Some(2 + length + if second & MASKED == 0 { 0 } else { 4 })
    }

    /// Reads a header that is whole.
    fn read(bytes: &[u8]) -> Self {
        let (short, rest) = (bytes[1] & !MASKED, &bytes[2..]);
        let (length, rest) = match short {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                let eight = rest.first_chunk::<8>().map_or(0, |eight| u64::from_be_bytes(*eight));
                (eight, &rest[8..])
            }
            short => (u64::from(short), rest),
        };
        Self {
            first: bytes[0],
            length,
            mask: rest.first_chunk::<4>().copied().filter(|_| bytes[1] & MASKED != 0),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        out.push(self.first);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ 0..126), _) => out.push(masked | short),
            (_, Ok(length)) => {
                out.push(masked | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend(self.mask.into_iter().flatten());
    }
}

/// A long message on its way out, as one frame.
#[derive(Debug)]
pub(super) struct Whole {
    /// Header, or a piece that is masked.
    ready: Vec<u8>,
    sent: usize,
    payload: Bytes,
    mask: Option<[u8; 4]>,
}

impl Whole {
    pub(super) fn new(text: bool, payload: Bytes, mask: Option<[u8; 4]>) -> Self {
        let first = FINAL | if text { 1 } else { 2 };
        let mut ready = Vec::with_capacity(LONGEST_HEADER);
        Head { first, length: payload.len() as u64, mask }.write(&mut ready);
        Self { ready, sent: 0, payload, mask }
    }

    /// What is to be written next; nothing at the end.
    pub(super) fn next(&mut self) -> &[u8] {
        if self.sent < self.ready.len() {
            return &self.ready[self.sent..];
        }
        match self.mask {
            None => &self.payload,
            Some(mask) => {
                // Pieces are a multiple of the mask's length.
                let piece = self.payload.split_to(self.payload.len().min(PIECE));
                self.ready.clear();
                self.ready.extend(piece.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
                self.sent = 0;
                &self.ready
            }
        }
    }

    /// So much of it was written.
    pub(super) fn written(&mut self, count: usize) {
        if self.sent < self.ready.len() {
            self.sent += count;
        } else {
            self.payload.advance(count);
        }
    }
}

/// The frames of one link, on their way in.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    max_message: u64,
    /// Bytes of the message in part, as its headers claim.
    claimed: u64,
    /// Bytes of it that have come.
    received: usize,
    pieces: u64,
}

impl Frames {
    pub(super) fn new(max_message: usize) -> Self {
        Self { state: START, max_message: max_message as u64, claimed: 0, received: 0, pieces: 0 }
    }

    /// What is held of a message that has come in part, about.
    pub(super) fn held(&self) -> usize {
        self.received + usize::try_from(self.pieces).unwrap_or(usize::MAX).saturating_mul(PIECE_OVERHEAD)
    }

    /// Passes on what has come.
    ///
    /// # Errors
    ///
    /// When no more is to be taken. What was passed on before is sound.
    pub(super) fn pass(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        while !input.is_empty() {
            match &mut self.state {
                State::Header { bytes, have } => {
                    let wanted = Head::size(&bytes[..*have]).unwrap_or(2);
                    let taken = input.len().min(wanted - *have);
                    bytes[*have..*have + taken].copy_from_slice(&input[..taken]);
                    *have += taken;
                    input = &input[taken..];
                    if Head::size(&bytes[..*have]) == Some(*have) {
                        let head = Head::read(&bytes[..*have]);
                        self.begin(head, out)?;
                    }
                }
                State::Payload(payload) => {
                    let taken = usize::try_from(payload.piece).unwrap_or(usize::MAX).min(input.len());
                    out.extend_from_slice(&input[..taken]);
                    input = &input[taken..];
                    payload.piece -= taken as u64;
                    if !payload.head.is_control() {
                        self.received += taken;
                    }
                    if payload.piece == 0 {
                        self.piece_done(out);
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: Head, out: &mut Vec<u8>) -> Result<(), Violation> {
        if head.is_control() {
            if head.length > LONGEST_CONTROL {
                return Err(Violation::LongControl);
            }
        } else {
            if head.first & OPCODE != 0 {
                self.message_done();
            }
            self.claimed = self.claimed.saturating_add(head.length);
            self.pieces += 1;
            if self.claimed > self.max_message {
                return Err(Violation::TooLong { claimed: self.claimed, limit: self.max_message });
            }
            if self.pieces > FREE_PIECES + self.claimed / BYTES_PER_PIECE {
                return Err(Violation::TooManyPieces);
            }
        }
        self.pass_head(head, out);
        Ok(())
    }

    /// Passes a header on, of the frame or of its first piece.
    fn pass_head(&mut self, head: Head, out: &mut Vec<u8>) {
        let piece = head.length.min(PIECE as u64);
        let rest = head.length - piece;
        let first = if rest > 0 { head.first & !FINAL } else { head.first };
        Head { first, length: piece, ..head }.write(out);
        self.state = State::Payload(Payload { piece, rest, head });
        if piece == 0 {
            self.piece_done(out);
        }
    }

    fn piece_done(&mut self, out: &mut Vec<u8>) {
        let State::Payload(Payload { rest, head, .. }) = &self.state else { return };
        let (rest, head) = (*rest, *head);
        if rest > 0 {
            let first = head.first & FINAL;
            self.pass_head(Head { first, length: rest, ..head }, out);
            return;
        }
        if !head.is_control() && head.is_final() {
            self.message_done();
        }
        self.state = START;
    }

    fn message_done(&mut self) {
        (self.claimed, self.received, self.pieces) = (0, 0, 0);
    }
}

const START: State = State::Header { bytes: [0; LONGEST_HEADER], have: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Head { first, length: payload.len() as u64, mask }.write(&mut bytes);
        bytes.extend(
            payload.iter().enumerate().map(|(place, byte)| byte ^ mask.map_or(0, |mask| mask[place % 4])),
        );
        bytes
    }

    /// The frames in these bytes: first byte and payload, without the mask.
    fn read(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let size = Head::size(bytes).expect("a header");
            let head = Head::read(&bytes[..size]);
            let (payload, rest) = bytes[size..].split_at(head.length as usize);
            let unmasked = payload
                .iter()
                .enumerate()
                .map(|(place, byte)| byte ^ head.mask.map_or(0, |mask| mask[place % 4]));
            frames.push((head.first, unmasked.collect()));
            bytes = rest;
        }
        frames
    }

    #[test]
    fn usual_frames_pass_as_they_are_in_whatever_pieces_they_come() {
        let mut input = frame(0x82, None, b"hello");
        input.extend(frame(0x01, Some([1, 2, 3, 4]), &[9; 300]));
        input.extend(frame(0x89, None, b"ping"));
        input.extend(frame(0x80, Some([7; 4]), &[5; 70]));
        input.extend(frame(0x82, None, b""));
        for step in [1, 2, 3, 7, 1000] {
            let mut frames = Frames::new(1000);
            let mut out = Vec::new();
            input.chunks(step).for_each(|piece| frames.pass(piece, &mut out).expect("sound"));
            assert_eq!(out, input, "in pieces of {step}");
            assert_eq!(frames.held(), 0);
        }
    }

    #[test]
    fn long_frames_are_cut_and_their_masks_go_on() {
        let payload: Vec<u8> = (0..PIECE * 2 + 100).map(|place| place as u8).collect();
        for mask in [None, Some([0x12, 0x34, 0x56, 0x78])] {
            let mut out = Vec::new();
            Frames::new(1 << 20).pass(&frame(0x82, mask, &payload), &mut out).expect("sound");
            let cut = read(&out);
            assert_eq!(
                cut.iter().map(|(first, payload)| (*first, payload.len())).collect::<Vec<_>>(),
                [(0x02, PIECE), (0x00, PIECE), (0x80, 100)]
            );
            let whole: Vec<u8> = cut.into_iter().flat_map(|(_, payload)| payload).collect();
            assert_eq!(whole, payload);
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_stopped_at_the_header_that_says_so() {
        let too_long = |claimed| Err(Violation::TooLong { claimed, limit: 1000 });
        let mut out = Vec::new();
        let mut claim = Vec::new();
        Head { first: 0x82, length: u64::MAX, mask: None }.write(&mut claim);
        assert_eq!(Frames::new(1000).pass(&claim, &mut out), too_long(u64::MAX));
        let mut frames = Frames::new(1000);
        frames.pass(&frame(0x02, None, &[0; 600]), &mut out).expect("sound");
        assert!(frames.held() > 600);
        frames.pass(&frame(0x89, None, b"ping"), &mut out).expect("sound");
        assert_eq!(frames.pass(&frame(0x00, None, &[0; 401])[..4], &mut out), too_long(1001));
        assert_eq!(
            Frames::new(1000).pass(&frame(0x89, None, &[0; 126]), &mut out),
            Err(Violation::LongControl)
        );
    }

    #[test]
    fn a_long_message_leaves_as_one_frame_in_whatever_pieces_it_is_written() {
        let payload: Vec<u8> = (0..PIECE * 3 + 7).map(|place| (place * 7) as u8).collect();
        for (mask, step) in
            [(None, 1000), (None, usize::MAX), (Some([1, 2, 3, 4]), 999), (Some([9, 8, 7, 6]), usize::MAX)]
        {
            let mut whole = Whole::new(false, Bytes::from(payload.clone()), mask);
            let mut out = Vec::new();
            loop {
                let next = whole.next();
                if next.is_empty() {
                    break;
                }
                let written = next.len().min(step);
                out.extend_from_slice(&next[..written]);
                whole.written(written);
            }
            assert_eq!(out, frame(0x82, mask, &payload));
        }
    }

    #[test]
    fn tiny_fragments_are_borne_for_so_long() {
        let mut out = Vec::new();
        let mut frames = Frames::new(1 << 24);
        frames.pass(&frame(0x02, None, b""), &mut out).expect("sound");
        let empty = frame(0x00, None, b"");
        let ended = (1..10_000).find(|_| frames.pass(&empty, &mut out) == Err(Violation::TooManyPieces));
        assert_eq!(ended, Some(FREE_PIECES));
        // What a test suite sends: four megabytes in pieces of 64 bytes.
        let mut frames = Frames::new(1 << 24);
        frames.pass(&frame(0x02, None, &[1; 64]), &mut out).expect("sound");
        let small = frame(0x00, None, &[1; 64]);
        assert!((0..(1 << 22) / 64).all(|_| frames.pass(&small, &mut out).is_ok()));
    }
}

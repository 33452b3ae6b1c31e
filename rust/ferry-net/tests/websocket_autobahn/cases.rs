//! What a case is.

use ferry_net::reason::Reason;

use crate::websocket_support::frames::{Frame, TEXT};

/// How a case ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// It goes on: everything comes back, then the table says goodbye with 1000, and so does the other end.
    Open,
    /// The table has said goodbye. This code comes back (`None`: no code), and the game hears which one was sent.
    Closed(Option<u16>),
    /// The other end closes with this code. What was sent before may have come back, or not.
    Failed(u16),
}

/// One case: what is sent, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// As the suite numbers it.
    pub(crate) id: String,
    pub(crate) frames: Vec<Frame>,
    /// The longest piece that is sent at once.
    pub(crate) chop: usize,
    /// Messages that come back, in order: opcode and payload.
    pub(crate) echoes: Vec<(u8, Vec<u8>)>,
    /// Pongs that come back.
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) end: End,
    /// Whether echoes may be missing at the end, since a goodbye overtook them.
    pub(crate) may_lose_echoes: bool,
}

impl Case {
    /// A case whose echoes and pongs follow from its frames, taken as they are.
    pub(crate) fn new(id: impl Into<String>, frames: Vec<Frame>) -> Self {
        let mut echoes: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut pongs = Vec::new();
        let mut whole = true;
        for frame in &frames {
            match frame.opcode {
                0 => {
                    if let Some((_, payload)) = echoes.last_mut() {
                        payload.extend_from_slice(&frame.payload);
                    }
                    whole = frame.last;
                }
                1 | 2 => {
                    echoes.push((frame.opcode, frame.payload.to_vec()));
                    whole = frame.last;
                }
                9 => pongs.push(frame.payload.to_vec()),
                _ => {}
            }
        }
        if !whole {
            echoes.pop();
        }
        Self {
            id: id.into(),
            frames,
            chop: usize::MAX,
            echoes,
            pongs,
            end: End::Open,
            may_lose_echoes: false,
        }
    }

    /// Sent in pieces of this size.
    pub(crate) fn chopped(self, chop: usize) -> Self {
        Self { chop, ..self }
    }

    /// Breaks the protocol.
    pub(crate) fn breaks_protocol(self) -> Self {
        Self { end: End::Failed(1002), ..self }
    }

    /// Has text that is not UTF-8.
    pub(crate) fn breaks_utf8(self) -> Self {
        Self { end: End::Failed(1007), ..self }
    }

    /// Ends with a goodbye of the table's, which is answered with this code. What the frames behind it ask for does not
    /// come back.
    pub(crate) fn closes(mut self, answer: Option<u16>) -> Self {
        let goodbye = self.frames.iter().position(|frame| frame.opcode == 8).unwrap();
        let before = Self::new("", self.frames[..goodbye].to_vec());
        (self.echoes, self.pongs) = (before.echoes, before.pongs);
        Self { end: End::Closed(answer), ..self }
    }

    /// What the game hears as the reason.
    pub(crate) fn reason(&self) -> Reason {
        match &self.end {
            End::Failed(_) | End::Closed(Some(1002 | 1003 | 1007)) => Reason::Protocol,
            End::Closed(Some(1009)) => Reason::PacketTooLarge,
            End::Open | End::Closed(_) => Reason::RemoteClose,
        }
    }
}

/// Frames of a message, in pieces of this length.
pub(crate) fn fragments(opcode: u8, payload: &[u8], len: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = payload.chunks(len).map(|piece| Frame::more(piece).unfinished()).collect();
    frames.first_mut().unwrap().opcode = opcode;
    frames.last_mut().unwrap().last = true;
    frames
}

/// Each piece a fragment of one text.
pub(crate) fn text_in(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = pieces.iter().map(|piece| Frame::more(piece).unfinished()).collect();
    frames.first_mut().unwrap().opcode = TEXT;
    frames.last_mut().unwrap().last = true;
    frames
}

//! What a goodbye says: close codes of RFC 6455 (section 7.4), and reasons of Ferry's among those that are free for use.
//!
//! Browsers show a page the code and the text of a goodbye, but not why a handshake failed. So a server that sends somebody
//! away, also at the door, says so with code 4000 + the reason's number and the reason's phrase. Other programs' codes are
//! a plain goodbye, with code and text as the detail.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::reason::{Farewell, Reason};

/// Done, says a client that leaves.
pub(super) const NORMAL: u16 = 1000;
/// Going away, says a server that closes.
pub(super) const GOING_AWAY: u16 = 1001;
/// The other end broke the protocol.
pub(super) const PROTOCOL: u16 = 1002;
/// Text was not UTF-8.
pub(super) const INVALID_DATA: u16 = 1007;
/// A message was too long.
pub(super) const TOO_BIG: u16 = 1009;

/// Where Ferry's reasons begin.
const REASONS: u16 = 4000;

/// The longest text of a goodbye: 125 bytes, less the code.
const MAX_TEXT: usize = 123;

/// A goodbye as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Goodbye {
    /// With this text, as far as there is room for it.
    pub(crate) fn new(code: u16, text: &str) -> Self {
        let mut end = text.len().min(MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self { code, text: text[..end].to_owned() }
    }

    /// One without a code, which the engine gives as 0.
    pub(crate) fn wordless() -> Self {
        Self { code: 0, text: String::new() }
    }

    /// What the other end is told of a reason.
    pub(crate) fn of(reason: Reason) -> Self {
        match reason {
            Reason::None | Reason::LocalClose | Reason::RemoteClose => Self::new(NORMAL, ""),
            Reason::Protocol => Self::new(PROTOCOL, reason.phrase()),
            Reason::PacketTooLarge => Self::new(TOO_BIG, reason.phrase()),
            _ => Self::new(REASONS + reason as u16, reason.phrase()),
        }
    }

    /// As it is sent.
    pub(super) fn message(&self) -> Message {
        let reason = Utf8Bytes::from(self.text.as_str());
        Message::Close(Some(CloseFrame { code: self.code.into(), reason }))
    }

    /// What this, from the other end, means.
    pub(crate) fn heard(&self) -> Farewell {
        let reason = match self.code {
            PROTOCOL | 1003 | INVALID_DATA => Reason::Protocol,
            TOO_BIG => Reason::PacketTooLarge,
            code => Reason::seen_from_here(
                Reason::ALL.iter().copied().find(|reason| REASONS + *reason as u16 == code),
            ),
        };
        let usual = matches!(self.code, 0 | NORMAL | GOING_AWAY) && self.text.is_empty();
        let own = reason != Reason::RemoteClose && self.code > REASONS && self.text == reason.phrase();
        if usual || own {
            return reason.into();
        }
        let text = if self.text.is_empty() { String::new() } else { format!(": {}", self.text) };
        Farewell::with(reason, format!("close code {}{text}", self.code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_travel_as_close_codes() {
        for reason in [Reason::Kicked, Reason::ServerFull, Reason::Refused, Reason::BadId, Reason::QueueFull]
        {
            assert_eq!(Goodbye::of(reason).heard(), reason.into());
        }
        assert_eq!(Goodbye::of(Reason::Kicked).code, 4003);
        assert_eq!(Goodbye::of(Reason::LocalClose).heard(), Reason::RemoteClose.into());
        assert_eq!(Goodbye::of(Reason::PacketTooLarge).code, 1009);
        assert_eq!(Goodbye::of(Reason::PacketTooLarge).heard().reason, Reason::PacketTooLarge);
    }

    #[test]
    fn codes_of_others_are_a_goodbye_with_a_detail() {
        assert_eq!(Goodbye::new(1000, "").heard(), Reason::RemoteClose.into());
        let told = Goodbye::new(4321, "for tea").heard();
        assert_eq!(told, Farewell::with(Reason::RemoteClose, "close code 4321: for tea"));
        assert_eq!(Goodbye::new(1011, "").heard(), Farewell::with(Reason::RemoteClose, "close code 1011"));
        // A number of ours with another text, or one that only makes sense at its own end.
        assert_eq!(
            Goodbye::new(4003, "no campers").heard(),
            Farewell::with(Reason::Kicked, "close code 4003: no campers")
        );
        assert_eq!(Goodbye::new(4007, "timed out").heard().reason, Reason::RemoteClose);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let goodbye = Goodbye::new(1000, &"ä".repeat(100));
        assert_eq!(goodbye.text.len(), 122);
    }
}

//! Why a connection ended, or was never made: one list for every transport.
//!
//! A [`Reason`] is what a game can act on; a [`Farewell`] adds a sentence for a log or a message box. Between Ferry peers
//! a reason also travels: transports that carry a number with their goodbye (ENet's disconnect data) carry
//! [`Reason::word`], and the other end makes [`Reason::heard`] of it, which is seen from its side: what one end calls
//! closing is being closed to the other. Numbers of other programs stay what they are, a plain goodbye.

use std::fmt;

/// Marks a goodbye's number as Ferry's: the letters `FRY`, above the reason's own eight bits.
const WORD_MARK: u32 = 0x4652_5900;

macro_rules! reasons {
    ($($(#[$text:meta])* $name:ident = $number:literal, $short:literal;)*) => {
        /// Why a connection ended. The numbers are part of the interface: scripts and other versions know them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$text])* $name = $number,)*
        }

        impl Reason {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A short phrase for people.
            pub const fn phrase(self) -> &'static str {
                match self { $(Self::$name => $short,)* }
            }
        }
    };
}

reasons! {
    /// Nothing has ended (yet).
    None = 0, "no reason";
    /// This end asked for it: a kick, or closing.
    LocalClose = 1, "closed by this side";
    /// The other end closed or left.
    RemoteClose = 2, "closed by the other side";
    /// The server threw this client out.
    Kicked = 3, "kicked by the server";
    /// The server has as many clients as it takes.
    ServerFull = 4, "the server is full";
    /// The server takes no new clients at the moment.
    Refused = 5, "refused by the server";
    /// Another client goes by this id already, or the id is no valid one.
    BadId = 6, "the peer id is invalid or in use";
    /// The other end was there and stopped answering.
    Timeout = 7, "timed out";
    /// Nobody answered at all.
    ConnectTimeout = 8, "no answer";
    /// The host name could not be looked up.
    Resolve = 9, "the host name could not be found";
    /// What came back was not this protocol, or made no sense.
    Protocol = 10, "the other side broke the protocol";
    /// A queue for this peer was full: more was sent to it than it took.
    QueueFull = 11, "its queue was full";
    /// A packet was longer than an end allows.
    PacketTooLarge = 12, "a packet was too large";
    /// The operating system's network failed.
    Network = 13, "the network failed";
    /// A fault in Ferry itself.
    Internal = 14, "internal error";
    /// No encrypted connection could be made: a certificate that is not trusted, or no TLS at all.
    Tls = 15, "the TLS handshake failed";
    /// The server answered, but not with a connection of this kind.
    Handshake = 16, "the handshake was refused";
    /// There was no way to the server, or nobody listened there.
    Unreachable = 17, "the server could not be reached";
    /// No path to the other end was found, or none was left: no candidate of it answered.
    IceFailed = 18, "no path to the other side was found";
}

impl Reason {
    /// The number that tells the other end, with a goodbye.
    pub const fn word(self) -> u32 {
        WORD_MARK | self as u32
    }

    /// What a goodbye with this number means to the end that hears it.
    pub fn heard(word: u32) -> Self {
        Self::seen_from_here(Self::ALL.iter().copied().find(|reason| reason.word() == word))
    }

    /// What a reason that the other end gave means here.
    pub(crate) fn seen_from_here(told: Option<Self>) -> Self {
        match told {
            // The other end's own view of its side says no more here than that it left.
            None | Some(Self::None | Self::LocalClose | Self::RemoteClose | Self::Timeout) => {
                Self::RemoteClose
            }
            Some(
                Self::ConnectTimeout
                | Self::Resolve
                | Self::Tls
                | Self::Handshake
                | Self::Unreachable
                | Self::IceFailed,
            ) => Self::RemoteClose,
            Some(reason) => reason,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.phrase())
    }
}

/// How a connection ended: the reason, and what else is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// Why.
    pub reason: Reason,
    /// A sentence for people; may be empty.
    pub detail: String,
}

impl Farewell {
    /// Just a reason.
    pub fn new(reason: Reason) -> Self {
        Self { reason, detail: String::new() }
    }

    /// A reason, and what else is known.
    pub fn with(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Reason> for Farewell {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.reason)?;
        if self.detail.is_empty() { Ok(()) } else { write!(formatter, " ({})", self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_from_the_other_side() {
        assert_eq!(Reason::heard(Reason::Kicked.word()), Reason::Kicked);
        assert_eq!(Reason::heard(Reason::ServerFull.word()), Reason::ServerFull);
        assert_eq!(Reason::heard(Reason::LocalClose.word()), Reason::RemoteClose);
    }

    #[test]
    fn numbers_of_other_programs_are_a_plain_goodbye() {
        for word in [0, 1, 7, u32::MAX, WORD_MARK | 0xFF] {
            assert_eq!(Reason::heard(word), Reason::RemoteClose, "{word:#x}");
        }
    }

    #[test]
    fn numbers_are_unique_and_phrases_are_there() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(!reason.phrase().is_empty());
        }
    }
}

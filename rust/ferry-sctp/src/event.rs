//! What goes in and what comes out: messages, how reliable they are, and what happened.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// A message of a stream. What its bytes are (text, binary, the opening of a data channel) is the identifier's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The stream, which is the data channel's number.
    pub stream: u16,
    /// The payload protocol identifier, as the data channels' RFC 8831 lists them.
    pub ppid: u32,
    /// The bytes; at least one.
    pub payload: Bytes,
}

/// What is done for a message that gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reliability {
    /// Whether it waits for the messages sent before it on its stream.
    pub ordered: bool,
    /// When it is given up, counted from when it was handed over.
    pub lifetime: Option<Duration>,
    /// How often it is sent again before it is given up.
    pub retransmits: Option<u16>,
}

impl Reliability {
    /// Never lost, in order.
    pub const RELIABLE: Self = Self { ordered: true, lifetime: None, retransmits: None };
}

impl Default for Reliability {
    fn default() -> Self {
        Self::RELIABLE
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both ends have agreed: the association stands.
    Established,
    /// A message came.
    Message(Message),
    /// The other end has closed its side of this stream: no message of it comes any more, until its numbers begin anew.
    StreamReset(u16),
    /// The other end has confirmed that this end's side of this stream is closed; it may be used anew.
    StreamClosed(u16),
    /// It is over. Nothing comes after this.
    Closed(CloseReason),
}

/// Why an association is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// One of the ends shut down, and everything sent before had come.
    Shutdown,
    /// The other end broke off. What it said about it, for a log.
    Aborted(String),
    /// This end broke off.
    LocalAbort,
    /// The other end does not answer.
    TimedOut,
    /// The other end sent a message longer than allowed.
    TooLong,
    /// The other end broke the protocol, and how.
    Protocol(&'static str),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => formatter.write_str("shut down"),
            Self::Aborted(cause) if cause.is_empty() => formatter.write_str("aborted by the other side"),
            Self::Aborted(cause) => write!(formatter, "aborted by the other side: {cause}"),
            Self::LocalAbort => formatter.write_str("aborted by this side"),
            Self::TimedOut => formatter.write_str("no answer"),
            Self::TooLong => formatter.write_str("a message was too long"),
            Self::Protocol(what) => write!(formatter, "the other side broke the protocol: {what}"),
        }
    }
}

//! Why an end goes, as it tells the other: in the cause of SCTP's ABORT, which other implementations show as a text.

use super::quoted::quoted;
use crate::reason::{Farewell, Reason};

/// As much of another program's text is told, in letters.
const QUOTED: usize = 200;

/// What comes before the reason's number.
const MARK: &str = "ferry-";

/// What the other end is told.
pub(super) fn write(told: Reason) -> String {
    format!("{MARK}{} {told}", told as u8)
}

/// What the other end has told.
pub(super) fn read(cause: &str) -> Farewell {
    let told = cause.strip_prefix(MARK).and_then(|rest| {
        let number = rest.split(' ').next()?.parse::<u8>().ok()?;
        Reason::ALL.iter().copied().find(|reason| *reason as u8 == number)
    });
    match told {
        Some(told) => Reason::seen_from_here(Some(told)).into(),
        None if cause.is_empty() => Reason::RemoteClose.into(),
        None => Farewell::with(Reason::RemoteClose, quoted(cause, QUOTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_arrives_and_other_programs_texts_are_a_plain_goodbye() {
        assert_eq!(read(&write(Reason::Kicked)), Reason::Kicked.into());
        assert_eq!(read(&write(Reason::LocalClose)), Reason::RemoteClose.into());
        assert_eq!(read(""), Reason::RemoteClose.into());
        for text in ["Close called", "ferry-", "ferry-999 x", "ferry-x"] {
            assert_eq!(read(text), Farewell::with(Reason::RemoteClose, text), "{text}");
        }
    }
}

//! The numbers by which a multiplayer game knows its members: 1 is the server, everybody else draws one.

use std::fmt;

use crate::random;

/// The id of a member of a game, 1 to 2^31 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(i32);

impl PeerId {
    /// The server, and whoever a client sends to.
    pub const SERVER: Self = Self(1);

    /// A member's id, if it is one.
    pub fn new(id: i32) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The id that a client claims, if a client may have it: the server's is not to be had.
    pub fn of_client(claimed: u32) -> Option<Self> {
        i32::try_from(claimed).ok().filter(|id| *id > Self::SERVER.0).map(Self)
    }

    /// A new client's id, drawn at random as the engine does.
    pub fn draw() -> Self {
        loop {
            if let Some(id) = Self::of_client(random::word() & i32::MAX as u32) {
                return id;
            }
        }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_be_the_server_or_nobody() {
        for claimed in [0, 1, 1 << 31, u32::MAX] {
            assert_eq!(PeerId::of_client(claimed), None, "{claimed}");
        }
        assert_eq!(PeerId::of_client(2).map(PeerId::get), Some(2));
        assert_eq!(PeerId::of_client(i32::MAX as u32).map(PeerId::get), Some(i32::MAX));
    }

    #[test]
    fn drawn_ids_are_valid_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| PeerId::draw()).collect();
        assert!(ids.len() > 990);
        assert!(ids.iter().all(|id| *id > PeerId::SERVER));
    }
}

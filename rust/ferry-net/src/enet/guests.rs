//! Whom an endpoint lets in. The one thing that both threads decide on together: the game says whether it takes new
//! clients, the network thread answers them at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use ferry_enet::Admission;

use crate::lock::lock;
use crate::peer_id::PeerId;
use crate::reason::Reason;

/// The rules of one endpoint.
#[derive(Debug)]
pub(crate) struct Guests {
    refusing: AtomicBool,
    /// The ids of those inside, where clients claim one. At most as many as there are links.
    ids: Option<Mutex<HashSet<PeerId>>>,
}

impl Guests {
    /// For an endpoint whose clients claim an id with their connect data, or for any.
    pub(super) fn new(with_ids: bool) -> Self {
        Self { refusing: AtomicBool::new(false), ids: with_ids.then(Mutex::default) }
    }

    pub(super) fn set_refusing(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::Release);
    }

    /// Answers somebody who asks to come in.
    pub(super) fn admit(&self, data: u32) -> Admission {
        if self.refusing.load(Ordering::Acquire) {
            return Admission::Refuse(Reason::Refused.word());
        }
        let acceptable =
            self.ids().is_none_or(|ids| PeerId::of_client(data).is_some_and(|id| !ids.contains(&id)));
        if acceptable { Admission::Accept } else { Admission::Refuse(Reason::BadId.word()) }
    }

    /// Somebody has come in; false if two with one id did in the same moment and this is the second.
    pub(super) fn enter(&self, data: u32) -> bool {
        self.ids().is_none_or(|mut ids| PeerId::of_client(data).is_some_and(|id| ids.insert(id)))
    }

    /// Somebody who came in is gone.
    pub(super) fn leave(&self, data: u32) {
        if let (Some(mut ids), Some(id)) = (self.ids(), PeerId::of_client(data)) {
            ids.remove(&id);
        }
    }

    fn ids(&self) -> Option<MutexGuard<'_, HashSet<PeerId>>> {
        Some(lock(self.ids.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_takes_each_valid_id_once() {
        let guests = Guests::new(true);
        for data in [0, 1, 1 << 31] {
            assert_eq!(guests.admit(data), Admission::Refuse(Reason::BadId.word()));
        }
        assert_eq!(guests.admit(7), Admission::Accept);
        assert!(guests.enter(7));
        assert!(!guests.enter(7));
        assert_eq!(guests.admit(7), Admission::Refuse(Reason::BadId.word()));
        guests.leave(7);
        assert_eq!(guests.admit(7), Admission::Accept);
    }

    #[test]
    fn a_host_without_ids_takes_any_word() {
        let guests = Guests::new(false);
        assert_eq!(guests.admit(0), Admission::Accept);
        assert!(guests.enter(0) && guests.enter(0));
        guests.set_refusing(true);
        assert_eq!(guests.admit(0), Admission::Refuse(Reason::Refused.word()));
    }
}

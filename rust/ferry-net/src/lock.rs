//! Locks that a panic of ours does not break for everybody else: what they guard is in order after each step.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, whatever became of who had it before.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

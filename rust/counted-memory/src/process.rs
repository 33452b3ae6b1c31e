//! What all threads together take. Tests that look at it run one after the other ([`alone`]).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn took(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST_HELD.fetch_max(held, Ordering::Relaxed);
}

pub(crate) fn gave_back(bytes: usize) {
    HELD.fetch_sub(bytes, Ordering::Relaxed);
}

/// To be held by each test: what is counted is the process's.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pieces of memory that were asked for, or asked to change their size.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Bytes that were asked for and not given back.
#[must_use]
pub fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// The most of them since [`forget_most`].
#[must_use]
pub fn most_held() -> usize {
    MOST_HELD.load(Ordering::Relaxed)
}

/// Begins to look for the most anew.
pub fn forget_most() {
    MOST_HELD.store(held(), Ordering::Relaxed);
}

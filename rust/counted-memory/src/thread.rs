//! What the calling thread takes, whatever others do meanwhile.

use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST_HELD: Cell<isize> = const { Cell::new(0) };
}

pub(crate) fn took(bytes: usize) {
    // While a thread ends, its counters may be gone; nothing is measured then.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes as isize);
        let _ = MOST_HELD.try_with(|most| most.set(most.get().max(held.get())));
    });
}

pub(crate) fn gave_back(bytes: usize) {
    let _ = HELD.try_with(|held| held.set(held.get() - bytes as isize));
}

/// Pieces of memory that this thread asked for, or asked to change their size.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that it asked for and did not give back. Negative if it gave back what another thread had asked for.
#[must_use]
pub fn held() -> isize {
    HELD.get()
}

/// The most that it held at once during this, beyond what it held before.
pub fn peak(run: impl FnOnce()) -> isize {
    let before = HELD.get();
    MOST_HELD.set(before);
    run();
    MOST_HELD.get() - before
}

//! A panic of ours must not look like success: why, `virtual_calls` says. All virtual methods that answer something run in here.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; after a panic, which gdext's hook has printed, answers `failure`.
pub(crate) fn guarded<R>(failure: R, body: impl FnOnce() -> R) -> R {
    // What a panic may leave half done is the state of one peer: queues, which stay safe to use.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(failure)
}

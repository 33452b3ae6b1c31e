//! A panic of ours must not look like success, for the classes whose virtual methods gdext registers; see `virtual_calls`.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; after a panic, which gdext's hook has printed, answers `failure`.
pub(crate) fn guarded<R>(failure: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(failure)
}

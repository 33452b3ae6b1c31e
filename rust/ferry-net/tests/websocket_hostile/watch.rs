//! What an attack may not do to the process: take memory, fill the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, Once};

use counted_memory::process;
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata};

use crate::under_attack;

/// Lines of log that a developer would see.
static LINES: AtomicU64 = AtomicU64::new(0);

/// To be held by each test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| tracing::subscriber::set_global_default(LineCounter).unwrap());
    under_attack::alone()
}

/// Shows a line where a failed test shows what was printed.
struct Words;

impl tracing::field::Visit for Words {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        println!("log: {value:?}");
    }
}

/// Counts lines, and keeps none.
struct LineCounter;

impl tracing::Subscriber for LineCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target().starts_with("ferry") {
            LINES.fetch_add(1, Ordering::Relaxed);
            event.record(&mut Words);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Memory and log, from a moment on.
pub(crate) struct Watch {
    held: usize,
    lines: u64,
}

/// Lines that an attack of some seconds may cause.
const LINES_BORNE: u64 = 40;

impl Watch {
    pub(crate) fn begin() -> Self {
        process::forget_most();
        Self { held: process::held(), lines: LINES.load(Ordering::Relaxed) }
    }

    /// The process never held this much more memory meanwhile, claimed or used, and the log got few lines.
    pub(crate) fn saw_less_than(&self, bound_mb: usize, what: &str) {
        let lines = LINES.load(Ordering::Relaxed) - self.lines;
        let most = process::most_held().saturating_sub(self.held) >> 20;
        let now = process::held().saturating_sub(self.held) >> 20;
        println!("{what}: at most {most} MB more memory, {now} MB now; {lines} lines of log");
        assert!(lines < LINES_BORNE, "{what}: {lines} lines of log");
        assert!(most < bound_mb, "{what}: {most} MB more memory");
    }
}

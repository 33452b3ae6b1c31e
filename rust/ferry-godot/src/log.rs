//! What ferry-net has to say, as the engine's messages.
//!
//! Lines come from any thread; only those that call the engine may print. So they wait in a short list, and are printed
//! when a peer is polled or closed, or the library goes. No more than a few a second are taken: a stranger who provokes
//! lines cannot flood the log, and what was left out is counted.
//!
//! The level is the project setting `ferry/log/level`, unless the variable `FERRY_LOG` says otherwise: off, error, warn,
//! info, debug or trace.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use godot::classes::ProjectSettings;
use godot::global::{godot_error, godot_print, godot_warn};
use godot::obj::Singleton;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const SETTING: &str = "ferry/log/level";
const VARIABLE: &str = "FERRY_LOG";

/// Lines taken in a second, below the level of debug. More is no help to anybody.
const LINES_A_SECOND: u32 = 20;

/// With debug or trace asked for, somebody is looking for something.
const LINES_A_SECOND_FOR_DEBUGGING: u32 = 2000;

/// The longest line, in bytes.
const LONGEST_LINE: usize = 2000;

struct Waiting {
    lines: Vec<(Level, String)>,
    /// The second that is being counted.
    since: Option<Instant>,
    taken: u32,
    left_out: u64,
}

static WAITING: Mutex<Waiting> =
    Mutex::new(Waiting { lines: Vec::new(), since: None, taken: 0, left_out: 0 });

/// So that a poll with nothing to print takes no lock.
static ANY: AtomicBool = AtomicBool::new(false);

/// Begins to listen. A second time, as after a hot reload, changes nothing.
pub(crate) fn start() {
    // Somebody else in the process, which has this library's copy of tracing to itself, cannot be listening.
    let _ = tracing::subscriber::set_global_default(Listener { level: level() });
}

fn level() -> LevelFilter {
    let named = std::env::var(VARIABLE).ok().filter(|level| !level.trim().is_empty());
    let text = named.unwrap_or_else(|| {
        let settings = ProjectSettings::singleton();
        if settings.has_setting(SETTING) { settings.get_setting(SETTING).to_string() } else { String::new() }
    });
    parse(&text).unwrap_or_else(|| {
        if !text.is_empty() {
            godot_warn!(
                "Ferry: no log level is called `{text}`; there are off, error, warn, info, debug and trace."
            );
        }
        LevelFilter::WARN
    })
}

/// A level by its name, or by its place in the setting's list.
fn parse(text: &str) -> Option<LevelFilter> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "off" | "0" => LevelFilter::OFF,
        "error" | "1" => LevelFilter::ERROR,
        "warn" | "warning" | "2" => LevelFilter::WARN,
        "info" | "3" => LevelFilter::INFO,
        "debug" | "4" => LevelFilter::DEBUG,
        "trace" | "5" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// Prints what has come. To be called on a thread that may call the engine.
pub(crate) fn print_waiting() {
    if !ANY.swap(false, Ordering::AcqRel) {
        return;
    }
    let (lines, left_out) = {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.left_out))
    };
    for (level, line) in lines {
        match level {
            Level::ERROR => godot_error!("Ferry: {line}"),
            Level::WARN => godot_warn!("Ferry: {line}"),
            _ => godot_print!("Ferry: {line}"),
        }
    }
    if left_out > 0 {
        godot_print!("Ferry: {left_out} more lines were left out");
    }
}

struct Listener {
    level: LevelFilter,
}

impl Listener {
    fn lines_a_second(&self) -> u32 {
        if self.level >= LevelFilter::DEBUG { LINES_A_SECOND_FOR_DEBUGGING } else { LINES_A_SECOND }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Only our own: a library's debug lines are of no use to a game.
        *metadata.level() <= self.level && metadata.target().starts_with("ferry")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if waiting.since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            waiting.since = Some(now);
            waiting.taken = 0;
        }
        if waiting.taken >= self.lines_a_second() || waiting.lines.len() >= self.lines_a_second() as usize {
            waiting.left_out += 1;
        } else {
            let mut line = Line(String::new());
            event.record(&mut line);
            waiting.lines.push((*event.metadata().level(), line.0));
            waiting.taken += 1;
        }
        drop(waiting);
        ANY.store(true, Ordering::Release);
    }

    // Ferry has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The text of an event: its message, then its fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if self.0.len() >= LONGEST_LINE {
            return;
        }
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        if self.0.len() > LONGEST_LINE {
            let end = (0..=LONGEST_LINE).rev().find(|end| self.0.is_char_boundary(*end)).unwrap_or(0);
            self.0.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_go_by_name_and_by_place() {
        assert_eq!(parse(" Warn "), Some(LevelFilter::WARN));
        assert_eq!(parse("5"), Some(LevelFilter::TRACE));
        assert_eq!(parse("off"), Some(LevelFilter::OFF));
        assert_eq!(parse("loud"), None);
        assert_eq!(parse(""), None);
    }
}

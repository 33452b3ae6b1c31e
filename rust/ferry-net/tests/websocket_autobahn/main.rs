//! The cases of the Autobahn test suite, as tables of frames, against Ferry's server and client.
//!
//! The suite itself is a program for Python 2; what is here are its cases, by its numbers: what is sent, and what must come
//! back. `echo` has Ferry's ends, which send every message back as it came; `player` plays a case against one of them;
//! the sections are the tables. Where the suite tells "non-strict" from "ok" (how soon invalid text is noticed), both are
//! fine here. Sections 12 and 13 are about compression, which Ferry does not offer, and are not here.
//!
//! Each table is played three times: by a client against a server, by a server against a client, and by a client against a
//! server whose bytes the game carries itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod closing;
mod echo;
mod fragments;
mod limits;
mod player;
mod simple;
mod utf8;
#[path = "../websocket_support/mod.rs"]
mod websocket_support;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cases::Case;
use echo::Subject;

/// Plays a table against all of Ferry's ends, and reports all failures, not the first.
fn play(cases: &[Case]) {
    assert!(!cases.is_empty());
    // One at a time: whoever waits for an answer here is busy.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let started = Instant::now();
    let mut failures = Vec::new();
    for subject in Subject::ALL {
        for case in cases {
            if let Err(what) = player::play(case, subject) {
                failures.push(format!("{} against {subject:?}: {what}", case.id));
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    println!("{} cases against {} ends in {:?}", cases.len(), Subject::ALL.len(), started.elapsed());
}

//! Programs that some machines cannot have.
//!
//! `cargo xtask test` brings each and names it in a variable; where it is not to be had, the same variable with `_MISSING`
//! behind it says why, and the tests that need it skip and say so.

use std::path::PathBuf;

/// The program that a variable names; none, with a word, where there is none to be had.
///
/// # Panics
/// Where nothing was said about it at all.
pub fn or_skip(variable: &str) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(variable) {
        return Some(PathBuf::from(program));
    }
    match std::env::var(format!("{variable}_MISSING")) {
        Ok(reason) => {
            println!("skipped: {reason}");
            None
        }
        Err(_) => panic!("{variable} is not set: run `cargo xtask test`, which brings what it names"),
    }
}

/// Whether there is the program that a variable names; says so where there is none.
///
/// # Panics
/// Where nothing was said about it at all.
#[must_use]
pub fn is_there(variable: &str) -> bool {
    or_skip(variable).is_some()
}

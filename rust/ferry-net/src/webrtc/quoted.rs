//! What a stranger wrote, as a log or an error message may show it.

/// The first so many letters of it, without those that would do something to a terminal.
pub(super) fn quoted(text: &str, most: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(most).collect()
}

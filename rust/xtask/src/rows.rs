//! What the processes of a match tell of their connections, and the table that `demo` makes of it.
//!
//! A row is one flat JSON object on a line, written by the match's scene.

use std::collections::HashMap;

use crate::{columns, flat_json};

/// The columns: what is shown above, and the row's key.
const COLUMNS: [(&str, &str); 8] = [
    ("who", "who"),
    ("peer", "peer"),
    ("RTT ms", "rtt_ms"),
    ("packets out", "packets_sent"),
    ("in", "packets_received"),
    ("bytes out", "bytes_sent"),
    ("in", "bytes_received"),
    ("left", "left"),
];

/// Columns of words; the others are numbers and stand on the right.
const WORDS: [&str; 2] = ["who", "left"];

/// One connection as one end saw it: values by key, numbers as they are to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(HashMap<String, String>);

impl Row {
    /// Reads one flat JSON object.
    pub(crate) fn read(text: &str) -> Option<Self> {
        flat_json::read(text).map(Self)
    }

    fn cell(&self, key: &str) -> String {
        let text = self.0.get(key).map_or("", String::as_str);
        if WORDS.contains(&key) { text.to_owned() } else { number(text, key == "rtt_ms") }
    }
}

/// The engine writes every number as one with a fraction: `12.0`.
fn number(text: &str, fraction: bool) -> String {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && fraction => format!("{value:.3}"),
        Ok(value) if value.is_finite() => format!("{value:.0}"),
        _ => text.to_owned(),
    }
}

/// An aligned table with a head, or nothing where there are no rows.
pub(crate) fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
    let body = rows.iter().map(|row| COLUMNS.map(|(_, key)| row.cell(key)).to_vec());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    columns::aligned(&lines, |column| WORDS.contains(&COLUMNS[column].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_the_engine_writes_them() {
        let row = Row::read(
            r#" {"who":"server's view of \"anna\"","peer":12345.0,"rtt_ms":0.4125,"left":"sl\u00fct, \\ {x}", "a":null}"#,
        )
        .expect("a row");
        assert_eq!(row.cell("who"), "server's view of \"anna\"");
        assert_eq!(row.cell("peer"), "12345");
        assert_eq!(row.cell("rtt_ms"), "0.412");
        assert_eq!(row.cell("left"), "slüt, \\ {x}");
        assert_eq!(row.cell("bytes_sent"), "");
        assert!(Row::read("{}").is_some());
    }

    #[test]
    fn columns_of_a_table_are_aligned() {
        let row = |who: &str, peer: u32| {
            Row::read(&format!("{{\"who\":\"{who}\",\"peer\":{peer},\"left\":\"kicked\"}}")).expect("a row")
        };
        let table = table(&[row("änna", 1), row("b", 23456)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].starts_with("änna      1"), "{table}");
        assert!(lines[3].starts_with("b     23456"), "{table}");
        assert!(lines[2].ends_with("  kicked"));
        assert_eq!(super::table(&[]), "");
    }
}

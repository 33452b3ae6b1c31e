//! From many runs to a table: the median of each figure with its least and greatest, and Ferry's in relation to the built-in's.

use std::fmt::Write as _;

use super::cases::{Bound, Case, Measure};
use super::record::Record;
use crate::columns;

/// What several runs said of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    greatest: f64,
    /// Runs that came to nothing.
    failed: usize,
}

impl Spread {
    fn of(mut values: Vec<f64>, failed: usize) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let upper = values[values.len() / 2];
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[values.len() / 2 - 1], upper)
        } else {
            upper
        };
        Some(Self { median, least, greatest, failed })
    }

    fn shown(self) -> String {
        let (median, least, greatest) = (number(self.median), number(self.least), number(self.greatest));
        let range = if least == greatest { String::new() } else { format!(" ({least} to {greatest})") };
        let failed = if self.failed == 0 { String::new() } else { format!(", {} runs failed", self.failed) };
        format!("{median}{range}{failed}")
    }
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) title: &'static str,
    pub(crate) builtin: Option<Spread>,
    pub(crate) ferry: Option<Spread>,
    bound: Option<Bound>,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let (builtin, ferry) = (self.builtin?.median, self.ferry?.median);
        // What is next to nothing has no relation to anything.
        (builtin.abs() > 1e-6).then_some(ferry / builtin)
    }

    /// Whether Ferry's median keeps the bound; nothing where there is none, or nothing was measured.
    pub(crate) fn holds(&self) -> Option<bool> {
        let ferry = self.ferry?.median;
        Some(match self.bound? {
            Bound::AtMost(most) => ferry <= most,
            Bound::AtLeast(least) => ferry >= least,
            Bound::AsGood => ferry <= self.builtin?.median,
        })
    }

    fn promise(&self) -> String {
        let bound = match self.bound {
            None => return String::new(),
            Some(Bound::AtMost(most)) => format!("≤ {}", number(most)),
            Some(Bound::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Bound::AsGood) => "≤ built-in".to_owned(),
        };
        if self.holds() == Some(false) { format!("{bound}, missed") } else { bound }
    }

    fn cells(&self) -> [String; 6] {
        let shown = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), Spread::shown);
        let ratio = self.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        [
            self.case.clone(),
            self.title.to_owned(),
            shown(self.builtin),
            shown(self.ferry),
            ratio,
            self.promise(),
        ]
    }
}

/// The rows of these cases, as far as there are runs of them.
pub(crate) fn rows(cases: &[Case], records: &[Record]) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases {
        let id = case.id();
        let [builtin, ferry] = case.pairs();
        let values = |pair: &(String, String), measure: Measure| {
            let of_pair =
                |record: &&Record| record.case == id && record.server == pair.0 && record.clients == pair.1;
            let runs = records.iter().filter(of_pair);
            let failed = runs.clone().filter(|record| record.figures.is_none()).count();
            let figures = runs.filter_map(|record| record.figures.as_ref());
            Spread::of(figures.filter_map(|figures| measure.of(figures)).collect(), failed)
        };
        for measure in &case.measures {
            let (builtin, ferry) = (values(&builtin, *measure), values(&ferry, *measure));
            if builtin.is_some() || ferry.is_some() {
                rows.push(Row {
                    case: id.clone(),
                    title: measure.title,
                    builtin,
                    ferry,
                    bound: measure.bound,
                });
            }
        }
    }
    rows
}

const HEAD: [&str; 6] = ["case", "figure", "built-in", "Ferry", "ratio", "promised"];

/// For a terminal: aligned columns; a case is named once.
pub(crate) fn text(rows: &[Row]) -> String {
    columns::aligned(&lines(rows), |_| true)
}

/// For a document.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = String::new();
    for (number, line) in lines(rows).iter().enumerate() {
        let _ = writeln!(text, "| {} |", line.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(HEAD.len()));
        }
    }
    text
}

fn lines(rows: &[Row]) -> Vec<Vec<String>> {
    let mut lines = vec![HEAD.map(str::to_owned).to_vec()];
    let mut named = "";
    for row in rows {
        let mut cells = row.cells();
        if row.case == named {
            cells[0].clear();
        }
        named = &row.case;
        lines.push(cells.to_vec());
    }
    lines
}

/// Three digits that say something, without a power of ten.
fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => return grouped(value),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.0995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A whole number, with a space before each three digits if it has more than four.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases;
    use crate::bench::record::{Figures, Who};

    fn run(server: &str, game_ms: f64) -> Record {
        let mut figures = Figures::default();
        figures.note(Who::Server, "game_ms", game_ms);
        let (case, clients) = ("enet frame n=512".to_owned(), server.to_owned());
        Record { case, server: server.to_owned(), clients, figures: Some(figures) }
    }

    #[test]
    fn medians_stand_beside_each_other_with_their_ratio() {
        let runs = [8.0, 10.0, 9.0].map(|value| run("ENetMultiplayerPeer", value));
        let ours = [0.5, 0.4].map(|value| run("FerryENetMultiplayerPeer", value));
        let mut all = [runs.to_vec(), ours.to_vec()].concat();
        let shown = rows(&cases::all(), &all);
        assert_eq!(shown.len(), 1, "only what was measured is shown");
        assert_eq!(shown[0].holds(), Some(true));
        let cells = shown[0].cells();
        assert_eq!(cells[2..], ["9 (8 to 10)", "0.45 (0.4 to 0.5)", "0.05", "≤ 1"]);
        assert!(markdown(&shown).contains("| 9 (8 to 10) | 0.45 (0.4 to 0.5) | 0.05 | ≤ 1 |"));
        all.push(Record { figures: None, ..run("ENetMultiplayerPeer", 0.0) });
        let shown = rows(&cases::all(), &all);
        assert_eq!(shown[0].cells()[2], "9 (8 to 10), 1 runs failed");
    }

    #[test]
    fn a_promise_that_was_not_kept_is_shown_as_such() {
        let rows = rows(&cases::all(), &[run("FerryENetMultiplayerPeer", 1.25)]);
        assert_eq!(rows[0].holds(), Some(false));
        assert_eq!(rows[0].cells()[2..], ["-", "1.25", "", "≤ 1, missed"]);
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        for (value, shown) in [
            (0.0, "0"),
            (0.00412, "0.0041"),
            (0.25, "0.25"),
            (8.333, "8.33"),
            (99.94, "99.9"),
            (512.4, "512"),
            (123_456.0, "123 456"),
            (1_234_567.0, "1 234 567"),
        ] {
            assert_eq!(number(value), shown);
        }
    }
}

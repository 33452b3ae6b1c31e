//! Aligned columns below a head, for a terminal.

/// The lines, of which the first is the head; columns that are not `left` stand on the right.
pub(crate) fn aligned(lines: &[Vec<String>], left: impl Fn(usize) -> bool) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    let mut shown = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if left(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        shown.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        shown.push('\n');
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            shown.push_str(&rules.join("  "));
            shown.push('\n');
        }
    }
    shown
}

//! The README's picture: what the game's thread spends in a tick, by the number of clients.
//!
//! One panel a transport, both with the same scale; a dashed line stands where a tick at 60 Hz is full.

use std::fmt::Write as _;

use super::cases::Transport;
use super::summary::Row;

const CROWDS: [u32; 5] = [1, 32, 128, 512, 1000];

/// The figure that is drawn.
const TITLE: &str = "game thread, ms a tick";

/// A tick at 60 Hz.
const TICK_MS: f64 = 16.7;

/// The scale's end, and its lines.
const TOP_MS: f64 = 36.0;
const LINES_MS: [u32; 4] = [0, 10, 20, 30];

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 360.0;
const PANEL_WIDTH: f64 = 350.0;
const PANEL_TOP: f64 = 62.0;
const PANEL_HEIGHT: f64 = 240.0;
const PANELS_LEFT: [f64; 2] = [56.0, 486.0];

const BUILTIN_COLOUR: &str = "#c2410c";
const FERRY_COLOUR: &str = "#0f766e";

/// The picture, as SVG.
pub(crate) fn draw(rows: &[Row]) -> Result<String, String> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\" fill=\"#1f2937\">Game thread of a 60 Hz server, ms a tick, by clients</text>\n"
    );
    for (panel, (transport, name)) in
        [(Transport::Enet, "ENet"), (Transport::WebSocket, "WebSocket")].into_iter().enumerate()
    {
        let left = PANELS_LEFT[panel];
        let _ =
            writeln!(svg, "<text x=\"{left}\" y=\"50\" font-weight=\"bold\" fill=\"#374151\">{name}</text>");
        grid(&mut svg, left);
        let curve = |of: fn(&Row) -> Option<f64>| {
            let points: Vec<(u32, f64)> =
                CROWDS.iter().filter_map(|n| Some((*n, of(row(rows, transport, *n)?)?))).collect();
            if points.len() < 2 { Err(format!("too few runs of {name} to draw")) } else { Ok(points) }
        };
        line(&mut svg, left, &curve(|row| Some(row.builtin?.median))?, BUILTIN_COLOUR, "built-in", true);
        line(&mut svg, left, &curve(|row| Some(row.ferry?.median))?, FERRY_COLOUR, "Ferry", false);
    }
    svg.push_str(
        "<text x=\"20\" y=\"348\" font-size=\"11\" fill=\"#6b7280\">Each client sends one 64-byte packet a tick and is sent four, \
         one by one; GDScript included. Medians; docs/performance.md tells how to repeat it.</text>\n</svg>\n",
    );
    Ok(svg)
}

fn row(rows: &[Row], transport: Transport, n: u32) -> Option<&Row> {
    let id = format!("{} frame n={n}", transport.name());
    rows.iter().find(|row| row.case == id && row.title == TITLE)
}

fn x(left: f64, n: u32) -> f64 {
    left + PANEL_WIDTH * f64::from(n) / f64::from(CROWDS[CROWDS.len() - 1])
}

fn y(ms: f64) -> f64 {
    PANEL_TOP + PANEL_HEIGHT * (1.0 - ms.clamp(0.0, TOP_MS) / TOP_MS)
}

fn grid(svg: &mut String, left: f64) {
    let right = left + PANEL_WIDTH;
    for ms in LINES_MS {
        let (height, label) = (y(f64::from(ms)), left - 8.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{height:.1}\" x2=\"{right}\" y2=\"{height:.1}\" stroke=\"#e5e7eb\"/>\
             <text x=\"{label}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#6b7280\">{ms}</text>",
            height + 4.0
        );
    }
    let full = y(TICK_MS);
    let _ = writeln!(
        svg,
        "<line x1=\"{left}\" y1=\"{full:.1}\" x2=\"{right}\" y2=\"{full:.1}\" stroke=\"#9ca3af\" stroke-dasharray=\"5 4\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#6b7280\" font-size=\"11\">the whole tick: 16.7 ms</text>",
        left + 4.0,
        full + 14.0
    );
    for n in [128, 512, 1000] {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#6b7280\">{n}</text>",
            x(left, n),
            y(0.0) + 18.0
        );
    }
}

/// A curve with its name, and its last values.
fn line(svg: &mut String, left: f64, points: &[(u32, f64)], colour: &str, name: &str, above: bool) {
    let path: Vec<String> =
        points.iter().map(|(n, ms)| format!("{:.1},{:.1}", x(left, *n), y(*ms))).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
        path.join(" ")
    );
    for (n, ms) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
            x(left, *n),
            y(*ms)
        );
    }
    for (n, ms) in points.iter().filter(|(n, _)| *n >= 512) {
        let named = if *n == 512 { format!("{name} {ms:.1}") } else { format!("{ms:.1}") };
        let (dx, dy) = if above { (-6.0, -9.0) } else { (0.0, -9.0) };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"bold\" fill=\"{colour}\">{named}</text>",
            x(left, *n) + dx,
            y(*ms) + dy
        );
    }
}

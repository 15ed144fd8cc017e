//! Plots of what was measured: for each cell the spread of a statistic over windows of an answer.

use super::cells::{Cell, Measured, WINDOW_TOKENS};
use std::fmt::Write as _;

/// A number for a window of tokens, in nats.
pub(crate) type Statistic = fn(&[(u32, u32)]) -> f64;

/// What is plotted, by the name of its file.
pub(crate) const STATISTICS: [(&str, Statistic); 2] = [
    ("distances", |window| {
        window.iter().map(|token| f64::from(token.0) / 16.0 / 8.0).sum::<f64>() / window.len() as f64
    }),
    ("margins", |window| window.iter().map(|token| f64::from(token.1) / 1_000.0).sum::<f64>() / window.len() as f64),
];

const LEFT: f64 = 360.0;
const RIGHT: f64 = 40.0;
const WIDTH: f64 = 1_000.0;
const TOP: f64 = 50.0;
const ROW: f64 = 18.0;
/// The lowest and highest power of ten that is drawn; less is drawn at the lowest.
const DECADES: (i32, i32) = (-5, 1);
const HONEST: &str = "#2a6f97";
const CHEAT: &str = "#c1121f";

/// One row for each cell: a line from the 1st to the 99th of a hundred windows, a bar over the middle half, a stroke at the
/// median. The scale is logarithmic.
pub(crate) fn draw(measured: &Measured, statistic: Statistic) -> String {
    let height = TOP + ROW * measured.cells().len() as f64 + 20.0;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"16\">mean over {WINDOW_TOKENS} tokens, in nats; blue: honest, red: not</text>"
    );
    for decade in DECADES.0..=DECADES.1 {
        let x = place(10f64.powi(decade));
        let label = if decade == DECADES.0 { "0".to_owned() } else { format!("{}", 10f64.powi(decade)) };
        let bottom = height - 10.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"36\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"32\" text-anchor=\"middle\" fill=\"#666\">{label}</text>"
        );
    }
    for (row, cell) in measured.cells().iter().enumerate() {
        draw_row(&mut svg, cell, TOP + ROW * row as f64, statistic);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_row(svg: &mut String, cell: &Cell, y: f64, statistic: Statistic) {
    let windows = cell.answers.iter().flat_map(|answer| answer.chunks(WINDOW_TOKENS));
    let mut values: Vec<f64> = windows.filter(|window| window.len() >= WINDOW_TOKENS / 4).map(statistic).collect();
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return };
    let at = |hundredths: usize| place(values[last * hundredths / 100]);
    let colour = if cell.honest { HONEST } else { CHEAT };
    let variant = match cell.checked_class.split('/').collect::<Vec<_>>()[..] {
        ["cpu", variant, ..] => variant,
        [backend, ..] => backend,
        [] => "",
    };
    let (middle, label_x) = (y + ROW / 2.0, LEFT - 12.0);
    let _ = writeln!(
        svg,
        "<text x=\"{label_x}\" y=\"{:.1}\" text-anchor=\"end\">{} → {variant}</text>\
         <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"{colour}\"/>\
         <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"8\" fill=\"{colour}\" opacity=\"0.5\"/>\
         <line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        middle + 4.0,
        cell.given,
        at(1),
        at(99),
        at(25),
        middle - 4.0,
        at(75) - at(25),
        at(50),
        middle - 6.0,
        at(50),
        middle + 6.0,
    );
}

/// Where a value is drawn.
fn place(nats: f64) -> f64 {
    let (low, high) = (f64::from(DECADES.0), f64::from(DECADES.1));
    let decade = nats.max(f64::MIN_POSITIVE).log10().clamp(low, high);
    LEFT + (decade - low) / (high - low) * (WIDTH - LEFT - RIGHT)
}

//! The results of all cases, as the table and the picture of `docs/pacing.md`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use super::cases::Case;
use super::{Result, all, mean};
use crate::support::root;

/// Set to regenerate both instead of comparing them.
const BLESS: &str = "BLESS";

/// The lines of the page around the table.
const BEGIN: &str = "<!-- results: written by `make pacing-report` -->\n";
const END: &str = "<!-- end of results -->\n";

#[test]
fn pacing_report_has_the_simulated_results() {
    let results = all();
    compare_table("docs/pacing.md", &table(results));
    let picture = root().join("docs/pacing.svg");
    let found = fs::read_to_string(&picture).unwrap_or_default();
    compare("docs/pacing.svg", &found, &plot(results));
}

/// Compares the table of a page, or writes it.
pub(super) fn compare_table(name: &str, table: &str) {
    let text = fs::read_to_string(root().join(name)).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}{table}{END}{after}");
    compare(name, &text, &expected);
}

fn compare(name: &str, found: &str, expected: &str) {
    if std::env::var_os(BLESS).is_some() {
        fs::write(root().join(name), expected).unwrap();
    } else {
        assert!(
            found == expected,
            "{name} is not what the simulation gives: run `make pacing-report`"
        );
    }
}

fn table(results: &[(Case, Vec<Result>)]) -> String {
    let mut text = String::new();
    let mut group = "";
    for (case, results) in results {
        if case.group != group {
            group = case.group;
            let _ = write!(
                text,
                "\n**{group}**\n\n| server | used | 429 | first 429s | required |\n|---|--:|--:|--:|--:|\n"
            );
        }
        let used = if case.allowed_at(Duration::ZERO).is_finite() {
            let least = results.iter().map(|result| result.used);
            format!(
                "{:.1}% ({:.1})",
                mean(results, |result| result.used) * 100.0,
                least.fold(f64::INFINITY, f64::min) * 100.0
            )
        } else {
            "no limit".to_owned()
        };
        let want = case.want.map_or_else(String::new, |want| {
            format!("{:.0}%, {:.0}%", want.used * 100.0, want.rejected * 100.0)
        });
        let _ = writeln!(
            text,
            "| {} | {used} | {:.2}% | {:.1} | {want} |",
            case.name,
            mean(results, |result| result.rejected) * 100.0,
            mean(results, |result| result.early)
        );
    }
    text + "\n"
}

/// The cases in the picture.
const DRAWN: [&str; 12] = [
    "token bucket, 5/s, 10 ms",
    "token bucket, 100/s, 10 ms",
    "token bucket of 20, 100/s, Retry-After: 1",
    "fixed window, 100/s, 10 ms",
    "sliding window, 500/s, 50 ms",
    "8 at a time, about 50 ms",
    "token bucket, 100/s, halves in the middle",
    "token bucket, 100/s, triples in the middle",
    "another client takes half of 100/s from 20 s to 40 s",
    "100/s, outage from 20 s to 50 s",
    "a queue that serves 100/s, without 429s",
    "600 per minute, with headers",
];

/// The size of a panel in pixels, and the number of panels per row.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 130.0;
const COLUMNS: usize = 3;
const MARGIN: f64 = 34.0;

/// Draws allowed requests, sent requests and 429 responses per second.
fn plot(results: &[(Case, Vec<Result>)]) -> String {
    let drawn: Vec<_> = DRAWN
        .iter()
        .map(|name| {
            let found = results.iter().find(|(case, _)| case.name == *name);
            found.unwrap_or_else(|| panic!("no case is called `{name}`"))
        })
        .collect();
    let step = (WIDTH + MARGIN, HEIGHT + MARGIN + 14.0);
    let rows = drawn.len().div_ceil(COLUMNS);
    #[expect(clippy::cast_precision_loss, reason = "a dozen")]
    let (all_width, all_height) = (
        step.0 * COLUMNS as f64 + MARGIN,
        step.1 * rows as f64 + MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {all_width:.0} {all_height:.0}\" \
         font-family=\"sans-serif\" font-size=\"10\" fill=\"#444\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"16\">requests per second: \
         <tspan fill=\"#999\">allowed</tspan>, <tspan fill=\"#1769aa\">sent</tspan>, \
         <tspan fill=\"#c62828\">rejected with 429</tspan></text>\n"
    );
    for (index, (case, results)) in drawn.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a dozen")]
        let (x, y) = (
            MARGIN + step.0 * (index % COLUMNS) as f64,
            MARGIN + 10.0 + step.1 * (index / COLUMNS) as f64,
        );
        panel(&mut svg, (x, y), case, &results[0]);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, (left, top): (f64, f64), case: &Case, result: &Result) {
    let count = result.seconds.len();
    let allowed: Vec<f64> = (0..count)
        .map(|second| case.allowed_at(Duration::from_millis(second as u64 * 1_000 + 500)))
        .collect();
    let sent = result.seconds.iter().map(|second| f64::from(second.sent));
    let highest = allowed.iter().copied().chain(sent.clone());
    let highest = highest.fold(1.0, f64::max);
    let place = |second: usize, rate: f64| {
        #[expect(clippy::cast_precision_loss, reason = "hundreds at most")]
        let x = left + WIDTH * second as f64 / count as f64;
        (x, top + HEIGHT * (1.0 - rate / highest))
    };
    let mut line = |rates: &mut dyn Iterator<Item = f64>, style: &str| {
        let points: Vec<String> = rates
            .enumerate()
            .map(|(second, rate)| {
                let (x, y) = place(second, rate);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" {style}/>",
            points.join(" ")
        );
    };
    line(
        &mut allowed.iter().copied(),
        "stroke=\"#999\" stroke-width=\"1.5\" stroke-dasharray=\"4 2\"",
    );
    line(&mut sent.clone(), "stroke=\"#1769aa\" stroke-width=\"1.2\"");
    for (second, happened) in result.seconds.iter().enumerate() {
        if happened.rejected > 0 {
            let (x, y) = place(second, f64::from(happened.rejected));
            let bottom = top + HEIGHT;
            let y = y.min(bottom - 3.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {bottom:.1}V{y:.1}\" stroke=\"#c62828\" stroke-width=\"2\"/>"
            );
        }
    }
    let bottom = top + HEIGHT;
    let right = left + WIDTH;
    let _ = writeln!(
        svg,
        "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" stroke=\"#444\" fill=\"none\"/>\n\
         <text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{highest:.0}</text>\n\
         <text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\">{count} s</text>",
        top - 5.0,
        case.name,
        left - 3.0,
        top + 8.0,
        bottom + 11.0
    );
}

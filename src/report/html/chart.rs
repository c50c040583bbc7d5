//! Bars, marks and small histograms as SVG. They stretch, and numbers beside them say the same.

use crate::report::html::markup::{Markup, escaped};
use crate::report::html::number_text::percent_digits;

/// A horizontal bar of this many thousandths of the full width.
pub(super) fn bar(thousandths: u64) -> Markup {
    let width = percent_digits(thousandths.min(1_000));
    Markup::tags(format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width}\" height=\"8\"/></svg>"
    ))
}

/// A mark at this many thousandths of a line.
pub(super) fn mark(thousandths: u64) -> Markup {
    // The mark is 4 wide and stays inside.
    let left = percent_digits(thousandths.min(1_000) * 96 / 100);
    Markup::tags(format!(
        "<svg class=\"bar mark\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" y=\"3\" width=\"100\" height=\"2\"/><rect x=\"{left}\" width=\"4\" height=\"8\"/></svg>"
    ))
}

/// Tenths of a number of units as a decimal number.
pub(super) fn tenths_text(tenths: u64) -> String {
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

/// Height of a small histogram in its units.
const SMALL_HEIGHT: u64 = 24;

/// A small histogram. `label` says its numbers.
pub(super) fn small_histogram(counts: &[u64], label: &str) -> Markup {
    let largest = counts.iter().copied().max().unwrap_or_default().max(1);
    let mut path = String::new();
    for (at, &count) in counts.iter().enumerate() {
        if count > 0 {
            // A count that is small in comparison is visible too.
            let height = scaled(count, largest, SMALL_HEIGHT * 10).max(10);
            let height = tenths_text(height);
            path.push_str(&format!("M{} {SMALL_HEIGHT}h8v-{height}h-8z", at * 10));
        }
    }
    let width = counts.len() * 10;
    Markup::tags(format!(
        "<svg class=\"small\" viewBox=\"0 0 {width} {SMALL_HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><path class=\"line\" d=\"M0 {SMALL_HEIGHT}h{width}\"/><path d=\"{path}\"/></svg>",
        escaped(label)
    ))
}

/// `count` of `largest`, as a part of `full`.
pub(super) fn scaled(count: u64, largest: u64, full: u64) -> u64 {
    let part = (u128::from(count) * u128::from(full)).checked_div(largest.into());
    u64::try_from(part.unwrap_or_default()).unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert!(bar(123).as_str().contains("width=\"12.3\""));
        assert!(bar(5_000).as_str().contains("width=\"100.0\""));
        assert!(mark(1_000).as_str().contains("x=\"96.0\""));
        let small = small_histogram(&[0, 10, 1], "a \"b\"");
        assert!(small.as_str().contains("M10 24h8v-24h-8zM20 24h8v-2.4h-8z"));
        assert!(small.as_str().contains("a &quot;b&quot;"));
        assert_eq!(small_histogram(&[], "").as_str().matches("h8v").count(), 0);
    }
}

//! Numbers with their nouns. Pure.

/// `1 task`, `2 tasks`: a noun whose plural ends with `s`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}

/// `is` or `are`, `was` or `were`: the verb for a count.
pub(crate) fn verb<'v>(count: u64, singular: &'v str, plural: &'v str) -> &'v str {
    if count == 1 { singular } else { plural }
}

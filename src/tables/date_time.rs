//! The date and time of a timestamp.

/// The date and time of a timestamp in UTC. Returns nothing outside the years 0001 to 9999, which no column holds (rule
/// 9).
pub fn date_time(micros: i64) -> Option<jiff::civil::DateTime> {
    const EPOCH: jiff::civil::DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let since_1970 = jiff::SignedDuration::from_micros(micros);
    let time = EPOCH.checked_add(since_1970).ok()?;
    (1..=9_999).contains(&time.year()).then_some(time)
}

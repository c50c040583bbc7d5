//! Progress as text: one line that fits a width, a line for a log, and fields for programs. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::progress_state::ProgressState;
use crate::cli::value_parsers::short_rate_text;
use crate::pacer::types::PacerState;
use crate::plural::{bytes_text, plural};

/// Columns of the bar, at most and at least.
const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 8..=24;

/// Columns between two parts of the line.
const SPACE: &str = "  ";

/// The ANSI code of the color of the bar.
const BAR_COLOR: &str = "36";

/// How a line can look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineStyle {
    pub(crate) columns: usize,
    pub(crate) has_color: bool,
    pub(crate) has_unicode: bool,
}

/// A part of the progress line. Parts with a low rank stay when there is little room.
struct Part {
    rank: usize,
    /// The same at several lengths, the longest first.
    texts: Vec<String>,
}

/// The progress line, and its columns without colors.
pub(crate) fn status_line(
    state: &ProgressState,
    now: Duration,
    style: LineStyle,
) -> (String, usize) {
    let parts = parts(state, now);
    let mut text = fitting(&parts, style.columns).join(SPACE);
    let mut columns = text.chars().count();
    let room = style.columns.saturating_sub(columns + SPACE.len());
    if let Some(percent) = state.percent()
        && room >= *BAR_COLUMNS.start()
    {
        let bar = bar(percent, room.min(*BAR_COLUMNS.end()), style.has_unicode);
        columns += SPACE.len() + bar.chars().count();
        let bar = if style.has_color {
            format!("\x1b[{BAR_COLOR}m{bar}\x1b[0m")
        } else {
            bar
        };
        text = format!("{bar}{SPACE}{text}");
    }
    (text, columns)
}

/// A line about a run that ends early.
pub(crate) fn stopping_line(columns: usize) -> String {
    let texts = [
        "Stopping: saving fetched tasks (Ctrl-C again exits at once)",
        "Stopping: saving fetched tasks",
        "Stopping",
    ];
    let fits = |text: &&&str| text.len() <= columns;
    (*texts.iter().find(fits).unwrap_or(&"")).to_owned()
}

/// A bar of so many columns.
fn bar(percent: usize, columns: usize, has_unicode: bool) -> String {
    let (full, empty, ends) = if has_unicode {
        ("█", "░", ["", ""])
    } else {
        ("#", "-", ["[", "]"])
    };
    let inner = columns.saturating_sub(ends.concat().len());
    let done = (inner * percent.min(100)) / 100;
    let [start, end] = ends;
    format!(
        "{start}{}{}{end}",
        full.repeat(done),
        empty.repeat(inner - done)
    )
}

/// The texts of the parts that fit into so many columns, in their order.
fn fitting(parts: &[Part], columns: usize) -> Vec<&str> {
    let mut by_rank: Vec<(usize, &Part)> = parts.iter().enumerate().collect();
    by_rank.sort_by_key(|(_, part)| part.rank);
    let mut used = 0;
    let mut chosen = Vec::new();
    for (place, part) in by_rank {
        let space = if used > 0 { SPACE.len() } else { 0 };
        let fits = |text: &&String| used + space + text.chars().count() <= columns;
        if let Some(text) = part.texts.iter().find(fits) {
            used += space + text.chars().count();
            chosen.push((place, text.as_str()));
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|(_, text)| text).collect()
}

fn parts(state: &ProgressState, now: Duration) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |rank: usize, texts: &[String]| {
        let texts: Vec<String> = texts
            .iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect();
        if !texts.is_empty() {
            parts.push(Part { rank, texts });
        }
    };
    if let Some(percent) = state.percent() {
        add(0, &[format!("{percent}%")]);
    }
    let phase = state.phase.unwrap_or_default().to_owned();
    if let Some(texts) = outage_texts(state, now) {
        add(1, &texts);
    } else if state.done == 0 && state.total == 0 {
        add(1, &[phase]);
    } else if is_writing(state) {
        add(4, &[count_text(state)]);
        add(1, &[phase_text(state)]);
        add(8, &[space_text(state)]);
    } else {
        add(4, &[count_text(state)]);
        let speed = speed_text(state.tasks_per_second(now));
        add(1, &[format!("{speed} tasks/s")]);
        if !state.offline {
            let speed = speed_text(state.requests_per_second(now));
            add(
                3,
                &[format!("{speed} requests/s"), format!("{speed} req/s")],
            );
        }
        add(2, &[left_text(state, now)]);
        add(5, &[phase]);
        add(7, &[wait_text(state, now)]);
        add(8, &[space_text(state)]);
    }
    if state.failed > 0 {
        add(6, &[format!("{} failed", state.failed)]);
    }
    parts
}

/// The progress as one line of a log.
pub(crate) fn log_line(state: &ProgressState, now: Duration) -> String {
    let phase = state.phase.unwrap_or_default().to_owned();
    let mut parts = Vec::new();
    if state.done > 0 || state.total > 0 {
        let percent = state.percent().map(|percent| format!(" ({percent}%)"));
        parts.push(count_text(state) + &percent.unwrap_or_default());
    }
    if let Some([long, ..]) = outage_texts(state, now) {
        parts.push(long);
    } else if !parts.is_empty() && !is_writing(state) {
        parts.push(format!(
            "{} tasks/s",
            speed_text(state.tasks_per_second(now))
        ));
        if !state.offline {
            let speed = speed_text(state.requests_per_second(now));
            parts.push(format!("{speed} requests/s"));
        }
        parts.push(left_text(state, now));
    }
    if is_writing(state) {
        parts.push(phase_text(state));
        parts.push(format!("{} failed", state.failed));
    } else {
        parts.push(phase);
    }
    if !state.offline && !is_writing(state) {
        parts.push(format!(
            "{} in flight",
            plural(state.in_flight.max(0).unsigned_abs(), "request")
        ));
        let retries = if state.retries == 1 {
            "retry"
        } else {
            "retries"
        };
        parts.push(format!("{} {retries}", state.retries));
        parts.push(format!("{} failed", state.failed));
        let wait = wait_text(state, now);
        match state
            .rate
            .filter(|_| wait.is_empty() && state.outage.is_none())
        {
            Some(rate) => parts.push(format!(
                "rate {}{}",
                short_rate_text(rate),
                pacer_text(state)
            )),
            None => parts.push(wait),
        }
    }
    parts.push(space_text(state));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// The progress for programs.
pub(crate) fn fields(state: &ProgressState, now: Duration) -> Value {
    json!({
        "done": state.done,
        "total": state.total,
        "tasks_per_second": state.tasks_per_second(now),
        "requests_per_second": state.requests_per_second(now),
        "seconds_left": state.time_left(now).map(|left| left.as_secs()),
        "in_flight": state.in_flight.max(0),
        "retries": state.retries,
        "failed": state.failed,
        "rate": state.rate,
        "pace": state.pacer.map_or("", PacerState::as_str),
        "cooling_down": state.cooling(now).map(|wait| wait.as_secs_f64()),
        "outage": state.outage.map(|outage| now.saturating_sub(outage.since).as_secs_f64()),
        "bytes_needed": state.space.map(|(needed, _)| needed),
        "bytes_free": state.space.map(|(_, free)| free),
    })
}

/// Whether every task is fetched, so that only the tables are left.
fn is_writing(state: &ProgressState) -> bool {
    !state.offline && state.total > 0 && state.done >= state.total && state.outage.is_none()
}

/// What a run does after the last request.
fn phase_text(state: &ProgressState) -> String {
    state.phase.unwrap_or("writing tables").to_owned()
}

fn count_text(state: &ProgressState) -> String {
    match state.total {
        0 => plural(state.done as u64, "task"),
        total => format!("{}/{total} tasks", state.done),
    }
}

/// Of an outage: how long it lasts, and how long the run waits for its end. The longest text first.
fn outage_texts(state: &ProgressState, now: Duration) -> Option<[String; 3]> {
    let outage = state.outage?;
    let silence = time_text(now.saturating_sub(outage.since));
    let patience = time_text(outage.give_up_after);
    Some([
        format!("API not responding for {silence}, giving up after {patience}"),
        format!("API not responding for {silence}"),
        format!("no response for {silence}"),
    ])
}

fn left_text(state: &ProgressState, now: Duration) -> String {
    let left = state.time_left(now);
    left.map_or_else(String::new, |left| format!("{} left", time_text(left)))
}

fn wait_text(state: &ProgressState, now: Duration) -> String {
    let Some(wait) = state.cooling(now) else {
        return String::new();
    };
    let seconds = wait.as_secs_f64().ceil();
    format!("rate-limited, waiting {seconds:.0} s")
}

fn pacer_text(state: &ProgressState) -> String {
    match state.pacer {
        None | Some(PacerState::Steady) => String::new(),
        Some(pacer) => format!(" ({})", pacer.as_str()),
    }
}

/// What the disk lacks.
fn space_text(state: &ProgressState) -> String {
    let Some((needed, free)) = state.space else {
        return String::new();
    };
    let (needed, free) = (bytes_text(needed), bytes_text(free));
    format!("disk: about {needed} needed, {free} free")
}

fn speed_text(speed: f64) -> String {
    let digits = usize::from(speed < 10.0);
    format!("{speed:.digits$}")
}

/// `12 s`, `5 min`, `1 min 5 s`, `2 h 30 min`.
fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        _ => ((seconds / 3_600, "h"), (seconds / 60 % 60, "min")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        rest => format!("{} {} {rest} {}", large.0, large.1, small.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AgainCounts, Event};
    use crate::pacer::types::Pace;

    const SECOND: Duration = Duration::from_secs(1);

    /// A run of 2,000 tasks, of which 1,240 are done after 10 s.
    fn state() -> ProgressState {
        let mut state = ProgressState::default();
        let planned = Event::Planned {
            requested: 2_000,
            kept: 260,
            duplicates: 0,
            listed: false,
            again: AgainCounts::default(),
        };
        state.take(&planned, Duration::ZERO);
        for _ in 0..980 {
            state.take(&Event::RequestSent, SECOND);
            let done = Event::RequestDone {
                status: Some(200),
                bytes: 1,
            };
            state.take(&done, SECOND);
            state.take(&Event::TaskFetched, SECOND);
        }
        state.tick(SECOND * 2);
        state
    }

    fn line(state: &ProgressState, columns: usize) -> String {
        let style = LineStyle {
            columns,
            has_color: false,
            has_unicode: false,
        };
        let (text, count) = status_line(state, SECOND * 10, style);
        assert_eq!(text.chars().count(), count);
        assert!(count <= columns, "{count} > {columns}: {text}");
        text
    }

    #[test]
    fn the_line_fits_any_width_and_keeps_what_matters() {
        let mut state = state();
        let shown: Vec<String> = [117, 77, 57, 27, 12, 3, 0]
            .map(|columns| line(&state, columns))
            .to_vec();
        insta::assert_snapshot!(shown.join("\n"), @r"
        [#############---------]  62%  1240/2000 tasks  98 tasks/s  98 requests/s  7 s left
        [#########-------]  62%  1240/2000 tasks  98 tasks/s  98 requests/s  7 s left
        62%  1240/2000 tasks  98 tasks/s  98 requests/s  7 s left
        62%  98 tasks/s  7 s left
        62%
        62%
        ");
        state.take(&Event::Phase("publishing"), SECOND);
        state.failed = 12;
        for columns in 0..200 {
            line(&state, columns);
        }
        insta::assert_snapshot!(line(&state, 117), @"[#############---------]  62%  1240/2000 tasks  98 tasks/s  98 requests/s  7 s left  publishing  12 failed");
    }

    #[test]
    fn an_outage_shows_when_the_run_gives_up_and_no_time_left() {
        let mut state = state();
        let outage = Event::Outage {
            silence: SECOND * 2,
            give_up_after: SECOND * 300,
        };
        state.take(&outage, Duration::ZERO);
        let shown: Vec<String> = [117, 57, 27].map(|columns| line(&state, columns)).to_vec();
        insta::assert_snapshot!(shown.join("\n"), @r"
        [#############---------]  62%  API not responding for 10 s, giving up after 5 min
        62%  API not responding for 10 s, giving up after 5 min
        62%  no response for 10 s
        ");
        insta::assert_snapshot!(log_line(&state, SECOND * 10), @"1240/2000 tasks (62%), API not responding for 10 s, giving up after 5 min, 0 requests in flight, 0 retries, 0 failed");
    }

    #[test]
    fn a_log_line_has_all_figures() {
        let mut state = state();
        state.retries = 1;
        state.take(&Event::RequestSent, SECOND);
        let pace = Event::Pace(Pace {
            rate: Some(12.34),
            cooling_down: None,
            state: PacerState::Climbing,
        });
        state.take(&pace, SECOND);
        let first = log_line(&state, SECOND * 10);
        let pace = Event::Pace(Pace {
            rate: Some(12.34),
            cooling_down: Some(SECOND * 5),
            state: PacerState::Climbing,
        });
        state.take(&pace, SECOND * 8);
        let space = Event::Space {
            needed: Some(12_345_678_901),
            free: 4_000_000,
        };
        state.take(&space, SECOND);
        let second = log_line(&state, SECOND * 10);
        insta::assert_snapshot!(format!("{first}\n{second}"), @r"
        1240/2000 tasks (62%), 98 tasks/s, 98 requests/s, 7 s left, 1 request in flight, 1 retry, 0 failed, rate 12.3 requests/s (climbing)
        1240/2000 tasks (62%), 98 tasks/s, 98 requests/s, 7 s left, 1 request in flight, 1 retry, 0 failed, rate-limited, waiting 3 s, disk: about 12.35 GB needed, 4.0 MB free
        ");
        assert_eq!(fields(&state, SECOND)["bytes_needed"], 12_345_678_901_u64);
        let mut offline = ProgressState::new(true);
        offline.phase = Some("reading the journal");
        assert_eq!(log_line(&offline, SECOND), "reading the journal");
        assert_eq!(line(&offline, 27), "reading the journal");
    }

    #[test]
    fn after_the_last_request_the_line_has_no_rates() {
        let mut state = state();
        state.done = state.total;
        insta::assert_snapshot!(line(&state, 77), @"[######################]  100%  2000/2000 tasks  writing tables");
        insta::assert_snapshot!(log_line(&state, SECOND * 10), @"2000/2000 tasks (100%), writing tables, 0 failed");
        state.take(&Event::Phase("publishing"), SECOND);
        insta::assert_snapshot!(log_line(&state, SECOND * 10), @"2000/2000 tasks (100%), publishing, 0 failed");
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (65, "1 min 5 s"),
            (300, "5 min"),
            (9_000, "2 h 30 min"),
            (7_200, "2 h"),
        ] {
            assert_eq!(time_text(SECOND * seconds), text);
        }
    }
}

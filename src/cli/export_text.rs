//! The end of an export or a flattening as text: totals, tables, failures, one hint. Pure.

use std::path::Path;
use std::time::Duration;

use crate::cli::value_parsers::rate_text;
use crate::jobs::report::{DeltaReport, ExportReport, ListReport, SavedResponses};
use crate::jobs::run_hints::{drift_text, next_steps, rate_limited_share};
use crate::lists::anomalies::anomaly_text;
use crate::pacer::types::LearnedRate;
use crate::plural::{bytes_text, plural, verb};
use crate::printable::printable;

/// Columns of the block of tables, at most.
const BLOCK_COLUMNS: usize = 80;

/// In fewer columns, the tables stand one below the other.
const NARROW_COLUMNS: usize = 64;

/// Columns between two tables of the block.
const BLOCK_SPACE: usize = 3;

/// Columns before each line of the block.
const BLOCK_INDENT: usize = 2;

/// The result in one line.
pub(crate) fn first_line(report: &ExportReport, out: &Path, elapsed: Duration) -> String {
    if report.is_idle {
        return format!(
            "Nothing to do: all {} {} in {} already ({:.1} s)",
            plural(report.requested, "task"),
            verb(report.requested, "is", "are"),
            out.display(),
            elapsed.as_secs_f64()
        );
    }
    let mut line = format!(
        "Exported {} of {} to {} in {:.1} s ({})",
        report.exported,
        plural(report.requested, "task"),
        out.display(),
        elapsed.as_secs_f64(),
        bytes_text(report.bytes)
    );
    for (count, what) in [
        // Deleted tasks are counted once, by the name that the user chose for them.
        (report.failed - report.dropped, "failed"),
        (report.dropped, "deleted"),
        (report.stale, "stale"),
    ] {
        if count > 0 {
            line += &format!("; {count} {what}");
        }
    }
    if report.unchanged {
        line += "; nothing changed";
    }
    line
}

/// The whole text, with a block of tables of so many columns. `next_step` is the hint when the run gives no other.
pub(crate) fn export_text(
    report: &ExportReport,
    out: &Path,
    elapsed: Duration,
    columns: usize,
    next_step: Option<String>,
) -> String {
    let mut lines = vec![first_line(report, out, elapsed)];
    let hint = if report.is_idle {
        Some("--refresh all fetches them again".to_owned())
    } else {
        // Tables that did not change are not listed again.
        if !report.unchanged {
            lines.extend(table_lines(&report.rows, columns));
        }
        lines.extend(request_lines(report));
        lines.extend(report.lists.iter().flat_map(list_lines));
        lines.extend(task_lines(report));
        lines.extend(drift_text(report));
        lines.extend(failure_lines(report, out));
        next_steps(report).into_iter().next().or(next_step)
    };
    // Before the hint, also where nothing else was to do: what a killed run left is committed then.
    lines.extend(report.delta.as_ref().map(delta_line));
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    one_per_line(&lines)
}

/// What was committed to Delta tables.
fn delta_line(delta: &DeltaReport) -> String {
    let DeltaReport {
        url,
        tables,
        committed,
    } = delta;
    format!(
        "{committed} of {} in {url} have a new version",
        plural(*tables, "Delta table")
    )
}

/// Lines for people, each of which stays one.
pub(crate) fn one_per_line(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n")
}

/// The tables that have rows, side by side where there is room.
fn table_lines(rows: &[(String, u64)], columns: usize) -> Vec<String> {
    let filled: Vec<(&str, String)> = rows
        .iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(name, rows)| (name.as_str(), rows.to_string()))
        .collect();
    let names = filled.iter().map(|(name, _)| name.len()).max();
    let counts = filled.iter().map(|(_, count)| count.len()).max();
    let (names, counts) = (names.unwrap_or_default(), counts.unwrap_or_default());
    let cell = names + 1 + counts;
    let per_line = if columns < NARROW_COLUMNS {
        1
    } else {
        let columns = columns.min(BLOCK_COLUMNS);
        ((columns - BLOCK_INDENT + BLOCK_SPACE) / (cell + BLOCK_SPACE)).max(1)
    };
    let height = filled.len().div_ceil(per_line);
    // Columns are read from top to bottom, as `ls` prints them.
    let mut lines: Vec<String> = (0..height)
        .map(|line| {
            let cells = filled.iter().skip(line).step_by(height.max(1));
            let cells: Vec<String> = cells
                .map(|(name, count)| format!("{name:names$} {count:>counts$}"))
                .collect();
            let indent = " ".repeat(BLOCK_INDENT);
            format!("{indent}{}", cells.join(&" ".repeat(BLOCK_SPACE)))
        })
        .collect();
    let empty = (rows.len() - filled.len()) as u64;
    if empty > 0 {
        let tables = plural(empty, "table");
        lines.push(format!("  {tables} without rows"));
    }
    lines
}

/// What was requested, and the rate limit.
fn request_lines(report: &ExportReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.uses_network && report.requests > 0 {
        let share = match report.rate_limited {
            0 => String::new(),
            _ => format!(" ({:.1}%)", rate_limited_share(report) * 100.0),
        };
        lines.push(format!(
            "{}, {} {}, {} rate-limited{share}, {} received",
            plural(report.requests, "request"),
            report.retries,
            verb(report.retries, "retry", "retries"),
            report.rate_limited,
            bytes_text(report.bytes_received)
        ));
        lines.extend(report.learned.map(|learned| rate_limit_text(&learned)));
    }
    if report.pages > 0 {
        lines.push(format!(
            "{} came from {} of list endpoints, the rest from single requests",
            plural(report.from_lists, "task"),
            plural(report.pages, "page"),
        ));
    }
    lines
}

/// What was learned of the rate limit of the API.
fn rate_limit_text(learned: &LearnedRate) -> String {
    let rate = rate_text(learned.rate);
    match (learned.in_flight, learned.is_limit) {
        (Some(in_flight), _) => {
            format!("rate limit of the API: {in_flight:.0} requests in flight, {rate}")
        }
        (None, true) => format!("rate limit of the API: {rate}"),
        (None, false) => format!("no rate limit found up to {rate}"),
    }
}

/// What was unusual about the lists.
fn list_lines(lists: &ListReport) -> Vec<String> {
    let mut lines = Vec::new();
    let anomalies: Vec<String> = lists
        .anomalies
        .iter()
        .map(|(key, count)| anomaly_text(key, *count))
        .collect();
    if !anomalies.is_empty() {
        lines.push(format!("unexpected in the lists: {}", anomalies.join(", ")));
    }
    if lists.incomplete > 0 {
        lines.push(match (lists.incomplete, lists.lists) {
            (1, 1) => "the list may be incomplete".to_owned(),
            (incomplete, all) if incomplete == all => {
                format!("all {all} lists may be incomplete")
            }
            (incomplete, all) => format!("{incomplete} of {all} lists may be incomplete"),
        });
    }
    lines
}

/// Tasks that were not fetched by this run, and IDs that have no row.
fn task_lines(report: &ExportReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.reused > 0 {
        lines.push(format!(
            "{} kept from earlier runs",
            plural(report.reused, "task")
        ));
    }
    if report.duplicates > 0 {
        lines.push(format!(
            "{} dropped",
            plural(report.duplicates, "duplicate ID")
        ));
    }
    if report.unlisted > 0 {
        lines.push(format!(
            "{} {} not in the list and not in the tables; --prune deletes saved responses of such tasks",
            plural(report.unlisted, "task"),
            verb(report.unlisted, "is", "are")
        ));
    }
    if report.pruned > 0 {
        lines.push(format!(
            "saved responses of {} that {} not in the list were deleted",
            plural(report.pruned, "task"),
            verb(report.pruned, "is", "are")
        ));
    }
    if report.unreadable > 0 {
        lines.push(format!(
            "{} {} skipped in the sources: not a valid task, or damaged",
            report.unreadable,
            verb(report.unreadable, "line or record", "lines or records")
        ));
    }
    lines
}

/// The failed IDs by kind.
fn failure_lines(report: &ExportReport, out: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let failed = report.failed + report.stale;
    if failed > 0 {
        let kinds: Vec<String> = report
            .failures
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        lines.push(format!(
            "{} failed: {} (listed in {})",
            plural(failed, "ID"),
            kinds.join(", "),
            out.join("failures.jsonl").display()
        ));
    }
    if report.stale > 0 {
        lines.push(format!(
            "{} of these {} stale: exported from the last good response",
            report.stale,
            verb(report.stale, "is", "are")
        ));
    }
    if report.dropped > 0 {
        lines.push(format!(
            "{} of these {} treated as deleted (--drop-missing)",
            report.dropped,
            verb(report.dropped, "is", "are")
        ));
    }
    lines
}

/// What an interrupted run leaves, in one line.
pub(crate) fn stopped_text(kept: &SavedResponses) -> String {
    let saved = if kept.again == 0 {
        let tasks = plural(kept.requested as u64, "task");
        format!("{} of {tasks} saved", kept.kept)
    } else {
        let tasks = plural(kept.wanted as u64, "task");
        let again = if kept.again == kept.wanted {
            " again"
        } else {
            ""
        };
        format!(
            "{} of {tasks} fetched{again}, all earlier responses kept",
            kept.fetched
        )
    };
    let export = if kept.has_export {
        ", the previous export is unchanged"
    } else {
        ""
    };
    let learned = kept
        .learned
        .map(|learned| format!("; {}", rate_limit_text(&learned)));
    format!(
        "interrupted: {saved}; no tables were written{export}{}",
        learned.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::failure_kind::FailureKind;

    #[test]
    fn what_was_committed_to_delta_tables_is_a_line() {
        let delta = DeltaReport {
            url: "s3://bucket/lake".to_owned(),
            tables: 18,
            committed: 3,
        };
        let report = ExportReport {
            delta: Some(delta),
            ..report()
        };
        let text = export_text(&report, Path::new("out"), Duration::ZERO, 80, None);
        let line = "3 of 18 Delta tables in s3://bucket/lake have a new version";
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    fn report() -> ExportReport {
        ExportReport {
            requested: 5,
            exported: 3,
            failed: 2,
            stale: 0,
            dropped: 0,
            duplicates: 1,
            reused: 1,
            unreadable: 0,
            uses_network: true,
            is_idle: false,
            unchanged: false,
            unlisted: 6,
            pruned: 0,
            lists: None,
            failures: BTreeMap::from([(FailureKind::NotFound, 1), (FailureKind::Timeout, 1)]),
            rows: [("tasks", 3), ("messages", 12), ("threads", 0)]
                .map(|(name, rows)| (name.to_owned(), rows))
                .to_vec(),
            bytes: 123_456,
            drift: 4,
            requests: 9,
            retries: 4,
            rate_limited: 2,
            bytes_received: 5_000_000,
            pages: 0,
            from_lists: 0,
            delta: None,
            learned: Some(LearnedRate {
                rate: 98.52,
                is_limit: true,
                in_flight: None,
            }),
        }
    }

    fn text_of(report: &ExportReport) -> String {
        let next = Some("next".to_owned());
        export_text(
            report,
            Path::new("out"),
            Duration::from_millis(1234),
            80,
            next,
        )
    }

    #[test]
    fn the_end_of_a_run_has_failures_last_and_one_hint() {
        insta::assert_snapshot!(text_of(&report()), @r"
        Exported 3 of 5 tasks to out in 1.2 s (123.5 kB); 2 failed
          tasks     3   messages 12
          1 table without rows
        9 requests, 4 retries, 2 rate-limited (22.2%), 5.0 MB received
        rate limit of the API: 98.5 requests per second
        1 task kept from earlier runs
        1 duplicate ID dropped
        6 tasks are not in the list and not in the tables; --prune deletes saved responses of such tasks
        4 values or keys are not documented; nothing is lost, see `drift` in manifest.json and the `extra` columns
        2 IDs failed: 1 not_found, 1 timeout (listed in out/failures.jsonl)
        hint: check IDs that are not found: they may belong to another account, or to live instead of test
        ");
    }

    #[test]
    fn singular_counts_have_singular_nouns() {
        let report = ExportReport {
            requested: 1,
            exported: 1,
            failed: 0,
            stale: 1,
            unreadable: 1,
            unlisted: 1,
            pruned: 1,
            lists: Some(ListReport {
                lists: 1,
                incomplete: 1,
                anomalies: BTreeMap::from([("empty pages", 2)]),
            }),
            failures: BTreeMap::from([(FailureKind::Timeout, 1)]),
            requests: 1,
            retries: 1,
            rate_limited: 1,
            drift: 1,
            pages: 1,
            from_lists: 1,
            ..report()
        };
        insta::assert_snapshot!(text_of(&report), @r"
        Exported 1 of 1 task to out in 1.2 s (123.5 kB); 1 stale
          tasks     3   messages 12
          1 table without rows
        1 request, 1 retry, 1 rate-limited (100.0%), 5.0 MB received
        rate limit of the API: 98.5 requests per second
        1 task came from 1 page of list endpoints, the rest from single requests
        unexpected in the lists: 2 empty pages
        the list may be incomplete
        1 task kept from earlier runs
        1 duplicate ID dropped
        1 task is not in the list and not in the tables; --prune deletes saved responses of such tasks
        saved responses of 1 task that is not in the list were deleted
        1 line or record skipped in the sources: not a valid task, or damaged
        1 value or key is not documented; nothing is lost, see `drift` in manifest.json and the `extra` columns
        1 ID failed: 1 timeout (listed in out/failures.jsonl)
        1 of these is stale: exported from the last good response
        hint: run the same command again to retry the failed IDs
        ");
    }

    #[test]
    fn an_interrupted_run_reports_fetched_and_kept_tasks() {
        let first = SavedResponses {
            kept: 20,
            requested: 40,
            wanted: 40,
            again: 0,
            fetched: 20,
            has_export: false,
            requests: 20,
            rate_limited: 0,
            learned: None,
        };
        let refresh = SavedResponses {
            again: 40,
            has_export: true,
            ..first
        };
        let mixed = SavedResponses {
            requested: 100,
            kept: 80,
            again: 30,
            ..refresh
        };
        insta::assert_snapshot!([first, refresh, mixed].map(|kept| stopped_text(&kept)).join("\n"), @r"
        interrupted: 20 of 40 tasks saved; no tables were written
        interrupted: 20 of 40 tasks fetched again, all earlier responses kept; no tables were written, the previous export is unchanged
        interrupted: 20 of 40 tasks fetched, all earlier responses kept; no tables were written, the previous export is unchanged
        ");
    }

    #[test]
    fn tables_are_printed_side_by_side() {
        let rows: Vec<(String, u64)> = (1..=18)
            .map(|number| (format!("table_of_{number}"), number * number * 1_000))
            .collect();
        assert_eq!(table_lines(&rows, 63).len(), 18);
        insta::assert_snapshot!(table_lines(&rows, 200).join("\n"), @r"
          table_of_1    1000   table_of_7   49000   table_of_13 169000
          table_of_2    4000   table_of_8   64000   table_of_14 196000
          table_of_3    9000   table_of_9   81000   table_of_15 225000
          table_of_4   16000   table_of_10 100000   table_of_16 256000
          table_of_5   25000   table_of_11 121000   table_of_17 289000
          table_of_6   36000   table_of_12 144000   table_of_18 324000
        ");
    }
}

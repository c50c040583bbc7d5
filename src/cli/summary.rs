//! The end of a run: what was exported, what failed, what to do about it. Pure.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::value_parsers::rate_text;
use crate::event::bytes_text as bytes;
use crate::failure_kind::FailureKind;
use crate::jobs::dry_run::DryRun;
use crate::jobs::report::{ExportReport, SavedResponses};
use crate::jobs::verify::report::VerifyReport;
use crate::pacer::types::LearnedRate;
use crate::printable::printable;

/// Share of answers that are 429 past which a fixed rate is worth a word.
const MANY_OBJECTIONS: f64 = 0.05;

/// What was done, in one line.
pub(crate) fn first_line(report: &ExportReport, out: &Path, elapsed: Duration) -> String {
    if report.is_idle {
        return format!(
            "Nothing to do: all {} tasks are in {} already ({:.1} s)",
            report.requested,
            out.display(),
            elapsed.as_secs_f64()
        );
    }
    let mut line = format!(
        "Exported {} of {} tasks to {} in {:.1} s ({})",
        report.exported,
        report.requested,
        out.display(),
        elapsed.as_secs_f64(),
        bytes(report.bytes)
    );
    for (count, what) in [
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

/// Lines for people, each of which stays one.
fn one_a_line(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n")
}

/// The summary as text.
pub(crate) fn text(report: &ExportReport, out: &Path, elapsed: Duration) -> String {
    let mut lines = vec![first_line(report, out, elapsed)];
    if report.is_idle {
        lines.push("hint: --refresh all fetches them again".to_owned());
        return one_a_line(&lines);
    }
    let name_width = report
        .rows
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let count_width = report
        .rows
        .iter()
        .map(|(_, rows)| rows.to_string().len())
        .max()
        .unwrap_or_default();
    for (name, rows) in &report.rows {
        lines.push(format!("  {name:name_width$}  {rows:>count_width$} rows"));
    }
    if report.asked {
        lines.push(format!(
            "{} requests, {} retries, {} rate-limited{}, {} received",
            report.requests,
            report.retries,
            report.rate_limited,
            share(report),
            bytes(report.bytes_received)
        ));
        lines.extend(report.learned.map(|learned| pace(&learned)));
    }
    if report.pages > 0 {
        lines.push(format!(
            "{} tasks came in {} pages of lists, the rest one by one",
            report.from_lists, report.pages
        ));
    }
    if report.unreadable > 0 {
        lines.push(format!(
            "left out of the sources: {} (lines that are no task, or damaged records)",
            report.unreadable
        ));
    }
    if let Some(lists) = &report.lists {
        let surprises: Vec<String> = lists
            .surprises
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        if !surprises.is_empty() {
            lines.push(format!("the lists surprised with {}", surprises.join(", ")));
        }
        if lists.incomplete > 0 {
            lines.push(format!(
                "{} of {} lists may not be complete",
                lists.incomplete, lists.lists
            ));
        }
    }
    if report.reused > 0 {
        lines.push(format!(
            "{} tasks were here from an earlier run",
            report.reused
        ));
    }
    if report.unlisted > 0 {
        lines.push(format!(
            "{} tasks are not listed any more and not in the tables; their raw responses are kept until --prune",
            report.unlisted
        ));
    }
    if report.pruned > 0 {
        lines.push(format!(
            "{} tasks that are not listed any more were dropped",
            report.pruned
        ));
    }
    if report.failed + report.stale > 0 {
        let kinds: Vec<String> = report
            .failures
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        lines.push(format!(
            "{} failed: {} (see failures.jsonl)",
            report.failed + report.stale,
            kinds.join(", ")
        ));
    }
    if report.stale > 0 {
        lines.push(format!(
            "{} of these are exported by their last good response",
            report.stale
        ));
    }
    if report.dropped > 0 {
        lines.push(format!(
            "{} of these are treated as deleted tasks (--drop-missing)",
            report.dropped
        ));
    }
    if report.duplicates > 0 {
        lines.push(format!("{} duplicate IDs were dropped", report.duplicates));
    }
    lines.extend(
        hints(report)
            .into_iter()
            .map(|hint| format!("hint: {hint}")),
    );
    one_a_line(&lines)
}

/// The summary as JSON.
pub(crate) fn json(report: &ExportReport, out: &Path, elapsed: Duration, exit_code: u8) -> Value {
    let rows: serde_json::Map<String, Value> = report
        .rows
        .iter()
        .map(|(name, rows)| (name.clone(), (*rows).into()))
        .collect();
    json!({
        "exit_code": exit_code,
        "out": out.display().to_string(),
        "seconds": elapsed.as_secs_f64(),
        "requested": report.requested,
        "exported": report.exported,
        "failed": report.failed,
        "stale": report.stale,
        "dropped": report.dropped,
        "reused": report.reused,
        "unreadable": report.unreadable,
        "unchanged": report.unchanged,
        "unlisted": report.unlisted,
        "pruned": report.pruned,
        "failures": report.failures,
        "lists": report.lists,
        "duplicates": report.duplicates,
        "rows": rows,
        "bytes": report.bytes,
        "drift": report.drift,
        "requests": report.requests,
        "retries": report.retries,
        "rate_limited": report.rate_limited,
        "rate_limited_share": rate_limited_share(report),
        "pace": report.learned,
        "bytes_received": report.bytes_received,
        "pages": report.pages,
        "from_lists": report.from_lists,
        "hints": hints(report),
    })
}

/// Answers with status 429, as a share of all.
#[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
fn rate_limited_share(report: &ExportReport) -> f64 {
    report.rate_limited as f64 / report.requests.max(1) as f64
}

/// The same, where there are any.
fn share(report: &ExportReport) -> String {
    if report.rate_limited == 0 {
        return String::new();
    }
    format!(" ({:.1} %)", rate_limited_share(report) * 100.0)
}

/// What was learned of the server's limit.
fn pace(learned: &LearnedRate) -> String {
    let LearnedRate {
        rate,
        is_limit,
        in_flight,
    } = learned;
    match (in_flight, is_limit) {
        (Some(in_flight), _) => {
            format!(
                "the API takes {in_flight:.0} requests at a time, {}",
                rate_text(*rate)
            )
        }
        (None, true) => format!("the API takes {}", rate_text(*rate)),
        (None, false) => format!("the API took all of up to {}", rate_text(*rate)),
    }
}

/// Advice drawn from the run.
fn hints(report: &ExportReport) -> Vec<String> {
    let mut hints = Vec::new();
    if rate_limited_share(report) > MANY_OBJECTIONS {
        hints.push(
            "many requests were answered 429; a fixed --rate below the limit avoids them"
                .to_owned(),
        );
    }
    if report.failures.contains_key(&FailureKind::NotFound) && report.dropped == 0 {
        hints.push(
            "IDs that are not found may belong to another account, or to live instead of test"
                .to_owned(),
        );
    }
    if report.failures.contains_key(&FailureKind::TooLarge) {
        hints.push("raise --max-body to fetch tasks that are too large".to_owned());
    }
    if report.failures.contains_key(&FailureKind::Forbidden) {
        hints.push("the key may not read the IDs that are forbidden".to_owned());
    }
    let may_pass = [
        FailureKind::Network,
        FailureKind::Timeout,
        FailureKind::HttpError,
        FailureKind::BadBody,
        FailureKind::WrongTask,
        FailureKind::Unknown,
    ];
    if report.failures() > 0
        && may_pass
            .iter()
            .any(|kind| report.failures.contains_key(kind))
    {
        hints.push("run the same command again to try the failed IDs once more".to_owned());
    }
    if report.failures.contains_key(&FailureKind::Missing) {
        hints.push(
            "IDs that are missing have no response in the sources; export them, or leave them out of the list"
                .to_owned(),
        );
    }
    if report.drift > 0 {
        hints.push(format!(
            "{} values or keys are not as documented; nothing is lost, see `drift` in manifest.json and the `extra` columns",
            report.drift
        ));
    }
    hints
}

/// What an export would do, as text.
pub(crate) fn dry_run_text(plan: &DryRun) -> String {
    let least = if plan.is_least { "at least" } else { "about" };
    let mut lines = vec![match plan.held {
        0 => format!("{least} {} tasks would be fetched", plan.requested),
        held => format!(
            "{} of {} tasks would be fetched; {held} are here already",
            plan.requested - held,
            plan.requested
        ),
    }];
    let mut requests = format!("requests: {least} {}", plan.requests);
    if plan.pages > 0 {
        requests += &format!(
            " ({} single, {} pages of {} lists)",
            plan.single, plan.pages, plan.lists
        );
    }
    lines.push(requests);
    lines.push(match (plan.rate, plan.seconds) {
        (Some(rate), Some(seconds)) => {
            let seconds = if seconds < 1.0 {
                "under 1 s".to_owned()
            } else {
                format!("{least} {seconds:.0} s")
            };
            format!("time: {seconds} at {}", rate_text(rate))
        }
        _ => "time: not known, as no rate has been learned yet".to_owned(),
    });
    lines.push(match plan.bytes {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "for the eye"
        )]
        Some(expected) => format!("bytes: {least} {}", bytes(expected as u64)),
        None => "bytes: not known, as no task has been seen".to_owned(),
    });
    if plan.asked > 0 {
        let asked = plan.asked;
        lines.push(format!(
            "{asked} requests were made to find this out; nothing was written"
        ));
    }
    one_a_line(&lines)
}

/// What a run that was stopped leaves, in one line.
pub(crate) fn stopped_text(kept: &SavedResponses) -> String {
    let SavedResponses {
        held, requested, ..
    } = kept;
    let learned = kept.learned.map(|learned| format!("; {}", pace(&learned)));
    format!(
        "interrupted: {held} of {requested} tasks are kept{}",
        learned.unwrap_or_default()
    )
}

/// A proof as text: its findings, then what it came to.
pub(crate) fn verified_text(report: &VerifyReport, directory: &Path) -> String {
    let mut lines: Vec<String> = report
        .first_findings
        .iter()
        .map(ToString::to_string)
        .collect();
    let told = report.first_findings.len() as u64;
    if report.findings > told {
        lines.push(format!("and {} more", report.findings - told));
    }
    let unproven = report.unproven.iter();
    lines.extend(unproven.map(|what| format!("not proven: {what}")));
    let read = format!(
        "{} tasks in {} rows, {} files, {}, {:.1} s",
        report.tasks,
        report.rows,
        report.files,
        bytes(report.bytes),
        report.seconds
    );
    let directory = directory.display();
    lines.push(match report.findings {
        0 if report.rebuilt > 0 => format!(
            "Verified {directory}: all files are as the manifest says, every task was rebuilt and equals its raw response, every cell follows from it ({read})"
        ),
        0 if report.raw > 0 => format!(
            "Verified {directory}: all files are as the manifest says, and every cell follows from the raw responses ({read})"
        ),
        0 if report.cells > 0 => format!(
            "Verified {directory}: all files are as the manifest says, and the tables agree with each other in every cell ({read})"
        ),
        0 => format!("Verified {directory}: all files are as the manifest says ({read})"),
        1 => format!("{directory} is not as it should be: 1 finding ({read})"),
        count => format!("{directory} is not as it should be: {count} findings ({read})"),
    });
    one_a_line(&lines)
}

/// A proof as JSON.
pub(crate) fn verified_json(report: &VerifyReport, directory: &Path, exit_code: u8) -> Value {
    // Plain values: serialization cannot fail.
    let mut json = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        fields.insert("exit_code".to_owned(), exit_code.into());
        fields.insert(
            "directory".to_owned(),
            directory.display().to_string().into(),
        );
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_summary_reads_well() {
        let report = ExportReport {
            requested: 5,
            exported: 3,
            failed: 2,
            stale: 0,
            dropped: 0,
            duplicates: 1,
            reused: 1,
            unreadable: 0,
            asked: true,
            is_idle: false,
            unchanged: false,
            unlisted: 6,
            pruned: 0,
            lists: None,
            failures: BTreeMap::from([(FailureKind::NotFound, 1), (FailureKind::Timeout, 1)]),
            rows: vec![("tasks".to_owned(), 3), ("messages".to_owned(), 12)],
            bytes: 123_456,
            drift: 4,
            requests: 9,
            retries: 4,
            rate_limited: 2,
            bytes_received: 5_000_000,
            pages: 0,
            from_lists: 0,
            learned: Some(LearnedRate {
                rate: 98.52,
                is_limit: true,
                in_flight: None,
            }),
        };
        insta::assert_snapshot!(text(&report, Path::new("out"), Duration::from_millis(1234)), @r"
        Exported 3 of 5 tasks to out in 1.2 s (123.5 kB); 2 failed
          tasks      3 rows
          messages  12 rows
        9 requests, 4 retries, 2 rate-limited (22.2 %), 5.0 MB received
        the API takes 98.5 requests per second
        1 tasks were here from an earlier run
        6 tasks are not listed any more and not in the tables; their raw responses are kept until --prune
        2 failed: 1 not_found, 1 timeout (see failures.jsonl)
        1 duplicate IDs were dropped
        hint: many requests were answered 429; a fixed --rate below the limit avoids them
        hint: IDs that are not found may belong to another account, or to live instead of test
        hint: run the same command again to try the failed IDs once more
        hint: 4 values or keys are not as documented; nothing is lost, see `drift` in manifest.json and the `extra` columns
        ");
    }
}

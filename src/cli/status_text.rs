//! The status of an export as text, one line for each part. Pure.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use crate::cli::export_text::one_per_line;
use crate::cli::value_parsers::rate_text;
use crate::jobs::status::report::{
    BoundOptions, ExportStatus, JournalCounts, NextRun, PublicationCounts, SavedTaskCounts,
};
use crate::pacer::types::LearnedRate;
use crate::plural::{bytes_text, plural};
use crate::publish::file_names::MANIFEST;

/// Columns of the names of the parts.
const NAME_COLUMNS: usize = 13;

/// The status, one line for each part that is known.
pub(crate) fn status_text(status: &ExportStatus) -> String {
    let ExportStatus {
        directory,
        publication,
        is_publication_interrupted,
        options,
        tasks,
        next_run,
        journal,
        pace,
        last_run,
        lock,
        problems,
        ..
    } = status;
    let mut lines = vec![line("export", directory)];
    let mut add = |name: &str, text: Option<String>| {
        lines.extend(text.map(|text| line(name, text)));
    };
    // An export with a damaged manifest is published, so `nothing yet` would be wrong.
    let is_damaged = problems.iter().any(|problem| problem.part == MANIFEST);
    let none = || {
        let text = if is_damaged {
            "unknown, since the manifest is damaged"
        } else {
            "nothing yet"
        };
        Some(text.to_owned())
    };
    add(
        "published",
        publication.as_ref().map(published).or_else(none),
    );
    if *is_publication_interrupted {
        let text = "interrupted; the next run completes or undoes it";
        add("publication", Some(text.to_owned()));
    }
    add("options", options.as_ref().map(options_text));
    add("tasks", Some(tasks_text(tasks)));
    add("by status", tasks.by_status.as_ref().and_then(counts));
    add("failures", counts(&tasks.failures));
    add("last run", last_run.as_ref().map(last_run_text));
    add("rate", pace.as_ref().map(pace_text));
    add("journal", journal.as_ref().map(journal_text));
    add("next run", next_run.as_ref().map(next_run_text));
    let held = match (lock.is_held, &lock.holder) {
        (Some(true), Some(holder)) => format!("held ({holder})"),
        (Some(true), None) => "held".to_owned(),
        (Some(false), _) => "free".to_owned(),
        (None, _) => "unknown: only the owner of the export can find out".to_owned(),
    };
    add("lock", Some(held));
    for problem in problems {
        add(
            "problem",
            Some(format!("{}: {}", problem.part, problem.cause)),
        );
    }
    one_per_line(&lines)
}

fn line(name: &str, text: impl Display) -> String {
    format!("{name:NAME_COLUMNS$} {text}")
}

fn published(publication: &PublicationCounts) -> String {
    let PublicationCounts {
        published_at,
        tool_version,
        shard,
        exported,
        failed,
        stale,
        files,
        bytes,
        ..
    } = publication;
    let shard = shard.map_or_else(String::new, |shard| format!("shard {shard}, "));
    format!(
        "{published_at} by version {tool_version}: {shard}{}, {failed} failed, {stale} stale; {}, {}",
        plural(*exported, "task"),
        plural(*files, "file"),
        bytes_text(*bytes)
    )
}

fn options_text(options: &BoundOptions) -> String {
    let mut parts = vec![options.base_url.clone()];
    if let Some(published) = &options.published {
        parts.push(published.format.extension().to_owned());
        parts.extend(named("tables", &published.tables));
        parts.extend(published.lists.iter().cloned());
        parts.extend(published.drop_missing.then(|| "drop_missing".to_owned()));
    }
    parts.extend(named("expand", &options.expand));
    parts.extend(named("opts", &options.opts).or_else(|| Some("no opts".to_owned())));
    parts.extend(options.keep_secrets.then(|| "keep_secrets".to_owned()));
    parts.join("; ")
}

/// A list of an option's values; `None` if it is empty.
fn named(name: &str, values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| format!("{name} {}", values.join(",")))
}

fn tasks_text(tasks: &SavedTaskCounts) -> String {
    let SavedTaskCounts {
        listed,
        kept,
        is_final,
        not_final,
        stale,
        failed,
        not_requested,
        unlisted,
        ..
    } = tasks;
    let mut parts = vec![match listed {
        Some(listed) => format!("{listed} listed"),
        None => "no published list".to_owned(),
    }];
    parts.push(match (is_final, not_final) {
        (Some(is_final), Some(not_final)) => {
            format!("{kept} kept ({is_final} final, {not_final} not final)")
        }
        _ => format!("{kept} kept"),
    });
    parts.push(format!("{stale} stale"));
    parts.push(format!("{failed} failed"));
    if *not_requested > 0 {
        parts.push(format!("{not_requested} not fetched yet"));
    }
    if *unlisted > 0 {
        parts.push(format!("{unlisted} more kept that are not in the list"));
    }
    parts.join(", ")
}

/// Names with their counts; `None` if there are none.
fn counts<N: Display>(counts: &BTreeMap<N, u64>) -> Option<String> {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// How the last run ended, from its summary.
fn last_run_text(summary: &Value) -> String {
    let text = |name: &str| summary.get(name).and_then(Value::as_str);
    let exit = summary.get("exit_code").and_then(Value::as_u64);
    let mut line = format!("exit code {}", exit.unwrap_or_default());
    if let Some(finished) = text("finished_at") {
        line = format!("{finished}: {line}");
    }
    if let Some(error) = text("error") {
        line += &format!("; {error}");
    }
    line
}

fn pace_text(pace: &LearnedRate) -> String {
    let limit = if pace.is_limit {
        ", the limit of the server"
    } else {
        "; the server has not limited more"
    };
    format!("{}{limit}", rate_text(pace.rate))
}

fn journal_text(journal: &JournalCounts) -> String {
    let mut text = format!(
        "{} in {}, {:.0}% superseded",
        bytes_text(journal.bytes),
        plural(journal.records, "record"),
        journal.superseded_share * 100.0
    );
    if journal.incomplete_bytes > 0 {
        text += &format!(
            "; {} of an incomplete record at the end",
            plural(journal.incomplete_bytes, "byte")
        );
    }
    text
}

fn next_run_text(next: &NextRun) -> String {
    let NextRun {
        fetch,
        not_final,
        failed,
        not_requested,
        is_list_known,
    } = *next;
    let parts = [
        (not_final, "not final"),
        (failed, "failed"),
        (not_requested, "not fetched yet"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let rest = if is_list_known {
        "IDs that are new in its list"
    } else {
        "IDs of its list that no run has requested"
    };
    match fetch {
        0 => format!("fetches only {rest}"),
        _ => format!(
            "fetches {} ({}), and {rest}",
            plural(fetch, "task"),
            parts.join(", ")
        ),
    }
}

//! Failures, errors of tasks, reports of sensitive content, and drift.

use std::cmp::Reverse;

use crate::report::html::markup::{Markup, NAME_CHARS};
use crate::report::html::number_text::count_text;
use crate::report::html::table_view::{
    TableView, and_more, count_table, note, part, section, shown_count,
};
use crate::report::kind_failures::KindFailures;
use crate::report::statistics::KindCounts;
use crate::tables::schema_drift::{DriftEntry, DriftKind};

/// Rows of each table.
const MAX_ROWS: usize = 20;

/// IDs that failed, by kind.
pub(super) fn failures(failures: &KindFailures) -> Markup {
    let mut kinds: Vec<_> = failures.kinds.iter().collect();
    kinds.sort_by_key(|(kind, count)| (Reverse(count.failed + count.stale), **kind));
    let headings = ["kind", "HTTP status", "failed", "stale"];
    let mut table = TableView::new("Failed and stale IDs by kind", &headings);
    for ((kind, http_status), count) in kinds.iter().take(shown_count(kinds.len(), MAX_ROWS)) {
        let status = http_status.map_or_else(|| "–".to_owned(), |status| status.to_string());
        table.rows.push(vec![
            Markup::element("code", "", &Markup::text(kind.as_str())),
            Markup::text(&status),
            Markup::text(&count_text(count.failed)),
            Markup::text(&count_text(count.stale)),
        ]);
    }
    table.more = and_more(kinds.len(), table.rows.len(), false, "kind");
    if kinds.is_empty() {
        return note("No ID failed.");
    }
    table.markup()
}

/// Rows by type; `what` names them, with the table first.
pub(super) fn kinds(caption: &str, counts: &KindCounts, rows: u64) -> Markup {
    let all = counts.by_count(|count| *count);
    let shown = all.iter().take(shown_count(all.len(), MAX_ROWS));
    let shown = shown.map(|(kind, count)| {
        let name = Markup::optional_key(kind.as_ref(), "(no type)", NAME_CHARS);
        (name, **count)
    });
    let mut table = count_table(caption, ["type", "rows"], shown, rows);
    table.more = and_more(all.len(), table.rows.len(), counts.has_dropped(), "type");
    if all.is_empty() {
        return note("None.");
    }
    table.markup()
}

/// The section of failures and of the two tables of problems, each `None` if it was not exported.
pub(super) fn problems(parts: [(&str, Markup); 3]) -> Markup {
    let parts = parts.map(|(title, content)| part(title, &content));
    section("failures", "Failures", &parts.into_iter().collect())
}

/// Differences from the documentation of the API.
pub(super) fn drift(entries: &[DriftEntry]) -> Markup {
    let mut all: Vec<&DriftEntry> = entries.iter().collect();
    all.sort_by(|one, other| {
        let key = |entry: &DriftEntry| (Reverse(entry.count), entry.kind);
        let names = |entry: &DriftEntry| (entry.table.clone(), entry.column.clone());
        let by_count = key(one).cmp(&key(other));
        by_count.then_with(|| names(one).cmp(&names(other)))
    });
    let headings = ["table and key", "difference", "count", "first task"];
    let mut table = TableView::new("Drift", &headings);
    table.texts = &[1, 3];
    for entry in all.iter().take(shown_count(all.len(), MAX_ROWS)) {
        let name = format!("{}.{}", entry.table, entry.column);
        let kind = match entry.kind {
            DriftKind::TypeMismatch => "type mismatch",
            DriftKind::UnknownKey => "unknown key",
            DriftKind::UnknownValue => "unknown value",
        };
        table.rows.push(vec![
            Markup::element("code", "", &Markup::data(&name, NAME_CHARS)),
            Markup::text(kind),
            Markup::text(&count_text(entry.count)),
            Markup::data(&entry.first_task_id, NAME_CHARS),
        ]);
    }
    table.more = and_more(all.len(), table.rows.len(), false, "difference");
    let content = if all.is_empty() {
        note("Every key and value is as the API documents it.")
    } else {
        note("Keys and values that the API does not document. Nothing is lost: they are in the columns extra, or in their column.")
            .and(&table.markup())
    };
    section("drift", "Drift", &content)
}

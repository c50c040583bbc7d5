//! Kinds of damage to rows and cells, with an updated manifest.

use serde_json::json;

use crate::support::table::{Cell, Table};

/// Another text than that of the cell.
fn other(cell: Option<&str>) -> Option<Cell> {
    cell.map(|text| Some(format!("{text}x")))
}

/// The number with its last digit increased by one.
fn next_number(cell: Option<&str>) -> Option<Cell> {
    let number: i64 = cell?.parse().ok()?;
    Some(Some((number + 1).to_string()))
}

/// The next float64.
fn next_double(cell: Option<&str>) -> Option<Cell> {
    let number: f64 = cell?.parse().ok()?;
    (number != 0.0).then(|| Some(format!("{:?}", f64::from_bits(number.to_bits() + 1))))
}

/// The time a microsecond later.
fn later(cell: Option<&str>) -> Option<Cell> {
    let text = cell?;
    let (start, end) = text.split_at(text.len() - 2);
    let digit = if end == "0Z" { "1Z" } else { "0Z" };
    Some(Some(format!("{start}{digit}")))
}

fn null(cell: Option<&str>) -> Option<Cell> {
    cell.map(|_| None)
}

fn empty_for_null(cell: Option<&str>) -> Option<Cell> {
    cell.is_none().then(|| Some(String::new()))
}

fn null_for_empty(cell: Option<&str>) -> Option<Cell> {
    cell.filter(|text| text.is_empty()).map(|_| None)
}

fn instead(from: &'static str, to: &'static str) -> impl Fn(Option<&str>) -> Option<Cell> {
    move |cell| {
        cell.filter(|text| *text == from)
            .map(|_| Some(to.to_owned()))
    }
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Option<&str>) -> Option<Cell> {
    move |cell| {
        cell.filter(|text| text.contains(from))
            .map(|text| Some(text.replacen(from, to, 1)))
    }
}

/// A kind of damage to a table, and the text of its finding.
pub(super) type Damage = (
    &'static str,
    &'static str,
    Box<dyn Fn(&mut Table)>,
    &'static str,
);

fn damage(
    name: &'static str,
    table: &'static str,
    change: impl Fn(&mut Table) + 'static,
    finding: &'static str,
) -> Damage {
    (name, table, Box::new(change), finding)
}

/// Columns that only the comparison of cells checks. Findings name them.
const DERIVED: [(&str, &str); 15] = [
    ("annotations", "value_label"),
    ("annotations", "value_number"),
    ("annotations", "criteria"),
    ("annotations", "level"),
    ("annotations", "annotation_index"),
    ("attachments", "content"),
    ("attachments", "content_sha256"),
    ("attachments", "content_size"),
    ("attachments", "source"),
    ("attachments", "message_index"),
    ("messages", "turn_index"),
    ("messages", "thread_id"),
    ("chunks", "message_id"),
    ("projects", "name"),
    ("batches", "status"),
];

/// Kinds of damage to cells: the column, the change, and other text of the finding.
pub(super) fn damaged_cells() -> Vec<Damage> {
    type Change = Box<dyn Fn(Option<&str>) -> Option<Cell>>;
    let cells: Vec<(&str, &str, &str, Change)> = vec![
        (
            "a float changed in its last place",
            "messages",
            "temperature",
            Box::new(next_double),
        ),
        (
            "a score changed in its last place",
            "rubric_evaluations",
            "total_score",
            Box::new(next_double),
        ),
        (
            "a derived double changed",
            "annotations",
            "value_number",
            Box::new(next_double),
        ),
        (
            "a weight for null",
            "rubric_criteria",
            "weight",
            Box::new(null),
        ),
        ("extra for null", "annotations", "extra", Box::new(null)),
        (
            "a key lost from extra",
            "tasks",
            "extra",
            Box::new(replaced("{\"", "{\"lost_")),
        ),
        (
            "\"\" for null",
            "annotations",
            "justification",
            Box::new(empty_for_null),
        ),
        (
            "null for \"\"",
            "messages",
            "text",
            Box::new(null_for_empty),
        ),
        (
            "a time moved by 1 µs",
            "tasks",
            "created_at",
            Box::new(later),
        ),
        (
            "a time moved by 1 µs in a child",
            "submissions",
            "submitted_at",
            Box::new(later),
        ),
        (
            "a time of a project moved",
            "projects",
            "created_at",
            Box::new(later),
        ),
        ("a text changed", "messages", "text", Box::new(other)),
        (
            "a space behind a text",
            "reference_texts",
            "content",
            Box::new(|cell| cell.map(|text| Some(format!("{text} ")))),
        ),
        (
            "a label changed",
            "annotations",
            "value_label",
            Box::new(other),
        ),
        (
            "a label for null",
            "annotations",
            "value_label",
            Box::new(null),
        ),
        (
            "a value_text changed",
            "annotations",
            "value_text",
            Box::new(other),
        ),
        (
            "a value_int changed",
            "annotations",
            "value_int",
            Box::new(next_number),
        ),
        (
            "a value_bool flipped",
            "annotations",
            "value_bool",
            Box::new(instead("true", "false")),
        ),
        (
            "a value_json changed",
            "annotations",
            "value_json",
            Box::new(replaced("{\"", "{\"x")),
        ),
        (
            "a value_list shortened",
            "annotations",
            "value_list",
            Box::new(|cell| {
                let list: Vec<String> = serde_json::from_str(cell?).ok()?;
                (list.len() > 1).then(|| Some(json!(list[1..]).to_string()))
            }),
        ),
        (
            "a list for null",
            "annotations",
            "labels",
            Box::new(|cell| cell.is_none().then(|| Some("[]".to_owned()))),
        ),
        (
            "a number in JSON written otherwise",
            "tasks",
            "metadata",
            Box::new(|cell| {
                let text = cell?;
                let digit = text.find(|c: char| c.is_ascii_digit() && c != '0')?;
                let before = text[..digit].chars().last()?;
                let after = text[digit + 1..].chars().next()?;
                (before == ':' && matches!(after, ',' | '}'))
                    .then(|| Some(format!("{}.0{}", &text[..=digit], &text[digit + 1..])))
            }),
        ),
        (
            "criteria changed",
            "annotations",
            "criteria",
            Box::new(other),
        ),
        (
            "a level changed",
            "annotations",
            "level",
            Box::new(instead("turn", "thread")),
        ),
        (
            "an annotation's key changed",
            "annotations",
            "key",
            Box::new(other),
        ),
        (
            "an annotation's ID changed",
            "annotations",
            "annotation_id",
            Box::new(other),
        ),
        (
            "possible values changed",
            "annotations",
            "possible_values",
            Box::new(replaced("[", "[null,")),
        ),
        (
            "a thread's ID changed in a child",
            "messages",
            "thread_id",
            Box::new(other),
        ),
        ("a turn's ID changed", "turns", "turn_id", Box::new(other)),
        (
            "a turn's index changed",
            "messages",
            "turn_index",
            Box::new(next_number),
        ),
        (
            "a message's ID changed",
            "chunks",
            "message_id",
            Box::new(other),
        ),
        (
            "a message's index changed",
            "attachments",
            "message_index",
            Box::new(next_number),
        ),
        (
            "an annotation's index changed",
            "annotations",
            "annotation_index",
            Box::new(next_number),
        ),
        ("a path changed", "chunks", "path", Box::new(other)),
        (
            "a count too high",
            "turns",
            "message_count",
            Box::new(next_number),
        ),
        (
            "a count too high in tasks",
            "tasks",
            "annotation_count",
            Box::new(next_number),
        ),
        (
            "0 for an absent list",
            "threads",
            "submission_count",
            Box::new(|cell| cell.is_none().then(|| Some("0".to_owned()))),
        ),
        (
            "null for an empty list",
            "tasks",
            "error_count",
            Box::new(|cell| (cell? == "0").then_some(None)),
        ),
        (
            "a byte of a file changed",
            "attachments",
            "content",
            Box::new(|cell| {
                let text = cell.filter(|text| text.len() > 4)?;
                let first = if text.starts_with('A') { "B" } else { "A" };
                Some(Some(format!("{first}{}", &text[1..])))
            }),
        ),
        (
            "a byte in the middle of a file changed",
            "attachments",
            "content",
            Box::new(|cell| {
                let text = cell.filter(|text| text.len() > 200)?;
                let at = text.len() / 2;
                let other = if text[at..].starts_with('A') {
                    "B"
                } else {
                    "A"
                };
                Some(Some(format!("{}{other}{}", &text[..at], &text[at + 1..])))
            }),
        ),
        (
            "a checksum changed",
            "attachments",
            "content_sha256",
            Box::new(|cell| cell.map(|text| Some(text.chars().rev().collect()))),
        ),
        (
            "a size changed",
            "attachments",
            "content_size",
            Box::new(next_number),
        ),
        (
            "a source changed",
            "attachments",
            "source",
            Box::new(instead("annotation", "workspace")),
        ),
        ("a status changed", "tasks", "status", Box::new(other)),
        (
            "a project's ID changed",
            "tasks",
            "project_id",
            Box::new(other),
        ),
        (
            "an expanded batch for null",
            "tasks",
            "batch",
            Box::new(null),
        ),
        (
            "a project's name changed",
            "projects",
            "name",
            Box::new(other),
        ),
        (
            "a batch's status changed",
            "batches",
            "status",
            Box::new(other),
        ),
        (
            "an error's message changed",
            "errors",
            "message",
            Box::new(other),
        ),
        (
            "a report's kind for null",
            "sensitive_content_reports",
            "type",
            Box::new(null),
        ),
        (
            "a reasoning changed",
            "reasoning",
            "content",
            Box::new(other),
        ),
        (
            "a definition's ID changed",
            "criterion_evaluations",
            "criterion_definition_id",
            Box::new(other),
        ),
        (
            "a contributor for null",
            "submissions",
            "contributor_id",
            Box::new(null),
        ),
    ];
    let cells = cells.into_iter();
    let of_cell = |(name, table, column, change): (_, &'static str, &'static str, Change)| {
        // Damage to the columns that a task is rebuilt from is found in the rebuilt task, which has no columns.
        let is_derived = DERIVED.contains(&(table, column));
        let finding = if is_derived { column } else { "" };
        damage(
            name,
            table,
            move |rows| rows.change(column, &change),
            finding,
        )
    };
    cells.map(of_cell).collect()
}

pub(super) fn damaged_rows() -> Vec<Damage> {
    vec![
        damage(
            "a row dropped",
            "messages",
            |table| drop(table.rows.remove(table.rows.len() / 2)),
            "messages",
        ),
        damage(
            "the last row dropped",
            "annotations",
            |table| drop(table.rows.pop()),
            "annotations",
        ),
        damage(
            "a convenient row dropped",
            "attachments",
            |table| {
                let row = table.find("source", |source| source == Some("workspace"));
                table.rows.remove(row);
            },
            "attachments",
        ),
        damage(
            "two rows swapped",
            "annotations",
            |table| table.rows.swap(3, 4),
            "annotations",
        ),
        damage(
            "two rows of tasks swapped",
            "tasks",
            |table| table.rows.swap(3, 4),
            "tasks",
        ),
        damage(
            "two rows far apart swapped",
            "messages",
            |table| {
                let last = table.rows.len() - 1;
                table.rows.swap(0, last);
            },
            "messages",
        ),
        damage(
            "a row doubled",
            "turns",
            |table| table.rows.insert(1, table.rows[0].clone()),
            "turns",
        ),
        damage(
            "a task doubled",
            "tasks",
            |table| table.rows.insert(1, table.rows[0].clone()),
            "tasks",
        ),
        damage(
            "a row more at the end",
            "errors",
            |table| table.rows.extend(table.rows.last().cloned()),
            "errors",
        ),
        damage(
            "a task dropped",
            "tasks",
            |table| drop(table.rows.remove(2)),
            "tasks",
        ),
        damage(
            "all rows dropped",
            "reasoning",
            |table| table.rows.clear(),
            "reasoning",
        ),
        damage(
            "a row of a task that is not there",
            "chunks",
            |table| {
                table.rows[0][0] = Some("task_of_nobody".to_owned());
            },
            "chunks",
        ),
        damage(
            "a row of another task",
            "chunks",
            |table| {
                let last = table.cells("task_id").pop().unwrap();
                table.rows[0][0] = last;
            },
            "chunks",
        ),
        damage(
            "a project dropped",
            "projects",
            |table| drop(table.rows.remove(0)),
            "projects",
        ),
        damage(
            "two batches swapped",
            "batches",
            |table| table.rows.swap(0, 1),
            "batches",
        ),
        damage(
            "a value in two columns",
            "annotations",
            |table| {
                let row = table.find("value_int", |value| value.is_some());
                let value = table.cells("value_int")[row].clone();
                table.set(row, "value_json", value);
            },
            "annotations",
        ),
    ]
}

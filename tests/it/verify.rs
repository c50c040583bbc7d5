//! `verify` finds every kind of damage, and nothing else. The manifest is made to fit each time: it is
//! not the checksums that are tried here, but what they cannot tell.

use std::fs;
use std::path::{Path, PathBuf};

use scale_export::event::Events;
use scale_export::journal::JournalReader;
use scale_export::output::Format;
use scale_export::sandbox::SandboxConfig;
use scale_export::verify::{Verified, VerifyReport, verify};
use serde_json::json;

use crate::support::table::{Cell, Table, copy, edit_manifest, refresh};
use crate::support::{export, sandbox, task_ids};

/// Tasks of the export that is damaged: enough for every table to have rows.
const TASKS: usize = 120;

const FORMATS: [Format; 2] = [Format::Parquet, Format::Csv];

/// What the sandbox's tasks do not have.
const BY_HAND: &str = r#"{"task_id":"by_hand","status":"","threads":[{"id":"","annotations":[{"id":"a","value":""}],"turns":[{"messages":[{"role":"user","content":{"text":""}}]}]}],"errors":[],"n":123456789012345678901234567890}"#;

/// Tasks of the sandbox with drift, and one by hand, in a file.
fn tasks_with_drift(base: &Path) -> PathBuf {
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let options = ["--expand", "project,batch", "--tables", "tasks"];
    let (out, output) = export(&server, base, "raw", &task_ids(TASKS), &options);
    assert!(output.status.success());
    let mut seen = Vec::new();
    let (mut reader, ..) = JournalReader::open(&out.join(".scale-export"), None, |entry| {
        seen.push((entry.task_id.to_owned(), entry.location));
    })
    .unwrap();
    let mut lines = format!("{BY_HAND}\n").into_bytes();
    let mut body = Vec::new();
    for (task_id, location) in seen.iter().filter(|(task_id, _)| !task_id.is_empty()) {
        reader.read(task_id, *location, &mut body).unwrap();
        lines.extend(&body);
        lines.push(b'\n');
    }
    let path = base.join("tasks.jsonl");
    fs::write(&path, lines).unwrap();
    path
}

/// A good export of both formats, with drift, two failed IDs and expanded projects and batches.
fn good_exports(base: &Path) -> Vec<(Format, PathBuf)> {
    let server = sandbox(SandboxConfig {
        from: Some(tasks_with_drift(base)),
        ..SandboxConfig::default()
    });
    let mut ids = task_ids(TASKS);
    ids.insert(5, "no_such_task".to_owned());
    ids.insert(9, "nor_this_one".to_owned());
    ids.insert(12, "by_hand".to_owned());
    let exports = FORMATS.iter().map(|format| {
        let name = format.extension();
        let (out, output) = export(&server, base, name, &ids, &["--format", name]);
        assert_eq!(output.status.code(), Some(3));
        (*format, out)
    });
    exports.collect()
}

fn verified(out: &Path) -> VerifyReport {
    let (_sender, stop) = tokio::sync::watch::channel(false);
    match verify(out, &Events::none(), &stop).unwrap() {
        Verified::Done(report) => report,
        Verified::Stopped => panic!("nobody stopped it"),
    }
}

fn lines(report: &VerifyReport) -> String {
    let findings = report.first_findings.iter();
    findings.map(|finding| format!("{finding}\n")).collect()
}

/// Another text for whatever stands there.
fn other(cell: Option<&str>) -> Option<Cell> {
    cell.map(|text| Some(format!("{text}x")))
}

/// The number after this one, in its last digit.
fn next_number(cell: Option<&str>) -> Option<Cell> {
    let number: i64 = cell?.parse().ok()?;
    Some(Some((number + 1).to_string()))
}

/// The next double.
fn next_double(cell: Option<&str>) -> Option<Cell> {
    let number: f64 = cell?.parse().ok()?;
    (number != 0.0).then(|| Some(format!("{:?}", f64::from_bits(number.to_bits() + 1))))
}

/// A microsecond later.
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

/// A kind of damage to a table, and what a finding of it names.
type Damage = (
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

/// Kinds of damage to cells: the column, the change, and what a finding names beside it.
fn damaged_cells() -> Vec<Damage> {
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
        // A changed text shows in the rebuilt task, which has no columns.
        damage(name, table, move |rows| rows.change(column, &change), "")
    };
    cells.map(of_cell).collect()
}

fn damaged_rows() -> Vec<Damage> {
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

#[test]
fn every_kind_of_damage_to_rows_is_found() {
    let base = tempfile::tempdir().unwrap();
    let (mut kinds, mut wrong) = (0, String::new());
    for (format, good) in good_exports(base.path()) {
        let report = verified(&good);
        assert_eq!((report.findings, lines(&report)), (0, String::new()));
        assert_eq!(
            (report.tasks, report.rebuilt),
            (TASKS as u64 + 1, TASKS as u64 + 1)
        );
        assert_eq!(report.unproven, Vec::<String>::new());
        let all = damaged_cells().into_iter().chain(damaged_rows());
        for (name, table, change, finding) in all {
            let bad = base.path().join("bad");
            copy(&good, &bad);
            let mut rows = Table::load(&bad, format, table);
            change(&mut rows);
            rows.save(&bad);
            let report = verified(&bad);
            let lines = lines(&report);
            // It is told where, and nothing is told of tasks that are well.
            let is_told = lines.contains(finding)
                && (1..100).contains(&report.findings)
                && !lines.contains("SHA-256")
                && !lines.contains("bytes, found");
            if !is_told {
                let count = report.findings;
                wrong += &format!("{name} in {table} ({format:?}): {count} findings\n{lines}");
            }
            fs::remove_dir_all(&bad).unwrap();
            kinds += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(kinds >= 2 * 60, "{kinds}");
}

/// Damage to files: what is done, and what a finding says.
type FileDamage = (&'static str, Box<dyn Fn(&Path, Format)>, &'static str);

fn damaged_files() -> Vec<FileDamage> {
    fn kind(
        name: &'static str,
        change: impl Fn(&Path, Format) + 'static,
        finding: &'static str,
    ) -> FileDamage {
        (name, Box::new(change), finding)
    }
    fn messages(out: &Path, format: Format) -> PathBuf {
        out.join(format.file_name("messages"))
    }
    fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(path).unwrap();
        edit(&mut content);
        fs::write(path, content).unwrap();
    }
    fn manifest(change: impl Fn(&mut serde_json::Value) + 'static) -> impl Fn(&Path, Format) {
        move |out, _| edit_manifest(out, &change)
    }
    const JOURNAL: &str = ".scale-export/journal";
    const IDS: &str = ".scale-export/ids.txt";
    vec![
        kind(
            "a file cut off",
            |out, format| edit(&messages(out, format), |file| file.truncate(file.len() / 2)),
            "bytes, found",
        ),
        kind(
            "a file cut off, and the manifest fitted",
            |out, format| {
                edit(&messages(out, format), |file| file.truncate(file.len() / 2));
                refresh(out, &format.file_name("messages"));
            },
            "messages.",
        ),
        kind(
            "a byte flipped",
            |out, format| {
                edit(&messages(out, format), |file| {
                    let at = file.len() / 2;
                    file[at] ^= 1;
                });
            },
            "SHA-256",
        ),
        kind(
            "a file missing",
            |out, format| fs::remove_file(messages(out, format)).unwrap(),
            "expected a file, found none",
        ),
        kind(
            "a file emptied",
            |out, format| {
                fs::write(messages(out, format), "").unwrap();
                refresh(out, &format.file_name("messages"));
            },
            "expected table `messages`",
        ),
        kind(
            "a file of another table",
            |out, format| {
                fs::copy(out.join(format.file_name("turns")), messages(out, format)).unwrap();
                refresh(out, &format.file_name("messages"));
            },
            "expected table `messages`",
        ),
        kind(
            "a file of the other format beside it",
            |out, format| {
                let other = FORMATS.into_iter().find(|other| *other != format).unwrap();
                fs::write(out.join(other.file_name("turns")), "").unwrap();
            },
            "expected no such file",
        ),
        kind(
            "load.sql changed",
            |out, _| {
                edit(&out.join("load.sql"), |file| file.extend(b"-- more"));
                refresh(out, "load.sql");
            },
            "load.sql",
        ),
        kind(
            "a failed ID lost",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let line = file.iter().position(|byte| *byte == b'\n').unwrap();
                    file.drain(..=line);
                });
                refresh(out, "failures.jsonl");
            },
            "expected 2 failed IDs, found 1",
        ),
        kind(
            "failed IDs swapped",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text
                        .lines()
                        .rev()
                        .map(|line| format!("{line}\n"))
                        .collect::<String>()
                        .into();
                });
                refresh(out, "failures.jsonl");
            },
            "the order of the list",
        ),
        kind(
            "a failure changed",
            |out, _| {
                edit(&out.join("failures.jsonl"), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text.replacen("404", "403", 1).into();
                });
                refresh(out, "failures.jsonl");
            },
            "failures.jsonl",
        ),
        kind(
            "an ID lost from the list",
            |out, _| {
                edit(&out.join(IDS), |file| drop(file.drain(..7)));
                refresh(out, IDS);
            },
            "ids.txt",
        ),
        kind(
            "two IDs swapped in the list",
            |out, _| {
                edit(&out.join(IDS), |file| {
                    let text = String::from_utf8(file.clone()).unwrap();
                    *file = text
                        .replacen("task_1\ntask_2\n", "task_2\ntask_1\n", 1)
                        .into();
                });
                refresh(out, IDS);
            },
            "task_",
        ),
        kind(
            "a byte of the journal flipped",
            |out, _| {
                edit(&out.join(JOURNAL), |file| {
                    let at = file.len() / 2;
                    file[at] ^= 1;
                });
            },
            "journal",
        ),
        kind(
            "the journal cut off",
            |out, _| edit(&out.join(JOURNAL), |file| file.truncate(file.len() / 2)),
            "journal",
        ),
        kind(
            "the journal's header damaged",
            |out, _| edit(&out.join(JOURNAL), |file| file[30] ^= 1),
            "its header is damaged",
        ),
        kind(
            "another journal",
            |out, _| {
                let path = out.join(JOURNAL);
                edit(&path, |file| {
                    let options = file
                        .windows(8)
                        .position(|bytes| bytes == b"\x7e\x4a\x4e\x4c\x01\x01\x01\x00");
                    file.truncate(options.unwrap_or(200));
                });
            },
            "journal",
        ),
        kind(
            "the manifest's rows changed",
            manifest(|manifest| manifest["tables"]["turns"]["rows"] = json!(1)),
            "rows",
        ),
        kind(
            "the manifest's rows changed twice",
            manifest(|manifest| {
                manifest["tables"]["turns"]["rows"] = json!(1);
                manifest["tables"]["turns"]["files"][0]["rows"] = json!(1);
            }),
            "expected 1 rows",
        ),
        kind(
            "the manifest's size changed",
            manifest(|manifest| manifest["tables"]["turns"]["files"][0]["bytes"] = json!(1)),
            "expected 1 bytes",
        ),
        kind(
            "the manifest's checksum changed",
            manifest(|manifest| manifest["files"][0]["sha256"] = json!("00")),
            "SHA-256 00",
        ),
        kind(
            "the manifest's exported IDs changed",
            manifest(|manifest| manifest["ids"]["exported"] = json!(1)),
            "manifest.json",
        ),
        kind(
            "the manifest's requested IDs changed",
            manifest(|manifest| {
                manifest["ids"]["exported"] = json!(1);
                manifest["ids"]["requested"] = json!(3);
            }),
            "expected 3 IDs",
        ),
        kind(
            "a drifted column lost",
            manifest(|manifest| drop(manifest["drift"].as_array_mut().unwrap().remove(0))),
            "drift",
        ),
        kind(
            "a count of drift changed",
            manifest(|manifest| manifest["drift"][0]["count"] = json!(1_000_000)),
            "drift",
        ),
        kind(
            "the first task of a drift changed",
            manifest(|manifest| manifest["drift"][0]["first_task_id"] = json!("task_77")),
            "drift",
        ),
        kind(
            "the base URL changed",
            manifest(|manifest| manifest["options"]["base_url"] = json!("https://example.com")),
            "base_url",
        ),
        kind(
            "an option changed",
            manifest(|manifest| manifest["options"]["keep_secrets"] = json!(true)),
            "keep_secrets",
        ),
        kind(
            "a table lost from the manifest",
            manifest(|manifest| drop(manifest["tables"].as_object_mut().unwrap().remove("turns"))),
            "table `turns`",
        ),
        kind(
            "a table too many in the manifest",
            manifest(|manifest| {
                let table = manifest["tables"]["turns"].clone();
                manifest["tables"]["other"] = table;
            }),
            "no table `other`",
        ),
        kind(
            "a path that leads out",
            manifest(|manifest| manifest["files"][0]["path"] = json!("../failures.jsonl")),
            "paths inside",
        ),
        kind(
            "the manifest cut off",
            |out, _| edit(&out.join("manifest.json"), |file| file.truncate(100)),
            "expected a manifest",
        ),
    ]
}

#[test]
fn every_kind_of_damage_to_files_is_found() {
    let base = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for (format, good) in good_exports(base.path()) {
        for (name, change, finding) in damaged_files() {
            let bad = base.path().join("bad");
            copy(&good, &bad);
            change(&bad, format);
            let report = verified(&bad);
            let lines = lines(&report);
            if report.findings == 0 || !lines.contains(finding) {
                wrong += &format!("{name} ({format:?}): {lines}\n");
            }
            fs::remove_dir_all(&bad).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

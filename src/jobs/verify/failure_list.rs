//! `failures.jsonl` against the list of IDs and the journal.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};

use serde::Deserialize;

use crate::failure_kind::FailureKind;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::raw_responses::{ExpectedLine, RawResponses};
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::journal::failure_note::FailureNote;
use crate::memory::read_line;
use crate::plural::plural;
use crate::publish::failure_lines::{missing, write_line};
use crate::publish::file_names::FAILURES;

/// Bytes of a line that are read at once. A line has an ID and a message, each 1 kB at most.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// A line of the file.
#[derive(Deserialize)]
struct FailureLine {
    task_id: String,
    #[serde(flatten)]
    note: FailureNote,
    #[serde(default)]
    exported: bool,
}

/// What the lines are checked against, and what they had so far.
struct FailureCheck<'c> {
    ids: Option<&'c TaskIds>,
    raw: Option<&'c mut RawResponses>,
    findings: &'c mut Findings,
    /// Whether this version writes the same files. Another version may name other kinds of failures, and word their
    /// messages differently.
    is_of_this_version: bool,
    /// Whether a kind of another version was seen.
    has_unknown_kind: bool,
    /// Whether a message of another version was seen.
    has_other_message: bool,
    /// IDs that are not exported.
    failed: TaskIds,
    /// All IDs.
    seen: TaskIds,
    stale: u64,
    last_position: Option<usize>,
}

/// Checks the file; returns the IDs in it that are not exported.
pub(crate) fn check_failures(
    export: VerifiedExport<'_>,
    ids: Option<&TaskIds>,
    raw: Option<&mut RawResponses>,
    results: &mut VerifyResults,
) -> Result<TaskIds, VerifyError> {
    let manifest = export.manifest;
    let path = export.directory.join(FAILURES);
    let text = match fs::metadata(&path) {
        // Reported with the other files.
        Ok(metadata) if !metadata.is_file() => return Ok(TaskIds::default()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(TaskIds::default()),
        found => found.and_then(|_| File::open(&path)),
    };
    let io = |source| VerifyError::Io {
        path: path.clone(),
        source,
    };
    let mut text = BufReader::new(text.map_err(io)?);
    let mut check = FailureCheck {
        ids,
        raw,
        findings: &mut results.findings,
        is_of_this_version: manifest.is_of_this_version(),
        has_unknown_kind: false,
        has_other_message: false,
        failed: TaskIds::default(),
        seen: TaskIds::default(),
        stale: 0,
        last_position: None,
    };
    let mut line = Vec::new();
    for number in 1_u64.. {
        if read_line(&mut text, MAX_LINE_BYTES, &mut line).map_err(io)? == 0 {
            break;
        }
        check.line(number, &line)?;
    }
    check.find_missing();
    check.compare_counts(manifest.ids.failed, manifest.ids.stale);
    let FailureCheck {
        failed,
        has_unknown_kind,
        has_other_message,
        ..
    } = check;
    if has_other_message {
        results.add_unverified(format!(
            "the message of every failure (written by version {}, encoding {})",
            manifest.tool.version, manifest.encoding_version
        ));
    }
    if has_unknown_kind {
        results.add_unverified(format!(
            "the kind of every failure (version {} uses kinds that this version does not know)",
            manifest.tool.version
        ));
    }
    Ok(failed)
}

impl FailureCheck<'_> {
    /// Checks a line against the list and the journal.
    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), VerifyError> {
        let findings = &mut *self.findings;
        let mut differ = |expected: &str, found: &str| {
            let expected = format!("{expected} in line {number}");
            findings.add(Finding::of_file(FAILURES, &expected, found));
        };
        let parsed: FailureLine = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(error) => {
                differ("a failed ID", &error.to_string());
                return Ok(());
            }
        };
        let task_id = parsed.task_id.as_str();
        let mut canonical = Vec::new();
        write_line(task_id, &parsed.note, parsed.exported, &mut canonical);
        if parsed.note.kind == FailureKind::Unknown && !self.is_of_this_version {
            self.has_unknown_kind = true;
        } else if canonical != line {
            differ("a line as scale-export writes it", &text_of(line));
        }
        let is_new = self
            .seen
            .insert(task_id)
            .is_ok_and(|inserted| inserted.is_new);
        if !is_new {
            differ("a new ID", &format!("`{task_id}` again"));
            return Ok(());
        }
        if parsed.exported {
            self.stale += 1;
        } else {
            // It is valid: the other list has it.
            let _ = self.failed.insert(task_id);
        }
        let Some(ids) = self.ids else {
            return Ok(());
        };
        let Some(position) = ids.position(task_id) else {
            differ("an ID from the list", &format!("`{task_id}`"));
            return Ok(());
        };
        if self.last_position.is_some_and(|last| last > position) {
            differ("the order of the list", &format!("`{task_id}`"));
        }
        self.last_position = Some(position);
        let Some(raw) = self.raw.as_deref_mut() else {
            return Ok(());
        };
        match raw.expected_line(position, task_id)? {
            ExpectedLine::Line(expected) if expected == canonical => {}
            ExpectedLine::Line(expected)
                if !self.is_of_this_version && differs_in_message(&expected, &parsed) =>
            {
                self.has_other_message = true;
            }
            ExpectedLine::Line(expected) => differ(&text_of(&expected), &text_of(line)),
            ExpectedLine::Nothing if raw.is_flattened(position) && parsed.note == missing() => {}
            ExpectedLine::Nothing
                if raw.is_flattened(position)
                    && !self.is_of_this_version
                    && without_message(&parsed.note) == without_message(&missing()) =>
            {
                self.has_other_message = true;
            }
            ExpectedLine::Nothing => {
                differ(
                    "a failure that the journal has",
                    "one that it does not have",
                );
            }
            ExpectedLine::None(instead) => {
                differ("an ID that failed", &format!("{instead} in the journal"));
            }
        }
        Ok(())
    }

    /// Looks for failures in the journal that have no line.
    fn find_missing(&mut self) {
        let (Some(raw), Some(ids)) = (&self.raw, self.ids) else {
            return;
        };
        for position in raw.failed() {
            let task_id = ids.get(position).unwrap_or_default();
            if self.seen.position(task_id).is_none() {
                let expected = format!("a line for `{task_id}`, whose last request failed");
                let finding = Finding::of_file(FAILURES, &expected, "none");
                self.findings.add(finding);
            }
        }
    }

    /// Compares the number of lines with the manifest.
    fn compare_counts(&mut self, failed: u64, stale: u64) {
        for (name, expected, found) in [
            ("failed ID", failed, self.failed.len() as u64),
            ("stale ID", stale, self.stale),
        ] {
            if expected != found {
                let expected = plural(expected, name);
                let finding = Finding::of_file(FAILURES, &expected, &found.to_string());
                self.findings.add(finding);
            }
        }
    }
}

/// Whether only the message of a line differs from the expected one.
fn differs_in_message(expected: &[u8], found: &FailureLine) -> bool {
    let expected = serde_json::from_slice::<FailureLine>(expected);
    expected.is_ok_and(|expected| {
        expected.exported == found.exported
            && without_message(&expected.note) == without_message(&found.note)
    })
}

/// A failure apart from its message.
fn without_message(note: &FailureNote) -> FailureNote {
    FailureNote {
        message: String::new(),
        ..note.clone()
    }
}

/// A line as a finding shows it, with its end where that is odd.
fn text_of(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match text.strip_suffix('\n') {
        Some(text) => format!("`{text}`"),
        None => format!("`{text}` without a line feed"),
    }
}

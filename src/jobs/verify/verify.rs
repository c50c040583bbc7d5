//! Proof that an export is whole and right: by anyone, offline.
//!
//! ```text
//! files    the manifest against what is there: names, sizes, checksums
//! tasks    every task's rows, in their order ──► rebuild ──► the same as the raw response?
//! compare  every cell against those that the raw response gives
//! ```
//!
//! All of it streams: tables are read side by side, one task at a time. Where the raw responses are not
//! there, the rebuilt tasks stand in for them in `compare`, which proves that the tables agree with each
//! other; what was not proven is said. Depends on everything of the pipeline but `fetch` and `export`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::durable_fs;
use crate::event::{Event, Events};
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::{files, tasks};
use crate::journal::error::JournalError;
use crate::output_error::OutputError;
use crate::publish::commit::is_pending;
use crate::publish::earlier_files::refuse_newer;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::state::lock::{Lock, STATE_DIRECTORY};
use crate::tables::table::SCHEMA_VERSION;

/// What a proof came to.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// Tasks in the tables.
    pub tasks: u64,
    /// Of those, tasks that were rebuilt and compared with their raw response.
    pub rebuilt: u64,
    /// Of those, tasks for which there was to be a raw response.
    pub raw: u64,
    /// Files whose size and checksum were compared with the manifest.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Cells that were compared with what the tasks give.
    pub cells: u64,
    /// How many things are not as they should be.
    pub findings: u64,
    /// The first of them.
    pub first_findings: Vec<Finding>,
    /// What could not be proven, and why.
    pub unproven: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// How a proof ended.
#[derive(Debug)]
pub enum Verified {
    /// To its end.
    Done(VerifyReport),
    /// Stopped by the user.
    Stopped,
}

/// Proves the export in a directory.
pub fn verify(
    directory: &Path,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Verified, VerifyError> {
    let started = Instant::now();
    if !directory.is_dir() {
        return Err(VerifyError::NoExport {
            path: directory.to_owned(),
            cause: "there is no such directory",
        });
    }
    let lock = Lock::share(directory)?;
    let bytes = || {
        let path = directory.join(MANIFEST);
        match durable_fs::read_small(&path, MAX_MANIFEST_BYTES) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read
                .map(Some)
                .map_err(|source| VerifyError::Io { path, source }),
        }
    };
    let bytes_before = bytes()?;
    let manifest = read_manifest(directory)?;
    let mut findings = Findings::default();
    let mut report = VerifyReport {
        tasks: 0,
        rebuilt: 0,
        raw: 0,
        files: 0,
        bytes: 0,
        rows: 0,
        cells: 0,
        findings: 0,
        first_findings: Vec::new(),
        unproven: Vec::new(),
        seconds: 0.0,
    };
    let is_over = || cancel.is_cancelled();
    match manifest {
        Err(cause) => {
            findings.add(Finding::of_file("manifest.json", "a manifest", &cause));
            let all = "everything: the manifest cannot be read".to_owned();
            report.unproven.push(all);
        }
        Ok(manifest) => {
            events.send(Event::Phase("comparing checksums"));
            files::check(directory, &manifest, &mut findings, &mut report, &is_over)?;
            let checked = tasks::check(
                directory,
                &manifest,
                &mut findings,
                &mut report,
                events,
                &is_over,
            );
            match checked {
                Err(VerifyError::Journal(JournalError::Interrupted { .. })) => {
                    return Ok(Verified::Stopped);
                }
                checked => checked?,
            }
        }
    }
    if is_over() {
        return Ok(Verified::Stopped);
    }
    if lock.is_none() && bytes()? != bytes_before {
        return Err(VerifyError::Changed {
            path: directory.to_owned(),
        });
    }
    let has_state = directory.join(STATE_DIRECTORY).exists();
    if lock.is_none() && has_state && findings.count() > 0 {
        let text =
            "that no run was at work meanwhile: its lock is for the owner of the export only";
        report.unproven.push(text.to_owned());
    }
    report.findings = findings.count();
    report.first_findings = findings.into_first();
    if report.findings > 0 && is_pending(directory) {
        report.findings += 1;
        let text = "one that was cut short; the next run in this directory brings it to its end";
        let finding = Finding::of_file(STATE_DIRECTORY, "no publication under way", text);
        // It explains the others.
        report.first_findings.insert(0, finding);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Verified::Done(report))
}

/// The manifest; or why it makes no sense.
fn read_manifest(directory: &Path) -> Result<Result<Manifest, String>, VerifyError> {
    let path = || PathBuf::from(directory);
    if let Err(newer @ OutputError::Manifest { .. }) = refuse_newer(directory) {
        return Err(newer.into());
    }
    let read = Manifest::read(directory).map_err(|source| VerifyError::Io {
        path: directory.join(MANIFEST),
        source,
    })?;
    let manifest = match read {
        None => {
            return Err(VerifyError::NoExport {
                path: path(),
                cause: "it holds no manifest.json",
            });
        }
        Some(Err(cause)) => return Ok(Err(cause)),
        Some(Ok(manifest)) => manifest,
    };
    if !manifest.is_known() {
        return Ok(Err(
            "one with a format version that this version does not write".to_owned(),
        ));
    }
    if manifest.schema_version != SCHEMA_VERSION {
        return Err(VerifyError::Version {
            path: path(),
            theirs: format!(
                "{} (schema {})",
                manifest.tool.version, manifest.schema_version
            ),
        });
    }
    Ok(Ok(manifest))
}

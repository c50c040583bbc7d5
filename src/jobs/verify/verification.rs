//! The verify job: checks offline that an export is complete and correct.
//!
//! ```text
//! files    compares the files with the manifest: names, sizes, checksums
//! tasks    rebuilds every task from its rows, and compares it with the raw response
//! compare  compares every cell with those that the raw response gives
//! ```
//!
//! Tables are streamed side by side, one task at a time, and several ranges of tasks at the same time. Without the raw responses, `compare` uses the rebuilt tasks, which
//! verifies that the tables agree with each other. The report names what could not be verified.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::durable_fs;
use crate::event::{Event, Events};
use crate::jobs::export_defaults::default_threads;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::jobs::shards::shard_error::ShardError;
use crate::jobs::shards::shard_set::ShardSet;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::{VerifyReport, VerifyResults};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::jobs::verify::{files, tasks};
use crate::output_error::OutputError;
use crate::publish::commit::is_pending;
use crate::publish::earlier_files::refuse_newer;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::publish::manifest_fault::ManifestFault;
use crate::state::lock::Lock;
use crate::state::paths::{STATE_DIRECTORY, StateDir};
use crate::tables::table::SCHEMA_VERSION;

/// What to verify, and how.
#[derive(Debug)]
pub struct VerifyOptions {
    /// The directory of an export.
    pub directory: PathBuf,
    /// The directories of the shards that it was combined from; none if it was not, or to verify without raw responses.
    pub shards: Vec<PathBuf>,
    /// Threads that verify tasks. The report does not depend on their number.
    pub threads: usize,
}

impl VerifyOptions {
    /// An export with its own raw responses, verified with the default number of threads.
    pub fn of(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            shards: Vec::new(),
            threads: default_threads(),
        }
    }
}

/// Verifies an export.
pub fn verify(
    options: &VerifyOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<VerifyReport>, VerifyError> {
    match run(options, events, cancel) {
        Ok(report) => Ok(JobEnd::Done(report)),
        Err(VerifyError::Interrupted) => Ok(JobEnd::Stopped(SavedWork::Nothing)),
        Err(error) => Err(error),
    }
}

fn run(
    options: &VerifyOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<VerifyReport, VerifyError> {
    let VerifyOptions {
        directory,
        shards,
        threads,
    } = options;
    let directory = directory.as_path();
    let started = Instant::now();
    if !directory.is_dir() {
        return Err(VerifyError::NoExport {
            path: directory.to_owned(),
            cause: if directory.exists() {
                "it is not a directory"
            } else {
                "it does not exist"
            },
        });
    }
    let state = StateDir::of_output(directory);
    let lock = Lock::share(directory, &state)?;
    let bytes_before = manifest_bytes(directory)?;
    let mut results = VerifyResults::default();
    match read_manifest(directory)? {
        Err(cause) => {
            let cause = cause.to_string();
            results.add(Finding::of_unreadable(MANIFEST, "a valid manifest", &cause));
            results.add_unverified("all files and tasks (could not read manifest.json)");
        }
        Ok(manifest) => {
            let shards = shards_of(&manifest, shards)?;
            let export = VerifiedExport {
                directory,
                state: &state,
                manifest: &manifest,
                shards: shards.as_ref(),
                cancel,
                threads: *threads,
            };
            events.send(Event::Phase("comparing checksums"));
            files::check(export, &mut results)?;
            tasks::check(export, &mut results, events)?;
            export.stop_if_cancelled()?;
        }
    }
    if lock.is_none() && manifest_bytes(directory)? != bytes_before {
        return Err(VerifyError::Changed {
            path: directory.to_owned(),
        });
    }
    let has_state = state.path().exists();
    if lock.is_none() && has_state && results.findings.count() > 0 {
        results.add_unverified(
            "whether a run changed the export during the verification (only the owner of the export can use its lock)",
        );
    }
    let mut report = finish(directory, results);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// The shards in these directories, if there are any. They must be those of the export.
fn shards_of(manifest: &Manifest, paths: &[PathBuf]) -> Result<Option<ShardSet>, VerifyError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let shards = ShardSet::open(paths)?;
    if shards.list.sha256 != manifest.ids.file.sha256 {
        return Err(ShardError::OtherExport("IDs").into());
    }
    if shards.options != manifest.options {
        return Err(ShardError::OtherExport("options").into());
    }
    Ok(Some(shards))
}

/// The report with all findings. An interrupted publication is the first one, since it explains the others.
fn finish(directory: &Path, results: VerifyResults) -> VerifyReport {
    let VerifyResults {
        findings,
        mut report,
    } = results;
    report.findings = findings.count();
    report.first_findings = findings.into_first();
    if report.findings > 0 && is_pending(directory) {
        report.findings += 1;
        let text = "an interrupted publication; the next run in this directory recovers it";
        let finding = Finding::of_file(STATE_DIRECTORY, "no unfinished publication", text);
        report.first_findings.insert(0, finding);
    }
    report
}

/// The bytes of the manifest; `None` when there is none.
fn manifest_bytes(directory: &Path) -> Result<Option<Vec<u8>>, VerifyError> {
    let path = directory.join(MANIFEST);
    match durable_fs::read_small(&path, MAX_MANIFEST_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read
            .map(Some)
            .map_err(|source| VerifyError::Io { path, source }),
    }
}

/// Reads the manifest, or returns why it is not valid.
fn read_manifest(directory: &Path) -> Result<Result<Manifest, ManifestFault>, VerifyError> {
    let path = || PathBuf::from(directory);
    if let Err(newer @ OutputError::NewerManifest { .. }) = refuse_newer(directory) {
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
                cause: "it has no manifest.json",
            });
        }
        Some(Err(cause)) => return Ok(Err(cause)),
        Some(Ok(manifest)) => manifest,
    };
    if !manifest.is_known() {
        return Ok(Err(ManifestFault::Newer));
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

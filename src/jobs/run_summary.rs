//! The summary of a run as JSON: the same members however the run ends, `null` where a member does not apply or is not
//! known. `schemas/json-schema/summary.schema.json` describes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::api::key_redaction::json_without_keys;
use crate::error::{Exit, Explain};
use crate::jobs::publication::manifest_time;
use crate::jobs::report::{
    DeltaReport, ExportReport, FailureCounts, JobEnd, ListReport, SavedWork,
};
use crate::jobs::run_hints::{drift_text, next_steps, rate_limited_share};
use crate::pacer::types::LearnedRate;
use crate::publish::manifest::{Manifest, Tool};
use crate::tables::table::SCHEMA_VERSION;

/// The version of the shape. A new member does not change it.
pub(crate) const SUMMARY_VERSION: u32 = 1;

/// The hint for a run that the user stopped.
const RESUME_HINT: &str = "run the same command again to continue";

/// Which job a summary is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobName {
    Export,
    Flatten,
    Combine,
    Verify,
    Check,
    Status,
    Ids,
    Report,
    Changes,
}

impl JobName {
    /// The job of a command; none for other words, and for an export, which has no command.
    pub(crate) fn find(command: &str) -> Option<Self> {
        Some(match command {
            "flatten" => Self::Flatten,
            "combine" => Self::Combine,
            "verify" => Self::Verify,
            "check" => Self::Check,
            "status" => Self::Status,
            "ids" => Self::Ids,
            "report" => Self::Report,
            "changes" => Self::Changes,
            _ => return None,
        })
    }

    /// Whether the job publishes an export.
    pub(crate) fn publishes(self) -> bool {
        matches!(self, Self::Export | Self::Flatten | Self::Combine)
    }
}

/// The start of a run.
#[derive(Debug)]
pub(crate) struct RunStart {
    job: JobName,
    /// The output directory; of a job that only reads, the directory that it reads.
    directory: Option<PathBuf>,
    started_at: String,
    clock: Instant,
    /// The tasks of the export that is in the directory.
    tasks_before: Option<u64>,
}

/// What the summary of every job begins with.
#[derive(Debug, Serialize)]
struct SummaryHeader {
    summary_version: u32,
    command: JobName,
    tool: SummaryTool,
    started_at: String,
    finished_at: String,
    seconds: f64,
    exit_code: u8,
    error: Option<String>,
    hint: Option<String>,
}

/// The program and the version of its tables.
#[derive(Debug, Serialize)]
struct SummaryTool {
    #[serde(flatten)]
    tool: Tool,
    schema_version: &'static str,
}

/// The summary of an export or of `flatten`.
#[derive(Debug, Serialize)]
struct ExportSummary {
    #[serde(flatten)]
    header: SummaryHeader,
    hints: Vec<String>,
    out: Option<String>,
    /// Whether the directory now has the export of this run.
    published: bool,
    tasks: PublishedTaskCounts,
    #[serde(flatten)]
    counts: RunCounts,
}

/// Tasks with a row in `tasks`.
#[derive(Debug, Serialize)]
struct PublishedTaskCounts {
    before: Option<u64>,
    after: Option<u64>,
}

/// What a run counted. The members of [`ExportReport`] and `SavedResponses` have the units.
#[derive(Debug, Default, Serialize)]
struct RunCounts {
    listed: Option<u64>,
    held: Option<u64>,
    requested: Option<u64>,
    exported: Option<u64>,
    failed: Option<u64>,
    stale: Option<u64>,
    dropped: Option<u64>,
    reused: Option<u64>,
    unreadable: Option<u64>,
    unchanged: Option<bool>,
    unlisted: Option<u64>,
    pruned: Option<u64>,
    failures: Option<FailureCounts>,
    lists: Option<ListReport>,
    duplicates: Option<u64>,
    rows: Option<BTreeMap<String, u64>>,
    bytes: Option<u64>,
    drift: Option<u64>,
    requests: Option<u64>,
    retries: Option<u64>,
    rate_limited: Option<u64>,
    rate_limited_share: Option<f64>,
    pace: Option<LearnedRate>,
    bytes_received: Option<u64>,
    pages: Option<u64>,
    from_lists: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<DeltaReport>,
}

/// The summary of a job that publishes nothing.
#[derive(Debug, Serialize)]
struct ReaderSummary<'r, T> {
    #[serde(flatten)]
    header: SummaryHeader,
    directory: Option<String>,
    /// What the job found or wrote; nothing where it did not complete.
    #[serde(flatten)]
    fields: Option<&'r T>,
}

impl RunStart {
    /// A run that starts now. Reads the manifest of the output directory, if it has one.
    pub(crate) fn now(job: JobName, directory: Option<&Path>) -> Self {
        let manifest = directory
            .filter(|_| job.publishes())
            .and_then(Manifest::sound);
        Self {
            job,
            directory: directory.map(Path::to_owned),
            started_at: manifest_time(),
            clock: Instant::now(),
            tasks_before: manifest.map(|manifest| manifest.ids.exported),
        }
    }

    /// When the run started, as a manifest has it.
    pub(crate) fn started_at(&self) -> &str {
        &self.started_at
    }

    /// The summary of an export or a flattening without an error. `failures` counts what the run had found when it was
    /// stopped.
    pub(crate) fn ended(
        &self,
        end: &JobEnd<Box<ExportReport>>,
        failures: Option<&FailureCounts>,
        exit: Exit,
    ) -> Value {
        let summary = match end {
            JobEnd::Done(report) => ExportSummary {
                header: self.header(exit, None),
                hints: next_steps(report)
                    .into_iter()
                    .chain(drift_text(report))
                    .collect(),
                out: self.shown_directory(),
                published: true,
                tasks: PublishedTaskCounts {
                    before: self.tasks_before,
                    after: Some(report.exported),
                },
                counts: RunCounts::of_report(report),
            },
            JobEnd::Stopped(saved) => {
                let mut summary = self.unpublished(exit, None);
                summary.header.hint = Some(RESUME_HINT.to_owned());
                summary.counts = RunCounts::of_saved(*saved);
                summary.counts.failures = failures.cloned();
                summary
            }
        };
        to_json(&summary)
    }

    /// The summary of a job that ended with an error.
    pub(crate) fn failed(&self, error: &dyn Explain, failures: Option<&FailureCounts>) -> Value {
        if !self.job.publishes() {
            return to_json(&ReaderSummary {
                header: self.header(error.exit(), Some(error)),
                directory: self.shown_directory(),
                fields: None::<&()>,
            });
        }
        let mut summary = self.unpublished(error.exit(), Some(error));
        summary.counts.failures = failures.cloned();
        to_json(&summary)
    }

    /// The summary of a job that publishes nothing; without `fields`, the user stopped it.
    pub(crate) fn read<T: Serialize>(&self, fields: Option<&T>, exit: Exit) -> Value {
        to_json(&ReaderSummary {
            header: self.header(exit, None),
            directory: self.shown_directory(),
            fields,
        })
    }

    /// A summary of a run that published nothing.
    fn unpublished(&self, exit: Exit, error: Option<&dyn Explain>) -> ExportSummary {
        ExportSummary {
            header: self.header(exit, error),
            hints: Vec::new(),
            out: self.shown_directory(),
            published: false,
            tasks: PublishedTaskCounts {
                before: self.tasks_before,
                after: self.tasks_before,
            },
            counts: RunCounts::default(),
        }
    }

    fn header(&self, exit: Exit, error: Option<&dyn Explain>) -> SummaryHeader {
        SummaryHeader {
            summary_version: SUMMARY_VERSION,
            command: self.job,
            tool: SummaryTool {
                tool: Tool::this(),
                schema_version: SCHEMA_VERSION,
            },
            started_at: self.started_at.clone(),
            finished_at: manifest_time(),
            seconds: self.clock.elapsed().as_secs_f64(),
            exit_code: exit as u8,
            error: error.map(ToString::to_string),
            hint: error.and_then(Explain::hint),
        }
    }

    fn shown_directory(&self) -> Option<String> {
        let directory = self.directory.as_ref()?;
        Some(directory.display().to_string())
    }
}

impl RunCounts {
    fn of_report(report: &ExportReport) -> Self {
        Self {
            listed: None,
            held: None,
            requested: Some(report.requested),
            exported: Some(report.exported),
            failed: Some(report.failed),
            stale: Some(report.stale),
            dropped: Some(report.dropped),
            reused: Some(report.reused),
            unreadable: Some(report.unreadable),
            unchanged: Some(report.unchanged),
            unlisted: Some(report.unlisted),
            pruned: Some(report.pruned),
            failures: Some(report.failures.clone()),
            lists: report.lists.clone(),
            duplicates: Some(report.duplicates),
            rows: Some(report.rows.iter().cloned().collect()),
            bytes: Some(report.bytes),
            drift: Some(report.drift),
            requests: Some(report.requests),
            retries: Some(report.retries),
            rate_limited: Some(report.rate_limited),
            rate_limited_share: Some(rate_limited_share(report)),
            pace: report.learned,
            bytes_received: Some(report.bytes_received),
            pages: Some(report.pages),
            from_lists: Some(report.from_lists),
            delta: report.delta.clone(),
        }
    }

    fn of_saved(saved: SavedWork) -> Self {
        match saved {
            SavedWork::Nothing | SavedWork::NotUploaded => Self::default(),
            SavedWork::Listed { tasks } => Self {
                listed: Some(tasks as u64),
                ..Self::default()
            },
            SavedWork::Fetched(saved) => Self {
                held: Some(saved.kept as u64),
                requested: Some(saved.requested as u64),
                requests: Some(saved.requests),
                rate_limited: Some(saved.rate_limited),
                pace: saved.learned,
                ..Self::default()
            },
        }
    }
}

/// A summary as JSON. Keys of the API in texts of a server are left out.
fn to_json(summary: &impl Serialize) -> Value {
    // Plain values: serialization cannot fail.
    json_without_keys(serde_json::to_value(summary).unwrap_or_default())
}

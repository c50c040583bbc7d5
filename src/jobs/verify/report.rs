//! What verifying an export reports.

use serde::Serialize;

use crate::jobs::verify::findings::{Finding, Findings};

/// What verifying an export came to.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tasks in the tables.
    pub tasks: u64,
    /// Of those, tasks that were rebuilt and compared with their raw response.
    pub rebuilt: u64,
    /// Of those, tasks that should have a raw response.
    pub raw: u64,
    /// Files whose size and checksum were compared with the manifest.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Cells that were compared with what the tasks give.
    pub cells: u64,
    /// Number of findings.
    pub findings: u64,
    /// The first findings.
    pub first_findings: Vec<Finding>,
    /// What could not be verified, and why.
    pub unproven: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether raw responses are damaged or lost.
    #[serde(skip)]
    pub has_lost_responses: bool,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct VerifyResults {
    pub(crate) findings: Findings,
    pub(crate) report: VerifyReport,
}

impl VerifyResults {
    /// Adds something that is not as it should be.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.findings.add(finding);
    }

    /// Adds what was verified, and that nothing was found.
    pub(crate) fn add_report(&mut self, report: VerifyReport) {
        let all = &mut self.report;
        all.tasks += report.tasks;
        all.rebuilt += report.rebuilt;
        all.raw += report.raw;
        all.files += report.files;
        all.bytes += report.bytes;
        all.rows += report.rows;
        all.cells += report.cells;
        all.unproven.extend(report.unproven);
    }

    /// Adds something that could not be verified.
    pub(crate) fn add_unverified(&mut self, text: impl Into<String>) {
        self.report.unproven.push(text.into());
    }
}

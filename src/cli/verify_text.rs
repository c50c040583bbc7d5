//! The result of a verification as text. Pure.

use std::path::{Path, PathBuf};

use crate::cli::export_text::one_per_line;
use crate::jobs::verify::report::VerifyReport;
use crate::plural::{bytes_text, plural};
use crate::printable::printable;
use crate::shell_quoting::shell_quoted;

/// The mismatches, what could not be verified, the result, and a hint if there are mismatches.
pub(crate) fn verified_text(report: &VerifyReport, directory: &Path, shards: &[PathBuf]) -> String {
    let mut lines: Vec<String> = report
        .first_findings
        .iter()
        .map(ToString::to_string)
        .collect();
    let listed = report.first_findings.len() as u64;
    if report.findings > listed {
        lines.push(format!("and {} more", report.findings - listed));
    }
    let unverified = report.unproven.iter();
    lines.extend(unverified.map(|what| format!("not verified: {what}")));
    lines.push(result_line(report, directory));
    if report.has_lost_responses {
        let what = if shards.is_empty() {
            "the export"
        } else {
            "the shard"
        };
        lines.push(format!(
            "hint: responses are lost: run {what} again, which fetches them"
        ));
    } else if report.findings > 0 {
        let directory = shell_quoted(directory);
        let command = if shards.is_empty() {
            format!("flatten {directory} --out {directory}")
        } else {
            let shards: Vec<String> = shards.iter().map(|shard| shell_quoted(shard)).collect();
            format!("combine {} --out {directory}", shards.join(" "))
        };
        lines.push(format!(
            "hint: if the raw responses are intact, rebuild the tables: scale-export {command}"
        ));
    }
    one_per_line(&lines)
}

/// The result in one line.
pub(crate) fn result_line(report: &VerifyReport, directory: &Path) -> String {
    let read = format!(
        "{}, {}, {}, {}, {:.1} s",
        plural(report.tasks, "task"),
        plural(report.rows, "row"),
        plural(report.files, "file"),
        bytes_text(report.bytes),
        report.seconds
    );
    let directory = directory.display();
    let verified = match report.findings {
        0 if report.rebuilt > 0 => {
            "all files match the manifest, each rebuilt task equals its raw response, and every cell follows from it"
        }
        0 if report.raw > 0 => {
            "all files match the manifest, and every cell follows from the raw responses"
        }
        0 if report.cells > 0 => {
            "all files match the manifest, and the tables agree with each other in every cell"
        }
        0 => "all files match the manifest",
        count => {
            let mismatches = match count {
                1 => "1 mismatch".to_owned(),
                count => format!("{count} mismatches"),
            };
            return printable(&format!("Found {mismatches} in {directory} ({read})"));
        }
    };
    printable(&format!("Verified {directory}: {verified} ({read})"))
}

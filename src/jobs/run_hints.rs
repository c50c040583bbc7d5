//! The exit code of a run, and the hints that it gives. Pure.

use crate::error::Exit;
use crate::failure_kind::FailureKind;
use crate::jobs::report::{ExportReport, JobEnd};
use crate::publish::guard::Allowance;

/// Share of 429 responses from which on a hint names a fixed rate.
const MANY_RATE_LIMITED: f64 = 0.05;

/// The exit code of an export or a flattening without an error; `stopped` is that of a job that was stopped.
pub(crate) fn exit_of(end: &JobEnd<Box<ExportReport>>, tolerate: Allowance, stopped: Exit) -> Exit {
    let JobEnd::Done(report) = end else {
        return stopped;
    };
    let incomplete = report.lists.as_ref().map_or(0, |lists| lists.incomplete);
    let has_failures = tolerate.is_exceeded(report.failures(), report.requested);
    if has_failures || report.unreadable > 0 || incomplete > 0 {
        Exit::SomeFailed
    } else {
        Exit::Success
    }
}

/// Responses with status 429, as a share of all requests.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn rate_limited_share(report: &ExportReport) -> f64 {
    report.rate_limited as f64 / report.requests.max(1) as f64
}

/// What the user can do next. The hint for the most failures is the first.
pub(crate) fn next_steps(report: &ExportReport) -> Vec<String> {
    let count = |kinds: &[FailureKind]| -> u64 {
        let counts = kinds.iter().filter_map(|kind| report.failures.get(kind));
        counts.sum()
    };
    let may_pass = [
        FailureKind::Network,
        FailureKind::Timeout,
        FailureKind::HttpError,
        FailureKind::BadBody,
        FailureKind::WrongTask,
        FailureKind::Unknown,
    ];
    let not_found = match report.dropped {
        0 => count(&[FailureKind::NotFound]),
        _ => 0,
    };
    let retried = match report.failures() {
        0 => 0,
        _ => count(&may_pass),
    };
    let mut hints = [
        (
            not_found,
            "check IDs that are not found: they may belong to another account, or to live instead of test",
        ),
        (
            count(&[FailureKind::Forbidden]),
            "check the key: it has no permission to read the IDs that are forbidden",
        ),
        (
            count(&[FailureKind::TooLarge]),
            "raise --max-body to fetch tasks that are too large",
        ),
        (
            count(&[FailureKind::Missing]),
            "export the IDs that are missing in the sources, or remove them from the list",
        ),
        (
            retried,
            if report.uses_network {
                "run the same command again to retry the failed IDs"
            } else {
                "run the export again to retry the failed IDs, and then the same command"
            },
        ),
    ];
    hints.sort_by_key(|(failures, _)| std::cmp::Reverse(*failures));
    let applying = hints.into_iter().filter(|(failures, _)| *failures > 0);
    let mut hints: Vec<String> = applying.map(|(_, hint)| hint.to_owned()).collect();
    if rate_limited_share(report) > MANY_RATE_LIMITED {
        hints.push(
            "many requests were rate-limited (429); set --rate below the limit of the API"
                .to_owned(),
        );
    }
    hints
}

/// Values and keys that the documentation of the API does not have.
pub(crate) fn drift_text(report: &ExportReport) -> Option<String> {
    let what = match report.drift {
        0 => return None,
        1 => "1 value or key is".to_owned(),
        count => format!("{count} values or keys are"),
    };
    Some(format!(
        "{what} not documented; nothing is lost, see `drift` in manifest.json and the `extra` columns"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_the_most_failures_comes_first() {
        let mut report = ExportReport {
            uses_network: true,
            ..ExportReport::default()
        };
        let first_hint = |report: &ExportReport| next_steps(report).into_iter().next();
        assert_eq!(first_hint(&report), None);
        report.failed = 4;
        report.failures = [
            (FailureKind::NotFound, 1),
            (FailureKind::Timeout, 2),
            (FailureKind::Network, 1),
        ]
        .into();
        assert!(first_hint(&report).is_some_and(|hint| hint.starts_with("run the same command")));
        report.failures.insert(FailureKind::NotFound, 3);
        assert!(first_hint(&report).is_some_and(|hint| hint.starts_with("check IDs")));
    }
}

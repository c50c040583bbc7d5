//! The faults of responses: their kinds, and which attempt for which task has one. Pure.

use std::str::FromStr;

use crate::sandbox::random::Random;

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The connection is reset before a response.
    Reset,
    /// The body ends too early.
    Truncate,
    /// The body arrives slowly.
    Slow,
    /// There is no response.
    Hang,
    /// This status with a JSON body.
    Status(u16),
    /// This status with an HTML body, as from a proxy.
    HtmlStatus(u16),
    /// 200 with HTML.
    Html,
    /// 200 with another task.
    WrongTask,
    /// 200 with a body that is not valid gzip.
    BadGzip,
    /// 200 with half of the JSON.
    BadJson,
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "reset" => Self::Reset,
            "truncate" => Self::Truncate,
            "slow" => Self::Slow,
            "hang" => Self::Hang,
            "html" => Self::Html,
            "wrong_task" => Self::WrongTask,
            "bad_gzip" => Self::BadGzip,
            "bad_json" => Self::BadJson,
            "not_found" => Self::Status(404),
            status => match status.parse::<u16>() {
                // Edge proxies send these statuses, with an HTML page.
                Ok(status @ 520..=530) => Self::HtmlStatus(status),
                Ok(status @ 400..=599) => Self::Status(status),
                _ => {
                    return Err(
                        "expected reset, truncate, slow, hang, html, wrong_task, bad_gzip, \
                                bad_json, not_found or a status from 400 to 599"
                            .to_owned(),
                    );
                }
            },
        })
    }
}

/// A fault for a share of all tasks: `reset=0.05`, `reset=0.05:3`, `reset=0.05:always`.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The share of tasks that have the fault.
    pub share: f64,
    /// The number of attempts that fail, from the first on.
    pub attempts: u32,
}

impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = text
            .split_once('=')
            .ok_or("expected KIND=SHARE, like reset=0.05")?;
        let (share, attempts) = rest.split_once(':').unwrap_or((rest, "1"));
        let share = share
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share));
        let attempts = if attempts == "always" {
            Some(u32::MAX)
        } else {
            attempts.parse().ok()
        };
        Ok(Self {
            kind: kind.parse()?,
            share: share.ok_or("expected a share from 0 to 1")?,
            attempts: attempts.ok_or("expected a number of attempts, or always")?,
        })
    }
}

/// A task that always has a fault: `500=task_7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedId {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The ID of the task.
    pub task_id: String,
}

impl FromStr for FailedId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, task_id) = text
            .split_once('=')
            .ok_or("expected KIND=ID, like 500=task_7")?;
        Ok(Self {
            kind: kind.parse()?,
            task_id: task_id.to_owned(),
        })
    }
}

/// Returns the fault of an attempt (from 1) for a task, if it has one. The shares of rules add up.
pub(crate) fn fault(
    rules: &[FaultRule],
    failed_ids: &[FailedId],
    seed: u64,
    task_id: &str,
    attempt: u32,
) -> Option<FaultKind> {
    if let Some(failed) = failed_ids.iter().find(|failed| failed.task_id == task_id) {
        return Some(failed.kind);
    }
    // The lot depends on the task alone, so all attempts for the task meet the same rule.
    let mut lot = Random::of(seed, task_id.as_bytes()).share();
    for rule in rules {
        if lot < rule.share {
            return (attempt <= rule.attempts).then_some(rule.kind);
        }
        // The shares lie side by side between 0 and 1.
        lot -= rule.share;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_attempts_counted() {
        let rules: Vec<FaultRule> = ["reset=0.1", "500=0.2:2", "hang=0.1:always"]
            .map(|rule| rule.parse().unwrap())
            .into();
        let count = |attempt, kind| {
            (0..10_000)
                .filter(|n| fault(&rules, &[], 1, &format!("task_{n}"), attempt) == Some(kind))
                .count()
        };
        assert!((900..1_100).contains(&count(1, FaultKind::Reset)));
        assert_eq!(count(2, FaultKind::Reset), 0);
        assert!((1_850..2_150).contains(&count(2, FaultKind::Status(500))));
        assert!((900..1_100).contains(&count(99, FaultKind::Hang)));
        let failed = ["404=task_1".parse().unwrap()];
        assert_eq!(
            fault(&[], &failed, 1, "task_1", 9),
            Some(FaultKind::Status(404))
        );
    }

    #[test]
    fn invalid_rules_are_refused() {
        for bad in [
            "",
            "reset",
            "reset=2",
            "reset=0.1:x",
            "300=0.1",
            "flood=0.1",
        ] {
            assert!(bad.parse::<FaultRule>().is_err(), "{bad}");
        }
    }
}

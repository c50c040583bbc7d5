//! Decides whether a finished export is published: not when it is empty, has too many failures, or lacks too many tasks
//! of the previous export. `docs/publication.md` has the rules.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::failure_kind::FailureKind;
use crate::plural::plural;
use crate::state::paths::LAST_FAILURES;

/// How many of some IDs may be affected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowance {
    /// At most this many.
    Count(u64),
    /// At most this share, in percent.
    Percent(f64),
}

impl Allowance {
    /// Whether `affected` of `all` IDs are more than is allowed.
    pub fn is_exceeded(self, affected: u64, all: u64) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of IDs are far below 2^53"
        )]
        match self {
            Self::Count(most) => affected > most,
            Self::Percent(most) => affected as f64 * 100.0 > all as f64 * most,
        }
    }

    /// Whether any number is allowed.
    pub(crate) fn is_everything(self) -> bool {
        matches!(self, Self::Percent(most) if most >= 100.0)
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}

/// Tasks that may disappear whatever share they are: in a small export, a few tasks are a large share.
const ALWAYS_ALLOWED: u64 = 10;

/// What an export must be like to be published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardOptions {
    /// Failed and stale IDs, among those requested.
    pub max_failures: Option<Allowance>,
    /// Failed and stale IDs that do not cause exit code 3.
    pub tolerate: Allowance,
    /// Tasks of the previous export that may disappear.
    pub max_shrink: Allowance,
    /// Whether IDs that the API reports as missing (404, 410) are deleted tasks, which leave the tables and are not
    /// failures.
    pub drop_missing: bool,
    /// Whether the IDs are a shard of a list. All of its IDs may fail then, if it has exported none before: the combination
    /// of all shards decides about the whole list.
    pub is_shard: bool,
}

impl Default for GuardOptions {
    fn default() -> Self {
        Self {
            max_failures: None,
            tolerate: Allowance::Count(0),
            max_shrink: Allowance::Percent(20.0),
            drop_missing: false,
            is_shard: false,
        }
    }
}

/// Where the responses of an export come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseSource {
    /// The API, in this run or an earlier one.
    Api,
    /// The API, in a check or a dry run, which stores nothing.
    Unsaved,
    /// The journals and files of `flatten`.
    Journal,
}

/// An export that is about to be published.
#[derive(Debug, Clone)]
pub(crate) struct PublicationCandidate {
    pub(crate) response_source: ResponseSource,
    /// Distinct IDs.
    pub(crate) requested: u64,
    /// Of these, IDs with a row in `tasks`.
    pub(crate) exported: u64,
    /// Failed and stale IDs by kind, but not those that are treated as deleted.
    pub(crate) by_kind: BTreeMap<FailureKind, u64>,
    pub(crate) shrink: Shrink,
}

/// Tasks of the previous export that the next one lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shrink {
    /// IDs with a row in `tasks` before.
    pub(crate) before: u64,
    /// Of these, IDs that would have none.
    pub(crate) missing: u64,
}

/// Why a finished export is not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotPublished {
    /// No ID has a response.
    #[error(
        "could not publish: none of {} was exported ({})",
        plural(*requested, "ID"), kinds_text(by_kind)
    )]
    Nothing {
        /// Where the responses come from.
        response_source: ResponseSource,
        /// Distinct IDs.
        requested: u64,
        /// Failed IDs by kind.
        by_kind: BTreeMap<FailureKind, u64>,
    },
    /// More failures than `--max-failures` allows.
    #[error(
        "could not publish: {failures} of {} failed ({}), more than --max-failures {allowed} allows",
        plural(*requested, "ID"), kinds_text(by_kind)
    )]
    TooManyFailures {
        /// Where the responses come from.
        response_source: ResponseSource,
        /// Failed and stale IDs.
        failures: u64,
        /// Distinct IDs.
        requested: u64,
        /// These by kind.
        by_kind: BTreeMap<FailureKind, u64>,
        /// The value of the option.
        allowed: Allowance,
    },
    /// More tasks of the previous export would disappear than `--max-shrink` allows.
    #[error(
        "could not publish: {missing} of the {} in the previous export would disappear, more than --max-shrink {allowed} allows", plural(*before, "task")
    )]
    Shrunk {
        /// Where the responses come from.
        response_source: ResponseSource,
        /// Tasks that would disappear.
        missing: u64,
        /// Tasks of the previous export.
        before: u64,
        /// The value of the option.
        allowed: Allowance,
    },
    /// The list of IDs is empty, and the previous export is not.
    #[error(
        "could not publish: there are no tasks to export, and the {} in the previous export would disappear", plural(*before, "task")
    )]
    Empty {
        /// Tasks of the previous export.
        before: u64,
    },
}

/// `15 not_found, 1 timeout`.
fn kinds_text(by_kind: &BTreeMap<FailureKind, u64>) -> String {
    let kinds = by_kind
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"));
    kinds.collect::<Vec<_>>().join(", ")
}

/// What to check, by the most frequent kind of failure.
fn likely_cause(by_kind: &BTreeMap<FailureKind, u64>) -> &'static str {
    let most = by_kind.iter().max_by_key(|(_, count)| **count);
    match most.map(|(kind, _)| kind) {
        Some(FailureKind::NotFound) => {
            "check the key (another account, or live instead of test), --base-url and the list of IDs"
        }
        Some(FailureKind::Forbidden) => "check the permissions of the key for these tasks",
        Some(FailureKind::Redirect) => {
            "the API redirects to another host: check --base-url and the proxy"
        }
        Some(FailureKind::HttpError) => {
            "check the status of each failure (410: the task was deleted; see --drop-missing)"
        }
        Some(FailureKind::BadBody | FailureKind::WrongTask) => {
            "the responses are not from the API: check --base-url and the proxy"
        }
        Some(FailureKind::TooLarge) => "raise --max-body",
        Some(
            FailureKind::Missing
            | FailureKind::Network
            | FailureKind::Timeout
            | FailureKind::Unknown,
        )
        | None => "check the network, and run the same command again",
    }
}

impl Explain for NotPublished {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nothing {
                response_source: ResponseSource::Journal,
                ..
            } => "the sources have no response for these IDs: check the list and the sources"
                .to_owned(),
            Self::Nothing {
                response_source: ResponseSource::Unsaved,
                by_kind,
                ..
            } => likely_cause(by_kind).to_owned(),
            Self::Nothing { by_kind, .. } => format!(
                "{}; {LAST_FAILURES} lists the failures",
                likely_cause(by_kind)
            ),
            Self::TooManyFailures {
                response_source: ResponseSource::Journal | ResponseSource::Unsaved,
                ..
            } => "raise --max-failures, or remove these IDs from the list".to_owned(),
            Self::TooManyFailures { .. } => format!(
                "fetched tasks are kept, and {LAST_FAILURES} lists the failures; run the same command again, or with a higher --max-failures"
            ),
            Self::Shrunk {
                response_source,
                missing,
                ..
            } => {
                let kept = match response_source {
                    ResponseSource::Api => {
                        "fetched tasks are kept; check the list of IDs and the key"
                    }
                    ResponseSource::Unsaved => "check the list of IDs and the key",
                    ResponseSource::Journal => "check the list of IDs and the sources",
                };
                format!("{kept}; if the loss is intended, use --max-shrink {missing}")
            }
            Self::Empty { .. } => {
                "check the list; to publish empty tables, use --max-shrink 100%".to_owned()
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::TooManyFailures { .. } => Exit::Failure,
            Self::Nothing { .. } | Self::Shrunk { .. } | Self::Empty { .. } => Exit::NotPublished,
        }
    }
}

/// Decides in the order of the rules in `docs/publication.md`.
pub(crate) fn check(
    options: &GuardOptions,
    candidate: &PublicationCandidate,
) -> Result<(), NotPublished> {
    let PublicationCandidate {
        response_source,
        requested,
        exported,
        ref by_kind,
        shrink,
    } = *candidate;
    let failures = by_kind.values().sum();
    // Before the share of failures: an empty export is a mistake, whatever is allowed.
    let can_be_empty = options.is_shard && shrink.before == 0;
    if requested > 0 && exported == 0 && !can_be_empty {
        return Err(NotPublished::Nothing {
            response_source,
            requested,
            by_kind: by_kind.clone(),
        });
    }
    if let Some(allowed) = options.max_failures
        && allowed.is_exceeded(failures, requested)
    {
        return Err(NotPublished::TooManyFailures {
            response_source,
            failures,
            requested,
            by_kind: by_kind.clone(),
            allowed,
        });
    }
    check_shrink(options.max_shrink, response_source, requested, shrink)
}

/// Decides about disappearing tasks alone. IDs that left the list are known before anything is fetched.
pub(crate) fn check_shrink(
    allowed: Allowance,
    response_source: ResponseSource,
    requested: u64,
    shrink: Shrink,
) -> Result<(), NotPublished> {
    let Shrink { before, missing } = shrink;
    if allowed.is_everything() {
        return Ok(());
    }
    if requested == 0 && before > 0 {
        return Err(NotPublished::Empty { before });
    }
    let is_small = matches!(allowed, Allowance::Percent(_)) && missing <= ALWAYS_ALLOWED;
    if !is_small && allowed.is_exceeded(missing, before) {
        return Err(NotPublished::Shrunk {
            response_source,
            missing,
            before,
            allowed,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(
        options: GuardOptions,
        (requested, exported, failures): (u64, u64, u64),
        (before, missing): (u64, u64),
    ) -> u8 {
        let by_kind = BTreeMap::from([(FailureKind::NotFound, failures)]);
        let candidate = PublicationCandidate {
            response_source: ResponseSource::Api,
            requested,
            exported,
            by_kind,
            shrink: Shrink { before, missing },
        };
        check(&options, &candidate).map_or_else(|error| error.exit() as u8, |()| 0)
    }

    #[test]
    fn an_export_in_which_every_id_failed_is_never_published() {
        let everything = GuardOptions {
            max_shrink: Allowance::Percent(100.0),
            max_failures: Some(Allowance::Count(0)),
            ..GuardOptions::default()
        };
        // Before --max-failures, and whatever may shrink.
        assert_eq!(decide(everything, (20, 0, 20), (0, 0)), 8);
        assert_eq!(decide(everything, (20, 1, 19), (0, 0)), 1);
    }

    #[test]
    fn failures_are_compared_with_all_ids() {
        let options = |max| GuardOptions {
            max_failures: Some(max),
            ..GuardOptions::default()
        };
        let tenth = options(Allowance::Percent(10.0));
        assert_eq!(decide(tenth, (20, 18, 2), (0, 0)), 0);
        assert_eq!(decide(tenth, (20, 17, 3), (0, 0)), 1);
        assert_eq!(decide(options(Allowance::Count(3)), (20, 17, 3), (0, 0)), 0);
        assert_eq!(decide(options(Allowance::Count(2)), (20, 17, 3), (0, 0)), 1);
    }

    #[test]
    fn a_shrinking_export_needs_more_than_a_fifth_and_more_than_ten_tasks_to_be_refused() {
        let default = GuardOptions::default();
        assert_eq!(decide(default, (9, 9, 0), (19, 10)), 0);
        assert_eq!(decide(default, (9, 9, 0), (20, 11)), 8);
        assert_eq!(decide(default, (80, 80, 0), (100, 20)), 0);
        assert_eq!(decide(default, (79, 79, 0), (100, 21)), 8);
        let shrink = |max_shrink| GuardOptions {
            max_shrink,
            ..default
        };
        // A number is taken as it is.
        assert_eq!(decide(shrink(Allowance::Count(3)), (6, 6, 0), (10, 4)), 8);
        assert_eq!(decide(shrink(Allowance::Count(4)), (6, 6, 0), (10, 4)), 0);
        assert_eq!(
            decide(shrink(Allowance::Percent(100.0)), (1, 1, 0), (100, 99)),
            0
        );
    }

    #[test]
    fn an_empty_list_replaces_an_export_only_where_all_of_it_may_disappear() {
        let default = GuardOptions::default();
        let count = GuardOptions {
            max_shrink: Allowance::Count(1_000),
            ..default
        };
        let everything = GuardOptions {
            max_shrink: Allowance::Percent(100.0),
            ..default
        };
        assert_eq!(decide(default, (0, 0, 0), (0, 0)), 0);
        assert_eq!(decide(default, (0, 0, 0), (3, 3)), 8);
        assert_eq!(decide(count, (0, 0, 0), (3, 3)), 8);
        assert_eq!(decide(everything, (0, 0, 0), (3, 3)), 0);
    }
}

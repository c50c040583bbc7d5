//! All statistics of an export.

use crate::report::bounded_map::BoundedMap;
use crate::report::kind_failures::KindFailures;
use crate::report::merge::merge_fields;
use crate::report::message_statistics::MessageStatistics;
use crate::report::question_statistics::QuestionsStatistics;
use crate::report::rubric_statistics::RubricStatistics;
use crate::report::short_text::ShortText;
use crate::report::task_statistics::TaskStatistics;

/// Types of errors, and of reports of sensitive content, that are counted.
const MAX_KINDS: usize = 100;

/// Contributors that are counted.
const MAX_CONTRIBUTORS: usize = 20_000;

/// Rows by a type.
pub type KindCounts = BoundedMap<Option<ShortText>, u64, MAX_KINDS>;

/// Submissions by contributor.
pub type ContributorCounts = BoundedMap<Option<ShortText>, u64, MAX_CONTRIBUTORS>;

/// All statistics of an export. A part whose table is not exported is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Tasks.
    pub tasks: TaskStatistics,
    /// Annotations.
    pub questions: QuestionsStatistics,
    /// Evaluations of criteria.
    pub rubrics: RubricStatistics,
    /// Messages.
    pub messages: MessageStatistics,
    /// Failed and stale IDs.
    pub failures: KindFailures,
    /// Errors of tasks by type.
    pub errors: KindCounts,
    /// Reports of sensitive content by type.
    pub reports: KindCounts,
    /// Submissions by contributor.
    pub contributors: ContributorCounts,
}

merge_fields!(Statistics {
    tasks,
    questions,
    rubrics,
    messages,
    failures,
    errors,
    reports,
    contributors,
});

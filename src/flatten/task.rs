//! Tasks, threads, submissions, turns, errors and reports.

use crate::flatten::annotation::AnnotationLevel;
use crate::flatten::members::{ExtraBuilder, KnownMember, bind_members};
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{ErrorRow, ReportRow, SubmissionRow, TaskRow, ThreadRow, TurnRow};
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

/// Documented values of `status`.
pub const TASK_STATUSES: [&str; 5] = ["pending", "completed", "canceled", "error", "deleted"];

impl TaskFlattener<'_> {
    /// Adds the rows of a task. Its own row comes last, since it counts the others.
    pub(crate) fn task(&mut self, object: Value<'_>) -> FlattenResult {
        bind_members!(object, Table::Tasks, extra, {
            _task_id: "task_id",
            project: "project",
            batch: "batch",
            status: "status",
            created_at: "created_at",
            completed_at: "completed_at",
            metadata: "metadata",
            threads: "threads" => "thread_count",
            errors: "errors" => "error_count",
            reports: "sensitive_content_reports" => "sensitive_content_report_count",
        });
        let errors = extra.objects(errors);
        let reports = extra.objects(reports);
        let threads = extra.objects(threads);
        let task = RowKey::of_task(self.task_id);
        self.each("errors", errors, Self::error)?;
        self.each("sensitive_content_reports", reports, Self::report)?;
        self.each("threads", threads, |flattener, thread, index| {
            flattener.thread(thread, index, &task)
        })?;
        // Both members have columns in `tasks` as well, which are taken below.
        for (member, table) in [(project, Table::Projects), (batch, Table::Batches)] {
            if let Some(entity) = member.value.filter(Value::is_object) {
                self.entity(entity, table)?;
            }
        }
        extra.check_documented(status, &TASK_STATUSES);
        let project = EntityColumns::take(project, &mut extra);
        let batch = EntityColumns::take(batch, &mut extra);
        let row = TaskRow {
            row_key: task,
            task_id: Text::plain(self.task_id),
            project_id: project.id,
            project_name: project.name,
            batch_id: batch.id,
            batch_name: batch.name,
            project: project.object,
            batch: batch.object,
            status: extra.text(status),
            created_at: extra.time(created_at),
            completed_at: extra.time(completed_at),
            metadata: metadata.value.map(|value| value.raw()),
            thread_count: threads.count,
            error_count: errors.count,
            sensitive_content_report_count: reports.count,
            turn_count: self.counts.turns,
            message_count: self.counts.messages,
            annotation_count: self.counts.annotations,
            attachment_count: self.counts.attachments,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn error(&mut self, object: Value<'_>, error_index: i32) -> FlattenResult {
        bind_members!(object, Table::Errors, extra, {
            kind: "type",
            message: "message",
        });
        let row = ErrorRow {
            row_key: RowKey::of_task(self.task_id).at(self.path),
            error_index,
            kind: extra.text(kind),
            message: extra.text(message),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn report(&mut self, object: Value<'_>, report_index: i32) -> FlattenResult {
        bind_members!(object, Table::SensitiveContentReports, extra, {
            kind: "type",
            message: "message",
        });
        let row = ReportRow {
            row_key: RowKey::of_task(self.task_id).at(self.path),
            report_index,
            kind: extra.text(kind),
            message: extra.text(message),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn thread(&mut self, object: Value<'_>, thread_index: i32, task: &RowKey<'_>) -> FlattenResult {
        bind_members!(object, Table::Threads, extra, {
            id: "id" => "thread_id",
            turns: "turns" => "turn_count",
            submissions: "submissions" => "submission_count",
            annotations: "annotations" => "annotation_count",
        });
        let thread = RowKey {
            thread_id: extra.text(id),
            thread_index: Some(thread_index),
            ..*task
        };
        let turns = extra.objects(turns);
        let submissions = extra.objects(submissions);
        let annotations = extra.objects(annotations);
        let row = ThreadRow {
            row_key: thread.at(self.path),
            thread_id: thread.thread_id,
            thread_index,
            turn_count: turns.count,
            submission_count: submissions.count,
            annotation_count: annotations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::Thread, &thread)?;
        self.each("submissions", submissions, |flattener, object, index| {
            flattener.submission(object, index, &thread)
        })?;
        self.each("turns", turns, |flattener, object, index| {
            flattener.turn(object, index, &thread)
        })
    }

    fn submission(
        &mut self,
        object: Value<'_>,
        submission_index: i32,
        thread: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Submissions, extra, {
            submitted_at: "submitted_at",
            contributor_id: "contributor_id",
        });
        let row = SubmissionRow {
            row_key: thread.at(self.path),
            submission_index,
            submitted_at: extra.time(submitted_at),
            contributor_id: extra.text(contributor_id),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn turn(&mut self, object: Value<'_>, turn_index: i32, thread: &RowKey<'_>) -> FlattenResult {
        bind_members!(object, Table::Turns, extra, {
            id: "id" => "turn_id",
            messages: "messages" => "message_count",
            annotations: "annotations" => "annotation_count",
            rubrics: "rubrics" => "rubric_count",
        });
        let turn = RowKey {
            turn_id: extra.text(id),
            turn_index: Some(turn_index),
            ..*thread
        };
        let messages = extra.objects(messages);
        let annotations = extra.objects(annotations);
        let rubrics = extra.objects(rubrics);
        let row = TurnRow {
            row_key: turn.at(self.path),
            turn_id: turn.turn_id,
            turn_index,
            message_count: messages.count,
            annotation_count: annotations.count,
            rubric_count: rubrics.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.counts.turns += 1;
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::Turn, &turn)?;
        self.each("rubrics", rubrics, |flattener, object, index| {
            flattener.rubric(object, index, &turn)
        })?;
        self.each("messages", messages, |flattener, object, index| {
            flattener.message(object, index, &turn)
        })
    }
}

/// The columns of a task's project or batch.
struct EntityColumns<'d> {
    id: Option<Text<'d>>,
    name: Option<Text<'d>>,
    object: Option<&'d str>,
}

impl<'d> EntityColumns<'d> {
    /// A string is an ID; an object is expanded. Anything else is a type mismatch.
    fn take(member: KnownMember<'d>, extra: &mut ExtraBuilder<'d>) -> Self {
        match member.value.filter(Value::is_object) {
            Some(object) => {
                let text = |key| object.get(key).and_then(|value| value.text());
                Self {
                    id: text("id"),
                    name: text("name"),
                    object: Some(object.raw()),
                }
            }
            None => Self {
                id: extra.text(member),
                name: None,
                object: None,
            },
        }
    }
}

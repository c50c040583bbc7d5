//! Tasks, threads, submissions, turns, errors and reports. Depends on the files of this folder.

use crate::flatten::annotation::Level;
use crate::flatten::entity::{BATCH, PROJECT};
use crate::flatten::members::{Field, Fit, sort};
use crate::flatten::task_flattener::{Flow, TaskFlattener, task_place};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{ErrorRow, ReportRow, SubmissionRow, TaskRow, ThreadRow, TurnRow};
use crate::tables::row_key::Place;

/// Documented values of `status`.
pub const TASK_STATUSES: [&str; 5] = ["pending", "completed", "canceled", "error", "deleted"];

impl TaskFlattener<'_> {
    /// A task and all that is in it. Its own row comes last, since it counts the others.
    pub(crate) fn task(&mut self, object: Value<'_>) -> Flow {
        let (fields, mut fit) = sort(
            object,
            "tasks",
            &[
                ("task_id", "task_id"),
                ("project", "project"),
                ("batch", "batch"),
                ("status", "status"),
                ("created_at", "created_at"),
                ("completed_at", "completed_at"),
                ("metadata", "metadata"),
                ("threads", "thread_count"),
                ("errors", "error_count"),
                (
                    "sensitive_content_reports",
                    "sensitive_content_report_count",
                ),
            ],
        );
        let [
            _,
            project,
            batch,
            status,
            created_at,
            completed_at,
            metadata,
            threads,
            errors,
            reports,
        ] = fields;
        let errors = fit.objects(errors);
        let reports = fit.objects(reports);
        let threads = fit.objects(threads);
        let place = task_place(self.task_id);
        self.each("errors", errors, Self::error)?;
        self.each("sensitive_content_reports", reports, Self::report)?;
        self.each("threads", threads, |flattener, thread, index| {
            flattener.thread(thread, index, &place)
        })?;
        for (field, table) in [(project, PROJECT), (batch, BATCH)] {
            if let Some(entity) = field.value.filter(Value::is_object) {
                self.entity(entity, table)?;
            }
        }
        fit.unless_known(status, &TASK_STATUSES);
        let (project_id, project_name, project) = expandable(project, &mut fit);
        let (batch_id, batch_name, batch) = expandable(batch, &mut fit);
        let row = TaskRow {
            place,
            task_id: Text::plain(self.task_id),
            project_id,
            project_name,
            batch_id,
            batch_name,
            project,
            batch,
            status: fit.text(status),
            created_at: fit.time(created_at),
            completed_at: fit.time(completed_at),
            metadata: metadata.value.map(|value| value.raw()),
            thread_count: threads.count,
            error_count: errors.count,
            sensitive_content_report_count: reports.count,
            turn_count: self.counts.turns,
            message_count: self.counts.messages,
            annotation_count: self.counts.annotations,
            attachment_count: self.counts.attachments,
            extra: None,
        };
        let extra = fit.finish(self.drift, self.task_id);
        self.buffers.tasks.push(
            &TaskRow {
                extra: extra.as_deref(),
                ..row
            },
            self.sink,
        )
    }

    fn error(&mut self, object: Value<'_>, error_index: i32) -> Flow {
        let ([kind, message], mut fit) = sort(
            object,
            "errors",
            &[("type", "type"), ("message", "message")],
        );
        let (kind, message) = (fit.text(kind), fit.text(message));
        let extra = fit.finish(self.drift, self.task_id);
        let place = Place {
            path: self.path,
            ..task_place(self.task_id)
        };
        let row = ErrorRow {
            place,
            error_index,
            kind,
            message,
            extra: extra.as_deref(),
        };
        self.buffers.errors.push(&row, self.sink)
    }

    fn report(&mut self, object: Value<'_>, report_index: i32) -> Flow {
        let ([kind, message], mut fit) = sort(
            object,
            "sensitive_content_reports",
            &[("type", "type"), ("message", "message")],
        );
        let (kind, message) = (fit.text(kind), fit.text(message));
        let extra = fit.finish(self.drift, self.task_id);
        let place = Place {
            path: self.path,
            ..task_place(self.task_id)
        };
        let row = ReportRow {
            place,
            report_index,
            kind,
            message,
            extra: extra.as_deref(),
        };
        self.buffers.sensitive_content_reports.push(&row, self.sink)
    }

    fn thread(&mut self, object: Value<'_>, thread_index: i32, task: &Place<'_>) -> Flow {
        let ([id, turns, submissions, annotations], mut fit) = sort(
            object,
            "threads",
            &[
                ("id", "thread_id"),
                ("turns", "turn_count"),
                ("submissions", "submission_count"),
                ("annotations", "annotation_count"),
            ],
        );
        let place = Place {
            thread_id: fit.text(id),
            thread_index: Some(thread_index),
            ..*task
        };
        let turns = fit.objects(turns);
        let submissions = fit.objects(submissions);
        let annotations = fit.objects(annotations);
        let extra = fit.finish(self.drift, self.task_id);
        let row = ThreadRow {
            place: Place {
                path: self.path,
                ..place
            },
            thread_id: place.thread_id,
            thread_index,
            turn_count: turns.count,
            submission_count: submissions.count,
            annotation_count: annotations.count,
            extra: extra.as_deref(),
        };
        self.buffers.threads.push(&row, self.sink)?;
        self.annotations(annotations, Level::Thread, &place)?;
        self.each("submissions", submissions, |flattener, object, index| {
            flattener.submission(object, index, &place)
        })?;
        self.each("turns", turns, |flattener, object, index| {
            flattener.turn(object, index, &place)
        })
    }

    fn submission(&mut self, object: Value<'_>, index: i32, thread: &Place<'_>) -> Flow {
        let ([submitted_at, contributor_id], mut fit) = sort(
            object,
            "submissions",
            &[
                ("submitted_at", "submitted_at"),
                ("contributor_id", "contributor_id"),
            ],
        );
        let (submitted_at, contributor_id) = (fit.time(submitted_at), fit.text(contributor_id));
        let extra = fit.finish(self.drift, self.task_id);
        let row = SubmissionRow {
            place: Place {
                path: self.path,
                ..*thread
            },
            submission_index: index,
            submitted_at,
            contributor_id,
            extra: extra.as_deref(),
        };
        self.buffers.submissions.push(&row, self.sink)
    }

    fn turn(&mut self, object: Value<'_>, turn_index: i32, thread: &Place<'_>) -> Flow {
        let ([id, messages, annotations, rubrics], mut fit) = sort(
            object,
            "turns",
            &[
                ("id", "turn_id"),
                ("messages", "message_count"),
                ("annotations", "annotation_count"),
                ("rubrics", "rubric_count"),
            ],
        );
        let place = Place {
            turn_id: fit.text(id),
            turn_index: Some(turn_index),
            ..*thread
        };
        let messages = fit.objects(messages);
        let annotations = fit.objects(annotations);
        let rubrics = fit.objects(rubrics);
        let extra = fit.finish(self.drift, self.task_id);
        let row = TurnRow {
            place: Place {
                path: self.path,
                ..place
            },
            turn_id: place.turn_id,
            turn_index,
            message_count: messages.count,
            annotation_count: annotations.count,
            rubric_count: rubrics.count,
            extra: extra.as_deref(),
        };
        self.counts.turns += 1;
        self.buffers.turns.push(&row, self.sink)?;
        self.annotations(annotations, Level::Turn, &place)?;
        self.each("rubrics", rubrics, |flattener, object, index| {
            flattener.rubric(object, index, &place)
        })?;
        self.each("messages", messages, |flattener, object, index| {
            flattener.message(object, index, &place)
        })
    }
}

/// The ID, the name and the object of a project or batch: a string gives the first, an object all
/// that it has, anything else is a misfit.
fn expandable<'d>(
    field: Field<'d>,
    fit: &mut Fit<'d>,
) -> (Option<Text<'d>>, Option<Text<'d>>, Option<&'d str>) {
    match field.value.filter(Value::is_object) {
        Some(object) => {
            let text = |key| object.get(key).and_then(|value| value.text());
            (text("id"), text("name"), Some(object.raw()))
        }
        None => (fit.text(field), None, None),
    }
}

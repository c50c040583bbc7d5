//! The eighteen tables: the name, type and documentation of every column.
//!
//! The doc comments here are the published documentation. A table's common columns (`task_id`, `path`, …) follow from
//! the kind of its rows, and every table ends with `extra`.

use arrow::array::ArrayRef;

use crate::tables::batch_builder::{BatchSink, SinkError, TableBuffer, TableColumns};
use crate::tables::column::{
    Bool, Bytes, ColumnBuffer, ColumnInfo, Float64, Int32, Int64, Json, Optional, RepeatedStr,
    Required, Str, StrList, Timestamp, UniqueStr,
};
use crate::tables::macros::{column_name, tables};
use crate::tables::row_key::{Depth, RowKey, RowKeyColumns, RowKind};
use crate::tables::selection::TableSelection;
use crate::tables::table::{Table, TableInfo};

tables! {
    /// One row for each exported task
    tasks / Tasks / TaskRow / TaskColumns at Task {
        /// The task's ID
        task_id: Required<UniqueStr>,
        /// The project's ID, from `project` or `project.id`
        project_id: Optional<Str>,
        /// The project's name, when `project` is expanded
        project_name: Optional<Str>,
        /// The batch's ID, from `batch` or `batch.id`
        batch_id: Optional<Str>,
        /// The batch's name, when `batch` is expanded
        batch_name: Optional<Str>,
        /// The expanded project as received; null when only an ID came
        project: Optional<Json>,
        /// The expanded batch as received; null when only an ID came
        batch: Optional<Json>,
        /// `pending`, `completed`, `canceled`, `error`, `deleted`, or what the API adds
        status: Optional<Str>,
        /// When the task was created
        created_at: Optional<Timestamp>,
        /// When the task was completed
        completed_at: Optional<Timestamp>,
        /// The customer's own data
        metadata: Optional<Json>,
        /// Length of `threads`; null when absent
        thread_count: Optional<Int32>,
        /// Length of `errors`; null when absent
        error_count: Optional<Int32>,
        /// Length of `sensitive_content_reports`; null when absent
        sensitive_content_report_count: Optional<Int32>,
        /// Rows of this task in `turns`
        turn_count: Required<Int32>,
        /// Rows of this task in `messages`
        message_count: Required<Int32>,
        /// Rows of this task in `annotations`
        annotation_count: Required<Int32>,
        /// Rows of this task in `attachments`
        attachment_count: Required<Int32>,
    }

    /// One row for each thread: a conversation, or one path through a branching one
    threads / Threads / ThreadRow / ThreadColumns at Part(Task) {
        /// The thread's own ID
        thread_id: Optional<Str>,
        /// Place in `threads`, from 0
        thread_index: Required<Int32>,
        /// Length of `turns`; null when absent
        turn_count: Optional<Int32>,
        /// Length of `submissions`; null when absent
        submission_count: Optional<Int32>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
    }

    /// One row for each submission of a thread by a contributor
    submissions / Submissions / SubmissionRow / SubmissionColumns at Part(Thread) {
        /// Place in `submissions`, from 0
        submission_index: Required<Int32>,
        /// When it was submitted
        submitted_at: Optional<Timestamp>,
        /// Who submitted it
        contributor_id: Optional<Str>,
    }

    /// One row for each turn of a thread
    turns / Turns / TurnRow / TurnColumns at Part(Thread) {
        /// The turn's own ID
        turn_id: Optional<Str>,
        /// Place in `turns`, from 0
        turn_index: Required<Int32>,
        /// Length of `messages`; null when absent
        message_count: Optional<Int32>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
        /// Length of `rubrics`; null when absent
        rubric_count: Optional<Int32>,
    }

    /// One row for each message of a turn
    messages / Messages / MessageRow / MessageColumns at Part(Turn) {
        /// Made by this tool: `{task_id}:{thread_index}.{turn_index}.{message_index}`
        message_id: Required<UniqueStr>,
        /// Place in `messages`, from 0
        message_index: Required<Int32>,
        /// `system`, `user`, `assistant`, `function`, or what the API adds
        role: Optional<Str>,
        /// Where the message comes from; ranked annotations name it
        source_id: Optional<UniqueStr>,
        /// `content.text`
        text: Optional<RepeatedStr>,
        /// `model_parameters.model`
        model: Optional<Str>,
        /// `model_parameters.temperature`
        temperature: Optional<Float64>,
        /// `model_parameters.top_p`
        top_p: Optional<Float64>,
        /// `model_parameters.max_completion_tokens`
        max_completion_tokens: Optional<Int64>,
        /// `model_parameters.top_k`
        top_k: Optional<Int64>,
        /// Length of `content.reference_texts`; null when absent
        reference_text_count: Optional<Int32>,
        /// Length of `content.attachments`; null when absent
        attachment_count: Optional<Int32>,
        /// Length of `content.chunks`; null when absent
        chunk_count: Optional<Int32>,
        /// Length of `content.reasoning`; null when absent
        reasoning_count: Optional<Int32>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
        /// Length of `rubric_evaluations`; null when absent
        rubric_evaluation_count: Optional<Int32>,
    }

    /// One row for each chunk of a message, from `content.chunks`
    chunks / Chunks / ChunkRow / ChunkColumns at Part(Message) {
        /// Place in `chunks`, from 0
        chunk_index: Required<Int32>,
        /// The kind of chunk
        kind as "type": Optional<Str>,
        /// The chunk's text
        text: Optional<RepeatedStr>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
    }

    /// One row for each reference text of a message, from `content.reference_texts`
    reference_texts / ReferenceTexts / ReferenceTextRow / ReferenceTextColumns at Part(Message) {
        /// Place in `reference_texts`, from 0
        reference_text_index: Required<Int32>,
        /// The text
        content: Optional<RepeatedStr>,
        /// What kind of reference it is
        category: Optional<Str>,
        /// Where it comes from
        url: Optional<Str>,
    }

    /// One row for each reasoning block of a message, from `content.reasoning`
    reasoning / Reasoning / ReasoningRow / ReasoningColumns at Part(Message) {
        /// Place in `reasoning`, from 0
        reasoning_index: Required<Int32>,
        /// The text
        content: Optional<RepeatedStr>,
    }

    /// One row for each file: of a message, of an annotation's value, or of a workspace
    attachments / Attachments / AttachmentRow / AttachmentColumns at Part(Message) {
        /// The annotation whose value the file is; null for a message's own file
        annotation_id: Optional<Str>,
        /// `message`, `annotation` or `workspace`
        source: Required<Str>,
        /// Place in its list, from 0; 0 for a single file
        attachment_index: Required<Int32>,
        /// File name; of a workspace's output stream its key
        name: Optional<Str>,
        /// Media type
        mime_type: Optional<Str>,
        /// Where the file is
        url: Optional<RepeatedStr>,
        /// Where the file is at Scale
        scale_url: Optional<RepeatedStr>,
        /// The file itself, decoded, when it came inline
        content: Optional<Bytes>,
        /// Bytes of `content`
        content_size: Optional<Int64>,
        /// SHA-256 of `content`, lower-case hexadecimal
        content_sha256: Optional<RepeatedStr>,
        /// Size as the API says, of image files
        file_size_in_bytes: Optional<Int64>,
        /// Seconds, of audio files
        duration: Optional<Float64>,
        /// Seconds from the start of the audio file
        transcript_start: Optional<Float64>,
        /// Seconds from the start of the audio file
        transcript_end: Optional<Float64>,
        /// What is said in the audio file
        transcript: Optional<RepeatedStr>,
        /// Where the transcript is
        transcript_url: Optional<Str>,
    }

    /// One row for each annotation, at every level of a task
    annotations / Annotations / AnnotationRow / AnnotationColumns at Part(Message) {
        /// Place of the chunk, for an annotation of a chunk
        chunk_index: Optional<Int32>,
        /// `thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`
        level: Required<Str>,
        /// Place in its list, from 0
        annotation_index: Required<Int32>,
        /// The annotation's own ID
        annotation_id: Optional<UniqueStr>,
        /// What is asked, as a key
        key: Optional<Str>,
        /// The kind of annotation; the value's own JSON type may disagree
        kind as "type": Optional<Str>,
        /// What is asked, as a title
        title: Optional<Str>,
        /// What is asked, at length
        description: Optional<Str>,
        /// Why the value was chosen
        justification: Optional<RepeatedStr>,
        /// Names of the possible values, in their order
        labels: Optional<StrList>,
        /// The question does not apply
        not_applicable: Optional<Bool>,
        /// The question could not be answered
        cannot_assess: Optional<Bool>,
        /// As received
        metadata: Optional<Json>,
        /// `metadata.criteria` when it is a string, else its `id`
        criteria: Optional<Str>,
        /// As received
        possible_values: Optional<Json>,
        /// A string value
        value_text: Optional<RepeatedStr>,
        /// An integer value
        value_int: Optional<Int64>,
        /// The nearest double of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`
        value_number: Optional<Float64>,
        /// A boolean value
        value_bool: Optional<Bool>,
        /// A value that is a list of strings
        value_list: Optional<StrList>,
        /// Every value that no other `value_` column holds exactly
        value_json: Optional<Json>,
        /// The entry of `labels` that stands where the value stands in `possible_values`
        value_label: Optional<Str>,
    }

    /// One row for each rubric of a turn
    rubrics / Rubrics / RubricRow / RubricColumns at Part(Turn) {
        /// Place in `rubrics`, from 0
        rubric_index: Required<Int32>,
        /// The highest score that the rubric can give
        max_total_score: Optional<Float64>,
        /// Length of `criteria_definitions`; null when absent
        criterion_count: Optional<Int32>,
    }

    /// One row for each criterion of a rubric, from `criteria_definitions`
    rubric_criteria / RubricCriteria / RubricCriterionRow / RubricCriterionColumns at Part(Turn) {
        /// Place of the rubric in `rubrics`, from 0
        rubric_index: Required<Int32>,
        /// Place in `criteria_definitions`, from 0
        criterion_index: Required<Int32>,
        /// The criterion's own ID
        criterion_id: Optional<UniqueStr>,
        /// What is asked for
        criterion: Optional<RepeatedStr>,
        /// How much it counts
        weight: Optional<Float64>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
    }

    /// One row for each grading of a message by a rubric
    rubric_evaluations / RubricEvaluations / RubricEvaluationRow / RubricEvaluationColumns at Part(Message) {
        /// Place in `rubric_evaluations`, from 0
        rubric_evaluation_index: Required<Int32>,
        /// The score
        total_score: Optional<Float64>,
        /// The score as a percentage
        percentage: Optional<Float64>,
        /// Length of `criteria_evaluations`; null when absent
        criterion_evaluation_count: Optional<Int32>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
    }

    /// One row for each criterion of a grading, from `criteria_evaluations`
    criterion_evaluations / CriterionEvaluations / CriterionEvaluationRow / CriterionEvaluationColumns at Part(Message) {
        /// Place of the grading in `rubric_evaluations`, from 0
        rubric_evaluation_index: Required<Int32>,
        /// Place in `criteria_evaluations`, from 0
        criterion_evaluation_index: Required<Int32>,
        /// The criterion, as in `rubric_criteria.criterion_id`
        criterion_definition_id: Optional<UniqueStr>,
        /// The score
        score: Optional<Float64>,
        /// Length of `annotations`; null when absent
        annotation_count: Optional<Int32>,
    }

    /// One row for each error of a task
    errors / Errors / ErrorRow / ErrorColumns at Part(Task) {
        /// Place in `errors`, from 0
        error_index: Required<Int32>,
        /// The kind of error
        kind as "type": Optional<Str>,
        /// What went wrong
        message: Optional<Str>,
    }

    /// One row for each report of sensitive content in a task
    sensitive_content_reports / SensitiveContentReports / ReportRow / ReportColumns at Part(Task) {
        /// Place in `sensitive_content_reports`, from 0
        report_index: Required<Int32>,
        /// The kind of content
        kind as "type": Optional<Str>,
        /// What was found
        message: Optional<Str>,
    }

    /// One row for each distinct version of an expanded project, in order of first appearance
    projects / Projects / ProjectRow / ProjectColumns at Entity {
        /// The project's ID
        project_id: Required<Str>,
        /// Its name
        name: Optional<Str>,
        /// When it was created
        created_at: Optional<Timestamp>,
        /// Kinds of work in the project
        types: Optional<StrList>,
        /// Models that take part
        models: Optional<StrList>,
    }

    /// One row for each distinct version of an expanded batch, in order of first appearance
    batches / Batches / BatchRow / BatchColumns at Entity {
        /// The batch's ID
        batch_id: Required<Str>,
        /// Its name
        name: Optional<Str>,
        /// The project's ID, from `project` or `project.id`
        project_id: Optional<Str>,
        /// `staging`, `in_progress`, `completed`, `paused`, `cancelled`, or what the API adds
        status: Optional<Str>,
        /// When the batch was created
        created_at: Optional<Timestamp>,
        /// When the batch was completed
        completed_at: Optional<Timestamp>,
        /// Where the API reports completed tasks
        callback: Optional<Str>,
        /// The customer's own data
        metadata: Optional<Json>,
    }
}

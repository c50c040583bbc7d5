//! Messages, and the parts of their content.

use crate::flatten::annotation::AnnotationLevel;
use crate::flatten::attachment::FileOrigin;
use crate::flatten::members::{ExtraBuilder, KnownMember, Objects, bind_members};
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{ChunkRow, MessageRow, ReasoningRow, ReferenceTextRow};
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

/// Bytes that are reserved for the indices in the ID of a message.
const MESSAGE_INDICES_BYTES: usize = 16;

/// Documented values of `role`.
const ROLES: [&str; 4] = ["system", "user", "assistant", "function"];

impl TaskFlattener<'_> {
    /// Adds the rows of a message.
    pub(crate) fn message(
        &mut self,
        object: Value<'_>,
        message_index: i32,
        turn: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Messages, extra, {
            role: "role",
            content: "content",
            source_id: "source_id",
            parameters: "model_parameters",
            annotations: "annotations" => "annotation_count",
            evaluations: "rubric_evaluations" => "rubric_evaluation_count",
        });
        // Messages have no ID in the API. Their position in the task gives one that is stable.
        let message_id = message_id(self.task_id, turn, message_index);
        let message_id = Text::plain(&message_id);
        let message = RowKey {
            message_id: Some(message_id),
            message_index: Some(message_index),
            ..*turn
        };
        let content = MessageContent::take(content, &mut extra);
        let annotations = extra.objects(annotations);
        let evaluations = extra.objects(evaluations);
        extra.check_documented(role, &ROLES);
        let (role, source_id) = (extra.text(role), extra.text(source_id));
        let parameters = ModelParameters::take(parameters, &mut extra);
        let row = MessageRow {
            row_key: message.at(self.path),
            message_id,
            message_index,
            role,
            source_id,
            text: content.text,
            model: parameters.model,
            temperature: parameters.temperature,
            top_p: parameters.top_p,
            max_completion_tokens: parameters.max_completion_tokens,
            top_k: parameters.top_k,
            reference_text_count: content.reference_texts.count,
            attachment_count: content.attachments.count,
            chunk_count: content.chunks.count,
            reasoning_count: content.reasoning.count,
            annotation_count: annotations.count,
            rubric_evaluation_count: evaluations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.counts.messages += 1;
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::Message, &message)?;
        self.content(&content, &message)?;
        self.each(
            "rubric_evaluations",
            evaluations,
            |flattener, object, index| flattener.rubric_evaluation(object, index, &message),
        )
    }

    /// Adds the rows of a message's content.
    fn content(&mut self, content: &MessageContent<'_>, message: &RowKey<'_>) -> FlattenResult {
        self.each(
            "content/reference_texts",
            content.reference_texts,
            |flattener, object, index| flattener.reference_text(object, index, message),
        )?;
        self.each(
            "content/attachments",
            content.attachments,
            |flattener, object, index| {
                flattener.file(object, index, FileOrigin::of_message(), message)
            },
        )?;
        self.each(
            "content/chunks",
            content.chunks,
            |flattener, object, index| flattener.chunk(object, index, message),
        )?;
        self.each(
            "content/reasoning",
            content.reasoning,
            |flattener, object, index| flattener.reasoning(object, index, message),
        )
    }

    fn reference_text(
        &mut self,
        object: Value<'_>,
        reference_text_index: i32,
        message: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::ReferenceTexts, extra, {
            content: "content",
            category: "category",
            url: "url",
        });
        let row = ReferenceTextRow {
            row_key: message.at(self.path),
            reference_text_index,
            // Fields are evaluated in this order: `extra` takes what the columns before it could not.
            content: extra.text(content),
            category: extra.text(category),
            url: extra.text(url),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn chunk(
        &mut self,
        object: Value<'_>,
        chunk_index: i32,
        message: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Chunks, extra, {
            kind: "type",
            annotations: "annotations" => "annotation_count",
            text: "text",
        });
        let annotations = extra.objects(annotations);
        let row = ChunkRow {
            row_key: message.at(self.path),
            chunk_index,
            kind: extra.text(kind),
            text: extra.text(text),
            annotation_count: annotations.count,
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)?;
        self.annotations(annotations, AnnotationLevel::Chunk(chunk_index), message)
    }

    fn reasoning(
        &mut self,
        object: Value<'_>,
        reasoning_index: i32,
        message: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Reasoning, extra, { content: "content" });
        let row = ReasoningRow {
            row_key: message.at(self.path),
            reasoning_index,
            content: extra.text(content),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }
}

/// The ID of a message: that of its task, and the indices of its thread, of its turn and of itself.
fn message_id(task_id: &str, turn: &RowKey<'_>, message_index: i32) -> String {
    let (thread, turn) = (turn.thread_index, turn.turn_index);
    // Faster than formatting, and there are more messages than most other rows.
    let mut number = itoa::Buffer::new();
    let mut id = String::with_capacity(task_id.len() + MESSAGE_INDICES_BYTES);
    id.push_str(task_id);
    let indices = [
        thread.unwrap_or_default(),
        turn.unwrap_or_default(),
        message_index,
    ];
    for (separator, index) in [':', '.', '.'].into_iter().zip(indices) {
        id.push(separator);
        id.push_str(number.format(index));
    }
    id
}

/// A message's `content`, which has no separate row.
struct MessageContent<'d> {
    text: Option<Text<'d>>,
    reference_texts: Objects<'d>,
    attachments: Objects<'d>,
    chunks: Objects<'d>,
    reasoning: Objects<'d>,
}

impl<'d> MessageContent<'d> {
    fn take(member: KnownMember<'d>, extra: &mut ExtraBuilder<'d>) -> Self {
        bind_members!(member.value.unwrap_or_default(), Table::Messages, rest, {
            text: "text",
            reference_texts: "reference_texts" => "reference_text_count",
            attachments: "attachments" => "attachment_count",
            chunks: "chunks" => "chunk_count",
            reasoning: "reasoning" => "reasoning_count",
        });
        // A value that fits no column counts as well: `extra` then has it, so the part is not empty.
        let has_columns = [text, reference_texts, attachments, chunks, reasoning]
            .iter()
            .any(|member| member.value.is_some());
        let content = Self {
            text: rest.text(text),
            reference_texts: rest.objects(reference_texts),
            attachments: rest.objects(attachments),
            chunks: rest.objects(chunks),
            reasoning: rest.objects(reasoning),
        };
        extra.put_nested(member, has_columns, rest);
        content
    }
}

/// A message's `model_parameters`, which have no separate row.
struct ModelParameters<'d> {
    model: Option<Text<'d>>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_completion_tokens: Option<i64>,
    top_k: Option<i64>,
}

impl<'d> ModelParameters<'d> {
    fn take(member: KnownMember<'d>, extra: &mut ExtraBuilder<'d>) -> Self {
        bind_members!(member.value.unwrap_or_default(), Table::Messages, rest, {
            model: "model",
            temperature: "temperature",
            max_completion_tokens: "max_completion_tokens",
            top_p: "top_p",
            top_k: "top_k",
        });
        let has_columns = [model, temperature, max_completion_tokens, top_p, top_k]
            .iter()
            .any(|member| member.value.is_some());
        let parameters = Self {
            model: rest.text(model),
            temperature: rest.float64(temperature),
            top_p: rest.float64(top_p),
            max_completion_tokens: rest.int64(max_completion_tokens),
            top_k: rest.int64(top_k),
        };
        extra.put_nested(member, has_columns, rest);
        parameters
    }
}

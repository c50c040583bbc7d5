//! Messages and what hangs below their content. Depends on the files of this folder.

use crate::flatten::annotation::Level;
use crate::flatten::attachment::Source;
use crate::flatten::members::{Fit, sort};
use crate::flatten::task_flattener::{Flow, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{ChunkRow, MessageRow, ReasoningRow, ReferenceTextRow};
use crate::tables::row_key::Place;

/// Documented values of `role`.
const ROLES: [&str; 4] = ["system", "user", "assistant", "function"];

impl TaskFlattener<'_> {
    /// A message and all that is in it.
    pub(crate) fn message(
        &mut self,
        object: Value<'_>,
        message_index: i32,
        turn: &Place<'_>,
    ) -> Flow {
        let (
            [
                role,
                content,
                source_id,
                parameters,
                annotations,
                evaluations,
            ],
            mut fit,
        ) = sort(
            object,
            "messages",
            &[
                ("role", "role"),
                ("content", "content"),
                ("source_id", "source_id"),
                ("model_parameters", "model_parameters"),
                ("annotations", "annotation_count"),
                ("rubric_evaluations", "rubric_evaluation_count"),
            ],
        );
        let message_id = format!(
            "{}:{}.{}.{message_index}",
            self.task_id,
            turn.thread_index.unwrap_or_default(),
            turn.turn_index.unwrap_or_default()
        );
        let message_id = Text::plain(&message_id);
        let place = Place {
            message_id: Some(message_id),
            message_index: Some(message_index),
            ..*turn
        };

        let ([text, reference_texts, attachments, chunks, reasoning], mut content_fit) = sort(
            nested(content.value),
            "messages",
            &[
                ("text", "text"),
                ("reference_texts", "reference_text_count"),
                ("attachments", "attachment_count"),
                ("chunks", "chunk_count"),
                ("reasoning", "reasoning_count"),
            ],
        );
        let has_content = [text, reference_texts, attachments, chunks, reasoning]
            .iter()
            .any(|field| field.value.is_some());
        let text = content_fit.text(text);
        let reference_texts = content_fit.objects(reference_texts);
        let attachments = content_fit.objects(attachments);
        let chunks = content_fit.objects(chunks);
        let reasoning = content_fit.objects(reasoning);
        put_nested(&mut fit, content, has_content, content_fit);

        let ([model, temperature, max_completion_tokens, top_p, top_k], mut parameter_fit) = sort(
            nested(parameters.value),
            "messages",
            &[
                ("model", "model"),
                ("temperature", "temperature"),
                ("max_completion_tokens", "max_completion_tokens"),
                ("top_p", "top_p"),
                ("top_k", "top_k"),
            ],
        );
        let has_parameters = [model, temperature, max_completion_tokens, top_p, top_k]
            .iter()
            .any(|field| field.value.is_some());
        let annotations = fit.objects(annotations);
        let evaluations = fit.objects(evaluations);
        fit.unless_known(role, &ROLES);
        let row = MessageRow {
            place: Place { path: "", ..place },
            message_id,
            message_index,
            role: fit.text(role),
            source_id: fit.text(source_id),
            text,
            model: parameter_fit.text(model),
            temperature: parameter_fit.float64(temperature),
            top_p: parameter_fit.float64(top_p),
            max_completion_tokens: parameter_fit.int64(max_completion_tokens),
            top_k: parameter_fit.int64(top_k),
            reference_text_count: reference_texts.count,
            attachment_count: attachments.count,
            chunk_count: chunks.count,
            reasoning_count: reasoning.count,
            annotation_count: annotations.count,
            rubric_evaluation_count: evaluations.count,
            extra: None,
        };
        put_nested(&mut fit, parameters, has_parameters, parameter_fit);
        let extra = fit.finish(self.drift, self.task_id);
        let place_here = Place {
            path: self.path,
            ..place
        };
        let row = MessageRow {
            place: place_here,
            extra: extra.as_deref(),
            ..row
        };
        self.counts.messages += 1;
        self.buffers.messages.push(&row, self.sink)?;

        self.annotations(annotations, Level::Message, &place)?;
        self.each(
            "content/reference_texts",
            reference_texts,
            |flattener, object, index| flattener.reference_text(object, index, &place),
        )?;
        self.each(
            "content/attachments",
            attachments,
            |flattener, object, index| flattener.file(object, index, Source::Message, None, &place),
        )?;
        self.each("content/chunks", chunks, |flattener, object, index| {
            flattener.chunk(object, index, &place)
        })?;
        self.each(
            "content/reasoning",
            reasoning,
            |flattener, object, index| flattener.reasoning(object, index, &place),
        )?;
        self.each(
            "rubric_evaluations",
            evaluations,
            |flattener, object, index| flattener.rubric_evaluation(object, index, &place),
        )
    }

    fn reference_text(&mut self, object: Value<'_>, index: i32, message: &Place<'_>) -> Flow {
        let ([content, category, url], mut fit) = sort(
            object,
            "reference_texts",
            &[
                ("content", "content"),
                ("category", "category"),
                ("url", "url"),
            ],
        );
        let (content, category, url) = (fit.text(content), fit.text(category), fit.text(url));
        let extra = fit.finish(self.drift, self.task_id);
        let row = ReferenceTextRow {
            place: Place {
                path: self.path,
                ..*message
            },
            reference_text_index: index,
            content,
            category,
            url,
            extra: extra.as_deref(),
        };
        self.buffers.reference_texts.push(&row, self.sink)
    }

    fn chunk(&mut self, object: Value<'_>, chunk_index: i32, message: &Place<'_>) -> Flow {
        let ([kind, annotations, text], mut fit) = sort(
            object,
            "chunks",
            &[
                ("type", "type"),
                ("annotations", "annotation_count"),
                ("text", "text"),
            ],
        );
        let annotations = fit.objects(annotations);
        let (kind, text) = (fit.text(kind), fit.text(text));
        let extra = fit.finish(self.drift, self.task_id);
        let row = ChunkRow {
            place: Place {
                path: self.path,
                ..*message
            },
            chunk_index,
            kind,
            text,
            annotation_count: annotations.count,
            extra: extra.as_deref(),
        };
        self.buffers.chunks.push(&row, self.sink)?;
        self.annotations(annotations, Level::Chunk(chunk_index), message)
    }

    fn reasoning(&mut self, object: Value<'_>, reasoning_index: i32, message: &Place<'_>) -> Flow {
        let ([content], mut fit) = sort(object, "reasoning", &[("content", "content")]);
        let content = fit.text(content);
        let extra = fit.finish(self.drift, self.task_id);
        let row = ReasoningRow {
            place: Place {
                path: self.path,
                ..*message
            },
            reasoning_index,
            content,
            extra: extra.as_deref(),
        };
        self.buffers.reasoning.push(&row, self.sink)
    }
}

/// The nested object itself, or a value without members when there is none.
fn nested(value: Option<Value<'_>>) -> Value<'_> {
    value.unwrap_or_default()
}

/// Accounts for a nested object in the row's `extra`, or for what stands in its place.
fn put_nested<'d>(
    fit: &mut Fit<'d>,
    field: crate::flatten::members::Field<'d>,
    has_columns: bool,
    rest: Fit<'d>,
) {
    match field.value {
        Some(value) if !value.is_object() => fit.misfit(field),
        _ => fit.nested(field, has_columns, rest),
    }
}

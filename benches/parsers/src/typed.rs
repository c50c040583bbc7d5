//! A task as in the API's documentation, in structs that borrow what they can: the declarations of a program that
//! trusts the documentation.
//!
//! Members without a fixed type (`value`, `metadata`) are skipped, so these structs do less than an export needs.

#![allow(dead_code, reason = "filled to be measured, never read")]

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A string without escapes is borrowed. serde does not borrow within an `Option` automatically.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
pub(crate) struct Task<'a> {
    #[serde(borrow)]
    task_id: Text<'a>,
    project: Option<IgnoredAny>,
    batch: Option<IgnoredAny>,
    status: Option<Text<'a>>,
    created_at: Option<Text<'a>>,
    completed_at: Option<Text<'a>>,
    metadata: Option<IgnoredAny>,
    threads: Option<Vec<Thread<'a>>>,
}

#[derive(Deserialize)]
struct Thread<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    turns: Option<Vec<Turn<'a>>>,
    annotations: Option<Vec<Annotation<'a>>>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    messages: Option<Vec<Message<'a>>>,
    annotations: Option<Vec<Annotation<'a>>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Text<'a>>,
    source_id: Option<Text<'a>>,
    content: Option<Content<'a>>,
    annotations: Option<Vec<Annotation<'a>>>,
    model_parameters: Option<ModelParameters<'a>>,
}

#[derive(Deserialize)]
struct ModelParameters<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    temperature: Option<f64>,
    max_completion_tokens: Option<i64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    reference_texts: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    attachments: Option<Vec<Attachment<'a>>>,
    chunks: Option<Vec<Chunk<'a>>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    text: Option<Text<'a>>,
    annotations: Option<Vec<Annotation<'a>>>,
}

#[derive(Deserialize)]
struct Attachment<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    mime_type: Option<Text<'a>>,
    url: Option<Text<'a>>,
    scale_url: Option<Text<'a>>,
    content: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    key: Option<Text<'a>>,
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    title: Option<Text<'a>>,
    description: Option<Text<'a>>,
    labels: Option<IgnoredAny>,
    justification: Option<Text<'a>>,
    metadata: Option<IgnoredAny>,
    possible_values: Option<IgnoredAny>,
    value: Option<IgnoredAny>,
}

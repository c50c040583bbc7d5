//! A task as the API returned it: one type from the check of the body to the tables.

use std::ops::Deref;
use std::str::Utf8Error;
use std::string::FromUtf8Error;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::json::document::{Document, Nodes};
use crate::json::lexer::{JsonError, JsonErrorKind};
use crate::json::parser::Parser;

/// The checked response for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResponse {
    /// The ID of the task.
    pub task_id: String,
    /// The body as it is kept, with credentials redacted.
    pub body: TaskBody,
    /// What parsing `body` gave, if that was kept: the body is then not parsed a second time.
    pub nodes: Option<Nodes>,
    /// SHA-256 of `body`, if it is known.
    pub digest: Option<[u8; 32]>,
    /// Whether the task is in a status that no longer changes.
    pub is_final: bool,
    /// What to report about the body, if anything.
    pub note: Option<String>,
}

/// The body of a task. Its encoding was checked when it was made. A clone shares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskBody(Result<Arc<String>, FromUtf8Error>);

impl TaskBody {
    pub(crate) fn of_text(text: Arc<String>) -> Self {
        Self(Ok(text))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Result<&str, Utf8Error> {
        match &self.0 {
            Ok(text) => Ok(text),
            Err(error) => Err(error.utf8_error()),
        }
    }
}

impl Deref for TaskBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Ok(text) => text.as_bytes(),
            Err(error) => error.as_bytes(),
        }
    }
}

/// Why the body of a response that was kept cannot be read.
#[derive(Debug, Error)]
pub(crate) enum UnreadableBody {
    #[error(transparent)]
    NotUtf8(#[from] Utf8Error),
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl UnreadableBody {
    /// Whether only memory is missing.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Json(error) if error.kind == JsonErrorKind::Memory)
    }
}

impl TaskResponse {
    /// A response that is read back from the journal.
    pub(crate) fn stored(task_id: &str, body: Vec<u8>, is_final: bool) -> Self {
        Self {
            task_id: task_id.to_owned(),
            // The journal may hold a body of another version that was never checked as UTF-8.
            body: TaskBody(String::from_utf8(body).map(Arc::new)),
            nodes: None,
            digest: None,
            is_final,
            note: None,
        }
    }

    /// Bytes of memory that the body and its nodes take.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + self.nodes.as_ref().map_or(0, Nodes::size)
    }

    /// SHA-256 of the body.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        let computed = || Sha256::digest(&*self.body).into();
        self.digest.unwrap_or_else(computed)
    }

    /// The parsed body.
    pub(crate) fn document<'d>(
        &'d self,
        parser: &'d mut Parser,
    ) -> Result<Document<'d>, UnreadableBody> {
        let text = self.body.text()?;
        let nodes = self.nodes.as_ref();
        // Nodes that do not fit the text are ignored: parsing again only costs time.
        match nodes.and_then(|nodes| Document::of(text, nodes)) {
            Some(document) => Ok(document),
            None => Ok(parser.parse(text)?),
        }
    }
}

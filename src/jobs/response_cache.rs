//! Responses that were just stored, so that the tables need not read them back. Depends on `json`.

use std::collections::HashMap;
use std::str::Utf8Error;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use thiserror::Error;

use crate::json::document::{Document, Nodes, Parser};
use crate::json::lexer::{JsonError, JsonErrorKind};
use crate::threads;

/// Bytes of memory that all of them may take. Past that they are read from the journal when their turn comes:
/// those behind a slow response, mostly.
const RECENT_BYTES: usize = 4 << 20;

/// A response, checked, with what the check found in it.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) body: Bytes,
    pub(crate) nodes: Option<Nodes>,
}

/// Why a response that was kept cannot be read.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    NotUtf8(#[from] Utf8Error),
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl Unreadable {
    /// Whether only memory is missing.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Json(error) if error.kind == JsonErrorKind::Memory)
    }
}

impl Response {
    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + self.nodes.as_ref().map_or(0, Nodes::size)
    }

    /// The parsed text.
    pub(crate) fn document<'d>(
        &'d self,
        parser: &'d mut Parser,
    ) -> Result<Document<'d>, Unreadable> {
        let text = std::str::from_utf8(&self.body)?;
        let nodes = self.nodes.as_ref();
        match nodes.and_then(|nodes| Document::of(text, nodes)) {
            Some(document) => Ok(document),
            None => Ok(parser.parse(text)?),
        }
    }
}

/// The responses, by the positions of their IDs.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    responses: HashMap<usize, Response>,
    bytes: usize,
}

impl Recent {
    /// A thread that panicked has left at worst a wrong number of bytes.
    fn lock(&self) -> MutexGuard<'_, State> {
        threads::lock(&self.state)
    }

    /// Keeps a response, if there is room.
    pub(crate) fn keep(&self, position: usize, response: Response) {
        let mut state = self.lock();
        if let Some(before) = state.responses.remove(&position) {
            state.bytes -= before.size();
        }
        let size = response.size();
        if state.bytes + size <= RECENT_BYTES {
            state.bytes += size;
            state.responses.insert(position, response);
        }
    }

    /// Takes a response out, if it was kept.
    pub(crate) fn take(&self, position: usize) -> Option<Response> {
        let mut state = self.lock();
        let response = state.responses.remove(&position)?;
        state.bytes -= response.size();
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(bytes: usize) -> Response {
        Response {
            body: Bytes::from(vec![b' '; bytes]),
            nodes: None,
        }
    }

    #[test]
    fn there_is_room_for_so_much_and_no_more() {
        let recent = Recent::default();
        recent.keep(0, response(RECENT_BYTES));
        recent.keep(1, response(1));
        assert!(recent.take(1).is_none());
        assert!(recent.take(0).is_some());
        assert!(recent.take(0).is_none());
        recent.keep(1, response(1));
        assert!(recent.take(1).is_some());
    }
}

//! Some tasks of a source: checked, and encoded for the journal, on any thread.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::api::body_check::{KEPT_BYTES, check_task};
use crate::api::body_error::BodyError;
use crate::api::body_text::BodyText;
use crate::api::task_response::TaskResponse;
use crate::ids::task_ids::{InvalidId, validate};
use crate::jobs::journal_writer::unix_millis;
use crate::journal::block_encoder::{BlockEncoder, EncodedBlocks};
use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalRecord, JournalVersion, RecordKind};
use crate::journal::record_head::RecordHead;
use crate::json::parser::Parser;

/// Bytes of a batch: large enough that passing it on costs little, and small enough that threads are soon at work.
const BATCH_BYTES: usize = 256 << 10;

/// Bytes that are reserved beyond those of a batch, for its last line.
const SPARE_BYTES: usize = 64 << 10;

/// Why a line is not a valid task.
#[derive(Debug, Error)]
pub(crate) enum BadLine {
    #[error("it is over 1 GiB long")]
    TooLong,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// What a batch has.
#[derive(Debug)]
enum BatchItem {
    /// A line, by its place in the text.
    Line { number: u64, text: Range<usize> },
    /// A line that was skipped.
    TooLong { number: u64 },
    /// A record of another journal.
    Copy(Box<CopiedRecord>),
}

/// A record of another journal.
#[derive(Debug)]
struct CopiedRecord {
    head: RecordHead,
    task_id: String,
    body: Vec<u8>,
}

/// Lines of a file, or records of a journal.
#[derive(Debug)]
pub(crate) struct ImportBatch {
    /// The name of the source.
    name: Arc<str>,
    /// The lines, one after the other.
    text: Vec<u8>,
    items: Vec<BatchItem>,
    /// Bytes of the bodies that are not in the text.
    copied: usize,
}

impl ImportBatch {
    /// An empty batch.
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            text: Vec::new(),
            items: Vec::new(),
            copied: 0,
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.copied + self.items.len() * size_of::<BatchItem>()
    }

    /// Whether it should be passed on.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() >= BATCH_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The text, to which a line is appended before [`add_line`](Self::add_line).
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            // Where memory for so little is missing, appending is an error.
            let _ = self.text.try_reserve_exact(BATCH_BYTES + SPARE_BYTES);
        }
        &mut self.text
    }

    /// Adds a line by its place in the text.
    pub(crate) fn add_line(&mut self, number: u64, text: Range<usize>) {
        self.items.push(BatchItem::Line { number, text });
    }

    /// Adds a line that is too long, whose text begins at an offset and is dropped.
    pub(crate) fn add_too_long(&mut self, number: u64, start: usize) {
        self.text.truncate(start);
        // The batch may wait for a while.
        self.text.shrink_to(BATCH_BYTES + SPARE_BYTES);
        self.items.push(BatchItem::TooLong { number });
    }

    /// Adds a record of another journal.
    pub(crate) fn add_copy(&mut self, head: RecordHead, task_id: &str, body: Vec<u8>) {
        self.copied += body.len();
        let task_id = task_id.to_owned();
        let copied = CopiedRecord {
            head,
            task_id,
            body,
        };
        self.items.push(BatchItem::Copy(Box::new(copied)));
    }
}

/// An item that was checked. Tasks and copies are in the blocks, in their order.
#[derive(Debug)]
pub(crate) enum CheckedItem {
    /// A task, with its digest.
    Task(TaskResponse),
    /// A record of another journal.
    Copy {
        task_id: String,
        kind: RecordKind,
        digest: Option<BodyDigest>,
    },
    /// A line that is not a task.
    Bad { number: u64, cause: BadLine },
}

/// A batch that was checked.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    /// The name of the source.
    pub(crate) name: Arc<str>,
    pub(crate) items: Vec<CheckedItem>,
    pub(crate) blocks: EncodedBlocks,
}

/// Checks batches, one after the other.
pub(crate) struct BatchChecker {
    keep_secrets: bool,
    /// Whether tables are built from the responses meanwhile, which then need no second parse.
    keep_nodes: bool,
    parser: Parser,
    encoder: BlockEncoder,
}

impl BatchChecker {
    /// A checker for a new journal.
    pub(crate) fn new(keep_secrets: bool, keep_nodes: bool) -> Self {
        Self {
            keep_secrets,
            keep_nodes,
            parser: Parser::default(),
            encoder: BlockEncoder::new(JournalVersion::LATEST),
        }
    }

    /// Checks the tasks, and encodes them for the journal.
    pub(crate) fn check(&mut self, batch: ImportBatch) -> CheckedBatch {
        let is_large = batch.bytes() > KEPT_BYTES;
        let ImportBatch {
            name, text, items, ..
        } = batch;
        let items = items.into_iter().map(|item| match item {
            BatchItem::Line { number, text: line } => {
                match self.task(text.get(line).unwrap_or_default()) {
                    Ok(response) => CheckedItem::Task(response),
                    Err(cause) => CheckedItem::Bad { number, cause },
                }
            }
            BatchItem::TooLong { number } => CheckedItem::Bad {
                number,
                cause: BadLine::TooLong,
            },
            BatchItem::Copy(copied) => {
                let CopiedRecord {
                    head,
                    task_id,
                    body,
                } = *copied;
                self.encoder.append_copy(&head, &task_id, &body);
                CheckedItem::Copy {
                    task_id,
                    kind: head.kind,
                    digest: head.digest(),
                }
            }
        });
        let items = items.collect();
        if is_large {
            // One huge task must not keep its memory.
            self.parser = Parser::default();
        }
        CheckedBatch {
            name,
            items,
            blocks: self.encoder.finish(),
        }
    }

    /// Checks a task, and adds it to the blocks.
    fn task(&mut self, body: &[u8]) -> Result<TaskResponse, BadLine> {
        let body = BodyText::copy(body)?;
        let mut response = check_task(&body, None, self.keep_secrets, &mut self.parser)?;
        validate(&response.task_id)?;
        if !self.keep_nodes {
            response.nodes = None;
        }
        // Once, for the journal and for the digests of the publication.
        let digest = response.sha256();
        response.digest = Some(digest);
        self.encoder.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: if response.is_final { FLAG_FINAL } else { 0 },
            attempts: 0,
            time: unix_millis(),
            task_id: &response.task_id,
            body: &response.body,
            digest: Some(digest),
        });
        Ok(response)
    }
}

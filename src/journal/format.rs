//! What a journal is made of, for the files that write it and those that read it: versions, kinds of records, options.
//! `docs/journal.md` describes the format.
//!
//! ```text
//! file    = header block*
//! header  = "scaleJNL" version:u32 length:u32 crc32:u32 options:JSON
//! ```

use serde::{Deserialize, Serialize};

/// First bytes of a journal.
pub const MAGIC: &[u8; 8] = b"scaleJNL";

/// A version of the format. A higher version is refused, since its records may mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalVersion {
    /// Records without a digest.
    One = 1,
    /// Records with a digest, and marks that end a run.
    Two = 2,
    /// Records that share compressed blocks.
    Three = 3,
}

impl JournalVersion {
    /// The version of new journals.
    pub const LATEST: Self = Self::Three;

    /// All versions that can be read.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];
}

/// Bytes of the file's header before its options.
pub const FILE_HEAD_BYTES: usize = 20;

/// The options that decide what a response means. A journal has records of one set of options only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalOptions {
    /// Where the responses come from.
    pub base_url: String,
    /// Expanded entities.
    pub expand: Vec<String>,
    /// Requested details.
    pub opts: Vec<String>,
    /// Whether live credentials were kept.
    pub keep_secrets: bool,
    /// Whether `flatten` copied the responses from its sources. They can be copied again, and nothing is fetched into
    /// such a journal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub copied: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a record is. Its number is what the head of the record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The raw response of a task, redacted.
    Response = 1,
    /// Why an ID failed for good, as JSON.
    Failure = 2,
    /// A refresh of all tasks begins: earlier responses are fetched again.
    Refresh = 3,
    /// The last response for an ID that failed because of it. It is not a task, and is kept for inspection.
    Refused = 4,
    /// A run ended by decision and without a publication: the failures that it recorded are revoked. See [`End`].
    End = 5,
}

/// How the bodies of a block are stored. Its number is what the heads of the records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// As they are.
    Plain = 0,
    /// As one frame of zstd.
    Zstd = 1,
}

/// The task will never change; of a failure: the ID fails with any key.
pub const FLAG_FINAL: u16 = 1;

/// The body of a record of kind [`RecordKind::End`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Failures from this offset of the file up to the record are revoked. Their IDs are requested again.
    pub since: u64,
}

/// The SHA-256 of a body.
pub type BodyDigest = [u8; 32];

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct JournalRecord<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// `FLAG_` bits.
    pub flags: u16,
    /// Requests that it took.
    pub attempts: u32,
    /// When it is written, in milliseconds since 1970 (UTC).
    pub time: u64,
    /// The task.
    pub task_id: &'a str,
    /// The response, or the failure.
    pub body: &'a [u8],
    /// SHA-256 of `body`, if it is known: it is then not computed again.
    pub digest: Option<BodyDigest>,
}

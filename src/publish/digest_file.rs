//! The digests of a publication: the tasks in its tables, each with the SHA-256 of its response. `docs/changes.md`
//! describes the format.
//!
//! ```text
//! file   = "scaleDIG" version:u32 record* summary:JSON length:u32 crc32:u32
//! record = kind:u8 id_length:u16 sha256:[u8; 32] id
//! ```
//!
//! All numbers are little-endian. The summary comes last, since the file is written while the tables are built. It has a
//! checksum of the records, so that damage is never taken for a change.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::publish::publication_id::PublicationId;
use crate::publish::publication_shape::PublicationShape;
use crate::{durable_fs, hex};

/// The SHA-256 of a response as it is kept: redacted and uncompressed.
pub type ResponseDigest = [u8; 32];

/// Begins the file.
pub(crate) const MAGIC: &[u8; 8] = b"scaleDIG";

/// Version of the format.
pub(crate) const VERSION: u32 = 1;

/// Bytes of the signature and the version.
pub(crate) const HEAD_BYTES: usize = 12;

/// Bytes after the summary.
const TAIL_BYTES: usize = 8;

/// Bytes of a record before its ID.
pub(crate) const RECORD_HEAD_BYTES: usize = 35;

/// Maximum bytes of a summary. It has a few options.
const MAX_SUMMARY_BYTES: u32 = 1 << 20;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What a record says of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestKind {
    /// The task is in the tables.
    Exported = 1,
    /// The task was in the tables of an earlier publication and is in the list, but its response was lost and could not
    /// be fetched again. Consumers keep the task: a failed fetch does not delete it.
    Lost = 2,
}

impl DigestKind {
    fn from_byte(byte: u8) -> Option<Self> {
        let mut kinds = [Self::Exported, Self::Lost].into_iter();
        kinds.find(|kind| *kind as u8 == byte)
    }
}

/// The publication before, which differs from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviousPublication {
    /// This is the first publication in its directory.
    None,
    /// It has this ID.
    Id(PublicationId),
    /// There was one, and its digests are not known.
    Unknown,
}

/// The end of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestSummary {
    /// The publication.
    pub id: PublicationId,
    /// The publication before.
    pub previous: PreviousPublication,
    /// What shapes its tables.
    pub shape: PublicationShape,
    /// Tasks in the tables.
    pub exported: u64,
    /// Tasks that consumers keep although they are not in the tables.
    pub lost: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// SHA-256 of all records and of the JSON of `shape`. It begins with the ID.
    pub sha256: String,
}

/// Why digests could not be read.
#[derive(Debug, Error)]
#[error("could not read the digests `{}`: {cause}", path.display())]
pub struct DigestError {
    path: PathBuf,
    cause: DigestFault,
}

/// What is wrong with a file of digests.
#[derive(Debug, Error)]
pub enum DigestFault {
    /// The file is missing.
    #[error("the file is missing")]
    Missing,
    /// It is damaged.
    #[error("the file is damaged ({0})")]
    Damaged(&'static str),
    /// A newer version of scale-export wrote it.
    #[error("its format version {0} is newer than this version of scale-export supports")]
    Newer(u32),
    /// The file system returned an error.
    #[error("{0}")]
    Io(io::Error),
}

impl DigestError {
    /// What is wrong.
    pub fn fault(&self) -> &DigestFault {
        &self.cause
    }
}

impl Explain for DigestError {
    fn hint(&self) -> Option<String> {
        Some(match &self.cause {
            DigestFault::Missing | DigestFault::Damaged(_) => {
                "load the whole export; the next run restores what it can, and the next publication has changes again"
                    .to_owned()
            }
            DigestFault::Newer(_) => {
                "use the version of scale-export that wrote the export".to_owned()
            }
            DigestFault::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                "only the owner of the export can read its state".to_owned()
            }
            DigestFault::Io(_) => "make the file readable, or check the disk".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDigest<'d> {
    /// Whether it is in the tables.
    pub kind: DigestKind,
    /// The task.
    pub task_id: &'d str,
    /// The digest of its response.
    pub sha256: ResponseDigest,
}

/// A file of digests, open to be read.
#[derive(Debug)]
pub struct DigestFile {
    path: PathBuf,
    records: BufReader<File>,
    hash: Sha256,
    left: u64,
    summary: DigestSummary,
    record: Vec<u8>,
}

impl DigestFile {
    /// Opens the digests of a publication, and checks the summary. [`next_task`](Self::next_task) checks the records.
    pub fn open(path: &Path, id: &PublicationId) -> Result<Self, DigestError> {
        let failed = |cause| DigestError {
            path: path.to_owned(),
            cause,
        };
        let file = durable_fs::open_to_read(path).map_err(|error| failed(error.into()))?;
        let (records, summary) = read_ends(file).map_err(failed)?;
        if summary.id != *id {
            return Err(failed(DigestFault::Damaged(
                "it belongs to another publication",
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            records,
            hash: Sha256::new(),
            left: summary.bytes,
            summary,
            record: Vec::new(),
        })
    }

    /// The end of the file.
    pub fn summary(&self) -> &DigestSummary {
        &self.summary
    }

    /// The next task in the order of the file: exported ones in the order of the list, then lost ones. After the last one,
    /// checks all of them together.
    pub fn next_task(&mut self) -> Result<Option<TaskDigest<'_>>, DigestError> {
        if self.left == 0 {
            return if self.is_right() {
                Ok(None)
            } else {
                Err(self.failed(DigestFault::Damaged("its checksum is wrong")))
            };
        }
        self.read_record().map_err(|cause| self.failed(cause))?;
        let record = parse(&self.record);
        record.map(Some).ok_or_else(|| self.failed(WRONG_RECORD))
    }

    /// Passes all tasks to `visit`.
    pub fn each(mut self, mut visit: impl FnMut(TaskDigest<'_>)) -> Result<(), DigestError> {
        while let Some(task) = self.next_task()? {
            visit(task);
        }
        Ok(())
    }

    fn failed(&self, cause: DigestFault) -> DigestError {
        DigestError {
            path: self.path.clone(),
            cause,
        }
    }

    /// Whether the checksum is that of all records, and the ID that of the checksum.
    fn is_right(&self) -> bool {
        let hash = self.hash.clone().chain_update(self.summary.shape.to_json());
        let sha256 = hash.finalize();
        hex::encode(&sha256) == self.summary.sha256
            && PublicationId::of_sha256(&sha256) == self.summary.id
    }

    /// Reads a whole record into the buffer.
    fn read_record(&mut self) -> Result<(), DigestFault> {
        self.record.resize(RECORD_HEAD_BYTES, 0);
        self.records.read_exact(&mut self.record)?;
        let length = usize::from(id_length(&self.record).unwrap_or_default());
        let bytes = (RECORD_HEAD_BYTES + length) as u64;
        self.left = self.left.checked_sub(bytes).ok_or(WRONG_RECORD)?;
        self.record.resize(RECORD_HEAD_BYTES + length, 0);
        let id = self.record.get_mut(RECORD_HEAD_BYTES..);
        self.records.read_exact(id.unwrap_or_default())?;
        self.hash.update(&self.record);
        Ok(())
    }
}

const WRONG_RECORD: DigestFault = DigestFault::Damaged("a record is not valid");

impl From<io::Error> for DigestFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::UnexpectedEof => Self::Damaged("it is cut off"),
            _ => Self::Io(error),
        }
    }
}

/// Bytes of the ID, from the head of a record.
fn id_length(record: &[u8]) -> Option<u16> {
    let length = record.get(1..)?.first_chunk()?;
    Some(u16::from_le_bytes(*length))
}

fn parse(record: &[u8]) -> Option<TaskDigest<'_>> {
    Some(TaskDigest {
        kind: DigestKind::from_byte(*record.first()?)?,
        sha256: *record.get(3..)?.first_chunk()?,
        task_id: std::str::from_utf8(record.get(RECORD_HEAD_BYTES..)?).ok()?,
    })
}

/// Reads the beginning and the end of a file. Returns it at its first record.
fn read_ends(mut file: File) -> Result<(BufReader<File>, DigestSummary), DigestFault> {
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head)?;
    let version = head.strip_prefix(MAGIC).and_then(<[u8]>::first_chunk);
    let version = version.ok_or(DigestFault::Damaged("its first bytes are wrong"))?;
    match u32::from_le_bytes(*version) {
        VERSION => {}
        0 => return Err(DigestFault::Damaged("its version is not valid")),
        newer => return Err(DigestFault::Newer(newer)),
    }
    let cut_off = || DigestFault::Damaged("it is cut off");
    let end = file.metadata()?.len();
    let before_tail = end.checked_sub(TAIL_BYTES as u64).ok_or_else(cut_off)?;
    let mut tail = [0; TAIL_BYTES];
    file.read_exact_at(&mut tail, before_tail)?;
    let [a, b, c, d, crc32 @ ..] = tail;
    let length = u32::from_le_bytes([a, b, c, d]);
    let start = before_tail.checked_sub(length.into()).ok_or_else(cut_off)?;
    // A damaged length must not reserve memory.
    if length > MAX_SUMMARY_BYTES {
        return Err(cut_off());
    }
    let mut json = vec![0; length as usize];
    file.read_exact_at(&mut json, start)?;
    if crc32fast::hash(&json) != u32::from_le_bytes(crc32) {
        return Err(DigestFault::Damaged("the checksum of its end is wrong"));
    }
    let summary: DigestSummary = serde_json::from_slice(&json)
        .map_err(|_| DigestFault::Damaged("its end cannot be parsed"))?;
    if HEAD_BYTES as u64 + summary.bytes != start {
        return Err(cut_off());
    }
    Ok((BufReader::with_capacity(BUFFER_BYTES, file), summary))
}

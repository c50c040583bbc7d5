//! Writes the digests of a publication while its tables are built.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

use crate::durable_fs::{FileRef, StagedFile};
use crate::hex;
use crate::output_error::OutputError;
use crate::publish::digest_file::{
    DigestKind, DigestSummary, HEAD_BYTES, MAGIC, PreviousPublication, RECORD_HEAD_BYTES,
    TaskDigest, VERSION,
};
use crate::publish::publication_id::PublicationId;
use crate::publish::publication_shape::PublicationShape;

/// A file of digests that is being written.
#[derive(Debug)]
pub(crate) struct DigestWriter {
    file: StagedFile,
    /// The hash of all records so far.
    hash: Sha256,
    exported: u64,
    lost: u64,
    bytes: u64,
    record: Vec<u8>,
}

impl DigestWriter {
    /// Starts a file.
    pub(crate) fn begin(file: StagedFile) -> Result<Self, OutputError> {
        let mut writer = Self {
            file,
            hash: Sha256::new(),
            exported: 0,
            lost: 0,
            bytes: 0,
            record: Vec::new(),
        };
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        writer.write(&head)?;
        Ok(writer)
    }

    /// Appends a task.
    pub(crate) fn push(&mut self, task: TaskDigest<'_>) -> Result<(), OutputError> {
        let TaskDigest {
            kind,
            task_id,
            sha256,
        } = task;
        match kind {
            DigestKind::Exported => self.exported += 1,
            DigestKind::Lost => self.lost += 1,
        }
        // Longer IDs are not valid, so no list has one.
        let length = u16::try_from(task_id.len()).unwrap_or(u16::MAX);
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record.reserve(RECORD_HEAD_BYTES + task_id.len());
        record.push(kind as u8);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&sha256);
        record.extend_from_slice(task_id.as_bytes());
        self.hash.update(&record);
        self.bytes += record.len() as u64;
        let written = self.write(&record);
        self.record = record;
        written
    }

    /// The ID of a publication of the tasks so far in this shape.
    pub(crate) fn id(&self, shape: &PublicationShape) -> PublicationId {
        PublicationId::of_sha256(&self.sha256(shape))
    }

    /// Completes and syncs the file.
    pub(crate) fn finish(
        mut self,
        shape: PublicationShape,
        previous: PreviousPublication,
    ) -> Result<FileRef, OutputError> {
        let sha256 = self.sha256(&shape);
        let summary = DigestSummary {
            id: PublicationId::of_sha256(&sha256),
            previous,
            shape,
            exported: self.exported,
            lost: self.lost,
            bytes: self.bytes,
            sha256: hex::encode(&sha256),
        };
        // Strings and plain values: serialization cannot fail.
        let json = serde_json::to_vec(&summary).unwrap_or_default();
        let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
        self.write(&json)?;
        self.write(&length.to_le_bytes())?;
        self.write(&crc32fast::hash(&json).to_le_bytes())?;
        self.file.finish()
    }

    fn sha256(&self, shape: &PublicationShape) -> Vec<u8> {
        let hash = self.hash.clone().chain_update(shape.to_json());
        hash.finalize().to_vec()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let written = self.file.write_all(bytes);
        written.map_err(OutputError::io("write", self.file.path()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::durable_fs::{Access, temporary_path};
    use crate::encode::format::Format;
    use crate::publish::digest_file::{DigestError, DigestFile};

    fn shape() -> PublicationShape {
        PublicationShape {
            schema_version: "2.0.0".to_owned(),
            base_url: "files".to_owned(),
            expand: Vec::new(),
            opts: Vec::new(),
            format: Format::Parquet,
            tables: Vec::new(),
            keep_secrets: false,
        }
    }

    fn written(directory: &Path, tasks: &[(DigestKind, &str, u8)]) -> PublicationId {
        let file = StagedFile::create(directory, "digests", Access::Owner).unwrap();
        let mut writer = DigestWriter::begin(file).unwrap();
        for (kind, task_id, byte) in tasks {
            let task = TaskDigest {
                kind: *kind,
                task_id,
                sha256: [*byte; 32],
            };
            writer.push(task).unwrap();
        }
        let id = writer.id(&shape());
        writer.finish(shape(), PreviousPublication::None).unwrap();
        id
    }

    fn read(path: &Path, id: &PublicationId) -> Result<Vec<(DigestKind, String, u8)>, DigestError> {
        let mut tasks = Vec::new();
        DigestFile::open(path, id)?.each(|task| {
            let TaskDigest {
                kind,
                task_id,
                sha256,
            } = task;
            tasks.push((kind, task_id.to_owned(), sha256[0]));
        })?;
        Ok(tasks)
    }

    const TASKS: [(DigestKind, &str, u8); 3] = [
        (DigestKind::Exported, "task_1", 1),
        (DigestKind::Exported, "ä", 2),
        (DigestKind::Lost, "task_3", 3),
    ];

    #[test]
    fn what_is_written_is_read_and_no_damage_goes_unnoticed() {
        let base = tempfile::tempdir().unwrap();
        let id = written(base.path(), &TASKS);
        let path = temporary_path(base.path(), "digests");
        let expected = TASKS.map(|(kind, task_id, byte)| (kind, task_id.to_owned(), byte));
        assert_eq!(read(&path, &id).unwrap(), expected);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(read(&path, &id).is_err(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(read(&path, &id).is_err(), "{at} bytes");
        }
        fs::remove_file(&path).unwrap();
        let error = read(&path, &id).unwrap_err().to_string();
        assert!(error.ends_with("the file is missing"), "{error}");
    }

    #[test]
    fn the_id_follows_from_tasks_digests_and_their_order() {
        let base = tempfile::tempdir().unwrap();
        let id = |tasks: &[(DigestKind, &str, u8)]| written(base.path(), tasks);
        let [one, two, lost] = TASKS;
        let all = id(&TASKS);
        assert_eq!(all, id(&TASKS));
        let others = [
            id(&[]),
            id(&[one, two]),
            id(&[two, one, lost]),
            id(&[one, two, (DigestKind::Exported, "task_3", 3)]),
            id(&[one, two, (DigestKind::Lost, "task_3", 4)]),
        ];
        assert!(!others.contains(&all));
    }
}

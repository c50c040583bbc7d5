//! The bytes of a table: in memory, in an open file, or in a file that is open only during each read.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, Bytes};

use crate::encode::read_error::ReadError;
use crate::threads;

/// The bytes of a table.
#[derive(Debug, Clone)]
pub enum Input {
    /// In a file.
    File(Arc<File>),
    /// In a file that is open only during each read, so that many tables need few open files.
    Path(Arc<PathInput>),
    /// In memory.
    Bytes(Bytes),
}

/// A file that is opened for each read and closed after it.
#[derive(Debug)]
pub struct PathInput {
    path: PathBuf,
    /// Device and inode. They detect that another file has replaced this one.
    identity: (u64, u64),
    length: u64,
    /// The first error of the system. It is kept here since libraries wrap an error in their own type or turn it into
    /// text, and then it looks like damage.
    refused: Mutex<Option<io::Error>>,
}

impl PathInput {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.opened().and_then(|file| file.read_at(bytes, offset));
        self.note(read)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.opened();
        let read = read.and_then(|file| file.read_exact_at(bytes, offset));
        self.note(read)
    }

    fn opened(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        if identity(&file.metadata()?) == self.identity {
            return Ok(file);
        }
        Err(io::Error::other("another file replaced it in the meantime"))
    }

    /// Keeps an error of the system. The end of the file is damage, and the caller retries after a signal, so neither
    /// is kept.
    fn note<T>(&self, read: io::Result<T>) -> io::Result<T> {
        read.map_err(|error| {
            let kind = error.kind();
            if matches!(
                kind,
                io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted
            ) {
                return error;
            }
            let text = error.to_string();
            let mut refused = threads::lock(&self.refused);
            refused.get_or_insert(error);
            io::Error::new(kind, text)
        })
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Reads from an offset, independently of other readers.
struct ReadFrom {
    input: Input,
    offset: u64,
}

impl Read for ReadFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read_some(self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Input {
    /// A file that is open only during each read.
    pub fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        // Opening a pipe would wait for a writer.
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self::Path(Arc::new(PathInput {
            path: path.to_owned(),
            identity: identity(&metadata),
            length: metadata.len(),
            refused: Mutex::new(None),
        })))
    }

    /// Reads the rest of a file from an offset. The file is open only during each read.
    pub(crate) fn read_from(input: &Arc<PathInput>, offset: u64) -> Box<dyn Read> {
        let input = Self::Path(input.clone());
        Box::new(ReadFrom { input, offset })
    }

    /// Reads a part of the bytes. Does not move the position of other readers.
    pub(crate) fn read_part(&self, part: Range<u64>) -> Box<dyn Read> {
        let read = ReadFrom {
            input: self.clone(),
            offset: part.start,
        };
        Box::new(read.take(part.end.saturating_sub(part.start)))
    }

    /// The same bytes for another reader. Each has the errors of the system that it met.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Path(input) => Self::Path(Arc::new(PathInput {
                path: input.path.clone(),
                identity: input.identity,
                length: input.length,
                refused: Mutex::new(None),
            })),
            Self::File(_) | Self::Bytes(_) => self.clone(),
        }
    }

    /// Reads up to the length of the buffer, and nothing at the end.
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buffer, offset),
            Self::Path(input) => input.read_at(buffer, offset),
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                bytes.get(start..).unwrap_or_default().read(buffer)
            }
        }
    }

    pub(crate) fn into_read(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Path(input) => Self::read_from(&input, 0),
            Self::Bytes(bytes) => Box::new(bytes.reader()),
        }
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Path(input) => Ok(input.length),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads bytes, and fails if there are fewer. Does not move the position of other readers.
    pub(crate) fn read_at(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        let end = offset.checked_add(length);
        if end.is_none_or(|end| self.length().is_ok_and(|length| end > length)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let too_long = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        let length = usize::try_from(length).map_err(too_long)?;
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes.into())
            }
            Self::Path(input) => {
                let mut bytes = vec![0; length];
                input.read_exact_at(&mut bytes, offset)?;
                Ok(bytes.into())
            }
            Self::Bytes(bytes) => {
                let offset = usize::try_from(offset).map_err(too_long)?;
                Ok(bytes.slice(offset..offset + length))
            }
        }
    }

    /// Replaces a result by the error of the system, if there was one: other errors follow from it. Clears the error.
    pub(crate) fn settle<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        let Self::Path(input) = self else {
            return read;
        };
        let mut refused = threads::lock(&input.refused);
        match refused.take() {
            Some(error) => Err(ReadError::Io(error)),
            None => read,
        }
    }
}

impl From<File> for Input {
    fn from(file: File) -> Self {
        Self::File(Arc::new(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_not_damage() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("table");
        fs::write(&path, "content").unwrap();
        let input = Input::at(&path).unwrap();
        assert_eq!(input.read_at(3, 4).unwrap(), "tent");
        assert!(input.read_at(3, 5).is_err());
        assert!(input.settle(Ok(())).is_ok());
        fs::remove_file(&path).unwrap();
        assert!(input.read_at(3, 4).is_err());
        let damaged = Err::<(), _>(ReadError::Damaged("a page".to_owned()));
        assert!(matches!(input.settle(damaged), Err(ReadError::Io(_))));
        // The error is reported once: later results stay as they are.
        assert!(input.settle(Ok(())).is_ok());
    }

    #[test]
    fn another_file_in_its_place_is_noticed() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("table");
        fs::write(&path, "content").unwrap();
        let input = Input::at(&path).unwrap();
        fs::rename(&path, base.path().join("old")).unwrap();
        fs::write(&path, "content").unwrap();
        let mut text = String::new();
        let read = input.clone().into_read().read_to_string(&mut text);
        assert!(read.is_err());
        let settled = input.settle(Ok(())).unwrap_err().to_string();
        assert!(settled.contains("replaced it"), "{settled}");
    }
}

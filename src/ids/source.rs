//! Opens a list and decompresses it. Refuses content that is neither UTF-8 nor Parquet.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek as _, Write as _};
use std::path::Path;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use crate::encode::input::Input;
use crate::ids::error::IdsError;
use crate::ids::format::{Compression, FileContent, SIGNATURE_BYTES};
use crate::ids::shown::shown_path;
use crate::memory::read_line;

/// Standard input.
const STDIN: &str = "-";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The most bytes of a Parquet list that are copied into a temporary file, since Parquet is read from its end: about
/// 100 million IDs.
const MAX_COPY_BYTES: u64 = 4 << 30;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// Bytes of a file that show how long its lines are.
const SAMPLE_BYTES: u64 = 64 << 10;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// Where the bytes of a list come from.
pub(crate) enum IdSource {
    File(File),
    Stdin,
    Bytes(Bytes),
}

/// The text of a list.
pub(crate) struct ListStream {
    pub(crate) reader: Box<dyn BufRead>,
    /// Bytes of the text, where they are known before it is read.
    size: Option<u64>,
    origin: StreamOrigin,
}

/// What an error says about a list.
struct StreamOrigin {
    file: String,
    compression: Option<Compression>,
}

impl StreamOrigin {
    fn failed(&self, error: io::Error) -> IdsError {
        let file = self.file.clone();
        match self.compression {
            // Errors of the operating system have a code; those of a decoder do not.
            _ if error.kind() == io::ErrorKind::OutOfMemory => IdsError::NoMemory { file },
            Some(compression) if error.raw_os_error().is_none() => IdsError::Decompress {
                file,
                compression,
                error,
            },
            _ => IdsError::Read { file, error },
        }
    }
}

impl IdSource {
    /// Opens a file, or standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, IdsError> {
        if path.as_os_str() == STDIN {
            return Ok(Self::Stdin);
        }
        let failed = |error| IdsError::Read {
            file: shown_path(path),
            error,
        };
        let file = File::open(path).map_err(failed)?;
        // The system opens a directory like a file, and only reading it fails.
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::File(file))
    }

    /// Its size in bytes, where that is known.
    fn size(&self) -> Option<u64> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata().ok().filter(Metadata::is_file);
                metadata.map(|metadata| metadata.len())
            }
            Self::Stdin => None,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
        }
    }

    fn into_read(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        }
    }

    /// The bytes without decompression.
    pub(crate) fn raw(self, file: String) -> ListStream {
        ListStream {
            size: self.size(),
            reader: Box::new(BufReader::with_capacity(READ_BYTES, self.into_read())),
            origin: StreamOrigin {
                file,
                compression: None,
            },
        }
    }

    /// The decompressed text without a byte order mark. Standard input is not decompressed.
    pub(crate) fn text(self, file: String) -> Result<ListStream, IdsError> {
        let is_plain = matches!(self, Self::Stdin);
        let size = self.size();
        let mut origin = StreamOrigin {
            file,
            compression: None,
        };
        let (mut head, mut reader) = peek(self.into_read(), &origin)?;
        if !is_plain && let Some(compression) = Compression::of(&head) {
            origin.compression = Some(compression);
            let decoder = decoder(compression, Box::new(Cursor::new(head).chain(reader)));
            let decoder = decoder.map_err(|error| origin.failed(error))?;
            (head, reader) = peek(decoder, &origin)?;
        }
        // Also after decompression: a file that was compressed twice is a mistake.
        if let Some(content) = FileContent::of(&head) {
            let file = origin.file;
            return Err(IdsError::Content { file, content });
        }
        // The mark would become a part of the first ID.
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let size = size.filter(|_| origin.compression.is_none());
        if size.is_some() {
            // Enough to judge the length of its lines. A pipe may have nothing more for a while.
            let mut start = reader.by_ref().take(SAMPLE_BYTES);
            let read = start.read_to_end(&mut head);
            read.map_err(|error| origin.failed(error))?;
        }
        Ok(ListStream {
            size,
            reader: Box::new(BufReader::with_capacity(
                READ_BYTES,
                Cursor::new(head).chain(reader),
            )),
            origin,
        })
    }

    /// A Parquet file. It is read out of order, so a compressed file or a pipe is copied first.
    pub(crate) fn parquet(self, file: String) -> Result<Input, IdsError> {
        let mut origin = StreamOrigin {
            file,
            compression: None,
        };
        let (head, reader) = match self {
            Self::File(mut file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                // `ids.parquet.gz` is Parquet by its name and compressed by its content.
                let (head, _) = peek(Box::new(&file), &origin)?;
                file.rewind().map_err(|error| origin.failed(error))?;
                if Compression::of(&head).is_none() {
                    return Ok(Input::from(file));
                }
                peek(Box::new(file), &origin)?
            }
            Self::Bytes(bytes) if Compression::of(&bytes).is_none() => {
                return Ok(Input::Bytes(bytes));
            }
            other => peek(other.into_read(), &origin)?,
        };
        let compression = Compression::of(&head);
        let mut reader: Box<dyn Read> = Box::new(Cursor::new(head).chain(reader));
        if let Some(compression) = compression {
            origin.compression = Some(compression);
            reader = decoder(compression, reader).map_err(|error| origin.failed(error))?;
        }
        copy(reader, &origin)
    }
}

/// Reads the first bytes. Returns them and the rest.
fn peek<'r>(
    mut reader: Box<dyn Read + 'r>,
    origin: &StreamOrigin,
) -> Result<(Vec<u8>, Box<dyn Read + 'r>), IdsError> {
    let mut head = Vec::new();
    let mut start = reader.by_ref().take(SIGNATURE_BYTES as u64);
    let read = start.read_to_end(&mut head);
    read.map_err(|error| origin.failed(error))?;
    Ok((head, reader))
}

fn decoder(compression: Compression, reader: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    Ok(match compression {
        // Two gzip files that are joined with `cat` are one valid file of two members.
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
        Compression::Zstd => Box::new(zstd::Decoder::new(reader)?),
    })
}

/// Copies the rest of a reader into a temporary file without a name.
fn copy(mut reader: Box<dyn Read>, origin: &StreamOrigin) -> Result<Input, IdsError> {
    let failed = |error| IdsError::Copy {
        file: origin.file.clone(),
        error,
    };
    // Without a name, nothing is left over after a crash.
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(origin.failed(error)),
        };
        copied += read as u64;
        // A small compressed file can be huge when decompressed.
        if copied > MAX_COPY_BYTES {
            return Err(IdsError::TooLarge {
                file: origin.file.clone(),
                limit: MAX_COPY_BYTES,
            });
        }
        file.write_all(buffer.get(..read).unwrap_or_default())
            .map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(Input::from(file))
}

impl ListStream {
    /// The bytes in the buffer; none at the end.
    pub(crate) fn bytes(&mut self) -> Result<&[u8], IdsError> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.origin.failed(error)),
                Ok(_) => break,
            }
        }
        // The buffer is filled, so this reads nothing.
        self.reader
            .fill_buf()
            .map_err(|error| self.origin.failed(error))
    }

    /// About the number of lines, and the bytes of the text, judging by its first lines. Zeros where that is not known.
    pub(crate) fn expected_lines(&mut self) -> Result<(usize, usize), IdsError> {
        let size = usize::try_from(self.size.unwrap_or_default()).unwrap_or(usize::MAX);
        let start = self.bytes()?;
        let lines = memchr::memchr_iter(b'\n', start).count();
        let mean = start.len().checked_div(lines).unwrap_or_default();
        Ok((size.checked_div(mean).unwrap_or_default(), size))
    }

    /// The error for a value that does not fit into memory.
    pub(crate) fn no_memory(&self) -> IdsError {
        self.origin.failed(io::ErrorKind::OutOfMemory.into())
    }

    /// Consumes bytes of the buffer.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// Reads a line with its line end into `line`. Of a line with more than `max_bytes`, only the start is read.
    /// Returns false at the end.
    pub(crate) fn line(&mut self, max_bytes: u64, line: &mut Vec<u8>) -> Result<bool, IdsError> {
        let read = read_line(&mut *self.reader, max_bytes, line);
        let read = read.map_err(|error| self.origin.failed(error))?;
        Ok(read > 0)
    }
}

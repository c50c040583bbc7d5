//! Opens files of raw responses: decompresses them, and does not block forever on a pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::threads;

/// Standard input.
const STDIN: &str = "-";

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 1 << 20;

/// The maximum number of pieces of a pipe that are read ahead.
const WAITING_PIECES: usize = 2;

/// How often a reader of an idle pipe checks whether the job is cancelled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// First bytes of compressed files.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Why a read ended early: the user stopped the job.
#[derive(Debug, Error)]
#[error("interrupted")]
struct Interrupted;

/// The text of a source.
pub(crate) struct SourceText<'o> {
    reader: BufReader<Box<dyn Read + 'o>>,
    is_pipe: bool,
}

impl<'o> SourceText<'o> {
    pub(crate) fn reader(&mut self) -> &mut (dyn BufRead + 'o) {
        &mut self.reader
    }

    /// Whether the next line may come only after a while: it is not in the buffer, and the source is a pipe.
    pub(crate) fn may_wait(&self) -> bool {
        self.is_pipe && memchr::memchr(b'\n', self.reader.buffer()).is_none()
    }
}

/// Opens a file of lines, decompressed if it is compressed, whatever its name. Reading from a pipe that has nothing
/// ends with an error when the job is cancelled.
pub(crate) fn open<'o>(source: &Path, cancel: &'o CancellationToken) -> io::Result<SourceText<'o>> {
    let is_stdin = source.as_os_str() == STDIN;
    let is_pipe = is_stdin || !source.metadata()?.is_file();
    let mut file: Box<dyn Read + 'o> = if is_stdin {
        Box::new(Pipe::read(|| Ok(io::stdin()), cancel)?)
    } else if !is_pipe {
        Box::new(File::open(source)?)
    } else {
        let path = source.to_owned();
        // Opening a pipe blocks until it has a writer.
        Box::new(Pipe::read(move || File::open(path), cancel)?)
    };
    let mut start = Vec::new();
    file.by_ref()
        .take(ZSTD.len() as u64)
        .read_to_end(&mut start)?;
    let whole = Cursor::new(start.clone()).chain(file);
    let decompressed: Box<dyn Read + 'o> = if start.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(whole))
    } else if start.starts_with(&ZSTD) {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    };
    Ok(SourceText {
        reader: BufReader::with_capacity(READ_BYTES, decompressed),
        is_pipe,
    })
}

/// A source that may block, read on its own thread. That thread may block until the process ends.
struct Pipe<'o> {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    cancel: &'o CancellationToken,
}

impl<'o> Pipe<'o> {
    fn read<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        cancel: &'o CancellationToken,
    ) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(WAITING_PIECES);
        threads::builder().spawn(move || {
            if let Err(error) = open().and_then(|file| send_all(file, &sender)) {
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(Self {
            pieces,
            piece: Cursor::default(),
            cancel,
        })
    }
}

/// Sends what arrives, until the end of the file or until the receiver is closed.
fn send_all(mut file: impl Read, pieces: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let piece = buffer.get(..read).unwrap_or_default().to_owned();
        if read == 0 || pieces.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.pieces.recv_timeout(POLL_INTERVAL) {
                Ok(piece) => self.piece = Cursor::new(piece?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                    return Err(io::Error::other(Interrupted));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

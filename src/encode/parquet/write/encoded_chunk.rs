//! A column chunk that is encoded and compressed: its pages and everything that a file states about them.

use std::io::{self, Read};

use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

use crate::encode::input::Input;
use crate::encode::kept_bytes::{KeptBytes, KeptBytesReader};

/// A column chunk that can be appended to a file of its table. It depends on no other chunk and on no file's position.
#[derive(Debug)]
pub(crate) struct EncodedChunk {
    pub(crate) pages: ChunkPagesSource,
    /// The metadata, with offsets in `pages`.
    pub(crate) close: ColumnCloseResult,
}

/// Where the pages of a chunk are.
#[derive(Debug)]
pub(crate) enum ChunkPagesSource {
    /// Pages in order, the dictionary first.
    Kept(Vec<KeptBytes>),
    /// In an existing file.
    File(Input),
}

impl Length for ChunkPagesSource {
    fn len(&self) -> u64 {
        match self {
            // Only a reader that starts at an end needs the length.
            Self::Kept(_) => 0,
            Self::File(input) => Length::len(input),
        }
    }
}

impl ChunkReader for ChunkPagesSource {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        match self {
            Self::Kept(pages) => {
                let mut read = KeptBytesReader::new(pages.iter());
                io::copy(&mut read.by_ref().take(start), &mut io::sink())?;
                Ok(Box::new(read))
            }
            Self::File(input) => input.get_read(start),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

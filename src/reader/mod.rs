//! Reads tables back, as they were published: batch by batch, in memory that does not grow with the
//! file. What is not exactly as this tool writes it is an error with its place.
//! `text_column` reads one column of any Parquet file.
//! Depends on `tables` and `output` for the formats.

mod csv;
mod error;
mod guard;
mod parquet;
mod text_column;

use std::fs::File;
use std::io::Read;

use bytes::{Buf as _, Bytes};

pub use error::ReadError;
pub use guard::is_guarded;
pub use text_column::{ColumnError, UnusableType, each_text};

use crate::output::Format;
use crate::tables::{Rows, TableInfo};

/// Bytes of decoded rows that are aimed at in one batch. One row may be larger.
const READ_BATCH_BYTES: usize = 256 << 10;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;

/// Where a table's bytes are.
#[derive(Debug)]
pub enum Input {
    /// In a file.
    File(File),
    /// In memory.
    Bytes(Bytes),
}

impl Input {
    fn into_read(self) -> Box<dyn Read> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Bytes(bytes) => Box::new(bytes.reader()),
        }
    }
}

/// Batches of rows, until the end or the first error.
pub type Batches = Box<dyn Iterator<Item = Result<Rows, ReadError>>>;

/// Ends behind the first error: whoever failed once is not asked again.
fn until_error(batches: impl Iterator<Item = Result<Rows, ReadError>> + 'static) -> Batches {
    let mut batches = Some(batches);
    Box::new(std::iter::from_fn(move || {
        let next = batches.as_mut()?.next();
        if !matches!(next, Some(Ok(_))) {
            batches = None;
        }
        next
    }))
}

/// Opens a table's file and checks its columns.
pub fn open(format: Format, table: &'static TableInfo, input: Input) -> Result<Batches, ReadError> {
    match format {
        Format::Parquet => parquet::open(table, input),
        Format::Csv => csv::open(table, input.into_read()),
    }
}

//! Reads tables back, as they were published: batch by batch, in memory that does not grow with the
//! file. What is not exactly as this tool writes it is an error with its place.
//! `text_column` reads one column of any Parquet file.
//! Depends on `tables` and `output` for the formats.

mod csv;
mod error;
mod guard;
mod parquet;
mod statistics;
mod text_column;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};

pub use error::ReadError;
pub use guard::is_guarded;
pub use statistics::WrongStatistic;
pub use text_column::{ColumnError, UnusableType, each_text};

use crate::output::Format;
use crate::tables::{Rows, TableInfo};
use statistics::StatisticsCheck;

/// Bytes of decoded rows that are aimed at in one batch. One row may be larger.
const READ_BATCH_BYTES: usize = 256 << 10;

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8_192;

/// Where a table's bytes are.
#[derive(Debug, Clone)]
pub enum Input {
    /// In a file.
    File(Arc<File>),
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

    fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Some bytes, all of which must be there. Whoever else reads the file stays where it is.
    fn read_at(&self, offset: u64, length: u64) -> io::Result<Bytes> {
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
            Self::Bytes(bytes) => {
                let offset = usize::try_from(offset).map_err(too_long)?;
                Ok(bytes.slice(offset..offset + length))
            }
        }
    }
}

impl From<File> for Input {
    fn from(file: File) -> Self {
        Self::File(Arc::new(file))
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

/// Rows of a file together with what it states about them, which is compared with them on the way.
pub struct CheckedBatches {
    batches: Batches,
    /// None for a format that states nothing, and after an error.
    check: Option<StatisticsCheck>,
}

impl std::fmt::Debug for CheckedBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let check = &self.check;
        f.debug_struct("CheckedBatches")
            .field("check", check)
            .finish_non_exhaustive()
    }
}

impl CheckedBatches {
    /// The next rows. What turns out to be stated wrongly is added to `wrong`.
    pub fn next(&mut self, wrong: &mut Vec<WrongStatistic>) -> Option<Result<Rows, ReadError>> {
        let next = self.batches.next();
        match &next {
            Some(Ok(rows)) => {
                let goes_on = self
                    .check
                    .as_mut()
                    .is_some_and(|check| check.rows(rows.batch(), wrong));
                if !goes_on {
                    self.check = None;
                }
            }
            // Which rows are missing is unknown, and so is what should be stated.
            Some(Err(_)) => self.check = None,
            None => {
                if let Some(check) = self.check.take() {
                    check.finish(wrong);
                }
            }
        }
        next
    }
}

/// Opens a table's file like [`open`]. What is stated wrongly about the file as a whole is added to `wrong`.
pub fn open_checked(
    format: Format,
    table: &'static TableInfo,
    input: Input,
    wrong: &mut Vec<WrongStatistic>,
) -> Result<CheckedBatches, ReadError> {
    let batches = open(format, table, input.clone())?;
    let check = match format {
        Format::Parquet => StatisticsCheck::open(table, input, wrong),
        Format::Csv => None,
    };
    Ok(CheckedBatches { batches, check })
}

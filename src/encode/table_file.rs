//! The file of one table, to which encoded rows are appended.

use std::io::{self, Write};

use crate::encode::csv::write::CsvFile;
use crate::encode::file_part::PartError;
use crate::encode::format::Format;
use crate::encode::kept_bytes::KeptBytesReader;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::part_collector::{EncodedContent, EncodedRows};
use crate::tables::table::TableInfo;

/// A table's file while it is written.
#[derive(Debug)]
pub(crate) enum OpenTableFile<W: Write + Send> {
    Parquet(Box<ParquetFile<W>>),
    Csv(CsvFile<W>),
}

impl<W: Write + Send> OpenTableFile<W> {
    /// Starts a file without rows.
    pub(crate) fn begin(
        format: Format,
        table: &'static TableInfo,
        output: W,
    ) -> Result<Self, PartError> {
        Ok(match format {
            Format::Parquet => {
                let layout = FileLayout::of(table)?;
                Self::Parquet(Box::new(ParquetFile::open(&layout, output)?))
            }
            Format::Csv => Self::Csv(CsvFile::begin(table, output)?),
        })
    }

    /// Appends rows.
    pub(crate) fn append(&mut self, rows: EncodedRows) -> Result<(), PartError> {
        match (self, rows.content) {
            (Self::Parquet(file), EncodedContent::Parquet(row_groups)) => {
                for chunks in row_groups {
                    file.append_row_group(chunks)?;
                }
                Ok(())
            }
            (Self::Csv(file), EncodedContent::Csv { records, longest }) => {
                let mut records = KeptBytesReader::new(records.iter());
                io::copy(&mut records, file.records(longest))?;
                Ok(())
            }
            _ => Err(PartError::Foreign),
        }
    }

    /// Completes the file. Returns the output, and the bytes of the longest CSV record.
    pub(crate) fn close(self) -> Result<(W, usize), PartError> {
        Ok(match self {
            Self::Parquet(file) => (file.close()?, 0),
            Self::Csv(file) => file.close(),
        })
    }
}

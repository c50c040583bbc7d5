//! Compresses and writes the parts of one table's file.

use std::io::Write;
use std::path::Path;

use crate::encode::csv::write::CsvFile;
use crate::encode::file_part::{FilePart, PartError};
use crate::encode::format::Format;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::parquet_table::ParquetTable;
use crate::tables::table::TableInfo;

/// A table's file while it is written.
#[derive(Debug)]
pub(crate) enum PartWriter<W: Write + Send> {
    Parquet(Box<ParquetTable<W>>),
    Csv(CsvFile<W>),
}

impl<W: Write + Send> PartWriter<W> {
    /// Starts a file. Compressed pages that exceed a bound wait in another file, at the path `spill` or in the system's
    /// directory of temporary files.
    pub(crate) fn begin(
        format: Format,
        table: &'static TableInfo,
        output: W,
        spill: Option<&Path>,
    ) -> Result<Self, PartError> {
        Ok(match format {
            Format::Parquet => Self::Parquet(Box::new(ParquetTable::begin(table, output, spill)?)),
            Format::Csv => Self::Csv(CsvFile::begin(table, output)?),
        })
    }

    /// Writes a part. Returns the rows that it completes.
    pub(crate) fn part(
        &mut self,
        part: FilePart,
        compressor: &mut PageCompressor,
    ) -> Result<u64, PartError> {
        match (self, part) {
            (Self::Parquet(table), FilePart::Page(column, page)) => {
                table.page(column, page, compressor)?;
                Ok(0)
            }
            (Self::Parquet(table), FilePart::RowGroup { ends, rows }) => {
                table.end_row_group(ends, compressor)?;
                Ok(rows)
            }
            (
                Self::Csv(file),
                FilePart::Records {
                    text,
                    rows,
                    longest,
                },
            ) => {
                file.write(&text, longest)?;
                Ok(rows)
            }
            _ => Err(PartError::Foreign),
        }
    }

    /// Completes the file. Returns the output, and the bytes of the longest CSV record.
    pub(crate) fn close(self) -> Result<(W, usize), PartError> {
        Ok(match self {
            Self::Parquet(table) => (table.close()?, 0),
            Self::Csv(file) => file.close(),
        })
    }
}

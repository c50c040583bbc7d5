//! Compresses and writes the parts of one table's file.

use std::io::{self, Write};
use std::path::Path;

use parquet::errors::ParquetError;
use thiserror::Error;

use crate::encode::csv::write::CsvFile;
use crate::encode::file_part::FilePart;
use crate::encode::format::Format;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::parquet_table::ParquetTable;
use crate::output_error::OutputError;
use crate::tables::table::TableInfo;

/// A table's file while it is written.
#[derive(Debug)]
pub(crate) enum PartWriter<W: Write + Send> {
    Parquet(Box<ParquetTable<W>>),
    Csv(CsvFile<W>),
}

/// Why a part could not be written.
#[derive(Debug, Error)]
pub(crate) enum PartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The part is one of another format.
    #[error("the part does not belong to this file")]
    Foreign,
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

impl PartError {
    /// The error of a published file.
    pub(crate) fn of_file(self, table: &'static TableInfo, path: &Path) -> OutputError {
        let cause = match self {
            Self::Io(source) => return OutputError::io("write", path)(source),
            Self::Parquet(ParquetError::External(cause)) => match cause.downcast::<io::Error>() {
                Ok(source) => return OutputError::io("write", path)(*source),
                Err(other) => other.to_string(),
            },
            other => other.to_string(),
        };
        OutputError::Table {
            table: table.name,
            path: path.to_owned(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;
    use crate::tables::table::Table;

    #[test]
    fn a_full_disk_within_a_row_group_has_the_hint_for_a_full_disk() {
        const ENOSPC: i32 = 28;
        let error = ParquetError::from(io::Error::from_raw_os_error(ENOSPC));
        let path = Path::new("out/tasks.parquet");
        let error = PartError::Parquet(error).of_file(Table::Tasks.info(), path);
        assert!(
            error
                .to_string()
                .starts_with("could not write `out/tasks.parquet`: No space")
        );
        assert!(error.hint().unwrap().starts_with("free disk space"));
    }
}

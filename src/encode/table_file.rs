//! The file of one table, to which encoded rows are appended.

use std::io::{self, Write};

use crate::encode::csv::write::CsvFile;
use crate::encode::file_part::PartError;
use crate::encode::format::Format;
use crate::encode::kept_bytes::KeptBytesReader;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::part_collector::EncodedContent;
use crate::encode::region_writer::{Region, RegionWriter};
use crate::tables::table::TableInfo;

/// A table's file while it is written.
#[derive(Debug)]
pub(crate) enum OpenTableFile<W: Write + Send> {
    Parquet(Box<ParquetFile<RegionWriter<W>>>),
    Csv(Box<CsvFile<RegionWriter<W>>>),
}

/// A complete file.
#[derive(Debug)]
pub(crate) struct ClosedTableFile<W> {
    pub(crate) output: W,
    /// What follows the rows.
    pub(crate) tail: Region,
    /// Bytes of the longest CSV record.
    pub(crate) longest_record: usize,
}

impl<W: Write + Send> OpenTableFile<W> {
    /// Starts a file without rows.
    pub(crate) fn begin(
        format: Format,
        table: &'static TableInfo,
        output: W,
    ) -> Result<Self, PartError> {
        let output = RegionWriter::new(output);
        let mut file = match format {
            Format::Parquet => {
                let layout = FileLayout::of(table)?;
                Self::Parquet(Box::new(ParquetFile::open(layout, output)?))
            }
            Format::Csv => Self::Csv(Box::new(CsvFile::begin(table, output)?)),
        };
        // What precedes the rows.
        file.end_region()?;
        Ok(file)
    }

    /// Appends rows. Returns the region of the file that has them.
    pub(crate) fn append(&mut self, content: EncodedContent) -> Result<Region, PartError> {
        match (&mut *self, content) {
            (Self::Parquet(file), EncodedContent::Parquet(row_groups)) => {
                for chunks in row_groups {
                    file.append_row_group(chunks)?;
                }
            }
            (Self::Csv(file), EncodedContent::Csv { records, longest }) => {
                let mut records = KeptBytesReader::new(records.iter());
                io::copy(&mut records, file.records(longest))?;
            }
            _ => return Err(PartError::Foreign),
        }
        self.end_region()
    }

    fn end_region(&mut self) -> Result<Region, PartError> {
        Ok(match self {
            Self::Parquet(file) => file.flushed()?.end_region(),
            Self::Csv(file) => file.records(0).end_region(),
        })
    }

    /// Completes the file.
    pub(crate) fn close(self) -> Result<ClosedTableFile<W>, PartError> {
        let (output, longest_record) = match self {
            Self::Parquet(file) => (file.close()?, 0),
            Self::Csv(file) => file.close(),
        };
        let (output, tail) = output.finish();
        Ok(ClosedTableFile {
            output,
            tail,
            longest_record,
        })
    }
}

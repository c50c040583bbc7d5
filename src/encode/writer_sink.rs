//! Encodes rows and writes them to the files of their tables, on one thread.

use crate::durable_fs::StagedFile;
use crate::encode::file_part::{FilePart, PartSink};
use crate::encode::format::Format;
use crate::encode::table_encoders::TableEncoders;
use crate::encode::table_writers::{TableWriters, WrittenTable};
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// A sink that writes, and keeps the error of a writer.
pub(crate) struct WriterSink {
    encoders: TableEncoders,
    files: Files,
}

struct Files {
    writers: TableWriters,
    failed: Option<OutputError>,
}

impl WriterSink {
    /// Creates a file for each of these tables, by its name in the output directory.
    pub(crate) fn begin(
        format: Format,
        tables: impl Iterator<Item = &'static TableInfo> + Clone,
        create: impl Fn(&str) -> Result<StagedFile, OutputError>,
    ) -> Result<Self, OutputError> {
        Ok(Self {
            encoders: TableEncoders::new(format, tables.clone()),
            files: Files {
                writers: TableWriters::of_tables(format, tables, create)?,
                failed: None,
            },
        })
    }

    /// The error of a writer, if there was one: a sink that is closed follows from it.
    pub(crate) fn take_error(&mut self) -> Option<OutputError> {
        self.files.failed.take()
    }

    /// Encodes the rows that are left.
    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        self.encoders.finish(&mut self.files)
    }

    /// Completes all files.
    pub(crate) fn finish(self) -> Result<Vec<WrittenTable>, OutputError> {
        self.files.writers.finish()
    }
}

impl RowSink for WriterSink {
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        self.encoders.sink(&mut self.files).row(table, cells)
    }
}

impl PartSink for Files {
    fn part(&mut self, table: &'static TableInfo, part: FilePart) -> Result<(), SinkError> {
        self.writers.write(table, part).map_err(|error| {
            self.failed = Some(error);
            SinkError::Closed
        })
    }
}

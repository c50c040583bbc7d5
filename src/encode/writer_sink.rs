//! Encodes rows and writes them to the files of their tables, on one thread.

use crate::durable_fs::StagedFile;
use crate::encode::format::Format;
use crate::encode::rows_encoder::RowsEncoder;
use crate::encode::table_writers::{TableWriters, WrittenTable};
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// A sink that writes, and keeps the error of a writer.
pub(crate) struct WriterSink {
    encoder: RowsEncoder,
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
            encoder: RowsEncoder::new(format, tables.clone(), None)?,
            writers: TableWriters::of_tables(format, tables, create)?,
            failed: None,
        })
    }

    /// The error of a writer, if there was one: a sink that is closed follows from it.
    pub(crate) fn take_error(&mut self) -> Option<OutputError> {
        self.failed.take().or_else(|| self.encoder.take_error())
    }

    /// Encodes the rows that are left.
    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        let rows = self.encoder.finish()?;
        let appended = self.writers.append(rows);
        appended.map(drop).map_err(|error| self.fail(error))
    }

    /// Completes all files.
    pub(crate) fn finish(self) -> Result<Vec<WrittenTable>, OutputError> {
        self.writers.finish()
    }

    fn fail(&mut self, error: OutputError) -> SinkError {
        self.failed = Some(error);
        SinkError::Closed
    }
}

impl RowSink for WriterSink {
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        self.encoder.row(table, cells)?;
        if self.encoder.has_rows() {
            let rows = self.encoder.take();
            let appended = self.writers.append(rows);
            return appended.map(drop).map_err(|error| self.fail(error));
        }
        Ok(())
    }
}

//! The way of rows from the flattening thread to the files of their tables: they are encoded on this thread, and
//! compressed and written on another.

use std::sync::mpsc::Receiver;

use crate::encode::file_part::{FilePart, PartSink};
use crate::encode::format::Selection;
use crate::encode::table_encoders::TableEncoders;
use crate::encode::table_writers::TableWriters;
use crate::jobs::batch_channel::{BatchSender, ReceiverClosed};
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// A part of a table's file.
pub(crate) type TablePart = (&'static TableInfo, FilePart);

/// The writing thread: compresses and writes parts as they come.
pub(crate) fn write(
    mut writers: TableWriters,
    parts: &Receiver<Vec<TablePart>>,
) -> Result<TableWriters, OutputError> {
    for (table, part) in parts.iter().flatten() {
        writers.write(table, part)?;
    }
    Ok(writers)
}

/// Encodes rows, and sends the parts of files to the writing thread.
pub(crate) struct RowSender {
    encoders: TableEncoders,
    parts: PartSender,
}

impl RowSender {
    pub(crate) fn new(selection: Selection, sender: BatchSender<TablePart>) -> Self {
        Self {
            encoders: TableEncoders::new(selection.format, selection.tables.tables()),
            parts: PartSender(sender),
        }
    }

    /// Sends the rows that are left.
    pub(crate) fn finish(&mut self) -> Result<(), SinkError> {
        self.encoders.finish(&mut self.parts)?;
        Ok(self.parts.0.flush()?)
    }
}

impl RowSink for RowSender {
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        self.encoders.sink(&mut self.parts).row(table, cells)
    }
}

struct PartSender(BatchSender<TablePart>);

impl PartSink for PartSender {
    fn part(&mut self, table: &'static TableInfo, part: FilePart) -> Result<(), SinkError> {
        let bytes = part.bytes();
        Ok(self.0.push((table, part), bytes)?)
    }
}

impl From<ReceiverClosed> for SinkError {
    fn from(_: ReceiverClosed) -> Self {
        Self::Closed
    }
}

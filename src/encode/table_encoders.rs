//! Encodes the rows of all selected tables into the parts of their files.

use crate::encode::csv::write::CsvRows;
use crate::encode::file_part::{PartSink, RowEncoder};
use crate::encode::format::Format;
use crate::encode::parquet::write::row_encoder::ParquetRows;
use crate::encode::parquet::write::row_group_encoder::RowGroupLimits;
use crate::tables::cell::Cell;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// The encoder of one table.
pub(crate) fn row_encoder(format: Format, table: &'static TableInfo) -> Box<dyn RowEncoder> {
    match format {
        Format::Parquet => Box::new(ParquetRows::new(table, RowGroupLimits::default())),
        Format::Csv => Box::new(CsvRows::default()),
    }
}

/// The encoders of all selected tables.
pub(crate) struct TableEncoders {
    /// By the position of the table in the documentation. A table that is not selected has none.
    tables: Vec<Option<TableEncoder>>,
}

struct TableEncoder {
    table: &'static TableInfo,
    rows: Box<dyn RowEncoder>,
}

impl TableEncoders {
    /// Starts without rows.
    pub(crate) fn new(format: Format, tables: impl Iterator<Item = &'static TableInfo>) -> Self {
        let mut encoders = Vec::new();
        for table in tables {
            let at = table.table as usize;
            if encoders.len() <= at {
                encoders.resize_with(at + 1, || None);
            }
            if let Some(place) = encoders.get_mut(at) {
                *place = Some(TableEncoder {
                    table,
                    rows: row_encoder(format, table),
                });
            }
        }
        Self { tables: encoders }
    }

    /// A sink of rows, whose parts go to `parts`. Rows of tables that are not selected are dropped.
    pub(crate) fn sink<'e>(&'e mut self, parts: &'e mut dyn PartSink) -> EncodingSink<'e> {
        EncodingSink {
            encoders: self,
            parts,
        }
    }

    /// Passes on the parts that are left. No more rows follow.
    pub(crate) fn finish(&mut self, parts: &mut dyn PartSink) -> Result<(), SinkError> {
        let mut tables = self.tables.iter_mut().flatten();
        tables.try_for_each(|TableEncoder { table, rows }| {
            rows.finish(&mut |part| parts.part(table, part))
        })
    }
}

/// Takes rows, and passes on the parts of files.
pub(crate) struct EncodingSink<'e> {
    encoders: &'e mut TableEncoders,
    parts: &'e mut dyn PartSink,
}

impl RowSink for EncodingSink<'_> {
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        let encoder = self.encoders.tables.get_mut(table.table as usize);
        match encoder.and_then(Option::as_mut) {
            Some(encoder) => encoder
                .rows
                .row(cells, &mut |part| self.parts.part(table, part)),
            None => Ok(()),
        }
    }
}

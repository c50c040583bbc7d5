//! Encodes and compresses the rows of all selected tables, and keeps them until they are appended to files.

use std::path::PathBuf;

use crate::encode::csv::write::CsvRows;
use crate::encode::file_part::{FilePart, PartError, RowEncoder};
use crate::encode::format::Format;
use crate::encode::kept_bytes::BytesStore;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::row_encoder::ParquetRows;
use crate::encode::parquet::write::row_group_encoder::RowGroupLimits;
use crate::encode::part_collector::{EncodedRows, PartCollector};
use crate::output_error::OutputError;
use crate::tables::cell::Cell;
use crate::tables::row_sink::{RowSink, SinkError};
use crate::tables::table::TableInfo;

/// Stands for the path of a temporary file in the system's directory of temporary files.
const UNNAMED: &str = "a temporary file";

/// The encoder of one table.
pub(crate) fn row_encoder(format: Format, table: &'static TableInfo) -> Box<dyn RowEncoder> {
    match format {
        Format::Parquet => Box::new(ParquetRows::new(table, RowGroupLimits::default())),
        Format::Csv => Box::new(CsvRows::default()),
    }
}

/// Encoded rows of a table.
pub(crate) type EncodedTable = (&'static TableInfo, EncodedRows);

/// Takes the rows of all selected tables. The result depends on the rows alone.
pub(crate) struct RowsEncoder {
    /// By the position of the table in the documentation. A table that is not selected has none.
    tables: Vec<Option<TableEncoder>>,
    kept: Kept,
}

struct TableEncoder {
    table: &'static TableInfo,
    rows: Box<dyn RowEncoder>,
    collector: PartCollector,
}

/// What the tables share.
struct Kept {
    compressor: PageCompressor,
    spill: Option<PathBuf>,
    store: BytesStore,
    failed: Option<OutputError>,
    /// Whether a table has rows that can be taken.
    has_rows: bool,
}

impl RowsEncoder {
    /// Starts without rows. Encoded rows that exceed the bound of [`BytesStore`] wait in a file at the path `spill`, or
    /// in the system's directory of temporary files.
    pub(crate) fn new(
        format: Format,
        tables: impl Iterator<Item = &'static TableInfo>,
        spill: Option<PathBuf>,
    ) -> Result<Self, OutputError> {
        let mut encoders = Vec::new();
        for table in tables {
            let at = table.table as usize;
            if encoders.len() <= at {
                encoders.resize_with(at + 1, || None);
            }
            let collector = PartCollector::new(format, table);
            if let Some(place) = encoders.get_mut(at) {
                *place = Some(TableEncoder {
                    table,
                    rows: row_encoder(format, table),
                    collector: collector.map_err(|error| error.of_file(table, UNNAMED.as_ref()))?,
                });
            }
        }
        Ok(Self {
            tables: encoders,
            kept: Kept {
                compressor: PageCompressor::default(),
                store: BytesStore::new(spill.as_deref()),
                spill,
                failed: None,
                has_rows: false,
            },
        })
    }

    /// The error behind [`SinkError::Closed`], if rows could not be kept.
    pub(crate) fn take_error(&mut self) -> Option<OutputError> {
        self.kept.failed.take()
    }

    /// Whether a table has rows that can be taken before the last row has come.
    pub(crate) fn has_rows(&self) -> bool {
        self.kept.has_rows
    }

    /// Takes what is complete.
    pub(crate) fn take(&mut self) -> Vec<EncodedTable> {
        self.kept.has_rows = false;
        // The space of the temporary file is freed with the rows that are taken and those that are open now.
        self.kept.store = BytesStore::new(self.kept.spill.as_deref());
        let tables = self.tables.iter_mut().flatten();
        let with_rows = tables.filter(|encoder| encoder.collector.has_rows());
        with_rows
            .map(|encoder| (encoder.table, encoder.collector.take()))
            .collect()
    }

    /// Encodes the rows that are left, and takes them. No more rows follow.
    pub(crate) fn finish(&mut self) -> Result<Vec<EncodedTable>, SinkError> {
        for encoder in self.tables.iter_mut().flatten() {
            encoder.encode(&mut self.kept, |rows, parts| rows.finish(parts))?;
        }
        Ok(self.take())
    }
}

impl TableEncoder {
    fn encode(
        &mut self,
        kept: &mut Kept,
        encode: impl FnOnce(
            &mut dyn RowEncoder,
            &mut dyn FnMut(FilePart) -> Result<(), SinkError>,
        ) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Self {
            table,
            rows,
            collector,
        } = self;
        encode(rows.as_mut(), &mut |part| {
            let added = collector.add(part, &mut kept.compressor, &kept.store);
            kept.has_rows |= collector.has_rows();
            added.map_err(|error| kept.fail(table, error))
        })
    }
}

impl Kept {
    /// Keeps the error, which the sink's interface has no place for.
    fn fail(&mut self, table: &'static TableInfo, error: PartError) -> SinkError {
        let path = self.spill.as_deref().unwrap_or(UNNAMED.as_ref());
        self.failed = Some(error.of_file(table, path));
        SinkError::Closed
    }
}

impl RowSink for RowsEncoder {
    /// Rows of tables that are not selected are dropped.
    fn row(
        &mut self,
        table: &'static TableInfo,
        cells: &[Option<Cell<'_>>],
    ) -> Result<(), SinkError> {
        let encoder = self.tables.get_mut(table.table as usize);
        match encoder.and_then(Option::as_mut) {
            Some(encoder) => encoder.encode(&mut self.kept, |rows, parts| rows.row(cells, parts)),
            None => Ok(()),
        }
    }
}

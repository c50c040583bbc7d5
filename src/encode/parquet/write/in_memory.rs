//! Encodes a table in memory, with the same bytes as a published file.

use std::path::Path;

use parquet::errors::ParquetError;
use thiserror::Error;

use crate::encode::input::Input;
use crate::encode::parquet::write::encoded_chunk::EncodedChunk;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::page_store::PageKeeper;
use crate::encode::parquet::write::parquet_file::ParquetFile;
use crate::encode::parquet::write::row_group_encoder::{
    RowGroupBuilder, RowGroupEncoder, RowGroupLimits,
};
use crate::encode::parquet::write::source_file::SourceFile;
use crate::tables::row_reader::{Cell, Rows};
use crate::tables::table::TableInfo;

/// Bytes of complete pages that wait for their compression.
const PAGE_BYTES: usize = 256 << 10;

/// Why a table could not be encoded.
#[derive(Debug, Error)]
pub enum TableEncodeError {
    /// A cell does not have the type of its column, or is null in a required one.
    #[error("column `{0}` has another type")]
    Column(&'static str),
    /// The `parquet` crate or the temporary file failed. The types of the crate stay private.
    #[error("{0}")]
    Parquet(String),
}

impl From<ParquetError> for TableEncodeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

/// Encodes the rows of a table as a file. Pages that exceed the memory bound wait in a temporary file.
pub fn encode_rows(
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = Rows>,
) -> Result<Vec<u8>, TableEncodeError> {
    let mut file = TableFile::open(table, RowGroupLimits::default(), None)?;
    let columns = table.columns().count();
    for rows in batches {
        let mut cells: Vec<Option<Cell<'_>>> = Vec::with_capacity(columns);
        for row in 0..rows.len() {
            cells.clear();
            cells.extend((0..columns).map(|column| rows.cell(column, row)));
            file.append(&cells)?;
        }
    }
    file.close()
}

/// Writes a file with the row groups of an existing one. It has the same bytes if the same version of scale-export wrote
/// that file.
pub fn copy_row_groups(
    table: &'static TableInfo,
    input: Input,
) -> Result<Vec<u8>, TableEncodeError> {
    let layout = FileLayout::of(table)?;
    let source = SourceFile::open(layout.clone(), input)?;
    let mut file = ParquetFile::open(&layout, Vec::new())?;
    for number in 0..source.row_groups() {
        file.append_row_group(source.row_group(number)?)?;
    }
    Ok(file.close()?)
}

/// A file whose rows are encoded and compressed on the same thread.
#[derive(Debug)]
pub(crate) struct TableFile {
    layout: FileLayout,
    keeper: PageKeeper,
    encoder: RowGroupEncoder,
    builder: RowGroupBuilder,
    compressor: PageCompressor,
    file: ParquetFile<Vec<u8>>,
}

impl TableFile {
    pub(crate) fn open(
        table: &'static TableInfo,
        limits: RowGroupLimits,
        spill: Option<&Path>,
    ) -> Result<Self, TableEncodeError> {
        let layout = FileLayout::of(table)?;
        let keeper = PageKeeper::new(spill);
        Ok(Self {
            encoder: RowGroupEncoder::new(table, limits),
            builder: RowGroupBuilder::new(&layout, &keeper),
            compressor: PageCompressor::default(),
            file: ParquetFile::open(&layout, Vec::new())?,
            layout,
            keeper,
        })
    }

    pub(crate) fn append(&mut self, cells: &[Option<Cell<'_>>]) -> Result<(), TableEncodeError> {
        if self.encoder.is_full() {
            self.end_row_group()?;
        }
        self.encoder
            .append(cells.iter().map(Option::as_ref))
            .map_err(TableEncodeError::Column)?;
        if self.encoder.page_bytes() >= PAGE_BYTES {
            for (column, page) in self.encoder.take_pages() {
                self.builder.add(column, page, &mut self.compressor)?;
            }
        }
        Ok(())
    }

    /// The chunks of the rows since the last row group.
    pub(crate) fn take_chunks(&mut self) -> Result<Vec<EncodedChunk>, TableEncodeError> {
        let next = RowGroupBuilder::new(&self.layout, &self.keeper);
        let builder = std::mem::replace(&mut self.builder, next);
        Ok(builder.finish(self.encoder.finish(), &mut self.compressor)?)
    }

    pub(crate) fn end_row_group(&mut self) -> Result<(), TableEncodeError> {
        if self.encoder.rows() > 0 {
            let chunks = self.take_chunks()?;
            self.file.append_row_group(chunks)?;
        }
        Ok(())
    }

    /// Completes the file, and returns its bytes.
    pub(crate) fn close(mut self) -> Result<Vec<u8>, TableEncodeError> {
        self.end_row_group()?;
        Ok(self.file.close()?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::encode::format::Format;
    use crate::encode::parquet::write::column_encoder::PageLimits;
    use crate::encode::parquet::write::test_table::{ALL_TYPES, Nature, cells, rows};
    use crate::encode::table_reader::open_checked;
    use crate::tables::definition::TABLES;

    fn natures() -> impl Strategy<Value = Nature> {
        let distinct = prop_oneof![1_u32..4, 1_u32..60, Just(u32::MAX)];
        let text_bytes = prop_oneof![0_usize..12, 0_usize..300];
        (any::<u64>(), 0_u32..6, distinct, text_bytes, 1_u32..9).prop_map(
            |(seed, nulls, distinct, text_bytes, repeats)| Nature {
                seed,
                nulls,
                distinct,
                text_bytes,
                repeats,
            },
        )
    }

    fn limits() -> impl Strategy<Value = RowGroupLimits> {
        let page = (1_usize..90, 1_usize..4_000, 1_usize..3_000);
        let page = page.prop_map(|(rows, bytes, probe_bytes)| PageLimits {
            rows,
            bytes,
            probe_bytes,
            dictionary_part: 1 << 10,
        });
        let limits = (20_usize..400, 2_000_usize..200_000, page);
        limits.prop_map(|(rows, value_bytes, page)| RowGroupLimits {
            rows,
            value_bytes,
            page,
        })
    }

    fn encoded(rows: &Rows, limits: RowGroupLimits) -> Vec<u8> {
        let mut file = TableFile::open(rows.table(), limits, None).unwrap();
        for row in 0..rows.len() {
            file.append(&cells(rows, row)).unwrap();
        }
        file.close().unwrap()
    }

    /// Reads a file with the `parquet` crate, checks its statistics, and compares its rows.
    fn check(rows: &Rows, file: Vec<u8>) {
        let mut wrong = Vec::new();
        let input = Input::Bytes(file.into());
        let opened = open_checked(Format::Parquet, rows.table(), input, &mut wrong);
        let mut reader = opened.unwrap();
        let mut read = Vec::new();
        while let Some(batch) = reader.next(&mut wrong) {
            read.push(batch.unwrap().batch().clone());
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        let read = concat_batches(&rows.batch().schema(), &read).unwrap();
        for (column, (left, right)) in rows
            .table()
            .columns()
            .zip(rows.batch().columns().iter().zip(read.columns()))
        {
            assert!(left == right, "{}: {left:?} {right:?}", column.name);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_come_back_as_they_were(
            nature in natures(),
            limits in limits(),
            count in 0_usize..700,
        ) {
            let rows = rows(&ALL_TYPES, nature, count);
            check(&rows, encoded(&rows, limits));
        }
    }

    #[test]
    fn copied_row_groups_have_the_same_bytes() {
        let nature = Nature {
            seed: 3,
            nulls: 4,
            distinct: 300,
            text_bytes: 200,
            repeats: 3,
        };
        let limits = RowGroupLimits {
            rows: 400,
            value_bytes: usize::MAX,
            page: PageLimits {
                rows: 90,
                ..PageLimits::default()
            },
        };
        for table in TABLES.iter().chain([&ALL_TYPES]) {
            let rows = rows(table, nature, 1_000);
            let fresh = encoded(&rows, limits);
            check(&rows, fresh.clone());
            let copied = copy_row_groups(table, Input::Bytes(fresh.clone().into())).unwrap();
            assert!(copied == fresh, "{}", table.name);
        }
    }
}

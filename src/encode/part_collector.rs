//! Compresses the parts of one table, and keeps them until they are appended to its file.

use crate::encode::file_part::{FilePart, PartError};
use crate::encode::format::Format;
use crate::encode::kept_bytes::{BytesStore, KeptBytes};
use crate::encode::parquet::write::encoded_chunk::EncodedChunk;
use crate::encode::parquet::write::file_layout::FileLayout;
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::row_group_encoder::RowGroupBuilder;
use crate::encode::region_writer::Region;
use crate::tables::table::TableInfo;

/// Rows of a table, ready to be appended to its file. They depend on no other rows and on no file.
#[derive(Debug)]
pub(crate) struct EncodedRows {
    pub(crate) rows: u64,
    pub(crate) content: EncodedContent,
    /// For rows that are copied: the bytes that they must give.
    pub(crate) expected: Option<Region>,
}

/// Encoded rows, by format.
#[derive(Debug)]
pub(crate) enum EncodedContent {
    /// Row groups: each has a chunk of each column.
    Parquet(Vec<Vec<EncodedChunk>>),
    /// CSV records.
    Csv {
        records: Vec<KeptBytes>,
        /// Bytes of the longest one.
        longest: usize,
    },
}

impl EncodedRows {
    fn none(format: Format) -> Self {
        let content = match format {
            Format::Parquet => EncodedContent::Parquet(Vec::new()),
            Format::Csv => EncodedContent::Csv {
                records: Vec::new(),
                longest: 0,
            },
        };
        Self {
            rows: 0,
            content,
            expected: None,
        }
    }
}

/// Takes the parts of one table.
#[derive(Debug)]
pub(crate) struct PartCollector {
    format: Format,
    layout: Option<FileLayout>,
    row_group: Option<RowGroupBuilder>,
    complete: EncodedRows,
}

impl PartCollector {
    /// Starts without rows.
    pub(crate) fn new(format: Format, table: &'static TableInfo) -> Result<Self, PartError> {
        let is_parquet = format == Format::Parquet;
        Ok(Self {
            format,
            layout: is_parquet.then(|| FileLayout::of(table)).transpose()?,
            row_group: None,
            complete: EncodedRows::none(format),
        })
    }

    /// Adds the next part. Its bytes go to `store`.
    pub(crate) fn add(
        &mut self,
        part: FilePart,
        compressor: &mut PageCompressor,
        store: &BytesStore,
    ) -> Result<(), PartError> {
        match (part, &self.layout, &mut self.complete.content) {
            (FilePart::Page(column, page), Some(layout), EncodedContent::Parquet(_)) => {
                let row_group = self.row_group.take();
                let mut row_group =
                    row_group.unwrap_or_else(|| RowGroupBuilder::new(layout, store));
                row_group.add(column, page, compressor)?;
                self.row_group = Some(row_group);
            }
            (FilePart::RowGroup { ends, rows }, Some(layout), EncodedContent::Parquet(groups)) => {
                let row_group = self.row_group.take();
                let row_group = row_group.unwrap_or_else(|| RowGroupBuilder::new(layout, store));
                groups.push(row_group.finish(ends, compressor)?);
                self.complete.rows += rows;
            }
            (
                FilePart::Records {
                    text,
                    rows,
                    longest: longest_new,
                },
                _,
                EncodedContent::Csv { records, longest },
            ) => {
                records.push(store.keep(text.into_bytes())?);
                *longest = longest_new.max(*longest);
                self.complete.rows += rows;
            }
            _ => return Err(PartError::Foreign),
        }
        Ok(())
    }

    /// Whether there are rows to take.
    pub(crate) fn has_rows(&self) -> bool {
        self.complete.rows > 0
    }

    /// Takes the rows that are complete.
    pub(crate) fn take(&mut self) -> EncodedRows {
        std::mem::replace(&mut self.complete, EncodedRows::none(self.format))
    }
}

//! The number of rows that may be decoded at once, by the sizes in page headers. The sizes in the footer do not bound
//! the memory of rows: with a dictionary, a long value takes a few bits in the file.

use std::sync::Arc;

use parquet::basic::Type as PhysicalType;
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::encode::batches::{BATCH_ROWS, READ_BATCH_BYTES};
use crate::encode::input::Input;
use crate::encode::parquet::statistics::pages::ChunkPages;
use crate::encode::read_error::ReadError;

/// Maximum bytes of rows that are decoded at once. A single row may have more.
const MAX_BATCH_BYTES: u64 = 16 << 20;

/// Maximum bytes of the pages that a row group's columns hold in memory at once, and of one row. No task is larger than
/// the largest body, and a row holds a part of a task once, or a few parts twice.
const MAX_ROW_GROUP_BYTES: u64 = 2 << 30;

/// Bytes of a value in memory in addition to its content: an offset, or a number.
const VALUE_BYTES: u64 = 8;

/// Bytes of the columns of a row group.
#[derive(Debug, Default)]
struct Sizes {
    /// Bytes of all pages, decompressed.
    pages: u64,
    /// Bytes of the pages that are in memory at the same time.
    in_memory: u64,
    /// Bytes of a row in which every value is as long as its pages allow.
    longest_row: u64,
}

/// The rows of a batch: about [`READ_BATCH_BYTES`] for rows of average size, and at most [`MAX_BATCH_BYTES`] if all
/// rows were as long as the longest.
pub(crate) fn batch_rows(input: &Input, group: &RowGroupMetaData) -> Result<usize, ReadError> {
    let mut sizes = Sizes::default();
    for column in group.columns() {
        add_column(input, group, column, &mut sizes)?;
    }
    if sizes.in_memory.max(sizes.longest_row) > MAX_ROW_GROUP_BYTES {
        return Err(ReadError::RowGroupSize);
    }
    let rows = u64::try_from(group.num_rows()).unwrap_or_default();
    let mean_row = sizes.pages / rows.max(1);
    let of_mean = READ_BATCH_BYTES as u64 / mean_row.max(1);
    let of_longest = MAX_BATCH_BYTES / sizes.longest_row.max(1);
    let rows = usize::try_from(of_mean.min(of_longest)).unwrap_or(BATCH_ROWS);
    Ok(rows.clamp(1, BATCH_ROWS))
}

fn add_column(
    input: &Input,
    group: &RowGroupMetaData,
    column: &ColumnChunkMetaData,
    sizes: &mut Sizes,
) -> Result<(), ReadError> {
    let (start, length) = column.byte_range();
    let pages = ChunkPages::read(input, start..start.saturating_add(length));
    let pages = pages.map_err(|error| ReadError::Damaged(error.to_string()))?;
    let dictionary = pages.dictionary.as_ref();
    let dictionary_bytes = dictionary.map_or(0, |page| page.uncompressed_bytes);
    let bytes = pages.data.iter().map(|page| page.uncompressed_bytes);
    let largest = bytes.clone().max().unwrap_or_default();
    sizes.pages = bytes.fold(sizes.pages, u64::saturating_add);
    sizes.in_memory = sizes.in_memory.saturating_add(dictionary_bytes + largest);
    // A dictionary that exceeds the limit is not decompressed; `batch_rows` refuses the row group.
    let has_texts = column.column_type() == PhysicalType::BYTE_ARRAY;
    let longest_entry =
        if has_texts && dictionary.is_some() && dictionary_bytes < MAX_ROW_GROUP_BYTES {
            longest_entry(input, group, column)?
        } else {
            0
        };
    let is_list = column.column_descr().max_rep_level() > 0;
    let in_row = pages.data.iter().map(|page| {
        let in_dictionary = longest_entry.saturating_mul(page.values);
        let in_page = page.uncompressed_bytes.max(in_dictionary);
        let in_page = in_page.saturating_add(page.values.saturating_mul(VALUE_BYTES));
        if is_list {
            // All values of a page may belong to one row.
            in_page
        } else {
            in_page / page.values.max(1)
        }
    });
    let in_row = in_row.max().unwrap_or_default();
    sizes.longest_row = sizes.longest_row.saturating_add(in_row);
    Ok(())
}

/// Bytes of the longest text in the dictionary of a column chunk.
fn longest_entry(
    input: &Input,
    group: &RowGroupMetaData,
    column: &ColumnChunkMetaData,
) -> Result<u64, ReadError> {
    let read = || -> ParquetResult<Option<Page>> {
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        SerializedPageReader::new(Arc::new(input.clone()), column, rows, None)?.get_next_page()
    };
    let page = read().map_err(|error| ReadError::Damaged(error.to_string()))?;
    let Some(Page::DictionaryPage { buf, .. }) = page else {
        return Ok(0);
    };
    // PLAIN encoding: each entry is its length in four bytes and its text.
    let mut rest: &[u8] = &buf;
    let mut longest = 0;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(length);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        rest = behind.get(length..).unwrap_or_default();
    }
    Ok(longest.into())
}

//! How many rows of a row group may be decoded at once, by what its pages say of themselves. A dictionary makes long
//! values of a few bits each, so that the sizes in the footer say nothing about what rows take in memory.

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

/// Bytes of rows that are decoded at once, at most, unless one row has more.
const MAX_BATCH_BYTES: u64 = 16 << 20;

/// Bytes of pages that a row group's columns hold in memory at once, and of one row, at most: no task is larger than
/// the largest body, of which a row holds a part once, or a few parts twice.
const MAX_HELD_BYTES: u64 = 2 << 30;

/// Bytes of a value in memory beside its content: an offset, or a number.
const VALUE_BYTES: u64 = 8;

/// What the columns of a row group take.
#[derive(Debug, Default)]
struct Sizes {
    /// All pages, decompressed.
    pages: u64,
    /// Pages that are in memory at the same time.
    held: u64,
    /// A row in which every value is as long as its pages allow.
    longest_row: u64,
}

/// Rows of a batch: so that one of rows of middle size has [`READ_BATCH_BYTES`], and one of the longest rows not
/// more than [`MAX_BATCH_BYTES`].
pub(crate) fn batch_rows(input: &Input, group: &RowGroupMetaData) -> Result<usize, ReadError> {
    let mut sizes = Sizes::default();
    for column in group.columns() {
        add_column(input, group, column, &mut sizes)?;
    }
    if sizes.held.max(sizes.longest_row) > MAX_HELD_BYTES {
        let text = "a row group that takes over 2 GiB of memory";
        return Err(ReadError::Damaged(text.to_owned()));
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
    sizes.held = sizes.held.saturating_add(dictionary_bytes + largest);
    // The entries are looked at only if they fit.
    let has_texts = column.column_type() == PhysicalType::BYTE_ARRAY;
    let longest_entry = if has_texts && dictionary.is_some() && dictionary_bytes < MAX_HELD_BYTES {
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
            // All values of a page may be one row's.
            in_page
        } else {
            in_page / page.values.max(1)
        }
    });
    let in_row = in_row.max().unwrap_or_default();
    sizes.longest_row = sizes.longest_row.saturating_add(in_row);
    Ok(())
}

/// Bytes of the longest text in a column chunk's dictionary.
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
    // Each entry is its length in four bytes and its text.
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

//! Encodes the values of a column as pages while rows are appended.
//!
//! A value is borrowed: it is copied only into the page or into the dictionary, where it is then known. Nulls and
//! repeated values cost a counter. Pages are compressed by `ChunkBuilder`, on any thread.
//!
//! ```text
//! cells ──► ColumnEncoder ──► RawPage … ChunkEnd ──► ChunkBuilder ──► EncodedChunk ──► ParquetFile
//! ```
//!
//! The pages depend on the cells of the column chunk alone.

use crate::encode::parquet::write::boundary_order::BoundaryTracker;
use crate::encode::parquet::write::dictionary::Dictionary;
use crate::encode::parquet::write::levels::PageLevels;
use crate::encode::parquet::write::open_page::OpenPage;
use crate::encode::parquet::write::properties::{ColumnSettings, STATISTICS_BYTES};
use crate::encode::parquet::write::raw_page::{ChunkEnd, PageContent, PageCounts, RawPage};
use crate::encode::parquet::write::runs::bit_width;
use crate::encode::parquet::write::value_range::{RangeFinder, ValueOrder, ValueRange, widen};
use crate::json::text::Text;
use crate::tables::cell::{Cell, Texts};
use crate::tables::column::{ColumnInfo, ColumnType};

/// Where pages end and dictionaries are given up.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// Maximum rows of a page.
    pub rows: usize,
    /// Bytes at which a page ends, after the row that reaches them.
    pub bytes: usize,
    /// Bytes of values after which the dictionary is given up if they hardly repeat. With fewer bytes it is decided at the
    /// end of the column chunk.
    pub probe_bytes: usize,
    /// A dictionary may have its maximum bytes divided by this number.
    pub dictionary_part: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            rows: 20_000,
            bytes: 1 << 20,
            probe_bytes: 64 << 10,
            dictionary_part: 1,
        }
    }
}

/// Bytes of decoded text whose memory is kept for the next column chunk.
const KEPT_TEXT_BYTES: usize = 16 << 10;

/// Bytes of decoded text whose memory is kept for the next page: one huge text must not keep its memory.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The dictionary is given up if the distinct values have more than this part of the bytes of all values.
const DISTINCT_PART: (usize, usize) = (7, 8);

/// Encodes one column of a table, one column chunk after the other.
#[derive(Debug)]
pub(crate) struct ColumnEncoder {
    column: &'static ColumnInfo,
    order: ValueOrder,
    limits: PageLimits,
    settings: ColumnSettings,
    levels: PageLevels,
    page: OpenPage,
    dictionary: Dictionary,
    chunk: OpenChunk,
    /// Complete pages.
    pages: Vec<RawPage>,
    /// Bytes of the complete pages.
    page_bytes: usize,
    /// Decoded text.
    scratch: String,
}

/// The current column chunk.
#[derive(Debug)]
struct OpenChunk {
    uses_dictionary: bool,
    /// Whether the dictionary is still to be probed.
    is_unprobed: bool,
    /// Whether a page is complete. The values of pages with indices stay in the dictionary.
    has_pages: bool,
    /// Bytes of the values until the dictionary is probed, with their lengths.
    bytes: usize,
    /// The range of the values that are not in the dictionary, and of all values if pages have bounds.
    range: Option<ValueRange>,
    boundaries: BoundaryTracker,
}

impl OpenChunk {
    fn new(settings: &ColumnSettings, order: ValueOrder) -> Self {
        let uses_dictionary = settings.dictionary_bytes.is_some();
        Self {
            uses_dictionary,
            is_unprobed: uses_dictionary && !settings.repeats_far_apart,
            has_pages: false,
            bytes: 0,
            range: None,
            boundaries: BoundaryTracker::new(order),
        }
    }
}

impl ColumnEncoder {
    pub(crate) fn new(column: &'static ColumnInfo, limits: PageLimits) -> Self {
        let mut settings = ColumnSettings::of(column);
        settings.dictionary_bytes = settings
            .dictionary_bytes
            .map(|bytes| bytes / limits.dictionary_part);
        let order = ValueOrder::of(column.column_type);
        let has_lengths = order == ValueOrder::Bytes && column.column_type != ColumnType::Bool;
        Self {
            column,
            order,
            limits,
            settings,
            levels: PageLevels::new(column),
            page: OpenPage::new(order, has_lengths),
            dictionary: Dictionary::new(has_lengths),
            chunk: OpenChunk::new(&settings, order),
            pages: Vec::new(),
            page_bytes: 0,
            scratch: String::new(),
        }
    }

    /// Appends the cell of the next row, and returns the bytes of its value: 0 for null. The error is the name of the
    /// column if the cell has another type, or is null although the column is required.
    pub(crate) fn append(&mut self, cell: Option<&Cell<'_>>) -> Result<usize, &'static str> {
        let Some(cell) = cell else {
            return self.append_null();
        };
        match (self.column.column_type, cell) {
            (
                ColumnType::Str
                | ColumnType::UniqueStr
                | ColumnType::RepeatedStr
                | ColumnType::Path
                | ColumnType::Json,
                Cell::Text(text),
            ) => Ok(self.append_text(*text)),
            (ColumnType::Int32, Cell::Int32(number)) => Ok(self.append_row(&number.to_le_bytes())),
            (ColumnType::Int64, Cell::Int64(number))
            | (ColumnType::Timestamp, Cell::Time(number)) => {
                Ok(self.append_row(&number.to_le_bytes()))
            }
            (ColumnType::Float64, Cell::Float64(number)) => {
                Ok(self.append_row(&number.to_le_bytes()))
            }
            (ColumnType::Bool, Cell::Bool(value)) => Ok(self.append_bool(*value)),
            (ColumnType::StrList, Cell::Texts(texts)) => Ok(self.append_list(*texts)),
            (ColumnType::Bytes, Cell::Bytes(bytes)) => Ok(self.append_row(bytes)),
            _ => Err(self.column.name),
        }
    }

    #[inline]
    fn append_null(&mut self) -> Result<usize, &'static str> {
        if self.column.required {
            return Err(self.column.name);
        }
        self.levels.push_null();
        self.page.rows += 1;
        if self.page.rows == self.limits.rows {
            self.end_page();
        }
        Ok(0)
    }

    fn append_text(&mut self, text: Text<'_>) -> usize {
        if let Some(text) = text.as_plain() {
            return self.append_row(text.as_bytes());
        }
        let decoded = self.decode(text);
        let bytes = self.append_row(decoded.as_bytes());
        self.scratch = decoded;
        bytes
    }

    /// The decoded text, in the scratch buffer.
    fn decode(&mut self, text: Text<'_>) -> String {
        let mut decoded = std::mem::take(&mut self.scratch);
        decoded.clear();
        // Writing to a String cannot fail.
        let _ = text.write_to(&mut decoded);
        decoded
    }

    fn append_list(&mut self, texts: Texts<'_>) -> usize {
        let most = texts
            .iter()
            .map(|text| text.size() + size_of::<u32>())
            .sum();
        if self.chunk.uses_dictionary && !self.has_room_for(most) {
            // A row does not continue in another page, so all of its values are in the dictionary or none.
            self.end_page();
            self.end_dictionary();
        }
        let (mut bytes, mut is_first) = (0, true);
        for text in texts.iter() {
            if let Some(text) = text.as_plain() {
                bytes += self.push_value(text.as_bytes(), is_first, usize::MAX);
            } else {
                let decoded = self.decode(text);
                bytes += self.push_value(decoded.as_bytes(), is_first, usize::MAX);
                self.scratch = decoded;
            }
            is_first = false;
        }
        if is_first {
            self.levels.push_empty_list();
        }
        self.end_row();
        bytes
    }

    /// Whether the dictionary has room for so many more bytes.
    fn has_room_for(&self, bytes: usize) -> bool {
        let limit = self.settings.dictionary_bytes.unwrap_or_default();
        self.dictionary.bytes() + bytes <= limit
    }

    fn append_bool(&mut self, value: bool) -> usize {
        self.levels.push_value(true);
        self.page.push_bool(value);
        self.end_row();
        size_of_val(&value)
    }

    /// Appends a row with a value that is not a list.
    #[inline]
    fn append_row(&mut self, value: &[u8]) -> usize {
        let limit = self.settings.dictionary_bytes.unwrap_or_default();
        let bytes = self.push_value(value, true, limit);
        self.end_row();
        bytes
    }

    /// Adds a value of the current row. A value that the dictionary does not have is added to it up to `limit` bytes.
    #[inline]
    fn push_value(&mut self, value: &[u8], is_first_in_row: bool, limit: usize) -> usize {
        if self.chunk.is_unprobed {
            self.chunk.bytes += self.dictionary.plain_bytes(value);
        }
        if self.chunk.uses_dictionary {
            if let Some(index) = self.dictionary.intern(value, limit) {
                self.page.indices.push(index);
                self.page.text_bytes += value.len();
                self.levels.push_value(is_first_in_row);
                return value.len();
            }
            self.end_page();
            self.end_dictionary();
        }
        self.levels.push_value(is_first_in_row);
        self.page.push_plain(value);
        value.len()
    }

    #[inline]
    fn end_row(&mut self) {
        self.page.rows += 1;
        if self.chunk.is_unprobed && self.chunk.bytes >= self.limits.probe_bytes {
            self.chunk.is_unprobed = false;
            if self.hardly_repeats() {
                self.give_up_dictionary();
            }
        }
        if self.page.rows >= self.limits.rows || self.value_bytes() >= self.limits.bytes {
            self.end_page();
        }
    }

    /// About the bytes of the values of the current page.
    #[inline]
    fn value_bytes(&self) -> usize {
        if self.chunk.uses_dictionary {
            // As if each index were alone, with the most bits. Only a list has that many values in a few rows.
            self.page.indices.len() * size_of::<u32>()
        } else {
            self.page.plain_bytes()
        }
    }

    /// Bits of an index.
    fn index_width(&self) -> u32 {
        let last = u32::try_from(self.dictionary.len().saturating_sub(1));
        bit_width(last.unwrap_or(u32::MAX))
    }

    /// Whether the values so far hardly repeat. A chunk without values has no dictionary either.
    fn hardly_repeats(&self) -> bool {
        let (part, whole) = DISTINCT_PART;
        self.chunk.bytes == 0 || self.dictionary.bytes() * whole > self.chunk.bytes * part
    }

    /// Writes the values of the current page, and those that follow, as PLAIN.
    fn give_up_dictionary(&mut self) {
        if self.chunk.has_pages {
            self.end_page();
            self.end_dictionary();
            return;
        }
        self.page.text_bytes = 0;
        let indices = std::mem::take(&mut self.page.indices);
        for run in indices.iter() {
            for _ in 0..run.count {
                self.page.push_plain(self.dictionary.value(run.value));
            }
        }
        self.chunk.uses_dictionary = false;
        drop(self.dictionary.take_body());
    }

    /// Completes the current page.
    fn end_page(&mut self) {
        if self.page.rows == 0 {
            return;
        }
        self.chunk.has_pages = true;
        let mut counts = PageCounts {
            rows: std::mem::take(&mut self.page.rows),
            text_bytes: std::mem::take(&mut self.page.text_bytes),
            ..PageCounts::default()
        };
        let mut body = Vec::new();
        self.levels.finish(&mut counts, &mut body);
        let (range, whole) = self.page_range();
        let content = if self.chunk.uses_dictionary {
            let width = self.index_width();
            body.extend(width.to_le_bytes().first());
            self.page.indices.encode(width, &mut body);
            self.page.indices.clear();
            PageContent::Indices
        } else {
            self.page.take_plain(&mut body);
            PageContent::Plain
        };
        if let Some(whole) = &whole {
            self.chunk.boundaries.add(whole);
        }
        if let Some(range) = &range {
            widen(&mut self.chunk.range, range, self.order);
        }
        let range = range.filter(|_| self.settings.has_page_bounds);
        self.scratch.shrink_to(MAX_TEXT_BYTES);
        self.push_page(RawPage {
            content,
            body,
            counts,
            range,
        });
    }

    /// The range of the values of the current page, shortened for statistics, and whole if pages have bounds: their order
    /// depends on whole values. Neither if there are no values, nor for values of the dictionary of a column whose pages
    /// have no bounds: the range of the dictionary is found once.
    fn page_range(&self) -> (Option<ValueRange>, Option<ValueRange>) {
        let has_page_bounds = self.settings.has_page_bounds;
        let ends = if !self.chunk.uses_dictionary {
            self.page.plain_ends()
        } else if has_page_bounds {
            let mut is_seen = vec![false; self.dictionary.len()];
            let mut finder = RangeFinder::new(self.order);
            for run in self.page.indices.iter() {
                if let Some(is_seen @ false) = is_seen.get_mut(run.value as usize) {
                    *is_seen = true;
                    finder.add(self.dictionary.value(run.value));
                }
            }
            finder.ends()
        } else {
            None
        };
        let shortened = ends.map(|(min, max)| ValueRange::shortened(min, max, STATISTICS_BYTES));
        let whole = ends.filter(|_| has_page_bounds);
        (shortened, whole.map(|(min, max)| ValueRange::new(min, max)))
    }

    /// Completes the dictionary. Values that follow are PLAIN.
    fn end_dictionary(&mut self) {
        self.chunk.uses_dictionary = false;
        self.chunk.is_unprobed = false;
        if !self.settings.has_page_bounds {
            let mut finder = RangeFinder::new(self.order);
            self.dictionary.values().for_each(|value| finder.add(value));
            if let Some((min, max)) = finder.ends() {
                let range = ValueRange::shortened(min, max, STATISTICS_BYTES);
                widen(&mut self.chunk.range, &range, self.order);
            }
        }
        let counts = PageCounts {
            values: self.dictionary.len(),
            ..PageCounts::default()
        };
        let body = self.dictionary.take_body();
        self.push_page(RawPage {
            content: PageContent::Dictionary,
            body,
            counts,
            range: None,
        });
    }

    fn push_page(&mut self, page: RawPage) {
        self.page_bytes += page.body.len();
        self.pages.push(page);
    }

    /// Takes out the complete pages. They belong to the current column chunk.
    pub(crate) fn take_pages(&mut self) -> impl Iterator<Item = RawPage> {
        self.page_bytes = 0;
        self.pages.drain(..)
    }

    /// Bytes of complete pages that are not taken out.
    pub(crate) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Completes the column chunk. Rows that follow belong to the next one.
    pub(crate) fn finish(&mut self) -> ChunkEnd {
        // Complete pages refer to the dictionary, and with few values it is short.
        if self.chunk.is_unprobed && !self.chunk.has_pages && self.hardly_repeats() {
            self.give_up_dictionary();
        }
        self.end_page();
        if self.chunk.uses_dictionary {
            self.end_dictionary();
        }
        self.page.shrink();
        self.levels.shrink();
        self.scratch.shrink_to(KEPT_TEXT_BYTES);
        let next = OpenChunk::new(&self.settings, self.order);
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.page_bytes = 0;
        ChunkEnd {
            pages: std::mem::take(&mut self.pages),
            range: chunk.range,
            boundary_order: chunk.boundaries.boundary_order(),
        }
    }
}

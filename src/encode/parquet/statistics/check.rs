//! Checks the statistics of a Parquet file against its rows: sizes, counts, minima and maxima in the footer and in the
//! page indexes. Readers skip rows by these, so a wrong one loses rows without an error.
//!
//! ```text
//! row group starts   page headers ──► number of values in each page
//! rows are read      observed: counts and bounds of each page and chunk
//! row group ends     footer and indexes are read and compared with them
//! ```
//!
//! Memory holds the counts of one row group, and the positions of the others in the footer. The footer is read a second
//! time here, since the `parquet` crate hides fields; see [`compact`].

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::encode::input::Input;
use crate::encode::parquet::statistics::compact::{ByteSpan, Decode as _, Malformed};
use crate::encode::parquet::statistics::compare::{Chunk, Report, shown};
use crate::encode::parquet::statistics::format::{
    ColumnChunk, ColumnIndex, ColumnOrder, FileMetaData, OffsetIndex, RowGroup,
};
use crate::encode::parquet::statistics::observed::Observed;
use crate::encode::parquet::statistics::pages::{ChunkPages, unreadable};
use crate::encode::parquet::statistics::wrong_statistic::WrongStatistic;
use crate::encode::parquet::statistics::{compact, compare, observed, page_index};
use crate::tables::column::ColumnInfo;
use crate::tables::table::TableInfo;

/// Bytes at the end of a file: the length of the footer, and the magic number.
const LENGTH_AND_MAGIC: u64 = 8;

/// Maximum bytes of an index. A row group has 128 MiB of values unless one row is larger, and an index states two
/// values of each page, mostly shortened.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Maximum number of levels of a column. An index counts the values of each level for every page.
const MAX_LEVELS: usize = 3;

/// Compares the statistics of a file with its rows while they are read.
#[derive(Debug)]
pub(crate) struct StatisticsCheck {
    table: &'static TableInfo,
    input: Input,
    /// Offset of the footer.
    footer: u64,
    /// Remaining row groups, and the positions of all in the footer.
    row_groups: Range<usize>,
    footers: Arc<[ByteSpan]>,
    num_rows: Option<i64>,
    /// Whether the row groups are all of the file.
    is_whole: bool,
    current: Option<CurrentGroup>,
    rows: u64,
}

/// The row group whose rows are being read.
#[derive(Debug)]
struct CurrentGroup {
    number: usize,
    footer: ByteSpan,
    columns: Vec<CurrentColumn>,
    /// Rows according to the page headers.
    rows: u64,
    /// Rows read so far.
    seen: u64,
}

/// A column of the current row group.
#[derive(Debug)]
struct CurrentColumn {
    info: &'static ColumnInfo,
    footer: ByteSpan,
    pages: Result<ChunkPages, Malformed>,
    observed: Observed,
}

impl StatisticsCheck {
    /// Reads the footer. `None` if it is damaged.
    pub(crate) fn open(
        table: &'static TableInfo,
        input: Input,
        wrong: &mut Vec<WrongStatistic>,
    ) -> Option<Self> {
        let opened = read_footer(&input);
        let mut report = Report::new(wrong, None, None);
        match opened {
            Err(error) => {
                report.wrong("a footer", "as scale-export writes it", error);
                None
            }
            Ok((footer, metadata)) => {
                // Every reader knows version 1 of the format.
                report.number("version", 1, metadata.version);
                check_orders(table, metadata.column_orders.as_deref(), wrong);
                let row_groups = metadata.row_groups.unwrap_or_default();
                Some(Self {
                    table,
                    input,
                    footer,
                    row_groups: 0..row_groups.len(),
                    footers: row_groups.into(),
                    num_rows: metadata.num_rows,
                    is_whole: true,
                    current: None,
                    rows: 0,
                })
            }
        }
    }

    /// Another check, of some of the row groups. It does not compare the number of rows in the file.
    pub(crate) fn of_row_groups(&self, input: Input, row_groups: Range<usize>) -> Self {
        Self {
            table: self.table,
            input,
            footer: self.footer,
            row_groups,
            footers: self.footers.clone(),
            num_rows: self.num_rows,
            is_whole: false,
            current: None,
            rows: 0,
        }
    }

    /// The number of rows that the file states.
    pub(crate) fn stated_rows(&self) -> Option<u64> {
        u64::try_from(self.num_rows?).ok()
    }

    /// Adds the next rows, which have the table's columns. Returns false if no more can be compared.
    pub(crate) fn rows(&mut self, batch: &RecordBatch, wrong: &mut Vec<WrongStatistic>) -> bool {
        let mut from = 0;
        self.rows += batch.num_rows() as u64;
        while from < batch.num_rows() {
            let Some(mut group) = self.current.take() else {
                if !self.begin(wrong) {
                    return false;
                }
                continue;
            };
            let left = batch.num_rows() - from;
            let rows = usize::try_from(group.rows - group.seen).map_or(left, |rows| rows.min(left));
            for (column, array) in group.columns.iter_mut().zip(batch.columns()) {
                column.observed.add(&array.slice(from, rows));
            }
            from += rows;
            group.seen += rows as u64;
            if group.seen == group.rows {
                self.end(group, wrong);
            } else {
                self.current = Some(group);
            }
        }
        true
    }

    /// Compares the last row group after all rows are read.
    pub(crate) fn finish(mut self, wrong: &mut Vec<WrongStatistic>) {
        if let Some(group) = self.current.take() {
            self.end(group, wrong);
        }
        // No rows were read of these row groups.
        while !self.row_groups.is_empty() {
            if !self.begin(wrong) {
                return;
            }
            if let Some(group) = self.current.take() {
                self.end(group, wrong);
            }
        }
        if self.is_whole {
            Report::new(wrong, None, None).number("num_rows", self.rows, self.num_rows);
        }
    }

    /// Starts the next row group. Returns false if there is none, or if its rows are unknown because of damage.
    fn begin(&mut self, wrong: &mut Vec<WrongStatistic>) -> bool {
        let next = self.row_groups.next();
        let next = next.and_then(|number| Some((number, self.footers.get(number)?.clone())));
        let Some((number, footer)) = next else {
            let mut report = Report::new(wrong, None, None);
            report.wrong("rows in row groups,", "all", "more rows");
            return false;
        };
        let mut report = Report::new(wrong, Some(number), None);
        let columns: Vec<&'static ColumnInfo> = self.table.columns().collect();
        let spans = self
            .structure::<RowGroup>(&footer)
            .map(|group| group.columns.unwrap_or_default());
        let spans = match spans {
            Ok(spans) if spans.len() == columns.len() => spans,
            Ok(spans) => {
                report.wrong("columns,", columns.len(), spans.len());
                return false;
            }
            Err(error) => {
                report.wrong("a row group", "as scale-export writes it", error);
                return false;
            }
        };
        let columns: Vec<CurrentColumn> = columns
            .into_iter()
            .zip(spans)
            .map(|(info, span)| self.column(info, span.within(&footer)))
            .collect();
        // In a column without lists, each value is a row, so its page headers give the number of rows. The number in
        // the footer is what is checked.
        let flat = columns.iter().find_map(|column| {
            let pages = column.pages.as_ref().ok()?;
            (!observed::Levels::of(column.info).is_list).then(|| pages.values())
        });
        let group = CurrentGroup {
            number,
            footer,
            columns,
            rows: flat.unwrap_or_default(),
            seen: 0,
        };
        if group.rows == 0 {
            self.end(group, wrong);
            return flat.is_some();
        }
        self.current = Some(group);
        true
    }

    fn column(&self, info: &'static ColumnInfo, footer: ByteSpan) -> CurrentColumn {
        let stated = self.structure::<ColumnChunk>(&footer);
        // Only a column index states the bounds of pages.
        let keeps_bounds = stated
            .as_ref()
            .is_ok_and(|chunk| chunk.column_index_offset.is_some());
        let pages = stated.and_then(|chunk| self.pages(&chunk));
        let sizes = pages.iter().flat_map(|pages| &pages.data);
        let sizes = sizes.map(|page| page.values).collect();
        CurrentColumn {
            info,
            footer,
            pages,
            observed: Observed::new(sizes, keeps_bounds),
        }
    }

    fn pages(&self, chunk: &ColumnChunk) -> Result<ChunkPages, Malformed> {
        let range = chunk.meta_data.as_ref().and_then(|meta| {
            let start = meta.dictionary_page_offset.or(meta.data_page_offset)?;
            let start = u64::try_from(start).ok()?;
            let length = u64::try_from(meta.total_compressed_size?).ok()?;
            Some(start..start.checked_add(length)?)
        });
        let range = range.filter(|range| range.end <= self.footer);
        let Some(range) = range else {
            return Err(Malformed("a column chunk outside of the file".to_owned()));
        };
        ChunkPages::read(&self.input, range)
    }

    /// Compares a row group after its rows are read.
    fn end(&self, mut group: CurrentGroup, wrong: &mut Vec<WrongStatistic>) {
        if group.seen < group.rows {
            let mut report = Report::new(wrong, Some(group.number), None);
            report.wrong("rows of pages,", group.rows, group.seen);
        }
        for column in &mut group.columns {
            column.observed.finish();
            let mut report = Report::new(wrong, Some(group.number), Some(column.info));
            if let Err(error) = self.compare(column, &mut report) {
                report.wrong("a column chunk", "as scale-export writes it", error);
            }
        }
        let pages = group.columns.iter();
        let pages: Option<Vec<&ChunkPages>> =
            pages.map(|column| column.pages.as_ref().ok()).collect();
        let stated = self.structure::<RowGroup>(&group.footer);
        // If one of the two is missing, the cause is reported already.
        if let (Some(pages), Ok(stated)) = (pages, stated) {
            let mut report = Report::new(wrong, Some(group.number), None);
            compare::row_group(&stated, group.number, group.rows, &pages, &mut report);
        }
    }

    fn compare(&self, column: &CurrentColumn, report: &mut Report<'_>) -> Result<(), Malformed> {
        let chunk = Chunk {
            column: column.info,
            pages: column.pages.as_ref().map_err(Clone::clone)?,
            observed: &column.observed,
        };
        let stated: ColumnChunk = self.structure(&column.footer)?;
        compare::chunk(&stated, &chunk, report);
        let pages = chunk.pages.data.len();
        let place = (stated.offset_index_offset, stated.offset_index_length);
        if let Some(index) = self.index::<OffsetIndex>("offset index", place, pages)? {
            page_index::offset_index(&index, &chunk, report);
        }
        let place = (stated.column_index_offset, stated.column_index_length);
        if let Some(index) = self.index::<ColumnIndex>("column index", place, pages)? {
            page_index::column_index(&index, &chunk, report);
        }
        Ok(())
    }

    /// Decodes a structure of the footer.
    fn structure<T: compact::Decode>(&self, place: &ByteSpan) -> Result<T, Malformed> {
        let Range { start, end } = place.0;
        let bytes = self
            .input
            .read_at(self.footer + start as u64, (end - start) as u64)
            .map_err(unreadable)?;
        T::decode(&bytes, bytes.len())
    }

    /// Decodes the index of `pages` pages, if there is one.
    fn index<T: compact::Decode>(
        &self,
        name: &str,
        place: (Option<i64>, Option<i64>),
        pages: usize,
    ) -> Result<Option<T>, Malformed> {
        let refused = |cause: String| Malformed(format!("{name}: {cause}"));
        let (Some(offset), Some(length)) = place else {
            return match place {
                (None, None) => Ok(None),
                _ => Err(refused("a place without offset or length".to_owned())),
            };
        };
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(refused("a place outside of the file".to_owned()));
        };
        if length > MAX_INDEX_BYTES {
            return Err(refused(format!("{length} bytes")));
        }
        let bytes = self.input.read_at(offset, length);
        let bytes = bytes.map_err(|error| refused(unreadable(error).0))?;
        let max_elements = pages.saturating_mul(MAX_LEVELS);
        let index = T::decode(&bytes, max_elements);
        index.map(Some).map_err(|error| refused(error.0))
    }
}

/// The offset and the content of the footer.
fn read_footer(input: &Input) -> Result<(u64, FileMetaData), Malformed> {
    let cut_off = || Malformed("a file that is cut off".to_owned());
    let length = input.length().map_err(unreadable)?;
    let end = length.checked_sub(LENGTH_AND_MAGIC).ok_or_else(cut_off)?;
    let tail = input.read_at(end, LENGTH_AND_MAGIC).map_err(unreadable)?;
    let footer_length = tail.first_chunk().copied().ok_or_else(cut_off)?;
    let footer_length = u64::from(u32::from_le_bytes(footer_length));
    let start = end.checked_sub(footer_length).ok_or_else(cut_off)?;
    let bytes = input.read_at(start, footer_length).map_err(unreadable)?;
    Ok((start, FileMetaData::decode(&bytes, bytes.len())?))
}

/// Every column must have `TypeDefinedOrder`, which every reader knows.
fn check_orders(
    table: &'static TableInfo,
    orders: Option<&[ColumnOrder]>,
    wrong: &mut Vec<WrongStatistic>,
) {
    let name = |order: &ColumnOrder| match (&order.type_defined, &order.ieee_754_total) {
        (Some(_), None) => "TypeDefinedOrder",
        (None, Some(_)) => "IEEE754TotalOrder",
        _ => "an unknown order",
    };
    let orders = orders.unwrap_or_default();
    let columns = table.columns().count();
    if orders.len() != columns {
        let mut report = Report::new(wrong, None, None);
        report.wrong("column orders:", columns, orders.len());
    }
    for (column, order) in table.columns().zip(orders) {
        let found = name(order);
        if found != "TypeDefinedOrder" {
            let mut report = Report::new(wrong, None, Some(column));
            report.wrong("column order", "TypeDefinedOrder", shown(Some(found)));
        }
    }
}

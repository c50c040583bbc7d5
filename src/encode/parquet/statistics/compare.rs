//! Compares statements of a file about a row group or a column chunk with its pages and rows.
//!
//! Three rules: every statement must be true; optional statements may be missing, except the statistics of a chunk: its
//! null count, and its minimum and maximum if it has a value; statements that scale-export never writes must be
//! missing.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::encode::parquet::statistics::bounds::{Bound, Bounds, Side, fits};
use crate::encode::parquet::statistics::compact::Binary;
use crate::encode::parquet::statistics::format::{
    ColumnChunk, ColumnMetaData, RowGroup, Statistics, number,
};
use crate::encode::parquet::statistics::observed::{Levels, Observed};
use crate::encode::parquet::statistics::pages::{ChunkPages, PageFacts};
use crate::encode::parquet::statistics::wrong_statistic::WrongStatistic;
use crate::hex;
use crate::json::text::write_json_string;
use crate::tables::column::{ColumnInfo, ColumnType};

/// Maximum bytes of binary values in messages.
const SHOWN_BYTES: usize = 64;

/// Collects wrong statistics of one part of a file.
pub(crate) struct Report<'r> {
    wrong: &'r mut Vec<WrongStatistic>,
    column: Option<&'static ColumnInfo>,
    row_group: Option<usize>,
}

impl<'r> Report<'r> {
    /// A report about a file, one of its row groups, or a column of one.
    pub(crate) fn new(
        wrong: &'r mut Vec<WrongStatistic>,
        row_group: Option<usize>,
        column: Option<&'static ColumnInfo>,
    ) -> Self {
        Self {
            wrong,
            column,
            row_group,
        }
    }

    /// The number of wrong statistics so far.
    pub(crate) fn count(&self) -> usize {
        self.wrong.len()
    }

    /// Adds a wrong statistic.
    pub(crate) fn wrong(&mut self, what: &str, expected: impl Display, found: impl Display) {
        let place = match self.row_group {
            Some(row_group) => format!(" in row group {row_group}"),
            None => String::new(),
        };
        self.wrong.push(WrongStatistic {
            column: self.column.map(|column| column.name),
            expected: format!("{what} {expected}{place}"),
            found: found.to_string(),
        });
    }

    /// Compares a number that must be present.
    pub(crate) fn number(&mut self, what: &str, expected: u64, found: Option<i64>) {
        if found.and_then(|found| u64::try_from(found).ok()) != Some(expected) {
            self.wrong(what, expected, shown(found));
        }
    }

    /// Compares a number that may be missing.
    pub(crate) fn optional(&mut self, what: &str, expected: u64, found: Option<i64>) {
        if found.is_some() {
            self.number(what, expected, found);
        }
    }

    /// Compares numbers that may be missing.
    pub(crate) fn numbers(&mut self, what: &str, expected: &[u64], found: Option<&[i64]>) {
        let Some(found) = found else { return };
        let is_so = found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(found, expected)| u64::try_from(*found) == Ok(*expected));
        if !is_so {
            let at = found.iter().zip(expected);
            let at = at.take_while(|(found, expected)| u64::try_from(**found) == Ok(**expected));
            let at = at.count();
            let what = format!("{what}, element {at} of {}:", expected.len());
            let (expected, found) = (expected.get(at).copied(), found.get(at).copied());
            self.wrong(&what, shown(expected), shown(found));
        }
    }
}

/// The text of a value that may be missing.
pub(crate) fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// The facts of a column chunk, by its pages and rows.
pub(crate) struct Chunk<'c> {
    pub(crate) column: &'static ColumnInfo,
    pub(crate) pages: &'c ChunkPages,
    pub(crate) observed: &'c Observed,
}

/// Compares the statements about a row group with its chunks.
pub(crate) fn row_group(
    stated: &RowGroup,
    number: usize,
    rows: u64,
    chunks: &[&ChunkPages],
    report: &mut Report<'_>,
) {
    let pages = || chunks.iter().flat_map(|pages| pages.iter());
    let bytes = pages().map(|page| page.bytes).sum();
    let uncompressed = pages().map(|page| page.uncompressed_bytes).sum();
    report.number("num_rows", rows, stated.num_rows);
    report.number("total_byte_size", uncompressed, stated.total_byte_size);
    report.optional("total_compressed_size", bytes, stated.total_compressed_size);
    let start = pages().map(|page| page.offset).min().unwrap_or_default();
    report.optional("file_offset", start, stated.file_offset);
    report.optional("ordinal", number as u64, stated.ordinal);
}

/// Compares the footer's statements about a column chunk.
pub(crate) fn chunk(stated: &ColumnChunk, chunk: &Chunk<'_>, report: &mut Report<'_>) {
    let (pages, summary) = (chunk.pages, &chunk.observed.chunk);
    if chunk.observed.splits_rows {
        report.wrong("pages that end", "with a row", "one that ends within a row");
    }
    let start = pages.iter().map(|page| page.offset).min();
    // This deprecated field has different offsets, or 0, depending on the writer.
    if stated.file_offset != Some(0) {
        report.optional("file_offset", start.unwrap_or_default(), stated.file_offset);
    }
    let Some(meta) = &stated.meta_data else {
        report.wrong("metadata of a column chunk,", "some", "none");
        return;
    };
    report.number(
        "type",
        physical_type(chunk.column).unsigned_abs(),
        meta.physical_type,
    );
    report.number("codec", number::ZSTD.unsigned_abs(), meta.codec);
    path(meta, chunk, report);
    report.number("num_values", summary.num_values(), meta.num_values);
    report.number("number of values of all pages", summary.num_values(), {
        i64::try_from(pages.values()).ok()
    });
    let sum = |size: fn(&PageFacts) -> u64| pages.iter().map(size).sum();
    let uncompressed = sum(|page| page.uncompressed_bytes);
    report.number(
        "total_uncompressed_size",
        uncompressed,
        meta.total_uncompressed_size,
    );
    let bytes = sum(|page| page.bytes);
    report.number("total_compressed_size", bytes, meta.total_compressed_size);
    let data = pages.data.first().map(|page| page.offset);
    report.number(
        "data_page_offset",
        data.unwrap_or_default(),
        meta.data_page_offset,
    );
    let dictionary = pages.dictionary.as_ref().map(|page| page.offset);
    let stated_dictionary = meta.dictionary_page_offset;
    if dictionary.map(|offset| i64::try_from(offset).ok()) != stated_dictionary.map(Some) {
        report.wrong(
            "dictionary_page_offset",
            shown(dictionary),
            shown(stated_dictionary),
        );
    }
    encodings(meta, pages, report);
    match &meta.statistics {
        None => report.wrong("statistics,", "some", "none"),
        Some(stated) => statistics(stated, chunk, report),
    }
    if let Some(sizes) = &meta.size_statistics {
        let levels = Levels::of(chunk.column);
        report.optional(
            "unencoded_byte_array_data_bytes",
            summary.value_bytes,
            sizes.unencoded_byte_array_data_bytes,
        );
        report.numbers(
            "repetition_level_histogram",
            &summary.repetition_levels(levels),
            sizes.repetition_level_histogram.as_deref(),
        );
        report.numbers(
            "definition_level_histogram",
            &summary.definition_levels(levels),
            sizes.definition_level_histogram.as_deref(),
        );
    }
}

fn path(meta: &ColumnMetaData, chunk: &Chunk<'_>, report: &mut Report<'_>) {
    let mut expected = vec![chunk.column.name];
    if Levels::of(chunk.column).is_list {
        expected.extend(["list", "element"]);
    }
    let found = meta.path_in_schema.iter().flatten();
    let found: Vec<_> = found
        .map(|Binary(name)| String::from_utf8_lossy(name))
        .collect();
    if found != expected {
        report.wrong("path_in_schema", expected.join("."), found.join("."));
    }
}

/// Compares the encodings with those of the pages and their levels.
fn encodings(meta: &ColumnMetaData, pages: &ChunkPages, report: &mut Report<'_>) {
    let used = pages.iter().map(|page| page.encoding);
    // RLE is the encoding of levels.
    let used: BTreeSet<i64> = used.chain([number::RLE]).collect();
    let found: BTreeSet<i64> = meta.encodings.iter().flatten().copied().collect();
    if found != used {
        report.wrong("encodings", format!("{used:?}"), format!("{found:?}"));
    }
    let Some(stated) = &meta.encoding_stats else {
        return;
    };
    let dictionary = pages.dictionary.iter();
    let dictionary = dictionary.map(|page| (number::DICTIONARY_PAGE, page.encoding));
    let data = pages.data.iter();
    let data = data.map(|page| (number::DATA_PAGE, page.encoding));
    let of_pages: Vec<(i64, i64)> = dictionary.chain(data).collect();
    let kinds: BTreeSet<(i64, i64)> = of_pages.iter().copied().collect();
    for stats in stated {
        let kind = (stats.page_type.unwrap_or(-1), stats.encoding.unwrap_or(-1));
        if !kinds.contains(&kind) {
            let what = format!("no pages of type {} in encoding {}", kind.0, kind.1);
            report.wrong("encoding_stats that state", what, shown(stats.count));
        }
    }
    for kind in kinds {
        let expected = of_pages.iter().filter(|page| **page == kind).count();
        let of_kind = stated
            .iter()
            .filter(|stats| (stats.page_type, stats.encoding) == (Some(kind.0), Some(kind.1)));
        let counts = of_kind.map(|stats| stats.count.unwrap_or_default());
        let found = counts.fold(0, i64::saturating_add);
        report.number(
            &format!(
                "encoding_stats, pages of type {}, encoding {}:",
                kind.0, kind.1
            ),
            expected as u64,
            Some(found),
        );
    }
}

fn statistics(stated: &Statistics, chunk: &Chunk<'_>, report: &mut Report<'_>) {
    let summary = &chunk.observed.chunk;
    report.number("null_count", summary.null_count(), stated.null_count);
    // scale-export does not count distinct values.
    if let Some(count) = stated.distinct_count {
        report.wrong("distinct_count", "none", count);
    }
    // NaN is not a JSON value.
    report.optional("nan_count", 0, stated.nan_count);
    let Bounds { min, max } = &summary.bounds;
    for (side, what, value, found, is_exact) in [
        (
            Side::Min,
            "min_value",
            min,
            &stated.min_value,
            stated.is_min_value_exact,
        ),
        (
            Side::Max,
            "max_value",
            max,
            &stated.max_value,
            stated.is_max_value_exact,
        ),
    ] {
        bound(
            (side, what),
            value.as_ref(),
            (found.as_ref(), is_exact),
            chunk,
            report,
        );
    }
    // Readers compare the deprecated bounds as signed bytes, which is wrong for text, so text has none.
    let is_binary = physical_type(chunk.column) == number::BYTE_ARRAY;
    for (side, what, value, found) in [
        (Side::Min, "min", min, &stated.min),
        (Side::Max, "max", max, &stated.max),
    ] {
        match found {
            None => {}
            Some(_) if !is_binary => {
                bound(
                    (side, what),
                    value.as_ref(),
                    (found.as_ref(), None),
                    chunk,
                    report,
                );
            }
            Some(Binary(found)) => {
                let found = shown_value(chunk.column, found);
                report.wrong(what, "none", found);
            }
        }
    }
}

/// Compares a stated bound, and its exactness, with the bound of the values. Without a value there must be no bound.
pub(crate) fn bound(
    (side, what): (Side, &str),
    value: Option<&Bound>,
    (found, is_exact): (Option<&Binary>, Option<bool>),
    chunk: &Chunk<'_>,
    report: &mut Report<'_>,
) {
    let is_right = match (value, found) {
        (None, None) => true,
        (Some(value), Some(Binary(found))) => fits(side, found, is_exact, value),
        _ => false,
    };
    if is_right {
        return;
    }
    let expected = value.map(|value| shown_value(chunk.column, &value.encoded(side)));
    let exactness = match is_exact {
        Some(true) => " as exact",
        Some(false) => " as inexact",
        None => "",
    };
    let found = found.map(|Binary(found)| shown_value(chunk.column, found) + exactness);
    report.wrong(what, shown(expected), shown(found));
}

/// The format's number for the type of a column's values.
fn physical_type(column: &ColumnInfo) -> i64 {
    match column.column_type {
        ColumnType::Bool => number::BOOLEAN,
        ColumnType::Int32 => number::INT32,
        ColumnType::Int64 | ColumnType::Timestamp => number::INT64,
        ColumnType::Float64 => number::DOUBLE,
        _ => number::BYTE_ARRAY,
    }
}

/// The text of a bound: numbers as such, text in quotes, anything else in hexadecimal.
fn shown_value(column: &ColumnInfo, bytes: &[u8]) -> String {
    let number = match physical_type(column) {
        number::BOOLEAN => match bytes {
            [0] => Some("false".to_owned()),
            [1] => Some("true".to_owned()),
            _ => None,
        },
        number::INT32 => (bytes.try_into().ok()).map(|bytes| i32::from_le_bytes(bytes).to_string()),
        number::INT64 => (bytes.try_into().ok()).map(|bytes| i64::from_le_bytes(bytes).to_string()),
        number::DOUBLE => {
            (bytes.try_into().ok()).map(|bytes| format!("{:?}", f64::from_le_bytes(bytes)))
        }
        _ if column.column_type == ColumnType::Bytes => None,
        _ => str::from_utf8(bytes).ok().map(|text| {
            let mut quoted = String::new();
            write_json_string(text, &mut quoted);
            quoted
        }),
    };
    number.unwrap_or_else(|| match bytes.get(..SHOWN_BYTES) {
        Some(first) if first.len() < bytes.len() => {
            format!(
                "{} bytes that begin with {}",
                bytes.len(),
                hex::encode(first)
            )
        }
        _ => format!("bytes {}", hex::encode(bytes)),
    })
}

/// The name of a boundary order.
pub(crate) fn order_name(order: i64) -> &'static str {
    const KNOWN: RangeInclusive<i64> = number::UNORDERED..=number::DESCENDING;
    match order {
        number::ASCENDING => "ASCENDING",
        number::DESCENDING => "DESCENDING",
        order if KNOWN.contains(&order) => "UNORDERED",
        _ => "an unknown order",
    }
}

//! Compares the two indexes of a column chunk with its pages and their rows.
//!
//! Only the first wrong entry for a page is reported, since others mostly follow from it.

use crate::encode::parquet::statistics::bounds::{Bound, Bounds, Side};
use crate::encode::parquet::statistics::compact::Binary;
use crate::encode::parquet::statistics::compare::{Chunk, Report, bound, order_name, shown};
use crate::encode::parquet::statistics::format::{ColumnIndex, OffsetIndex, number};
use crate::encode::parquet::statistics::observed::{Levels, Summary};

/// Compares the offsets and the first rows of pages.
pub(crate) fn offset_index(stated: &OffsetIndex, chunk: &Chunk<'_>, report: &mut Report<'_>) {
    let locations = stated.page_locations.as_deref().unwrap_or_default();
    let pages = &chunk.pages.data;
    if locations.len() != pages.len() {
        report.wrong("offset index of pages:", pages.len(), locations.len());
        return;
    }
    let mut first_row = 0;
    let starts = chunk.observed.pages.iter().map(|page| {
        let start = first_row;
        first_row += page.rows;
        start
    });
    for (index, ((location, page), start)) in locations.iter().zip(pages).zip(starts).enumerate() {
        let stated = [
            ("offset", page.offset, location.offset),
            (
                "compressed_page_size",
                page.bytes,
                location.compressed_page_size,
            ),
            ("first_row_index", start, location.first_row_index),
        ];
        let is_right = |(_, expected, found): &(&str, u64, Option<i64>)| {
            found.and_then(|found| u64::try_from(found).ok()) == Some(*expected)
        };
        if let Some((what, expected, found)) = stated.iter().find(|stated| !is_right(stated)) {
            report.number(&format!("{what} of page {index},"), *expected, *found);
            break;
        }
    }
    let bytes = chunk.observed.pages.iter().map(|page| page.value_bytes);
    report.numbers(
        "unencoded_byte_array_data_bytes of pages",
        &bytes.collect::<Vec<_>>(),
        stated.unencoded_byte_array_data_bytes.as_deref(),
    );
}

/// Compares the statistics by which readers skip pages.
pub(crate) fn column_index(stated: &ColumnIndex, chunk: &Chunk<'_>, report: &mut Report<'_>) {
    let pages = &chunk.observed.pages;
    let null_pages = stated.null_pages.as_deref().unwrap_or_default();
    let min_values = stated.min_values.as_deref().unwrap_or_default();
    let max_values = stated.max_values.as_deref().unwrap_or_default();
    for (what, length) in [
        ("null_pages", null_pages.len()),
        ("min_values", min_values.len()),
        ("max_values", max_values.len()),
    ] {
        if length != pages.len() {
            report.wrong(&format!("number of {what}"), pages.len(), length);
            return;
        }
    }
    let is_null = pages.iter().map(Summary::is_null);
    let mut flags = null_pages.iter().zip(is_null).enumerate();
    if let Some((index, (found, expected))) = flags.find(|(_, (found, is))| **found != *is) {
        report.wrong(&format!("null_pages of page {index},"), expected, found);
    }
    for (side, what, found) in [
        (Side::Min, "min_values", min_values),
        (Side::Max, "max_values", max_values),
    ] {
        let before = report.count();
        for (index, (page, found)) in pages.iter().zip(found).enumerate() {
            let what = format!("{what} of page {index},");
            page_bound((side, &what), page, found, chunk, report);
            if report.count() > before {
                break;
            }
        }
    }
    boundary_order(stated.boundary_order, pages, report);
    let null_counts: Vec<u64> = pages.iter().map(Summary::null_count).collect();
    report.numbers("null_counts", &null_counts, stated.null_counts.as_deref());
    let none = vec![0; pages.len()];
    report.numbers("nan_counts", &none, stated.nan_counts.as_deref());
    let levels = Levels::of(chunk.column);
    let of_pages = |histogram: fn(&Summary, Levels) -> Vec<u64>| -> Vec<u64> {
        let of_page = |page| histogram(page, levels);
        pages.iter().flat_map(of_page).collect()
    };
    report.numbers(
        "repetition_level_histograms",
        &of_pages(Summary::repetition_levels),
        stated.repetition_level_histograms.as_deref(),
    );
    report.numbers(
        "definition_level_histograms",
        &of_pages(Summary::definition_levels),
        stated.definition_level_histograms.as_deref(),
    );
}

/// Compares the bound of a page. A page without values has empty bytes instead.
fn page_bound(
    (side, what): (Side, &str),
    page: &Summary,
    found: &Binary,
    chunk: &Chunk<'_>,
    report: &mut Report<'_>,
) {
    let Bounds { min, max } = &page.bounds;
    let value = match side {
        Side::Min => min,
        Side::Max => max,
    };
    let is_absent = value.is_none() && found.0.is_empty();
    if !is_absent {
        bound(
            (side, what),
            value.as_ref(),
            (Some(found), None),
            chunk,
            report,
        );
    }
}

/// Compares the order of pages. Readers use a binary search if the file states that bounds are in order.
fn boundary_order(stated: Option<i64>, pages: &[Summary], report: &mut Report<'_>) {
    let is_ordered = |side: fn(&Bounds) -> Option<&Bound>, is_after: fn(&Bound, &Bound) -> bool| {
        let bounds: Vec<&Bound> = pages.iter().filter_map(|page| side(&page.bounds)).collect();
        let pairs = bounds.iter().zip(bounds.iter().skip(1));
        pairs.into_iter().all(|(one, next)| !is_after(one, next))
    };
    let both = |is_after: fn(&Bound, &Bound) -> bool| {
        is_ordered(|bounds| bounds.min.as_ref(), is_after)
            && is_ordered(|bounds| bounds.max.as_ref(), is_after)
    };
    let ascending = both(|one, next| one.compare(next).is_gt());
    let descending = both(|one, next| one.compare(next).is_lt());
    let is_right = match stated {
        Some(number::UNORDERED) => true,
        Some(number::ASCENDING) => ascending,
        Some(number::DESCENDING) => descending,
        _ => false,
    };
    if !is_right {
        let expected = match (ascending, descending) {
            (true, _) => number::ASCENDING,
            (_, true) => number::DESCENDING,
            _ => number::UNORDERED,
        };
        let found = stated.map(order_name);
        report.wrong("boundary_order", order_name(expected), shown(found));
    }
}

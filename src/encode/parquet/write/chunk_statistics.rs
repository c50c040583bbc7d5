//! The statistics of a column chunk as its metadata states them.

use parquet::basic::Type as PhysicalType;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescriptor;

use crate::encode::parquet::write::properties::STATISTICS_BYTES;
use crate::encode::parquet::write::value_range::{StatedBound, ValueRange};

/// The statistics of a column with this range of values and so many nulls. `None` for a type that no column has.
pub(crate) fn statistics(
    column: &ColumnDescriptor,
    range: Option<&ValueRange>,
    nulls: u64,
) -> Option<Statistics> {
    let min = range.map(|range| range.min.as_slice());
    let max = range.map(|range| range.max.as_slice());
    Some(match column.physical_type() {
        PhysicalType::BOOLEAN => {
            let value = |bytes: &[u8]| bytes.first().map(|byte| *byte != 0);
            Statistics::boolean(
                min.and_then(value),
                max.and_then(value),
                None,
                Some(nulls),
                false,
            )
        }
        PhysicalType::INT32 => {
            let value = |bytes: &[u8]| bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
            Statistics::int32(
                min.and_then(value),
                max.and_then(value),
                None,
                Some(nulls),
                false,
            )
        }
        PhysicalType::INT64 => {
            let value = |bytes: &[u8]| bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes));
            Statistics::int64(
                min.and_then(value),
                max.and_then(value),
                None,
                Some(nulls),
                false,
            )
        }
        PhysicalType::DOUBLE => {
            // Readers that compare by value do not distinguish the zeros, so a bound is the one that includes both.
            let value = |bytes: &[u8], zero: f64| {
                let value = f64::from_le_bytes(*bytes.first_chunk()?);
                Some(if value == 0.0 { zero } else { value })
            };
            let min = min.and_then(|bytes| value(bytes, -0.0));
            let max = max.and_then(|bytes| value(bytes, 0.0));
            Statistics::double(min, max, None, Some(nulls), false)
        }
        PhysicalType::BYTE_ARRAY => {
            let min = min.map(|bytes| StatedBound::min(bytes, STATISTICS_BYTES));
            let max = max.map(|bytes| StatedBound::max(bytes, STATISTICS_BYTES));
            let is_exact =
                |bound: &Option<StatedBound>| bound.as_ref().is_some_and(|bound| bound.is_exact);
            let exact = (is_exact(&min), is_exact(&max));
            let value = |bound: StatedBound| ByteArray::from(bound.bytes);
            let values =
                ValueStatistics::new(min.map(value), max.map(value), None, Some(nulls), false);
            let values = values.with_min_is_exact(exact.0).with_max_is_exact(exact.1);
            Statistics::ByteArray(values)
        }
        _ => return None,
    })
    .map(|statistics| with_deprecated_bounds(statistics, column))
}

/// States the bounds in the deprecated fields as well, where those are right: the oldest readers know only them, and
/// compare them as signed numbers.
pub(crate) fn with_deprecated_bounds(
    statistics: Statistics,
    column: &ColumnDescriptor,
) -> Statistics {
    let is_signed = column.sort_order().is_signed();
    match statistics {
        Statistics::Boolean(values) => {
            Statistics::Boolean(values.with_backwards_compatible_min_max(is_signed))
        }
        Statistics::Int32(values) => {
            Statistics::Int32(values.with_backwards_compatible_min_max(is_signed))
        }
        Statistics::Int64(values) => {
            Statistics::Int64(values.with_backwards_compatible_min_max(is_signed))
        }
        // No value is NaN, so signed numbers have their order.
        Statistics::Double(values) => {
            Statistics::Double(values.with_backwards_compatible_min_max(true))
        }
        Statistics::ByteArray(values) => {
            Statistics::ByteArray(values.with_backwards_compatible_min_max(is_signed))
        }
        other => other,
    }
}

//! The statistics of a table's file, as a Delta table has them: the number of rows, and of each column the number of nulls,
//! a lower bound and an upper bound. They come from the footer of the file, so no row is read.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, StructArray};
use arrow::compute::{SortOptions, cast, concat, sort_limit};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::encode::catch_panic::guarded;

/// The names of the members of the statistics, and their order in the log.
const MEMBERS: [&str; 3] = ["nullCount", "minValues", "maxValues"];

const MICROSECONDS_PER_MILLISECOND: i64 = 1_000;

/// Reads the statistics of a file, in the shape that a Delta table expects.
pub(crate) fn file_statistics(path: &Path, shape: &Schema) -> Result<StructArray, String> {
    let read = || {
        let file = File::open(path)?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        of_footer(&metadata, shape)
    };
    // The crate panics on some damaged footers.
    let read = guarded(read).map_err(|panic| panic.to_string())?;
    read.map_err(|error: ParquetError| error.to_string())
}

fn of_footer(metadata: &ParquetMetaData, shape: &Schema) -> Result<StructArray, ParquetError> {
    let file = metadata.file_metadata();
    let columns = parquet_to_arrow_schema(file.schema_descr(), None)?;
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![file.num_rows()]));
    let mut members: Vec<(Arc<Field>, ArrayRef)> = vec![member("numRecords", rows)];
    for name in MEMBERS {
        let Ok(expected) = shape.field_with_name(name) else {
            continue;
        };
        let DataType::Struct(fields) = expected.data_type() else {
            continue;
        };
        let values = of_columns(metadata, &columns, name, fields)?;
        members.push(member(name, Arc::new(values)));
    }
    // Bounds are those of all rows of the file: none is deleted.
    let tight: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    members.push(member("tightBounds", tight));
    Ok(StructArray::from(members))
}

fn member(name: &str, values: ArrayRef) -> (Arc<Field>, ArrayRef) {
    let field = Field::new(name, values.data_type().clone(), true);
    (Arc::new(field), values)
}

/// One member of the statistics for each column that it is expected for, if the file has it.
fn of_columns(
    metadata: &ParquetMetaData,
    columns: &Schema,
    member_name: &str,
    expected: &Fields,
) -> Result<StructArray, ParquetError> {
    let mut members = Vec::new();
    for field in expected {
        if matches!(field.data_type(), DataType::Struct(_))
            || columns.index_of(field.name()).is_err()
        {
            continue;
        }
        let value = of_column(metadata, columns, member_name, field)?;
        members.push(member(field.name(), value));
    }
    Ok(if members.is_empty() {
        StructArray::new_empty_fields(1, None)
    } else {
        StructArray::from(members)
    })
}

/// The value for one column: one element, which is null where a row group has none.
fn of_column(
    metadata: &ParquetMetaData,
    columns: &Schema,
    member_name: &str,
    expected: &Field,
) -> Result<ArrayRef, ParquetError> {
    let schema = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(expected.name(), columns, schema)?;
    let groups = metadata.row_groups();
    let value = match member_name {
        "nullCount" => total(&(Arc::new(converter.row_group_null_counts(groups)?) as ArrayRef))?,
        "minValues" => bound(
            &converter.row_group_mins(groups)?,
            metadata,
            &converter,
            false,
        )?,
        _ => bound(
            &converter.row_group_maxes(groups)?,
            metadata,
            &converter,
            true,
        )?,
    };
    Ok(cast(&value, expected.data_type())?)
}

fn total(counts: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let counts = cast(counts, &DataType::Int64)?;
    let counts = counts.as_any().downcast_ref::<Int64Array>();
    let sum = counts.and_then(|counts| {
        let is_complete = counts.null_count() == 0;
        is_complete.then(|| counts.values().iter().sum::<i64>())
    });
    Ok(Arc::new(Int64Array::from(vec![sum])))
}

/// The least or the greatest of the bounds of row groups. None if a row group with values has no bound.
fn bound(
    bounds: &ArrayRef,
    metadata: &ParquetMetaData,
    converter: &StatisticsConverter<'_>,
    greatest: bool,
) -> Result<ArrayRef, ParquetError> {
    let groups = metadata.row_groups();
    let nulls = converter.row_group_null_counts(groups)?;
    let is_unknown = groups.iter().enumerate().any(|(index, group)| {
        let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
        let has_values = nulls.is_null(index) || nulls.value(index) < rows;
        has_values && bounds.is_null(index)
    });
    let none = arrow::array::new_null_array(bounds.data_type(), 1);
    if is_unknown {
        return Ok(none);
    }
    let options = SortOptions {
        descending: greatest,
        nulls_first: false,
    };
    // One element, even if the file has no row groups.
    let all = concat(&[bounds.as_ref(), none.as_ref()])?;
    let end = sort_limit(&all, Some(options), Some(1))?;
    Ok(if greatest {
        up_to_milliseconds(&end)
    } else {
        end
    })
}

/// An upper bound in whole milliseconds, which is what the log has of a time. The lower bound is cut off by the writer of
/// the log.
fn up_to_milliseconds(bound: &ArrayRef) -> ArrayRef {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = bound.data_type() else {
        return Arc::clone(bound);
    };
    let times = bound.as_primitive::<TimestampMicrosecondType>();
    let up = times.unary::<_, TimestampMicrosecondType>(|time| {
        let below = time.rem_euclid(MICROSECONDS_PER_MILLISECOND);
        let missing = (MICROSECONDS_PER_MILLISECOND - below) % MICROSECONDS_PER_MILLISECOND;
        time.saturating_add(missing)
    });
    Arc::new(up.with_timezone_opt(zone.clone()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
    use arrow::json::LineDelimitedWriter;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::*;

    fn shape() -> Schema {
        let values = Fields::from(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new(
                "time",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            Field::new("missing", DataType::Utf8, true),
        ]);
        let counts = values
            .iter()
            .map(|field| Field::new(field.name(), DataType::Int64, true));
        let counts: Fields = counts.collect();
        Schema::new(vec![
            Field::new("numRecords", DataType::Int64, true),
            Field::new("nullCount", DataType::Struct(counts), true),
            Field::new("minValues", DataType::Struct(values.clone()), true),
            Field::new("maxValues", DataType::Struct(values), true),
        ])
    }

    /// The statistics of a file with these row groups, as the log would have them.
    fn written(groups: &[&[(Option<&str>, i64)]], enabled: EnabledStatistics) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let batches = groups.iter().map(|rows| {
            let texts: StringArray = rows.iter().map(|(text, _)| *text).collect();
            let times =
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, time)| *time));
            let columns: [(&str, ArrayRef); 2] = [
                ("text", Arc::new(texts)),
                ("time", Arc::new(times.with_timezone("UTC"))),
            ];
            RecordBatch::try_from_iter_with_nullable(
                columns.map(|(name, array)| (name, array, true)),
            )
            .unwrap()
        });
        let batches: Vec<RecordBatch> = batches.collect();
        let properties = WriterProperties::builder()
            .set_statistics_enabled(enabled)
            .build();
        let schema = batches[0].schema();
        let mut writer =
            ArrowWriter::try_new(file.reopen().unwrap(), schema, Some(properties)).unwrap();
        for batch in &batches {
            writer.write(batch).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        let statistics = file_statistics(file.path(), &shape()).unwrap();
        let mut text = Vec::new();
        let mut json = LineDelimitedWriter::new(&mut text);
        json.write(&RecordBatch::from(statistics)).unwrap();
        json.finish().unwrap();
        String::from_utf8(text).unwrap().trim_end().to_owned()
    }

    #[test]
    fn bounds_are_those_of_all_row_groups() {
        let groups: [&[_]; 3] = [
            &[(Some("b"), 1_000_000), (None, 2_000_001)],
            &[(None, 500_000)],
            &[(Some("a"), 700_000), (Some("c"), 800_000)],
        ];
        assert_eq!(
            written(&groups, EnabledStatistics::Chunk),
            r#"{"numRecords":5,"nullCount":{"text":2,"time":0},"minValues":{"text":"a","time":"1970-01-01T00:00:00.500Z"},"maxValues":{"text":"c","time":"1970-01-01T00:00:02.001Z"},"tightBounds":true}"#
        );
    }

    #[test]
    fn a_row_group_without_statistics_leaves_no_bound() {
        let groups: [&[_]; 2] = [&[(Some("b"), 1)], &[(Some("a"), 2)]];
        let found = written(&groups, EnabledStatistics::None);
        assert_eq!(
            found,
            r#"{"numRecords":2,"nullCount":{},"minValues":{},"maxValues":{},"tightBounds":true}"#
        );
        // Only nulls: there is nothing to bound.
        let nulls: [&[_]; 1] = [&[(None, 1_000), (None, 1_000)]];
        let found = written(&nulls, EnabledStatistics::Chunk);
        assert!(
            found.contains(r#""nullCount":{"text":2,"time":0},"minValues":{"time""#),
            "{found}"
        );
    }

    #[test]
    fn a_file_that_is_not_parquet_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "PAR1 and nothing else PAR1").unwrap();
        assert!(file_statistics(file.path(), &shape()).is_err());
    }
}

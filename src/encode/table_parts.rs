//! A table's file that is read in parts: no two have the same rows, and all of them are the whole file.

use std::ops::Range;

use crate::encode::csv;
use crate::encode::csv::write::header;
use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::parquet::read::ParquetTable;
use crate::encode::parquet::statistics::check::StatisticsCheck;
use crate::encode::parquet::statistics::wrong_statistic::WrongStatistic;
use crate::encode::read_error::ReadError;
use crate::encode::table_reader::{CheckedBatches, open};
use crate::tables::table::TableInfo;

/// The size of a part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartSize {
    /// Row groups of Parquet.
    pub(crate) row_groups: usize,
    /// Bytes of CSV records.
    pub(crate) bytes: u64,
}

/// A file whose header or footer was read and checked.
#[derive(Debug)]
pub(crate) struct PartedTable {
    input: Input,
    content: PartedContent,
}

#[derive(Debug)]
enum PartedContent {
    Parquet {
        opened: ParquetTable,
        statistics: Box<StatisticsCheck>,
        parts: Vec<Range<usize>>,
    },
    Csv {
        table: &'static TableInfo,
        parts: Vec<Range<u64>>,
    },
}

impl PartedTable {
    /// Opens a file. `None` unless the parts, in this order, are the whole file, and the file as a whole is right.
    pub(crate) fn open(
        format: Format,
        table: &'static TableInfo,
        input: Input,
        parts: impl Iterator<Item = PartSize>,
    ) -> Result<Option<Self>, ReadError> {
        let content = match format {
            Format::Parquet => {
                let opened = ParquetTable::open(table, input.clone())?;
                let mut wrong: Vec<WrongStatistic> = Vec::new();
                let statistics = StatisticsCheck::open(table, input.clone(), &mut wrong);
                let Some(statistics) = statistics.filter(|_| wrong.is_empty()) else {
                    return Ok(None);
                };
                let parts = parts.map(|part| part.row_groups as u64);
                let parts = consecutive(0, opened.row_groups() as u64, parts);
                let Some(parts) = parts.and_then(to_numbers) else {
                    return Ok(None);
                };
                PartedContent::Parquet {
                    opened,
                    statistics: Box::new(statistics),
                    parts,
                }
            }
            Format::Csv => {
                // This checks that the header is the one that the first part follows.
                drop(open(format, table, input.clone())?);
                let before = header(table).len() as u64;
                let parts = parts.map(|part| part.bytes);
                let Some(parts) =
                    consecutive(before, input.length().map_err(ReadError::Io)?, parts)
                else {
                    return Ok(None);
                };
                PartedContent::Csv { table, parts }
            }
        };
        Ok(Some(Self { input, content }))
    }

    /// The rows of a part, which may be read while other threads read other parts. `None` if the file does not have it.
    pub(crate) fn part(&self, number: usize) -> Option<CheckedBatches> {
        let input = self.input.another();
        Some(match &self.content {
            PartedContent::Parquet {
                opened,
                statistics,
                parts,
            } => {
                let groups = parts.get(number)?.clone();
                let batches = opened.batches(input.clone(), groups.clone());
                let check = statistics.of_row_groups(input.clone(), groups);
                CheckedBatches::new(batches, Some(check), input)
            }
            PartedContent::Csv { table, parts } => {
                let records = input.read_part(parts.get(number)?.clone());
                CheckedBatches::new(csv::read::open_part(table, records), None, input)
            }
        })
    }

    /// Whether the file states this number of rows, or none, as CSV.
    pub(crate) fn has_rows(&self, rows: u64) -> bool {
        match &self.content {
            PartedContent::Parquet { statistics, .. } => statistics.stated_rows() == Some(rows),
            PartedContent::Csv { .. } => true,
        }
    }
}

/// Ranges of these lengths, one behind the other. `None` unless they end at `end`.
fn consecutive(
    start: u64,
    end: u64,
    lengths: impl Iterator<Item = u64>,
) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut at = start;
    for length in lengths {
        let next = at.checked_add(length)?;
        ranges.push(at..next);
        at = next;
    }
    (at == end).then_some(ranges)
}

fn to_numbers(ranges: Vec<Range<u64>>) -> Option<Vec<Range<usize>>> {
    let ranges = ranges
        .into_iter()
        .map(|Range { start, end }| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?));
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_file_or_none() {
        let parts = |lengths: &[u64]| consecutive(4, 10, lengths.iter().copied());
        assert_eq!(parts(&[1, 0, 5]), Some(vec![4..5, 5..5, 5..10]));
        for wrong in [&[6, 1][..], &[5], &[], &[u64::MAX, 7]] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
    }
}

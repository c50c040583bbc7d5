//! Reads published tables in batches, so that memory does not grow with the file. Anything that scale-export does not
//! write is an error with its position. `text_column` reads a column of other Parquet files.

use crate::encode::batches::{Batches, until_error};
use crate::encode::csv;
use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::parquet::read::ParquetTable;
use crate::encode::parquet::statistics::check::StatisticsCheck;
use crate::encode::parquet::statistics::wrong_statistic::WrongStatistic;
use crate::encode::read_error::ReadError;
use crate::tables::row_reader::Rows;
use crate::tables::table::TableInfo;

/// Opens a table's file and checks its columns.
pub fn open(format: Format, table: &'static TableInfo, input: Input) -> Result<Batches, ReadError> {
    // Readers report an error of the system as damage. The input has the original error.
    let refused = input.clone();
    let opened = match format {
        Format::Parquet => ParquetTable::open(table, input.clone())
            .map(|opened| opened.batches(input, 0..opened.row_groups())),
        Format::Csv => csv::read::open(table, input.into_read()),
    };
    let batches = refused.settle(opened)?;
    Ok(until_error(batches.map(move |next| refused.settle(next))))
}

/// The rows of a file, and the check of what the file states about them.
pub struct CheckedBatches {
    batches: Batches,
    /// `None` for a format without statistics, and after an error.
    check: Option<StatisticsCheck>,
    input: Input,
}

impl std::fmt::Debug for CheckedBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let check = &self.check;
        f.debug_struct("CheckedBatches")
            .field("check", check)
            .finish_non_exhaustive()
    }
}

impl CheckedBatches {
    pub(super) fn new(batches: Batches, check: Option<StatisticsCheck>, input: Input) -> Self {
        // Readers report an error of the system as damage. The input has the original error.
        let refused = input.clone();
        let batches = batches.map(move |next| refused.settle(next));
        Self {
            batches: until_error(batches),
            check,
            input,
        }
    }

    /// The next rows. Adds wrong statistics to `wrong`.
    pub fn next(&mut self, wrong: &mut Vec<WrongStatistic>) -> Option<Result<Rows, ReadError>> {
        let next = self.batches.next();
        let known = wrong.len();
        match &next {
            Some(Ok(rows)) => {
                let is_comparable = self
                    .check
                    .as_mut()
                    .is_some_and(|check| check.rows(rows.batch(), wrong));
                if !is_comparable {
                    self.check = None;
                }
            }
            // The missing rows are unknown, so the statistics cannot be compared.
            Some(Err(_)) => self.check = None,
            None => {
                if let Some(check) = self.check.take() {
                    check.finish(wrong);
                }
            }
        }
        // After an error of the system, differences are not those of the file.
        if let Err(error) = self.input.settle(Ok(())) {
            wrong.truncate(known);
            self.check = None;
            return Some(Err(error));
        }
        next
    }
}

/// Opens a table's file like [`open`]. Adds wrong statistics of the file as a whole to `wrong`.
pub fn open_checked(
    format: Format,
    table: &'static TableInfo,
    input: Input,
    wrong: &mut Vec<WrongStatistic>,
) -> Result<CheckedBatches, ReadError> {
    let batches = open(format, table, input.clone())?;
    let known = wrong.len();
    let check = match format {
        Format::Parquet => StatisticsCheck::open(table, input.clone(), wrong),
        Format::Csv => None,
    };
    if let Err(error) = input.settle(Ok(())) {
        wrong.truncate(known);
        return Err(error);
    }
    Ok(CheckedBatches {
        batches,
        check,
        input,
    })
}

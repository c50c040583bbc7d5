//! Writes the files of all selected tables from encoded rows.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::durable_fs::{FileRef, StagedFile};
use crate::encode::file_part::PartError;
use crate::encode::format::{Format, Selection};
use crate::encode::part_collector::EncodedContent;
use crate::encode::region_writer::Region;
use crate::encode::rows_encoder::EncodedTable;
use crate::encode::table_file::{ClosedTableFile, OpenTableFile};
use crate::output_error::OutputError;
use crate::tables::table::TableInfo;
use crate::threads;

/// Files that are synced at the same time: enough for a disk to sync them together.
const SYNCING_THREADS: usize = 6;

/// A table after its file is complete.
#[derive(Debug)]
pub struct WrittenTable {
    /// The table.
    pub table: &'static TableInfo,
    /// Rows in the file.
    pub rows: u64,
    /// Its file.
    pub file: FileRef,
    /// What follows the rows: the page indexes and the footer of a Parquet file.
    pub(crate) tail: Region,
    /// Bytes of the longest CSV record with its line break. 0 in Parquet, which does not need it.
    pub longest_record: usize,
}

/// Rows that were appended to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendedRows {
    /// The name of the table.
    pub(crate) table: String,
    pub(crate) rows: u64,
    /// Row groups of Parquet.
    pub(crate) row_groups: usize,
    /// Bytes of the longest CSV record.
    pub(crate) longest_record: usize,
    /// Their part of the file.
    pub(crate) region: Region,
}

/// A table, and its file.
#[derive(Debug)]
struct OpenTable {
    table: &'static TableInfo,
    rows: u64,
    path: PathBuf,
    file: OpenTableFile<StagedFile>,
}

impl OpenTable {
    /// Completes and syncs the file.
    fn finish(self) -> Result<WrittenTable, OutputError> {
        let Self {
            table,
            rows,
            path,
            file,
        } = self;
        let closed = file.close();
        let ClosedTableFile {
            output: mut file,
            tail,
            longest_record,
        } = closed.map_err(|error| error.of_file(table, &path))?;
        file.flush().map_err(OutputError::io("write", &path))?;
        Ok(WrittenTable {
            table,
            rows,
            file: file.finish()?,
            tail,
            longest_record,
        })
    }
}

/// The files of all selected tables.
#[derive(Debug)]
pub struct TableWriters {
    tables: Vec<OpenTable>,
}

impl TableWriters {
    /// Creates a file for each selected table, by its name in the output directory. A table without rows has a file
    /// too.
    pub(crate) fn begin(
        selection: Selection,
        create: impl Fn(&str) -> Result<StagedFile, OutputError>,
    ) -> Result<Self, OutputError> {
        Self::of_tables(selection.format, selection.tables.tables(), create)
    }

    /// Creates a file for each of these tables, like [`begin`](Self::begin).
    pub(crate) fn of_tables(
        format: Format,
        tables: impl Iterator<Item = &'static TableInfo>,
        create: impl Fn(&str) -> Result<StagedFile, OutputError>,
    ) -> Result<Self, OutputError> {
        let tables = tables.map(|table| {
            let staged = create(&format.file_name(table.name))?;
            let path = staged.path().to_owned();
            let file = OpenTableFile::begin(format, table, staged);
            Ok(OpenTable {
                table,
                rows: 0,
                file: file.map_err(|error| error.of_file(table, &path))?,
                path,
            })
        });
        Ok(Self {
            tables: tables.collect::<Result<_, OutputError>>()?,
        })
    }

    /// Appends rows to the files of their tables. Returns where they are, by table.
    pub(crate) fn append(
        &mut self,
        tables: impl IntoIterator<Item = EncodedTable>,
    ) -> Result<Vec<AppendedRows>, OutputError> {
        let tables = tables.into_iter();
        tables.map(|table| self.append_table(table)).collect()
    }

    fn append_table(&mut self, (table, rows): EncodedTable) -> Result<AppendedRows, OutputError> {
        let mut tables = self.tables.iter_mut();
        let Some(open) = tables.find(|open| open.table.table == table.table) else {
            let path = PathBuf::from(table.name);
            return Err(PartError::Foreign.of_file(table, &path));
        };
        open.rows += rows.rows;
        let (row_groups, longest_record) = match &rows.content {
            EncodedContent::Parquet(row_groups) => (row_groups.len(), 0),
            EncodedContent::Csv { longest, .. } => (0, *longest),
        };
        let appended = open.file.append(rows.content);
        let region = appended.map_err(|error| error.of_file(table, &open.path))?;
        // The bytes were checked before, and read again now.
        if rows.expected.is_some_and(|expected| expected != region) {
            return Err(PartError::Changed.of_file(table, &open.path));
        }
        Ok(AppendedRows {
            table: table.name.to_owned(),
            rows: rows.rows,
            row_groups,
            longest_record,
            region,
        })
    }

    /// Completes all files, on several threads: each of them waits for the disk.
    pub fn finish(self) -> Result<Vec<WrittenTable>, OutputError> {
        let written = in_parallel(SYNCING_THREADS, self.tables, OpenTable::finish);
        written.into_iter().collect()
    }
}

/// Applies `work` to all items on several threads. The results have the order of the items.
fn in_parallel<T, R: Send>(
    threads: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let left = Mutex::new(items.into_iter().enumerate());
    let next = || threads::lock(&left).next();
    let work = || {
        let mut done = Vec::new();
        while let Some((index, item)) = next() {
            done.push((index, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others = (1..threads).filter_map(|_| {
            // If the system allows no more threads, the existing ones do all the work.
            threads::builder().spawn_scoped(scope, work).ok()
        });
        let others: Vec<_> = others.collect();
        let mut done = work();
        for other in others {
            done.extend(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        done
    });
    // The threads finish in any order.
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for threads in [1, 2, 6] {
            let doubled = in_parallel(threads, 0..20, |number| {
                thread::yield_now();
                number * 2
            });
            assert!(doubled.into_iter().eq((0..20).map(|number| number * 2)));
        }
        assert!(in_parallel(2, Vec::<u8>::new(), |number| number).is_empty());
    }
}

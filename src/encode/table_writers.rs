//! Writes the files of all selected tables, within a bound on memory.

use std::fmt::Display;
use std::sync::Mutex;
use std::thread;

use arrow::array::RecordBatch;
use thiserror::Error;

use crate::durable_fs::{FileRef, StagedFile};
use crate::encode::csv::write::CsvWriter;
use crate::encode::format::{Format, Selection};
use crate::encode::parquet::write::writer::ParquetWriter;
use crate::encode::table_writer::{FinishedFile, TableWriter};
use crate::output_error::OutputError;
use crate::tables::table::TableInfo;
use crate::threads;

/// Bytes of rows that wait in memory before they are encoded, in all tables together. Above this, the table with the
/// most of them frees its memory: it encodes the rows of large columns, and moves all others to a file.
const WAITING_BYTES: usize = 4 << 20;

/// A column is large if it has at least one part in this many of the bytes of all tables. So at most 50 columns are
/// large at a time, and mostly a dozen, which have half of all bytes and need not be written to a file and read again.
/// The encoder of a column takes 200 kB, and up to 10 MB with a large dictionary.
const LARGE_PART: u64 = 50;

/// Tables whose last rows are encoded at the same time. More would add up the memory of their encoders.
const ENCODING_THREADS: usize = 2;

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
    /// Bytes of the longest CSV record with its line break. 0 in Parquet, which does not need it.
    pub longest_record: usize,
}

/// Why a table could not be encoded in memory.
#[derive(Debug, Error)]
#[error("could not encode table `{table}`: {cause}")]
pub struct EncodeError {
    table: &'static str,
    /// The error of the writer.
    cause: String,
}

/// Encodes one table in memory, with the same bytes as a published file. Rows that exceed the memory bound wait in a
/// temporary file.
pub fn encode(
    format: Format,
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Parquet => {
            let failed = |error| EncodeError::new(table, &error);
            let mut writer = ParquetWriter::open(table, Vec::new(), None).map_err(failed)?;
            for batch in batches {
                writer.write_rows(batch).map_err(failed)?;
            }
            writer.close().map_err(failed)
        }
        Format::Csv => {
            let failed = |error| EncodeError::new(table, &error);
            let mut writer = CsvWriter::begin(table, Vec::new()).map_err(failed)?;
            for batch in batches {
                writer.write(batch).map_err(failed)?;
            }
            Ok(writer.into_output())
        }
    }
}

impl EncodeError {
    fn new(table: &TableInfo, cause: &dyn Display) -> Self {
        Self {
            table: table.name,
            cause: cause.to_string(),
        }
    }
}

/// A table and its writer.
struct Writing {
    table: &'static TableInfo,
    rows: usize,
    writer: Box<dyn TableWriter>,
}

/// The writers of all selected tables.
pub struct TableWriters {
    writers: Vec<Writing>,
}

impl std::fmt::Debug for TableWriters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.writers
                    .iter()
                    .map(|Writing { table, rows, .. }| (table.name, rows)),
            )
            .finish()
    }
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
        let writers = tables
            .map(|table| {
                let file = create(&format.file_name(table.name))?;
                let writer: Box<dyn TableWriter> = match format {
                    Format::Parquet => Box::new(ParquetWriter::begin(table, file)?),
                    Format::Csv => {
                        let path = file.path().to_owned();
                        let begun = CsvWriter::begin(table, file);
                        Box::new(begun.map_err(OutputError::io("write", &path))?)
                    }
                };
                Ok(Writing {
                    table,
                    rows: 0,
                    writer,
                })
            })
            .collect::<Result<_, OutputError>>()?;
        Ok(Self { writers })
    }

    /// Appends rows to a table's file. If too many bytes wait in memory, the table with the most of them frees its
    /// memory.
    pub fn write(
        &mut self,
        table: &'static TableInfo,
        batch: RecordBatch,
    ) -> Result<(), OutputError> {
        let known = self.writers.iter_mut();
        if let Some(writing) = known
            .into_iter()
            .find(|known| known.table.table == table.table)
        {
            writing.rows += batch.num_rows();
            writing.writer.write(batch)?;
        }
        self.make_room()
    }

    /// Keeps the bytes of waiting rows within [`WAITING_BYTES`].
    fn make_room(&mut self) -> Result<(), OutputError> {
        let (mut all, mut waiting) = (0, 0);
        for table in &self.writers {
            all += table.writer.bytes();
            waiting += table.writer.waiting_bytes();
        }
        if waiting <= WAITING_BYTES {
            return Ok(());
        }
        let tables = self.writers.iter_mut();
        match tables.max_by_key(|table| table.writer.waiting_bytes()) {
            Some(Writing { writer, .. }) => writer.make_room(all / LARGE_PART),
            None => Ok(()),
        }
    }

    /// Completes all files. Few threads encode, since encoders take memory; more threads sync, since they wait for the
    /// disk.
    pub fn finish(mut self) -> Result<Vec<WrittenTable>, OutputError> {
        let encoded = in_parallel(ENCODING_THREADS, &mut self.writers, |writing| {
            writing.writer.encode_rest()
        });
        encoded.into_iter().collect::<Result<(), _>>()?;
        let written = in_parallel(SYNCING_THREADS, self.writers, |writing| {
            let Writing {
                table,
                rows,
                writer,
            } = writing;
            let FinishedFile {
                file,
                longest_record,
            } = writer.finish()?;
            Ok(WrittenTable {
                table,
                rows: rows as u64,
                file,
                longest_record,
            })
        });
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

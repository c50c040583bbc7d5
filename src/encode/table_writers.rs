//! One file for each table, whatever the format. Depends on `csv`, `parquet` and `staging`.

use std::sync::Mutex;
use std::thread;

use arrow::array::RecordBatch;

use crate::durable_fs::{FileRef, StagedFile};
use crate::encode::csv::write::CsvWriter;
use crate::encode::format::{Format, Selection};
use crate::encode::parquet::write::writer::ParquetWriter;
use crate::encode::table_writer::{FinishedFile, TableWriter};
use crate::output_error::OutputError;
use crate::tables::table::TableInfo;
use crate::threads;

/// Bytes of rows that wait in memory as they are, in all tables together, before the table that has most of them
/// makes room: it encodes those of large columns, and puts all others into a file.
const WAITING_BYTES: usize = 4 << 20;

/// A column is a large one while at least this part of the bytes of all tables are its own; so no more than so many
/// columns are large at a time, and mostly a dozen, which have half of all bytes. Those need not be written to a file and
/// read once more. The encoder of a column takes 200 kB, and up to 10 MB with a large dictionary.
const LARGE_PART: u64 = 50;

/// Tables whose last rows are encoded at once: what encoders hold is added up.
const ENCODING_THREADS: usize = 2;

/// Files that are synced at once: enough that a disk syncs them together.
const SYNCING_THREADS: usize = 6;

/// A table that was written.
#[derive(Debug)]
pub struct WrittenTable {
    /// The table.
    pub table: &'static TableInfo,
    /// Its rows.
    pub rows: u64,
    /// Its file.
    pub file: FileRef,
    /// Bytes of the longest CSV record, its end included; 0 in Parquet, where nothing depends on it.
    pub longest_record: usize,
}

/// One table's file in memory, byte for byte as it would be published. What is large waits in a
/// temporary file meanwhile.
pub fn encode(
    format: Format,
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    match format {
        Format::Parquet => {
            let mut writer = ParquetWriter::open(table, Vec::new(), None)?;
            for batch in batches {
                writer.write_rows(batch)?;
            }
            Ok(writer.close()?)
        }
        Format::Csv => {
            let mut writer = CsvWriter::begin(table, Vec::new())?;
            for batch in batches {
                writer.write(batch)?;
            }
            Ok(writer.into_output())
        }
    }
}

/// A table with its writer.
struct Writing {
    table: &'static TableInfo,
    rows: usize,
    writer: Box<dyn TableWriter>,
}

/// The writers of all wanted tables.
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
    /// Begins a file for each selected table, by its name in the output directory. A table without rows is written too.
    pub(crate) fn begin(
        selection: Selection,
        create: impl Fn(&str) -> Result<StagedFile, OutputError>,
    ) -> Result<Self, OutputError> {
        let writers = selection
            .tables
            .tables()
            .map(|table| {
                let file = create(&selection.format.file_name(table.name))?;
                let writer: Box<dyn TableWriter> = match selection.format {
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

    /// Appends rows to a table's file. When too much waits in memory, the table with most of it makes room.
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

    /// Keeps the rows that wait in memory within their bound.
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

    /// Completes all files, a few side by side, and syncs them, more side by side: that waits for the disk.
    pub fn finish(mut self) -> Result<Vec<WrittenTable>, OutputError> {
        let encoded = side_by_side(ENCODING_THREADS, &mut self.writers, |writing| {
            writing.writer.encode_rest()
        });
        encoded.into_iter().collect::<Result<(), _>>()?;
        let written = side_by_side(SYNCING_THREADS, self.writers, |writing| {
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

/// Does the same with all of them on some threads; the results are in their order.
fn side_by_side<T, R: Send>(
    threads: usize,
    things: impl IntoIterator<Item = T, IntoIter: Send>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let left = Mutex::new(things.into_iter().enumerate());
    let next = || threads::lock(&left).next();
    let work = || {
        let mut done = Vec::new();
        while let Some((place, thing)) = next() {
            done.push((place, work(thing)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others = (1..threads).filter_map(|_| {
            // Where there are no more threads to be had, those that there are do it all.
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
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_things() {
        for threads in [1, 2, 6] {
            let doubled = side_by_side(threads, 0..20, |number| {
                thread::yield_now();
                number * 2
            });
            assert!(doubled.into_iter().eq((0..20).map(|number| number * 2)));
        }
        assert!(side_by_side(2, Vec::<u8>::new(), |number| number).is_empty());
    }
}

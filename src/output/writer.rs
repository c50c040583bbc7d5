//! One file for each table, whatever the format. Depends on `csv`, `parquet` and `staging`.

use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::OutputError;
use super::csv::CsvWriter;
use super::parquet::ParquetWriter;
use super::staging::{Published, Staging};
use crate::tables::definition::TABLES;
use crate::tables::{SinkError, TableInfo};

/// File format of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// RFC 4180.
    Csv,
}

impl Format {
    /// Ending of the file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
        }
    }

    /// The file of a table.
    pub fn file_name(self, table: &str) -> String {
        format!("{table}.{}", self.extension())
    }
}

/// Which tables are written, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'o> {
    /// File format.
    pub format: Format,
    /// Names of the tables to write; all when empty.
    pub names: &'o [String],
}

impl<'o> Selection<'o> {
    /// Whether this table is to be written.
    pub fn wants(self, table: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == table)
    }

    /// The tables to write, in the order of their documentation.
    pub fn tables(self) -> impl Iterator<Item = &'static TableInfo> + use<'o> {
        TABLES.iter().filter(move |table| self.wants(table.name))
    }
}

/// Bytes of rows that wait in memory as they are, in all tables together, before the table that has most of them
/// makes room: a large one encodes them, any other puts them into a file.
const WAITING_BYTES: usize = 4 << 20;

/// A table is a large one while at least this part of all bytes are its own. What encodes takes some 200 kB a column:
/// for the few large tables that is less than their rows would take in a file, written and read once more.
const LARGE_PART: u64 = 20;

/// Files that are completed and synced at once: enough that a disk syncs them together, few enough that of the last
/// rows of all tables only some are being encoded.
const FINISHING_THREADS: usize = 6;

/// Encodes the batches of one table into its file.
pub(super) trait TableWriter: Send {
    /// Appends rows.
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError>;
    /// Bytes of rows that wait in memory as they are.
    fn waiting_bytes(&self) -> usize {
        0
    }
    /// Bytes of all rows that it was given.
    fn bytes(&self) -> u64 {
        0
    }
    /// Whether some rows of its row group are encoded, so that those that follow have to be.
    fn is_encoding(&self) -> bool {
        false
    }
    /// Encodes the rows that wait.
    fn encode(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
    /// Puts the rows that wait into a file, until their row group is written.
    fn spill(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
    /// Completes and syncs the file.
    fn finish(self: Box<Self>) -> Result<FinishedFile, OutputError>;
}

/// A table's file, complete and synced.
pub(super) struct FinishedFile {
    pub(super) file: Published,
    /// See [`WrittenTable::longest_record`].
    pub(super) longest_record: usize,
}

/// A table that was written.
#[derive(Debug)]
pub struct WrittenTable {
    /// The table.
    pub table: &'static TableInfo,
    /// Its rows.
    pub rows: u64,
    /// Its file.
    pub file: Published,
    /// Bytes of the longest CSV record, its end included; 0 in Parquet, where nothing depends on it.
    pub longest_record: usize,
}

/// One table's file in memory, byte for byte as it would be published. What is large waits in a
/// temporary file meanwhile.
pub fn encode(
    format: Format,
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Vec<u8>, SinkError> {
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
    /// Begins a file for each selected table: a table without rows is written too.
    pub fn begin(staging: &Staging, selection: Selection<'_>) -> Result<Self, OutputError> {
        let writers = selection
            .tables()
            .map(|table| {
                let file = staging.create(&selection.format.file_name(table.name))?;
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
            .find(|known| known.table.name == table.name)
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
            Some(Writing { writer, .. })
                if writer.is_encoding() || writer.bytes() >= all / LARGE_PART =>
            {
                writer.encode()
            }
            Some(Writing { writer, .. }) => writer.spill(),
            None => Ok(()),
        }
    }

    /// Completes and syncs all files, some side by side: most of the time goes into waiting for the disk.
    pub fn finish(self) -> Result<Vec<WrittenTable>, OutputError> {
        let count = self.writers.len();
        let left = Mutex::new(self.writers.into_iter().enumerate());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut finished = Vec::new();
            while let Some((place, writing)) = next() {
                finished.push((place, writing.table, writing.rows, writing.writer.finish()));
            }
            finished
        };
        let mut finished = thread::scope(|scope| {
            let others = (1..FINISHING_THREADS.min(count)).filter_map(|_| {
                // Where there are no more threads to be had, those that there are do it all.
                thread::Builder::new().spawn_scoped(scope, work).ok()
            });
            let others: Vec<_> = others.collect();
            let mut finished = work();
            for other in others {
                finished.extend(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            finished
        });
        finished.sort_unstable_by_key(|(place, ..)| *place);
        let written = finished.into_iter().map(|(_, table, rows, finished)| {
            let FinishedFile {
                file,
                longest_record,
            } = finished?;
            Ok(WrittenTable {
                table,
                rows: rows as u64,
                file,
                longest_record,
            })
        });
        written.collect()
    }
}

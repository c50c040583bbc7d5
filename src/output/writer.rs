//! One file for each table, whatever the format. Depends on `csv`, `parquet` and `staging`.

use std::thread;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::OutputError;
use super::csv::CsvWriter;
use super::manifest::{TableFile, TableFiles};
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

/// Bytes of rows that wait in memory as they are, in all tables together, before the table that has most of them
/// encodes them.
const WAITING_BYTES: usize = 8 << 20;

/// Bytes of rows that wait in memory encoded, in all tables together, before the table that has most of them
/// writes its row group. One bound for all makes the row groups of large tables large; with this one a run stays
/// near 100 MB (docs/memory.md).
const ENCODED_BYTES: usize = 28 << 20;

/// Encodes the batches of one table into its file.
pub(super) trait TableWriter: Send {
    /// Appends rows.
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError>;
    /// Bytes of rows that wait in memory as they are.
    fn waiting_bytes(&self) -> usize {
        0
    }
    /// Bytes of rows that wait in memory encoded.
    fn encoded_bytes(&self) -> usize {
        0
    }
    /// Encodes the rows that wait as they are.
    fn encode(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
    /// Writes all rows that wait.
    fn write_out(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
    /// Completes and syncs the file.
    fn finish(self: Box<Self>) -> Result<Published, OutputError>;
}

/// One table's file in memory, byte for byte as it would be published.
pub fn encode(
    format: Format,
    table: &'static TableInfo,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Vec<u8>, SinkError> {
    match format {
        Format::Parquet => {
            let mut writer = ParquetWriter::open(table, Vec::new())?;
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

/// Tables by name with their files, in the order of the documentation.
pub(crate) type TableEntries = Vec<(String, TableFiles)>;

/// The writers of all wanted tables.
pub struct TableWriters {
    writers: Vec<(&'static TableInfo, usize, Box<dyn TableWriter>)>,
}

impl std::fmt::Debug for TableWriters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.writers
                    .iter()
                    .map(|(table, rows, _)| (table.name, rows)),
            )
            .finish()
    }
}

impl TableWriters {
    /// Begins a file for each table that `wanted` takes by name: a table without rows is written
    /// too.
    pub fn begin(
        staging: &Staging,
        format: Format,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, OutputError> {
        let writers = TABLES
            .iter()
            .filter(|table| wanted(table.name))
            .map(|table| {
                let file = staging.create(&format.file_name(table.name))?;
                let writer: Box<dyn TableWriter> = match format {
                    Format::Parquet => Box::new(ParquetWriter::begin(table, file)?),
                    Format::Csv => {
                        let path = file.path().to_owned();
                        let begun = CsvWriter::begin(table, file);
                        Box::new(begun.map_err(OutputError::io("write", &path))?)
                    }
                };
                Ok((table, 0, writer))
            })
            .collect::<Result<_, OutputError>>()?;
        Ok(Self { writers })
    }

    /// Appends rows to a table's file. When too much waits in memory, the largest table makes room.
    pub fn write(
        &mut self,
        table: &'static TableInfo,
        batch: RecordBatch,
    ) -> Result<(), OutputError> {
        if let Some((_, rows, writer)) = self
            .writers
            .iter_mut()
            .find(|(known, ..)| known.name == table.name)
        {
            *rows += batch.num_rows();
            writer.write(batch)?;
        }
        self.make_room()
    }

    /// Keeps the rows that wait within their bounds.
    fn make_room(&mut self) -> Result<(), OutputError> {
        let waiting = |writer: &Box<dyn TableWriter>| writer.waiting_bytes();
        if let Some(largest) = self.largest(waiting, WAITING_BYTES) {
            largest.encode()?;
        }
        let encoded = |writer: &Box<dyn TableWriter>| writer.encoded_bytes();
        if let Some(largest) = self.largest(encoded, ENCODED_BYTES) {
            largest.write_out()?;
        }
        Ok(())
    }

    /// The writer that takes most bytes, if all of them together take more than `bound`.
    fn largest(
        &mut self,
        bytes: impl Fn(&Box<dyn TableWriter>) -> usize,
        bound: usize,
    ) -> Option<&mut Box<dyn TableWriter>> {
        let sum: usize = self.writers.iter().map(|(.., writer)| bytes(writer)).sum();
        let writers = self.writers.iter_mut().map(|(.., writer)| writer);
        writers
            .max_by_key(|writer| bytes(writer))
            .filter(|_| sum > bound)
    }

    /// Completes and syncs all files, side by side: most of the time goes into waiting for the disk. Gives them
    /// with their entries for the manifest.
    pub fn finish(self) -> Result<(Vec<Published>, TableEntries), OutputError> {
        let finished: Vec<_> = thread::scope(|scope| {
            let writers = self.writers.into_iter();
            let threads: Vec<_> = writers
                .map(|(table, rows, writer)| (table, rows, scope.spawn(|| writer.finish())))
                .collect();
            let threads = threads.into_iter();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads
                .map(|(table, rows, thread)| (table, rows, join(thread)))
                .collect()
        });
        let mut files = Vec::new();
        let mut entries = Vec::new();
        for (table, rows, file) in finished {
            let file = file?;
            let entry = TableFile {
                path: file.path.clone(),
                rows: rows as u64,
                bytes: file.bytes,
                sha256: file.sha256.clone(),
            };
            entries.push((
                table.name.to_owned(),
                TableFiles {
                    rows: rows as u64,
                    files: vec![entry],
                },
            ));
            files.push(file);
        }
        Ok((files, entries))
    }
}

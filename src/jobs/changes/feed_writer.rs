//! Writes the files of a feed: the changed tasks, and the rows of those that were inserted or updated.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::encode::writer_sink::WriterSink;
use crate::hex;
use crate::ids::task_ids::TaskIds;
use crate::jobs::changes::change_report::FeedOptions;
use crate::jobs::changes::changed_tasks::{ChangeKind, TaskChange};
use crate::jobs::changes::error::ChangesError;
use crate::jobs::changes::feed_directory::FeedDirectory;
use crate::jobs::published_rows::PublishedRows;
use crate::publish::manifest::{Manifest, TableFile};
use crate::tables::change_feed::ChangeRow;
use crate::tables::row_key::RowKind;
use crate::tables::row_sink::{SinkError, TableRow as _};
use crate::tables::table::{Table, TableInfo};

/// The files of a feed while they are written.
pub(crate) struct FeedWriter {
    sink: WriterSink,
    /// The tables whose rows are copied.
    tables: Vec<&'static TableInfo>,
    /// The tasks whose rows are copied.
    with_rows: TaskIds,
}

impl FeedWriter {
    /// Starts all files.
    pub(crate) fn begin(
        directory: &FeedDirectory,
        options: &FeedOptions,
        manifest: &Manifest,
    ) -> Result<Self, ChangesError> {
        let format = options.format.unwrap_or(manifest.options.format);
        let selected = manifest.options.table_selection();
        let tables: Vec<_> = selected.tables().filter(|_| options.with_tables).collect();
        let changes = Table::Changes.info();
        let all = || [changes].into_iter().chain(tables.iter().copied());
        let names: Vec<String> = all().map(|table| format.file_name(table.name)).collect();
        directory.refuse_taken(names.iter().map(String::as_str))?;
        let sink = WriterSink::begin(format, all(), |name| directory.create(name))?;
        Ok(Self {
            sink,
            tables,
            with_rows: TaskIds::default(),
        })
    }

    /// Appends a changed task.
    pub(crate) fn push(&mut self, change: TaskChange<'_>) -> Result<(), ChangesError> {
        let TaskChange {
            task_id,
            kind,
            previous,
            current,
        } = change;
        let [previous, current] =
            [previous, current].map(|digest| digest.map(|it| hex::encode(&it)));
        let row = ChangeRow {
            task_id,
            change: kind.name(),
            previous_sha256: previous.as_deref(),
            sha256: current.as_deref(),
        };
        let pushed = row.pass_to(&mut self.sink);
        self.settle(pushed)?;
        if kind != ChangeKind::Delete && !self.tables.is_empty() {
            // It was valid when it was exported.
            let _ = self.with_rows.insert(task_id);
        }
        Ok(())
    }

    /// Copies the rows of inserted and updated tasks from the published tables, and completes all files.
    pub(crate) fn finish(
        mut self,
        directory: &Path,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Vec<TableFile>, ChangesError> {
        for table in std::mem::take(&mut self.tables) {
            if let Some(rows) = PublishedRows::open(directory, manifest, table.table)? {
                let copied = self.copy(table, rows, cancel)?;
                let expected = self.with_rows.len() as u64;
                if table.table == Table::Tasks && copied != expected {
                    return Err(ChangesError::MissingTasks {
                        path: directory.to_owned(),
                        found: copied,
                        expected,
                    });
                }
            }
        }
        let flushed = self.sink.flush();
        self.settle(flushed)?;
        let written = self.sink.finish()?;
        let files = written.into_iter().map(|written| TableFile {
            rows: written.rows,
            file: written.file,
        });
        Ok(files.collect())
    }

    /// Copies the rows of a table. Returns how many there are.
    fn copy(
        &mut self,
        table: &'static TableInfo,
        mut from: PublishedRows,
        cancel: &CancellationToken,
    ) -> Result<u64, ChangesError> {
        let mut copied = 0;
        while let Some(rows) = from.next_batch()? {
            if cancel.is_cancelled() {
                return Err(ChangesError::Interrupted);
            }
            let is_entity = table.row_kind == RowKind::Entity;
            let with_rows = &self.with_rows;
            let is_wanted = |task_id: &str| is_entity || with_rows.position(task_id).is_some();
            let passed = rows.pass_to(&mut self.sink, is_wanted);
            copied += self.settle(passed)?;
        }
        from.finish()?;
        Ok(copied)
    }

    /// Replaces the error of a closed sink by the one that closed it.
    fn settle<T>(&mut self, done: Result<T, SinkError>) -> Result<T, ChangesError> {
        match self.sink.take_error() {
            Some(error) => Err(error.into()),
            None => Ok(done?),
        }
    }
}

//! The rows of the tables of a published export, in the order of their files, taken one task at a time.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::encode::batches::Batches;
use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::read_error::ReadError;
use crate::encode::table_reader;
use crate::error::{Exit, Explain, FileRole};
use crate::plural::plural;
use crate::publish::manifest::{Manifest, is_inside};
use crate::tables::row_reader::Rows;
use crate::tables::table::Table;

/// Every table with parts of tasks begins with `task_id`.
const TASK_ID: usize = 0;

/// Why the rows of a published table could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnreadableTable {
    /// The system returned an error.
    #[error("could not read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is not the one that was published.
    #[error("could not read table `{table}` from `{}`: {cause}", path.display())]
    Damaged {
        /// The table.
        table: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: TableFault,
    },
}

/// What is wrong with the file of a table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableFault {
    /// The manifest names a file elsewhere.
    #[error("it is not in the directory of the export")]
    Outside,
    /// The file has another size.
    #[error("it has {found} of {}", plural(*.stated, "byte"))]
    Bytes {
        /// Its size.
        found: u64,
        /// The size that the manifest states.
        stated: u64,
    },
    /// The table has another number of rows.
    #[error("it has {found} of {}", plural(*.stated, "row"))]
    Rows {
        /// Rows in its files.
        found: u64,
        /// Rows that the manifest states.
        stated: u64,
    },
    /// Rows of a task stand in another place than the task in `tasks`.
    #[error("rows of task `{0}` are not in the order of tasks")]
    Order(String),
    /// The content is not that of a table.
    #[error(transparent)]
    Content(ReadError),
}

impl Explain for UnreadableTable {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } => FileRole::Verified.hint(source).to_owned(),
            Self::Damaged { .. } => {
                "list what is wrong: scale-export verify DIR; rebuild the tables: scale-export flatten DIR --out DIR".to_owned()
            }
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A row of a table that a reader looks at.
pub(crate) type VisitRow<'v> = &'v mut dyn FnMut(&Rows, usize);

/// The rows of one table.
pub(crate) struct PublishedRows {
    table: Table,
    files: VecDeque<(PathBuf, Input)>,
    current: Option<(PathBuf, Batches)>,
    /// The file that was read last.
    path: PathBuf,
    format: Format,
    batch: Option<Rows>,
    /// The next row of the batch.
    row: usize,
    /// Rows of all batches so far, and those that the manifest states.
    rows: u64,
    stated: u64,
}

impl PublishedRows {
    /// Opens a table. `None` if the export does not have it.
    pub(crate) fn open(
        directory: &Path,
        manifest: &Manifest,
        table: Table,
    ) -> Result<Option<Self>, UnreadableTable> {
        let mut tables = manifest.tables.iter();
        let Some((_, entry)) = tables.find(|(name, _)| name == table.name()) else {
            return Ok(None);
        };
        let mut files = VecDeque::new();
        for published in &entry.files {
            let file = &published.file;
            let path = directory.join(&file.path);
            let damaged = |cause| UnreadableTable::Damaged {
                table: table.name(),
                path: path.clone(),
                cause,
            };
            if !is_inside(&file.path) {
                return Err(damaged(TableFault::Outside));
            }
            let input = Input::at(&path).map_err(|source| UnreadableTable::Io {
                path: path.clone(),
                source,
            })?;
            let (found, stated) = (input.length().unwrap_or_default(), file.bytes);
            if found != stated {
                return Err(damaged(TableFault::Bytes { found, stated }));
            }
            files.push_back((path, input));
        }
        Ok(Some(Self {
            table,
            files,
            current: None,
            path: directory.to_owned(),
            format: manifest.options.format,
            batch: None,
            row: 0,
            rows: 0,
            stated: entry.rows,
        }))
    }

    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// Visits the next rows as long as they belong to a task.
    pub(crate) fn of_task(
        &mut self,
        task_id: &str,
        visit: VisitRow<'_>,
    ) -> Result<(), UnreadableTable> {
        loop {
            self.fill()?;
            let Some(rows) = &self.batch else {
                return Ok(());
            };
            while rows.text(TASK_ID, self.row) == Some(task_id) {
                visit(rows, self.row);
                self.row += 1;
            }
            if self.row < rows.len() {
                return Ok(());
            }
        }
    }

    /// Reads the batch with the next row, if it is not there. Without further rows there is none.
    fn fill(&mut self) -> Result<(), UnreadableTable> {
        while self
            .batch
            .as_ref()
            .is_none_or(|rows| self.row >= rows.len())
        {
            self.row = 0;
            self.batch = self.next_batch()?;
            if self.batch.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The next batch; `None` at the end. Rows of a batch before it are left out.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Rows>, UnreadableTable> {
        loop {
            if let Some((path, batches)) = &mut self.current {
                self.path.clone_from(path);
                match batches.next() {
                    Some(Ok(rows)) => {
                        self.rows += rows.len() as u64;
                        return Ok(Some(rows));
                    }
                    Some(Err(error)) => return Err(self.unreadable(error)),
                    None => self.current = None,
                }
            }
            let Some((path, input)) = self.files.pop_front() else {
                return Ok(None);
            };
            self.path.clone_from(&path);
            let batches = table_reader::open(self.format, self.table.info(), input);
            let batches = batches.map_err(|error| self.unreadable(error))?;
            self.current = Some((path, batches));
        }
    }

    /// Fails unless every row was taken, and there were as many as the manifest states.
    pub(crate) fn finish(mut self) -> Result<(), UnreadableTable> {
        self.fill()?;
        let rows = self.batch.as_ref();
        if let Some(task_id) = rows.and_then(|rows| rows.text(TASK_ID, self.row)) {
            return Err(self.damaged(TableFault::Order(task_id.to_owned())));
        }
        if self.rows != self.stated {
            let (found, stated) = (self.rows, self.stated);
            return Err(self.damaged(TableFault::Rows { found, stated }));
        }
        Ok(())
    }

    fn unreadable(&self, error: ReadError) -> UnreadableTable {
        match error {
            ReadError::Io(source) => UnreadableTable::Io {
                path: self.path.clone(),
                source,
            },
            error => self.damaged(TableFault::Content(error)),
        }
    }

    fn damaged(&self, cause: TableFault) -> UnreadableTable {
        UnreadableTable::Damaged {
            table: self.table.name(),
            path: self.path.clone(),
            cause,
        }
    }
}

impl std::fmt::Debug for PublishedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishedRows")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

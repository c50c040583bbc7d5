//! Reads a table while tasks take their rows from it.
//!
//! Two places move through the rows: rows before `taken` were given to tasks, rows before `compared` were compared with
//! what the tasks give. Rows before both are dropped.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::encode::format::Format;
use crate::encode::input::Input;
use crate::encode::parquet::statistics::wrong_statistic::WrongStatistic;
use crate::encode::read_error::ReadError;
use crate::encode::table_reader;
use crate::encode::table_reader::CheckedBatches;
use crate::ids::task_ids::TaskIds;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::findings::{Finding, Findings};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::publish::manifest::{TableFile, TableFiles, is_inside};
use crate::rebuild::row_cursor::TableRows;
use crate::tables::row_reader::Rows;
use crate::tables::table::TableInfo;

/// Every table that tasks take rows from begins with `task_id`.
const TASK_ID: usize = 0;

/// Rows out of place after which the cursor gives up: they wait in memory for others that may never come.
const MAX_ORPHANS: u64 = 10_000;

/// Bytes of waiting rows after which the cursor gives up. A task has at most the bytes of the largest body, and its rows
/// in one table repeat only small parts of it.
const MAX_WAITING_BYTES: usize = 1 << 30;

/// Bytes of an ID or a path out of place that are kept for a finding.
const SHOWN_BYTES: usize = 256;

/// Rows of one task, by batch in the queue.
type RowRanges = Vec<(usize, Range<usize>)>;

/// The rows of a table.
pub(crate) struct TableCursor {
    table: &'static TableInfo,
    directory: PathBuf,
    files: VecDeque<(String, CheckedBatches)>,
    queue: VecDeque<Rows>,
    /// Bytes of the rows in the queue.
    waiting: usize,
    /// The batch in the queue, and the row in it, that the next task begins with.
    taken: (usize, usize),
    /// The row of the first batch that is compared next.
    compared: usize,
    /// The position of the task whose rows come next, when its turn has not come yet.
    next_position: Option<usize>,
    rows: u64,
    /// Rows that belong to no task, or to another one.
    orphans: u64,
    is_whole: bool,
    /// An error of the system, after which no more rows are read.
    read_error: Option<VerifyError>,
}

impl std::fmt::Debug for TableCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableCursor")
            .field("table", &self.table.name)
            .finish_non_exhaustive()
    }
}

/// What a task takes from a table.
pub(crate) struct TakenRows {
    rows: RowRanges,
    /// Rows before them that belong to no task, or to an earlier one.
    pub(crate) orphans: Vec<(String, String)>,
}

impl TableCursor {
    /// Opens a table; `None` and a finding when a file is not valid. Each file is open only while it is read.
    pub(crate) fn open(
        directory: &Path,
        format: Format,
        table: &'static TableInfo,
        entry: &TableFiles,
        findings: &mut Findings,
    ) -> Result<Option<Self>, VerifyError> {
        let mut files = VecDeque::new();
        for TableFile { file, .. } in &entry.files {
            if !is_inside(&file.path) {
                return Ok(None);
            }
            let path = directory.join(&file.path);
            let Some(input) = input(&path)? else {
                return Ok(None);
            };
            let mut wrong = Vec::new();
            let batches = table_reader::open_checked(format, table, input, &mut wrong);
            add_wrong(&file.path, table, wrong, findings);
            match batches {
                Ok(batches) => files.push_back((file.path.clone(), batches)),
                Err(ReadError::Io(source)) => return Err(VerifyError::Io { path, source }),
                Err(error) => {
                    let expected = format!("table `{}`", table.name);
                    findings.add(Finding::of_unreadable(
                        &file.path,
                        &expected,
                        &error.to_string(),
                    ));
                    return Ok(None);
                }
            }
        }
        Ok(Some(Self::new(table, directory, files)))
    }

    /// A cursor of a part of a table's file.
    pub(crate) fn of_part(
        table: &'static TableInfo,
        directory: &Path,
        file: &str,
        part: CheckedBatches,
    ) -> Self {
        Self::new(table, directory, VecDeque::from([(file.to_owned(), part)]))
    }

    fn new(
        table: &'static TableInfo,
        directory: &Path,
        files: VecDeque<(String, CheckedBatches)>,
    ) -> Self {
        Self {
            table,
            directory: directory.to_owned(),
            files,
            queue: VecDeque::new(),
            waiting: 0,
            taken: (0, 0),
            compared: 0,
            next_position: None,
            rows: 0,
            orphans: 0,
            is_whole: true,
            read_error: None,
        }
    }

    pub(crate) fn table(&self) -> &'static TableInfo {
        self.table
    }

    /// Rows read so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether every batch so far was valid. Rows after an invalid one are unknown, not missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the error of the system that ended reading, if there was one.
    pub(crate) fn check_read_error(&mut self) -> Result<(), VerifyError> {
        self.read_error.take().map_or(Ok(()), Err)
    }

    /// Reads one more batch; false at the end.
    fn read(&mut self, findings: &mut Findings) -> bool {
        while let Some((path, batches)) = self.files.front_mut() {
            let mut wrong = Vec::new();
            let next = batches.next(&mut wrong);
            add_wrong(path, self.table, wrong, findings);
            match next {
                Some(Ok(rows)) => {
                    self.rows += rows.len() as u64;
                    self.waiting += rows.batch().get_array_memory_size();
                    self.queue.push_back(rows);
                    return true;
                }
                Some(Err(ReadError::Io(source))) => {
                    let path = self.directory.join(path);
                    self.read_error = Some(VerifyError::Io { path, source });
                    self.is_whole = false;
                    self.files.clear();
                }
                Some(Err(error)) => {
                    findings.add(Finding::of_unreadable(
                        path,
                        "valid rows",
                        &error.to_string(),
                    ));
                    self.is_whole = false;
                    self.files.clear();
                }
                None => {
                    self.files.pop_front();
                }
            }
        }
        false
    }

    /// Takes the rows of the task at a position of the list. Skips rows of earlier tasks and of none.
    pub(crate) fn take(
        &mut self,
        ids: &TaskIds,
        position: usize,
        task_id: &str,
        findings: &mut Findings,
    ) -> TakenRows {
        let mut taken = TakenRows {
            rows: Vec::new(),
            orphans: Vec::new(),
        };
        if self.next_position.is_some_and(|next| next > position) {
            return taken;
        }
        self.next_position = None;
        loop {
            let (batch, from) = self.taken;
            if self.waiting > MAX_WAITING_BYTES {
                taken.rows.clear();
                self.give_up("more than 1 GiB of rows for one task", findings);
                return taken;
            }
            if batch == self.queue.len() && !self.read(findings) {
                return taken;
            }
            let Some(rows) = self.queue.get(batch) else {
                return taken;
            };
            let of_task = |row: &usize| rows.text(TASK_ID, *row) == Some(task_id);
            let to = (from..rows.len())
                .take_while(of_task)
                .last()
                .map_or(from, |last| last + 1);
            if to > from {
                taken.rows.push((batch, from..to));
            }
            if to == rows.len() {
                self.taken = (batch + 1, 0);
                continue;
            }
            self.taken = (batch, to);
            let other = rows.text(TASK_ID, to).unwrap_or_default();
            match ids.position(other) {
                Some(next) if next > position && !self.is_misplaced(ids, next, other) => {
                    self.next_position = Some(next);
                    return taken;
                }
                _ => {
                    self.orphans += 1;
                    if self.orphans > MAX_ORPHANS {
                        taken.rows.clear();
                        let found = format!(
                            "more than {MAX_ORPHANS} rows that belong to no task or are out of order"
                        );
                        self.give_up(&found, findings);
                        return taken;
                    }
                    let path = self
                        .table
                        .position("path")
                        .and_then(|path| rows.text(path, to));
                    let path = path.unwrap_or_default();
                    taken.orphans.push((start_of(other), start_of(path)));
                    self.taken = (batch, to + 1);
                }
            }
        }
    }

    /// Whether the next rows, which belong to the task at `next`, are followed by rows of an earlier task. Then they
    /// are out of place, and the other rows must not wait for them.
    fn is_misplaced(&self, ids: &TaskIds, next: usize, task_id: &str) -> bool {
        let (batch, from) = self.taken;
        let ahead = self
            .queue
            .iter()
            .enumerate()
            .skip(batch)
            .flat_map(|(index, rows)| {
                let from = if index == batch { from } else { 0 };
                (from..rows.len()).map(move |row| rows.text(TASK_ID, row).unwrap_or_default())
            });
        let mut others = ahead.skip_while(|other| *other == task_id);
        let following = others.next().and_then(|other| ids.position(other));
        following.is_some_and(|following| following < next)
    }

    /// Stops reading the table, since the rest cannot be assigned to tasks.
    fn give_up(&mut self, found: &str, findings: &mut Findings) {
        let finding = Finding::of_file(self.table.name, "rows of tasks, in order", found);
        findings.add(finding);
        self.is_whole = false;
        self.files.clear();
        self.queue.clear();
        self.waiting = 0;
        self.taken = (0, 0);
        self.compared = 0;
    }

    /// Reads all rows that are left, to check that they can be read.
    pub(crate) fn drain(&mut self, findings: &mut Findings) {
        self.queue.clear();
        self.waiting = 0;
        self.taken = (0, 0);
        while self.read(findings) {
            self.queue.clear();
            self.waiting = 0;
        }
    }

    /// The rows that a task took.
    pub(crate) fn taken<'s>(&'s self, taken: &TakenRows) -> TableRows<'s> {
        let mut rows = TableRows::default();
        for (batch, range) in &taken.rows {
            if let Some(batch) = self.queue.get(*batch) {
                rows.add(batch, range.start, range.end);
            }
        }
        rows
    }

    /// The batch that is compared next, and its first row that is.
    pub(crate) fn uncompared(&mut self, findings: &mut Findings) -> Option<(&Rows, usize)> {
        while self
            .queue
            .front()
            .is_some_and(|front| self.compared >= front.len())
        {
            self.drop_front();
        }
        if self.queue.is_empty() && !self.read(findings) {
            return None;
        }
        self.queue.front().map(|front| (front, self.compared))
    }

    /// The rows in memory that have not been compared, in order.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = (&Rows, usize)> {
        let batches = self.queue.iter().enumerate();
        batches.flat_map(|(index, rows)| {
            let from = if index == 0 { self.compared } else { 0 };
            (from..rows.len()).map(move |row| (rows, row))
        })
    }

    /// Marks rows as compared.
    pub(crate) fn advance(&mut self, count: usize) {
        self.compared += count;
    }

    /// Drops rows that tasks have taken, when nothing is compared with them.
    pub(crate) fn drop_taken(&mut self) {
        while self.taken.0 > 0 {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(rows) = self.queue.pop_front() {
            self.waiting -= rows.batch().get_array_memory_size();
        }
        self.compared = 0;
        match self.taken.0.checked_sub(1) {
            Some(batch) => self.taken.0 = batch,
            // Rows that belong to many tasks, like those of `projects`, are only compared.
            None => self.taken = (0, 0),
        }
    }
}

/// Opens those of the tables that can be read.
pub(crate) fn open_cursors(
    export: VerifiedExport<'_>,
    tables: impl Iterator<Item = &'static TableInfo>,
    findings: &mut Findings,
) -> Result<Vec<TableCursor>, VerifyError> {
    let VerifiedExport {
        directory,
        manifest,
        ..
    } = export;
    let format = manifest.options.format;
    let mut cursors = Vec::new();
    for table in tables {
        let mut named = manifest.tables.iter();
        if let Some((_, entry)) = named.find(|(name, _)| name == table.name) {
            cursors.extend(TableCursor::open(
                directory, format, table, entry, findings,
            )?);
        }
    }
    Ok(cursors)
}

/// The start of a text that is shown.
fn start_of(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES);
    text.get(..end).unwrap_or_default().to_owned()
}

/// Opens a table's file; `None` when there is no such file, which is reported with the other files.
pub(crate) fn input(path: &Path) -> Result<Option<Input>, VerifyError> {
    let refused = |source| VerifyError::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if !metadata.is_file() => Ok(None),
        found => found
            .and_then(|_| Input::at(path))
            .map(Some)
            .map_err(refused),
    }
}

/// Reports wrong statistics of a file.
fn add_wrong(
    path: &str,
    table: &'static TableInfo,
    wrong: Vec<WrongStatistic>,
    findings: &mut Findings,
) {
    for statistic in wrong {
        let finding = Finding::of_excerpts(path, &statistic.expected, &statistic.found);
        findings.add(match statistic.column {
            Some(column) => finding.in_column(format!("{}.{column}", table.name)),
            None => finding,
        });
    }
}

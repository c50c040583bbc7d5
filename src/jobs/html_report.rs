//! The report job: reads a published export without its lock, and returns its report as HTML.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::error::{Exit, Explain};
use crate::event::{Event, Events, TASKS_BETWEEN_EVENTS};
use crate::jobs::published_rows::{PublishedRows, UnreadableTable};
use crate::jobs::report::{JobEnd, SavedWork};
use crate::memory::read_line;
use crate::publish::file_names::FAILURES;
use crate::publish::manifest::Manifest;
use crate::publish::published_export::{UnreadableExport, read_published};
use crate::report::collector::{Collector, READ_TABLES};
use crate::report::facts::BatchRow;
use crate::report::html::page::ReportPage;
use crate::tables::table::Table;

/// Bytes of a line of `failures.jsonl` that are read at once. A line has an ID and a message, each 1 kB at most.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// The report of an export.
#[derive(Debug)]
#[non_exhaustive]
pub struct HtmlReport {
    /// The document.
    pub html: String,
    /// Tasks in the export.
    pub tasks: u64,
}

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HtmlReportError {
    /// There is no export that this version can read.
    #[error(transparent)]
    Export(#[from] UnreadableExport),
    /// A table could not be read.
    #[error(transparent)]
    Table(#[from] UnreadableTable),
    /// The list of failures could not be read.
    #[error("could not read `{}`: {source}", path.display())]
    Failures {
        /// The file.
        path: PathBuf,
        /// The error of the system, or what is wrong with the content.
        source: io::Error,
    },
    /// The user stopped the job. Only its parts return it: the job itself ends with `JobEnd::Stopped`.
    #[doc(hidden)]
    #[error("could not complete the report: interrupted")]
    Interrupted,
}

impl Explain for HtmlReportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Export(error) => error.hint(),
            Self::Table(error) => error.hint(),
            Self::Failures { .. } => Some("list what is wrong: scale-export verify DIR".to_owned()),
            Self::Interrupted => Some("run the same command again".to_owned()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Export(error) => error.exit(),
            Self::Table(error) => error.exit(),
            Self::Failures { .. } => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// Makes the report of the export in a directory. It names contributors only if `contributors` is set.
pub fn html_report(
    directory: &Path,
    contributors: bool,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<HtmlReport>, HtmlReportError> {
    let done = read_published(directory, |manifest| {
        let reading = Reading {
            directory,
            manifest,
            contributors,
            events,
            cancel,
        };
        reading.report()
    });
    match done {
        Ok(report) => Ok(JobEnd::Done(report)),
        Err(HtmlReportError::Interrupted) => Ok(JobEnd::Stopped(SavedWork::Nothing)),
        Err(error) => Err(error),
    }
}

/// One reading of an export.
struct Reading<'r> {
    directory: &'r Path,
    manifest: &'r Manifest,
    contributors: bool,
    events: &'r Events,
    cancel: &'r CancellationToken,
}

impl Reading<'_> {
    fn report(&self) -> Result<HtmlReport, HtmlReportError> {
        self.events.send(Event::Phase("reading tables"));
        let mut collector = Collector::default();
        let mut tables = Vec::new();
        for table in READ_TABLES {
            if table == Table::Submissions && !self.contributors {
                continue;
            }
            tables.extend(PublishedRows::open(self.directory, self.manifest, table)?);
        }
        let mut tables = tables.into_iter().peekable();
        match tables.next_if(|rows| rows.table() == Table::Tasks) {
            Some(tasks) => self.by_task(tasks, tables.collect(), &mut collector)?,
            None => self.by_table(tables.collect(), &mut collector)?,
        }
        self.failures(&mut collector)?;
        let page = ReportPage {
            manifest: self.manifest,
            statistics: &collector.finish(),
            has_contributors: self.contributors,
        };
        Ok(HtmlReport {
            html: page.html(),
            tasks: self.manifest.ids.exported,
        })
    }

    /// Reads the tables side by side, in the order of `tasks`.
    fn by_task(
        &self,
        mut tasks: PublishedRows,
        mut tables: Vec<PublishedRows>,
        collector: &mut Collector,
    ) -> Result<(), HtmlReportError> {
        let mut done = 0;
        while let Some(rows) = tasks.next_batch()? {
            for row in 0..rows.len() {
                collector.begin_task();
                collector.see(Table::Tasks, BatchRow { rows: &rows, row });
                // The key of the table is never null.
                let task_id = rows.text(0, row).unwrap_or_default();
                for others in &mut tables {
                    let table = others.table();
                    others.of_task(task_id, &mut |rows, row| {
                        collector.see(table, BatchRow { rows, row });
                    })?;
                }
                done += 1;
                self.progress(done)?;
            }
        }
        for table in std::iter::once(tasks).chain(tables) {
            table.finish()?;
        }
        Ok(())
    }

    /// Reads the tables one after the other. Without `tasks`, the order of the tasks is not known, and rows are counted
    /// without those that they refer to.
    fn by_table(
        &self,
        tables: Vec<PublishedRows>,
        collector: &mut Collector,
    ) -> Result<(), HtmlReportError> {
        for mut table in tables {
            while let Some(rows) = table.next_batch()? {
                self.stop_if_cancelled()?;
                for row in 0..rows.len() {
                    collector.see_alone(table.table(), BatchRow { rows: &rows, row });
                }
            }
            table.finish()?;
        }
        Ok(())
    }

    fn failures(&self, collector: &mut Collector) -> Result<(), HtmlReportError> {
        let path = self.directory.join(FAILURES);
        let failed = |source| HtmlReportError::Failures {
            path: path.clone(),
            source,
        };
        let mut lines = BufReader::new(File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        while read_line(&mut lines, MAX_LINE_BYTES, &mut line).map_err(failed)? > 0 {
            let facts = serde_json::from_slice(&line).map_err(|error| failed(error.into()))?;
            collector.see_failure(facts);
        }
        Ok(())
    }

    fn progress(&self, done: usize) -> Result<(), HtmlReportError> {
        if !done.is_multiple_of(TASKS_BETWEEN_EVENTS) {
            return Ok(());
        }
        let total = usize::try_from(self.manifest.ids.exported).ok();
        self.events.send(Event::Progress { done, total });
        self.stop_if_cancelled()
    }

    fn stop_if_cancelled(&self) -> Result<(), HtmlReportError> {
        if self.cancel.is_cancelled() {
            return Err(HtmlReportError::Interrupted);
        }
        Ok(())
    }
}

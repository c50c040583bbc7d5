//! Jobs that publish also commit the tables to Delta tables, if there is a target.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::delta::delta_error::DeltaError;
use crate::delta::delta_lake::{DeltaLake, ExportTables, TableBefore};
use crate::durable_fs;
use crate::encode::format::Format;
use crate::event::{Event, Events};
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::delta_target::DeltaTarget;
use crate::jobs::error::ExportError;
use crate::jobs::publish_targets::PublishRequest;
use crate::jobs::report::{DeltaReport, SavedWork};
use crate::jobs::store_requests::store_options;
use crate::output_error::OutputError;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::nearest_existing;
use crate::tables::definition::TABLES;

/// The Delta tables that a job commits to.
#[derive(Debug)]
pub(crate) struct OpenDelta {
    lake: DeltaLake,
    tables: Vec<TableBefore>,
}

impl OpenDelta {
    /// Reads the tables, and checks that the job may commit to them.
    pub(crate) fn open(
        target: &DeltaTarget,
        request: &PublishRequest<'_>,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<Self, ExportError> {
        events.send(Event::Phase("checking the Delta tables"));
        refuse_request(target, request)?;
        if let Some(directory) = target.directory() {
            durable_fs::create_directories(directory)
                .map_err(OutputError::io("create", directory))?;
        }
        let options = store_options(request.fetch);
        let lake = DeltaLake::open(&target.url, &options, events, cancel)?;
        let selected = TABLES.iter();
        let selected = selected.filter(|table| request.selection.tables.contains(table.table));
        let tables = selected.map(|table| lake.check(table, request.force));
        let tables = tables.collect::<Result<_, _>>()?;
        Ok(Self { lake, tables })
    }

    /// Commits the tables that the job has published in its directory.
    pub(crate) fn commit(
        self,
        target: &DeltaTarget,
        request: &PublishRequest<'_>,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<DeltaReport, ExportError> {
        events.send(Event::Phase("committing to the Delta tables"));
        let export = ExportTables {
            directory: request.out,
            manifest: &Manifest::published(request.out)?,
            max_shrink: request.max_shrink,
        };
        let mut report = DeltaReport {
            url: target.to_string(),
            tables: self.tables.len() as u64,
            committed: 0,
        };
        for table in self.tables {
            let url = table.url().to_owned();
            let version = match self.lake.commit(table, export) {
                Err(DeltaError::Interrupted) => {
                    return Err(ExportError::Interrupted(SavedWork::NotUploaded));
                }
                committed => committed?,
            };
            if let Some(version) = version {
                report.committed += 1;
                events.send(Event::Detail(format!(
                    "committed version {version} of {url}"
                )));
            }
            if cancel.is_cancelled() {
                return Err(ExportError::Interrupted(SavedWork::NotUploaded));
            }
        }
        Ok(report)
    }
}

/// The line of a check about Delta tables to which the run could not commit.
pub(crate) fn delta_fault(
    target: &DeltaTarget,
    request: &PublishRequest<'_>,
    signals: (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    let is_missing = target
        .directory()
        .is_some_and(|directory| !directory.exists());
    let opened = if is_missing {
        // The run creates it, and a check writes nothing.
        refuse_request(target, request).map_err(ExportError::from)
    } else {
        OpenDelta::open(target, request, signals).map(drop)
    };
    match opened {
        Ok(()) => Ok(None),
        Err(ExportError::Interrupted(saved)) => Err(ExportError::Interrupted(saved)),
        Err(error) => Ok(Some(CheckLine::failed(CheckName::Output, &error))),
    }
}

/// Refuses what needs no look at the tables: another format, a shard, and directories that are in each other or not
/// writable.
pub(crate) fn refuse_request(
    target: &DeltaTarget,
    request: &PublishRequest<'_>,
) -> Result<(), DeltaError> {
    let url = target.to_string();
    if request.selection.format == Format::Csv {
        return Err(DeltaError::Format { url });
    }
    if let Some(shard) = request.shard {
        return Err(DeltaError::IsShard { url, shard });
    }
    let Some(directory) = target.directory() else {
        return Ok(());
    };
    let (lake, out) = (resolved(directory), resolved(request.out));
    if lake.starts_with(&out) || out.starts_with(&lake) {
        return Err(DeltaError::InsideOutput { url });
    }
    let nearest = nearest_existing(directory);
    durable_fs::refuse_unwritable(nearest).map_err(|source| DeltaError::Unwritable {
        directory: nearest.to_owned(),
        source,
    })
}

/// The path with the links of its existing part resolved.
fn resolved(path: &Path) -> PathBuf {
    let nearest = nearest_existing(path);
    let existing = nearest
        .canonicalize()
        .unwrap_or_else(|_| nearest.to_owned());
    match path.strip_prefix(nearest) {
        // A component like `.` at the end would be a part of the path.
        Ok(rest) if rest.as_os_str().is_empty() => existing,
        Ok(rest) => existing.join(rest),
        Err(_) => existing.join(path),
    }
}

impl From<DeltaError> for ExportError {
    fn from(error: DeltaError) -> Self {
        match error {
            DeltaError::Place(error) => error.into(),
            DeltaError::Interrupted => Self::Interrupted(SavedWork::Nothing),
            DeltaError::Output(error) => Self::Output(error),
            error => Self::Delta(error),
        }
    }
}

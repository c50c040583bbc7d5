//! Jobs that publish also commit the tables to Delta tables, if there is a target.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::delta::delta_error::DeltaError;
use crate::delta::delta_lake::{DeltaLake, ExportTables, TableBefore};
use crate::durable_fs;
use crate::encode::format::{Format, Selection};
use crate::event::{Event, Events};
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::delta_target::{DeltaRequest, DeltaTarget};
use crate::jobs::error::ExportError;
use crate::jobs::report::SavedWork;
use crate::jobs::store_requests::store_options;
use crate::output_error::OutputError;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::is_below;
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
        request: &DeltaRequest<'_>,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<Self, ExportError> {
        events.send(Event::Phase("checking the Delta tables"));
        refuse_place(target, request.out, request.selection)?;
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
        request: &DeltaRequest<'_>,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<(), ExportError> {
        events.send(Event::Phase("committing to the Delta tables"));
        let export = ExportTables {
            directory: request.out,
            manifest: &Manifest::published(request.out)?,
            max_shrink: request.max_shrink,
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
                events.send(Event::Detail(format!(
                    "committed version {version} of {url}"
                )));
            }
            if cancel.is_cancelled() {
                return Err(ExportError::Interrupted(SavedWork::NotUploaded));
            }
        }
        Ok(())
    }
}

/// The line of a check about Delta tables to which the run could not commit.
pub(crate) fn delta_fault(
    target: &DeltaTarget,
    request: &DeltaRequest<'_>,
    signals: (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    if target
        .directory()
        .is_some_and(|directory| !directory.exists())
    {
        // The run creates it, and a check writes nothing.
        return Ok(None);
    }
    match OpenDelta::open(target, request, signals) {
        Ok(_) => Ok(None),
        Err(ExportError::Interrupted(saved)) => Err(ExportError::Interrupted(saved)),
        Err(error) => Ok(Some(CheckLine::failed(CheckName::Output, &error))),
    }
}

/// Refuses a place in the output directory, whose files are those of the export, and files that are not Parquet.
fn refuse_place(target: &DeltaTarget, out: &Path, selection: Selection) -> Result<(), DeltaError> {
    let url = target.to_string();
    if selection.format == Format::Csv {
        return Err(DeltaError::Format { url });
    }
    if target
        .directory()
        .is_some_and(|directory| directory == out || is_below(directory, out))
    {
        return Err(DeltaError::InsideOutput { url });
    }
    Ok(())
}

impl From<DeltaError> for ExportError {
    fn from(error: DeltaError) -> Self {
        match error {
            DeltaError::Place(error) => error.into(),
            DeltaError::Interrupted => Self::Interrupted(SavedWork::Nothing),
            DeltaError::NotPublished(error) => Self::NotPublished(error),
            DeltaError::Output(error) => Self::Output(error),
            error => Self::Delta(error),
        }
    }
}

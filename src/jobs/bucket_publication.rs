//! A publication in an object store, of what a job has built and published in a local directory before.

use tokio_util::sync::CancellationToken;

use crate::bucket::error::BucketError;
use crate::bucket::publisher::{
    LocalExport, PlannedExport, PublishRules, StoreBefore, publish_in_store, read_before,
};
use crate::bucket::store::ExportStore;
use crate::bucket::store_options::StoreOptions;
use crate::event::{Event, Events};
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::error::ExportError;
use crate::jobs::publish_targets::PublishRequest;
use crate::jobs::report::SavedWork;
use crate::jobs::runtime::block_on;
use crate::jobs::store_requests::store_options;
use crate::publish::file_names::FAILURES;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::state::paths::StateDir;

/// A place in a store in which a job may publish.
#[derive(Debug)]
pub(crate) struct OpenBucket<'o> {
    target: &'o BucketTarget,
    options: StoreOptions,
    before: StoreBefore,
}

impl<'o> OpenBucket<'o> {
    /// Checks that the job may publish, and reads what is published.
    pub(crate) fn open(
        target: &'o BucketTarget,
        request: &PublishRequest<'_>,
        state: &StateDir,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<Self, ExportError> {
        events.send(Event::Phase("checking the bucket"));
        let options = store_options(request.fetch);
        let store = ExportStore::open(&target.url, &options)?;
        let names = request.selection.file_names();
        let names: Vec<String> = names.chain([FAILURES.to_owned()]).collect();
        let planned = PlannedExport {
            state,
            names: &names,
            force: request.force,
        };
        let before = block_on(read_before(&store, planned), cancel)?;
        let before = before.ok_or(ExportError::Interrupted(SavedWork::Nothing))?;
        Ok(Self {
            target,
            options,
            before,
        })
    }

    /// Publishes the export that the directory has.
    pub(crate) fn publish(
        self,
        directory: &OutputDirectory,
        request: &PublishRequest<'_>,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<(), ExportError> {
        events.send(Event::Phase("uploading"));
        let path = directory.path();
        let manifest = Manifest::published(path)?;
        let rules = PublishRules {
            grace: self.target.grace,
            max_shrink: request.max_shrink,
            responses: request.responses,
        };
        let local = LocalExport {
            directory: path,
            state: directory.state(),
            manifest: &manifest,
        };
        // Connections belong to a runtime, so each has its own.
        let store = ExportStore::open(&self.target.url, &self.options)?;
        let published = publish_in_store(&store, self.before, local, rules, events);
        match block_on(published, cancel)? {
            Some(()) => Ok(()),
            None => Err(ExportError::Interrupted(SavedWork::NotUploaded)),
        }
    }
}

/// The line of a check about the place in a store. `None` if the job has no other place than its directory.
pub(crate) fn bucket_line(
    request: &PublishRequest<'_>,
    signals: (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    let Some(target) = &request.targets.bucket else {
        return Ok(None);
    };
    let state = StateDir::of_output(request.out);
    Ok(Some(
        match OpenBucket::open(target, request, &state, signals) {
            Err(ExportError::Interrupted(saved)) => return Err(ExportError::Interrupted(saved)),
            Err(error) => CheckLine::failed(CheckName::Output, &error),
            Ok(_) => {
                let text = format!("`{}` can be written, with conditions", target.url);
                CheckLine::passed(CheckName::Output, text)
            }
        },
    ))
}

impl From<BucketError> for ExportError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NotPublished(error) => Self::NotPublished(error),
            BucketError::Output(error) => Self::Output(error),
            error => Self::Bucket(error),
        }
    }
}

//! An export whose tables go to an object store: it is built and published in a local directory first.

use tokio_util::sync::CancellationToken;

use crate::bucket::error::BucketError;
use crate::bucket::publisher::{
    LocalExport, PlannedExport, PublishRules, StoreBefore, publish_in_store, read_before,
};
use crate::bucket::store::ExportStore;
use crate::bucket::store_options::StoreOptions;
use crate::event::{Event, Events};
use crate::fetch::options::FetchOptions;
use crate::jobs::bucket_target::BucketTarget;
use crate::jobs::check::check_line::{CheckLine, CheckName};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::report::SavedWork;
use crate::jobs::runtime::block_on;
use crate::jobs::store_requests::store_options;
use crate::publish::file_names::FAILURES;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::state::paths::StateDir;

/// A place in a store in which a run may publish.
#[derive(Debug)]
pub(crate) struct OpenBucket<'o> {
    target: &'o BucketTarget,
    options: StoreOptions,
    before: StoreBefore,
}

impl<'o> OpenBucket<'o> {
    /// Checks that the run may publish, and reads what is published. `None` if the export has no other place than its
    /// directory.
    pub(crate) fn open(
        options: &'o ExportOptions,
        state: &StateDir,
        fetch: &FetchOptions,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<Option<Self>, ExportError> {
        let Some(target) = &options.bucket else {
            return Ok(None);
        };
        events.send(Event::Phase("checking the bucket"));
        let store_options = store_options(Some(fetch));
        let store = ExportStore::open(&target.url, &store_options)?;
        let names = options.selection().file_names();
        let names: Vec<String> = names.chain([FAILURES.to_owned()]).collect();
        let planned = PlannedExport {
            state,
            names: &names,
            force: options.force,
        };
        let before = block_on(read_before(&store, planned), cancel)?;
        let Some(before) = before else {
            return Err(ExportError::Interrupted(SavedWork::Nothing));
        };
        Ok(Some(Self {
            target,
            options: store_options,
            before,
        }))
    }

    /// Publishes the export that the directory has.
    pub(crate) fn publish(
        self,
        directory: &OutputDirectory,
        options: &ExportOptions,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<(), ExportError> {
        events.send(Event::Phase("uploading"));
        let path = directory.path();
        let manifest = Manifest::published(path)?;
        let rules = PublishRules {
            grace: self.target.grace,
            max_shrink: options.guard.max_shrink,
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

/// The line of a check about the place in a store. `None` if the export has no other place than its directory.
pub(crate) fn bucket_line(
    options: &ExportOptions,
    fetch: &FetchOptions,
    (events, cancel): (&Events, &CancellationToken),
) -> Result<Option<CheckLine>, ExportError> {
    let Some(target) = &options.bucket else {
        return Ok(None);
    };
    let state = StateDir::of_output(&options.out);
    Ok(Some(
        match OpenBucket::open(options, &state, fetch, (events, cancel)) {
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

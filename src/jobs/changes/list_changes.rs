//! The job: compares two publications, and writes a feed if one is wanted. It takes no lock of an export: if a run
//! publishes meanwhile, it starts over.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events};
use crate::jobs::changes::change_report::{ChangesOptions, ChangesReport, FeedOptions};
use crate::jobs::changes::changed_tasks::each_change;
use crate::jobs::changes::error::ChangesError;
use crate::jobs::changes::feed_directory::FeedDirectory;
use crate::jobs::changes::feed_writer::FeedWriter;
use crate::jobs::changes::publication_pair::PublicationPair;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::is_below;
use crate::publish::published_export::read_published;

/// Lists the tasks that a publication inserted, updated and deleted.
///
/// # Errors
///
/// [`ChangesError`] says what failed. With the exit code 2, the consumer must load the whole export again, or no export can
/// be read.
pub fn list_changes(
    options: &ChangesOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<ChangesReport>, ChangesError> {
    let job = ChangesJob {
        options,
        events,
        cancel,
    };
    match job.run() {
        Ok(report) => Ok(JobEnd::Done(report)),
        Err(ChangesError::Interrupted) => Ok(JobEnd::Stopped(SavedWork::Nothing)),
        Err(error) => Err(error),
    }
}

#[derive(Clone, Copy)]
struct ChangesJob<'c> {
    options: &'c ChangesOptions,
    events: &'c Events,
    cancel: &'c CancellationToken,
}

/// Both publications, and the manifest of the new one.
struct ExportRead<'m> {
    pair: PublicationPair,
    manifest: &'m Manifest,
}

/// Where a feed goes.
#[derive(Clone, Copy)]
struct FeedTarget<'f> {
    directory: &'f FeedDirectory,
    options: &'f FeedOptions,
}

impl ChangesJob<'_> {
    /// Refuses a feed in an export: a directory of an export has the files of the export only.
    fn refuse_inside(self, out: &Path) -> Result<(), ChangesError> {
        let mut exports = self.options.old.iter().chain([&self.options.new]);
        match exports.find(|export| is_below(out, export)) {
            Some(export) => Err(ChangesError::InsideExport {
                path: out.to_owned(),
                export: export.clone(),
            }),
            None => Ok(()),
        }
    }

    fn run(self) -> Result<ChangesReport, ChangesError> {
        let compare = |read: ExportRead<'_>| self.compare(read, None);
        let Some(options) = &self.options.feed else {
            return self.read(compare);
        };
        self.refuse_inside(&options.out)?;
        // Exports that cannot be compared must not leave an empty directory.
        self.read(|_| Ok(()))?;
        let directory = FeedDirectory::open(&options.out)?;
        let target = FeedTarget {
            directory: &directory,
            options,
        };
        let report = self.read(|read| self.compare(read, Some(target)));
        if report.is_err() {
            // The next feed in this directory removes what cannot be removed now.
            let _ = directory.clear();
        }
        let report = report?;
        directory.publish(&report)?;
        Ok(report)
    }

    /// Opens both publications, and passes them to `read`, again if a run publishes meanwhile.
    fn read<T>(
        self,
        mut read: impl FnMut(ExportRead<'_>) -> Result<T, ChangesError>,
    ) -> Result<T, ChangesError> {
        let ChangesOptions {
            old, new, since, ..
        } = self.options;
        match old {
            None => read_published(new, |manifest| {
                let pair = PublicationPair::of_export(new, manifest, since.as_deref())?;
                read(ExportRead { pair, manifest })
            }),
            Some(old) => read_published(old, |old_manifest| {
                read_published(new, |manifest| {
                    let pair = PublicationPair::of_exports((old, old_manifest), (new, manifest))?;
                    read(ExportRead { pair, manifest })
                })
            }),
        }
    }

    /// Compares the publications, and stages the feed if there is a target.
    fn compare(
        self,
        read: ExportRead<'_>,
        target: Option<FeedTarget<'_>>,
    ) -> Result<ChangesReport, ChangesError> {
        let ExportRead { pair, manifest } = read;
        let (from, to) = pair.ids();
        self.events.send(Event::Phase("comparing publications"));
        let Some(FeedTarget { directory, options }) = target else {
            let counts = each_change(pair, self.cancel, &mut |_| Ok(()))?;
            return Ok(ChangesReport::new(from, to, counts, Vec::new()));
        };
        directory.clear()?;
        let mut feed = FeedWriter::begin(directory, options, manifest)?;
        let counts = each_change(pair, self.cancel, &mut |change| feed.push(change))?;
        self.events.send(Event::Phase("writing the feed"));
        let files = feed.finish(&self.options.new, manifest, self.cancel)?;
        Ok(ChangesReport::new(from, to, counts, files))
    }
}

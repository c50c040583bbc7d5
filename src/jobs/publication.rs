//! The last step of an export and of `flatten`: the check of what is about to be published, the files beside the
//! tables, the manifest, and the commit.

use std::path::Path;

use crate::durable_fs::FileRef;
use crate::encode::table_writers::WrittenTable;
use crate::event::{Event, Events};
use crate::ids::shard::ShardPlace;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::failed_tasks::FailedTasks;
use crate::jobs::publication_digests::DigestPublication;
use crate::jobs::ranges::merge::{BuiltTables, FlattenSummary};
use crate::jobs::report::ExportReport;
use crate::output_error::OutputError;
use crate::publish::export_readme::export_readme;
use crate::publish::file_names::{FAILURES, LOAD_SQL, MANIFEST, README};
use crate::publish::guard::{GuardOptions, NotPublished, PublicationCandidate, ResponseSource};
use crate::publish::load_sql::{Views, load_sql};
use crate::publish::manifest::{Ids, Manifest, ManifestContent, ManifestOptions, RunCounters};
use crate::publish::output_dir::OutputDirectory;
use crate::publish::publication_id::PublicationId;
use crate::publish::publication_shape::PublicationShape;
use crate::publish::staging::Staging;
use crate::publish::{guard, previous_export};
use crate::state::paths::{IDS, JOURNAL, RANGES};
use crate::tables::table::SCHEMA_VERSION;

/// What is about to be published, and what it replaces.
#[derive(Debug)]
pub(crate) struct NextExport<'e> {
    /// Where its responses come from.
    pub(crate) response_source: ResponseSource,
    pub(crate) directory: &'e Path,
    pub(crate) published: Option<&'e Manifest>,
    pub(crate) ids: &'e TaskIds,
    pub(crate) failures: &'e FailedTasks,
    /// IDs that it exports.
    pub(crate) exported: u64,
}

impl NextExport<'_> {
    /// Refuses an export that must not be published.
    pub(crate) fn check(&self, options: &GuardOptions) -> Result<(), NotPublished> {
        let Self {
            failures, exported, ..
        } = *self;
        let is_exported = |task_id: &str| {
            let position = self.ids.position(task_id);
            position.is_some_and(|position| !failures.has(position))
        };
        let candidate = PublicationCandidate {
            response_source: self.response_source,
            requested: self.ids.len() as u64,
            exported,
            by_kind: failures.counted(options.drop_missing),
            shrink: previous_export::compare(self.directory, self.published, exported, is_exported),
        };
        guard::check(options, &candidate)
    }
}

/// What the manifest says beyond the files.
#[derive(Debug)]
pub(crate) struct Publication<'o> {
    /// The tasks, in their order.
    pub(crate) ids: &'o TaskIds,
    /// Which shard of a list they are, if they are one.
    pub(crate) shard: Option<ShardPlace>,
    pub(crate) options: ManifestOptions,
    /// Lines that repeated an ID.
    pub(crate) duplicates: u64,
    pub(crate) run: RunCounters,
    /// Whether a new journal is staged that replaces the old one.
    pub(crate) with_journal: bool,
}

impl Publication<'_> {
    /// Publishes tables that are complete.
    pub(crate) fn publish(
        self,
        directory: &OutputDirectory,
        staging: Staging,
        built: BuiltTables,
    ) -> Result<ExportReport, ExportError> {
        let BuiltTables {
            tables,
            flattened,
            digests,
            ranges,
        } = built;
        let drop_missing = self.options.drop_missing;
        let with_journal = self.with_journal;
        let publication = DigestPublication {
            directory,
            staging: &staging,
            ids: self.ids,
            failures: &flattened.failures,
            drop_missing,
        };
        let shape = PublicationShape::new(SCHEMA_VERSION, &self.options);
        let digests = publication.finish(digests, shape)?;
        let others = self.write_other_files(directory, &staging, &tables, &flattened)?;
        let ids = staging.write_with(IDS, |file| {
            let mut lines = self.ids.lines();
            lines.try_for_each(|piece| file.write_all(piece.as_bytes()))
        })?;
        staging.write(RANGES, &ranges.to_bytes())?;
        let others_and_ids = (others.clone(), ids.clone());
        let manifest = self.manifest(digests.id, &tables, others_and_ids, &flattened);
        let obsolete = directory.obsolete(&manifest.paths());
        staging.write(MANIFEST, manifest.to_json().as_bytes())?;
        let files = tables.iter().map(|written| &written.file);
        // A file that has not changed stays as it is: tools that copy or load by modification time skip it.
        let (same, changed): (Vec<&FileRef>, Vec<&FileRef>) = files
            .chain(&others)
            .partition(|file| directory.has(&file.path, &file.sha256));
        for file in same {
            staging.discard(&file.path)?;
        }
        let failures = flattened.failures;
        let report = ExportReport {
            unchanged: changed.is_empty() && obsolete.is_empty(),
            dropped: if drop_missing { failures.gone() } else { 0 },
            failures: failures.lines.by_kind,
            ..ExportReport::of(&manifest)
        };
        let names = changed.into_iter().chain([&ids]);
        let names = names
            .map(|file| file.path.as_str())
            .chain([RANGES])
            .chain(digests.names.iter().map(String::as_str))
            .chain(with_journal.then_some(JOURNAL));
        let obsolete = [obsolete, digests.obsolete].concat();
        staging.publish(names, MANIFEST, &obsolete)?;
        Ok(report)
    }

    /// Publishes tables that were built from saved responses, unless the guard refuses them.
    pub(crate) fn publish_offline(
        self,
        (directory, staging): (&OutputDirectory, Staging),
        built: BuiltTables,
        guard: &GuardOptions,
        events: &Events,
    ) -> Result<ExportReport, ExportError> {
        let published = directory.manifest();
        let next = NextExport {
            response_source: ResponseSource::Journal,
            directory: directory.path(),
            published: published.as_ref(),
            ids: self.ids,
            failures: &built.flattened.failures,
            exported: built.flattened.exported,
        };
        next.check(guard)?;
        events.send(Event::Phase("publishing"));
        let report = self.publish(directory, staging, built)?;
        Ok(ExportReport {
            uses_network: false,
            ..report
        })
    }

    /// Stages `failures.jsonl`, `load.sql` and `README.md`.
    fn write_other_files(
        &self,
        directory: &OutputDirectory,
        staging: &Staging,
        tables: &[WrittenTable],
        flattened: &FlattenSummary,
    ) -> Result<Vec<FileRef>, OutputError> {
        let format = self.options.format;
        let views = tables
            .iter()
            .map(|written| (written.table, written.longest_record));
        let rows = tables.iter().map(|written| (written.table, written.rows));
        let views = load_sql(&Views::new(format, views));
        let readme = export_readme(format, rows);
        let others = [
            (FAILURES, flattened.failures.lines.text.as_slice()),
            (LOAD_SQL, views.as_bytes()),
            (README, readme.as_bytes()),
        ];
        others
            .into_iter()
            .filter(|(name, _)| !directory.is_taken(name))
            .map(|(name, content)| staging.write(name, content))
            .collect()
    }

    fn manifest(
        self,
        publication: PublicationId,
        tables: &[WrittenTable],
        (others, ids): (Vec<FileRef>, FileRef),
        flattened: &FlattenSummary,
    ) -> Manifest {
        let ids = Ids {
            requested: self.ids.len() as u64,
            exported: flattened.exported,
            failed: flattened.failures.failed(),
            stale: flattened.failures.stale,
            duplicates: self.duplicates,
            file: ids,
        };
        let content = ManifestContent {
            publication,
            options: self.options,
            ids,
            shard: self.shard,
            files: others,
            drift: flattened.drift.entries(),
            run: self.run,
        };
        Manifest::new(tables, content)
    }
}

/// Writes the manifest again with the counters of a run that changed nothing else.
pub(crate) fn publish_counters(
    directory: &OutputDirectory,
    published: &Manifest,
    run: RunCounters,
) -> Result<(), OutputError> {
    let mut manifest = published.clone();
    manifest.run = run;
    let staging = directory.stage();
    staging.write(MANIFEST, manifest.to_json().as_bytes())?;
    staging.publish([], MANIFEST, &[])
}

/// The time as the manifest has it, in UTC.
pub(crate) fn manifest_time() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

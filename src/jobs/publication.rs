//! The end of every way to tables: the files beside them, the manifest, the commit.
//! Depends on `output` and `tables`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::encode::table_writers::Selection;
use crate::ids::task_ids::IdList;
use crate::jobs::error::ExportError;
use crate::jobs::table_builder::{Built, Flattened};
use crate::pacer::types::LearnedRate;
use crate::publish::export_readme::export_readme;
use crate::publish::file_names::{FAILURES, IDS, JOURNAL, LOAD_SQL, MANIFEST, README};
use crate::publish::load_sql::{Views, load_sql};
use crate::publish::manifest::{FileEntry, Ids, Manifest, ManifestOptions, RunCounters};
use crate::publish::output_dir::OutputDirectory;
use crate::publish::staged_file::{Published, Staging};

/// What the manifest says beyond the files.
#[derive(Debug)]
pub(crate) struct Publication<'o> {
    /// The tasks, in their order.
    pub(crate) ids: &'o IdList,
    pub(crate) selection: Selection<'o>,
    pub(crate) options: ManifestOptions,
    /// How often an ID came again.
    pub(crate) duplicates: u64,
    pub(crate) run: RunCounters,
    /// Does a new journal stand ready, to take the place of the old one?
    pub(crate) with_journal: bool,
}

/// What came of an export.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// Distinct IDs.
    pub requested: u64,
    /// In the tables.
    pub exported: u64,
    /// Not in the tables.
    pub failed: u64,
    /// In the tables by an earlier response, since the last request failed.
    pub stale: u64,
    /// Of the failed IDs, those that are treated as deleted tasks (`--drop-missing`).
    pub dropped: u64,
    /// Exported from what an earlier run had fetched.
    pub reused: u64,
    /// Lines that repeated an ID.
    pub duplicates: u64,
    /// Failed and stale IDs by kind.
    pub failures: BTreeMap<String, u64>,
    /// Lines of the sources that are no task.
    pub unreadable: u64,
    /// Was a server to be asked?
    pub asked: bool,
    /// Was all of it published already, so that nothing was requested and nothing written?
    pub is_idle: bool,
    /// Is every published file the same as before, the manifest left out?
    pub unchanged: bool,
    /// Tasks in the journal that are not in the list.
    pub unlisted: u64,
    /// Such tasks that were dropped.
    pub pruned: u64,
    /// The lists that the tasks were taken from, when they were.
    pub lists: Option<ListReport>,
    /// Rows by table.
    pub rows: Vec<(String, u64)>,
    /// Bytes of all published files.
    pub bytes: u64,
    /// Values and keys that the documented shape does not have.
    pub drift: u64,
    /// Attempts sent.
    pub requests: u64,
    /// Attempts beyond the first of their ID.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Bytes of answers, decompressed.
    pub bytes_received: u64,
    /// Pages of lists that stood in for single requests.
    pub pages: u64,
    /// Tasks that these gave.
    pub from_lists: u64,
    /// What was learned of the server's limit, where that was looked for.
    pub learned: Option<LearnedRate>,
}

/// What came of lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// How many lists were read.
    pub lists: u64,
    /// Of these, not to their ends, as far as can be known.
    pub incomplete: u64,
    /// What was not as one would expect, by what it was.
    pub surprises: BTreeMap<&'static str, u64>,
}

impl ExportReport {
    /// Failed and stale IDs, without those that are treated as deleted tasks.
    pub fn failures(&self) -> u64 {
        (self.failed + self.stale).saturating_sub(self.dropped)
    }

    /// What a manifest says of it.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let tables = manifest.tables.iter();
        let files = manifest.files_with_bytes();
        let is_listed = |(path, _): &(&str, u64)| *path != IDS;
        Self {
            requested: manifest.ids.requested,
            exported: manifest.ids.exported,
            failed: manifest.ids.failed,
            stale: manifest.ids.stale,
            dropped: 0,
            reused: 0,
            duplicates: manifest.ids.duplicates,
            failures: BTreeMap::new(),
            unreadable: 0,
            asked: true,
            is_idle: false,
            unchanged: false,
            unlisted: 0,
            pruned: 0,
            lists: None,
            rows: tables
                .map(|(name, table)| (name.clone(), table.rows))
                .collect(),
            bytes: files.filter(is_listed).map(|(_, bytes)| bytes).sum(),
            drift: manifest.drift.iter().map(|entry| entry.count).sum(),
            requests: manifest.run.requests,
            retries: manifest.run.retries,
            rate_limited: manifest.run.rate_limited,
            bytes_received: manifest.run.bytes_received,
            pages: 0,
            from_lists: 0,
            learned: None,
        }
    }
}

/// Writes the manifest again with the counters of a run that changed nothing else.
pub(crate) fn counters(
    directory: &OutputDirectory,
    published: &Manifest,
    run: RunCounters,
) -> Result<(), ExportError> {
    let mut manifest = published.clone();
    manifest.run = run;
    let staging = Staging::begin(directory);
    staging.write(MANIFEST, manifest.to_json().as_bytes())?;
    Ok(staging.publish([], MANIFEST, &[])?)
}

/// Publishes tables that are complete.
pub(crate) fn publish(
    publication: Publication<'_>,
    directory: &OutputDirectory,
    staging: Staging,
    built: Built,
) -> Result<ExportReport, ExportError> {
    let Publication {
        ids: task_ids,
        selection,
        options,
        duplicates,
        run,
        with_journal,
    } = publication;
    let Built { tables, flattened } = built;
    let Flattened {
        drift,
        failures,
        exported,
    } = flattened;
    let drop_missing = options.drop_missing;
    let views = tables
        .iter()
        .map(|written| (written.table, written.longest_record));
    let rows = tables.iter().map(|written| (written.table, written.rows));
    let views = load_sql(&Views::new(selection.format, views));
    let readme = export_readme(selection.format, rows);
    let others = [
        (FAILURES, failures.lines.as_slice()),
        (LOAD_SQL, views.as_bytes()),
        (README, readme.as_bytes()),
    ];
    let others = others
        .into_iter()
        .filter(|(name, _)| !directory.is_taken(name))
        .map(|(name, content)| staging.write(name, content))
        .collect::<Result<Vec<_>, _>>()?;
    let entries = others.iter().map(|file| FileEntry {
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    });
    let ids = staging.write_with(IDS, |file| {
        let mut lines = task_ids.lines();
        lines.try_for_each(|piece| file.write_all(piece.as_bytes()))
    })?;
    let manifest = Manifest::new(
        options,
        Ids {
            requested: task_ids.len() as u64,
            exported,
            failed: failures.failed(),
            stale: failures.stale,
            duplicates,
            path: ids.path.clone(),
            bytes: ids.bytes,
            sha256: ids.sha256.clone(),
        },
        &tables,
        entries.collect(),
        drift.entries(),
        run,
    );
    let obsolete = directory.obsolete(&manifest.paths());
    staging.write(MANIFEST, manifest.to_json().as_bytes())?;
    let files = tables.iter().map(|written| &written.file);
    // What has not changed stays as it is: tools that copy or load by modification time pass over it.
    let (same, changed): (Vec<&Published>, Vec<&Published>) = files
        .chain(&others)
        .partition(|file| directory.has(&file.path, &file.sha256));
    for file in same {
        staging.discard(&file.path)?;
    }
    let report = ExportReport {
        unchanged: changed.is_empty() && obsolete.is_empty(),
        dropped: if drop_missing { failures.gone() } else { 0 },
        failures: failures.by_kind,
        ..ExportReport::of(&manifest)
    };
    let names = changed.into_iter().chain([&ids]);
    let names = names
        .map(|file| file.path.as_str())
        .chain(with_journal.then_some(JOURNAL));
    staging.publish(names, MANIFEST, &obsolete)?;
    Ok(report)
}

/// The time, as the manifest has it.
pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

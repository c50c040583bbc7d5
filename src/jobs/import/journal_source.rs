//! Reads the journal of an export, as a source or in place.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events};
use crate::ids::read::read_published;
use crate::ids::task_ids::TaskIds;
use crate::jobs::error::ExportError;
use crate::jobs::journal_marks::PublishedPart;
use crate::jobs::journal_tasks::JournalTasks;
use crate::jobs::lost_records::LostIds;
use crate::jobs::published_digests::{PublishedDigests, ScannedJournalTasks};
use crate::jobs::source_error::SourceError;
use crate::journal::format::JournalOptions;
use crate::journal::reader::JournalReader;
use crate::journal::saved_index::remove_index;
use crate::journal::scan::break_if;
use crate::plural::plural;
use crate::publish::checksum::has_sha256;
use crate::publish::manifest::Manifest;
use crate::state::paths::{IDS, StateDir};

/// Whether a source is an export.
pub(crate) fn is_export(source: &Path) -> bool {
    source.is_dir()
}

/// The list of IDs of an export, if it has one. Reports a list that is not the published one.
pub(crate) fn list_of(export: &Path, events: &Events) -> Result<Option<TaskIds>, ExportError> {
    let list = StateDir::of_output(export).ids();
    if let Some(published) = Manifest::sound(export)
        && !has_sha256(export, IDS, &published.ids.file.sha256)
    {
        let state = if list.exists() { "damaged" } else { "missing" };
        events.send(Event::Warning(format!(
            "the list of IDs of `{}` is {state}: give the list with --ids, or run the export",
            export.display()
        )));
    }
    list.exists()
        .then(|| read_published(&list).map_err(ExportError::from))
        .transpose()
}

/// The journal of an export.
pub(crate) struct ReadJournal {
    pub(crate) tasks: JournalTasks,
    pub(crate) reader: JournalReader,
    pub(crate) options: JournalOptions,
    /// Places that could not be read. The records there are lost.
    pub(crate) damaged: u64,
    /// The offset at which its last whole record ends.
    pub(crate) bytes: u64,
}

/// Reads the journal of an export: the records of the IDs of a list, or of all IDs.
pub(crate) fn read_journal(
    directory: &Path,
    ids: Option<TaskIds>,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<ReadJournal, ExportError> {
    let journal = StateDir::of_output(directory).journal();
    if !JournalReader::is_there(&journal)? {
        return Err(ExportError::Source {
            name: directory.display().to_string(),
            cause: SourceError::NoJournal,
        });
    }
    let mut tasks = ids.map_or_else(JournalTasks::default, JournalTasks::of_list);
    let published = Manifest::sound(directory);
    let published_bytes = published
        .as_ref()
        .and_then(|manifest| manifest.run.journal_bytes);
    let mut published_part = PublishedPart::new(published_bytes);
    let (reader, options, mut opened) = JournalReader::open(&journal, None, |entry| {
        published_part.see(&entry);
        tasks.add_record(&entry);
        break_if(cancel.is_cancelled())
    })?;
    let lost_bytes = published_bytes
        .unwrap_or_default()
        .saturating_sub(opened.end);
    // Without requests, nothing decides whether a response of another journal is newer.
    let is_other = published_part.is_of_other(opened.end) && lost_bytes == 0;
    if let Some(digests) = PublishedDigests::of(directory, published.as_ref())
        && !is_other
    {
        tasks.journal.finish_scan();
        digests.name_lost(ScannedJournalTasks {
            scan: &mut opened,
            is_other: false,
            responses_before: &|end| tasks.journal.responses_before(end),
            held: &|task_id| tasks.held_task(task_id),
        });
    }
    tasks.leave_out(&opened, published_bytes.unwrap_or_default());
    tasks.finish_scan(&opened);
    let lost = LostIds::new(&opened.lost);
    let found = if opened.damaged > 0 {
        remove_index(&journal);
        Some(format!(
            "skipped {} in the journal of `{}`",
            plural(opened.damaged, "damaged place"),
            directory.display()
        ))
    } else if lost_bytes > 0 {
        Some(format!(
            "the journal of `{}` lacks {} that its tables were built from",
            directory.display(),
            plural(lost_bytes, "byte")
        ))
    } else {
        None
    };
    if let Some(found) = found {
        events.send(Event::Warning(format!(
            "{found}; the lost responses are left out{}",
            lost.suffix()
        )));
        lost.report_others(events);
    }
    if opened.ids_lost_before.is_some() {
        let text = "the damage includes task IDs: if one of these tasks has an earlier response, that one is used";
        events.send(Event::Warning(text.to_owned()));
    }
    Ok(ReadJournal {
        tasks,
        bytes: opened.end,
        reader,
        options,
        damaged: opened.damaged,
    })
}

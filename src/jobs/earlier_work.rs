//! What earlier runs left in the output directory, as an export would find it. Nothing is written.

use tokio_util::sync::CancellationToken;

use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_contents::JournalContents;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::limits::ExportSize;
use crate::jobs::published_digests::PublishedDigests;
use crate::jobs::resume::{failed, published_bytes};
use crate::journal::reader::JournalReader;
use crate::journal::scan::break_if;
use crate::lists::dry_run_probe::ProbeResult;
use crate::publish::guard::{NotPublished, ResponseSource, Shrink, check_shrink};
use crate::publish::manifest::Manifest;
use crate::publish::previous_export;
use crate::state::paths::StateDir;

/// What earlier runs left.
#[derive(Debug)]
pub(crate) struct EarlierWork {
    /// What the journal holds, and which IDs the export would fetch.
    pub(crate) index: SharedIndex,
    /// IDs that the export would fetch.
    pub(crate) wanted: usize,
    /// The journal, if there is one.
    pub(crate) reader: Option<JournalReader>,
    pub(crate) size: ExportSize,
}

/// Reads what earlier runs left. Refuses a journal that the export could not continue.
pub(crate) fn read_earlier(
    options: &ExportOptions,
    cancel: &CancellationToken,
) -> Result<EarlierWork, ExportError> {
    let ids = &options.ids;
    let published = Manifest::sound(&options.out);
    let published = published.as_ref();
    options.refuse_other_shard(published)?;
    let mut contents = JournalContents::new(
        ids,
        published_bytes(&options.out, published),
        PublishedDigests::of(&options.out, published),
    );
    let journal = StateDir::of_output(&options.out).journal();
    // A run replaces an empty journal.
    let is_empty = journal.metadata().is_ok_and(|found| found.len() == 0);
    let (reader, journal_bytes) = if is_empty || !JournalReader::is_there(&journal)? {
        (None, 0)
    } else {
        let (reader, _, mut scan) = JournalReader::open_with_index(&journal, |entry| {
            contents.add_record(ids, &entry);
            break_if(cancel.is_cancelled())
        })?;
        reader.refuse_other(&options.journal_options())?;
        let bytes = reader.bytes()?;
        contents.finish_scan(ids, &mut scan);
        (Some(reader), bytes)
    };
    let index = contents.index;
    index.request_failed(ids, &failed(&options.out, published));
    let wanted = index.plan(options.refresh).wanted;
    let kept_bytes = index.bytes();
    Ok(EarlierWork {
        index,
        wanted,
        reader,
        size: ExportSize {
            wanted,
            kept: ids.len() - wanted,
            kept_bytes,
            journal_bytes,
        },
    })
}

/// Refuses an export that would lack too many tasks of the published one (`--max-shrink`), as far as that is known before
/// its tasks are fetched. `probe` is what requests found out about lists, if any. Returns what would disappear at least.
pub(crate) fn refuse_shrinking(
    options: &ExportOptions,
    probe: Option<&ProbeResult>,
) -> Result<Shrink, NotPublished> {
    let published = Manifest::sound(&options.out);
    let compare = |tasks, is_listed: &dyn Fn(&str) -> bool| {
        previous_export::compare(&options.out, published.as_ref(), tasks, is_listed)
    };
    let (tasks, shrink) = if options.lists.is_empty() {
        // IDs that left the list would disappear, whatever the requests return.
        let tasks = options.ids.len() as u64;
        let is_listed = |task_id: &str| options.ids.position(task_id).is_some();
        (tasks, compare(tasks, &is_listed))
    } else {
        let Some(estimate) = probe.map(|probe| probe.estimate).filter(|it| !it.is_least) else {
            return Ok(Shrink::default());
        };
        // The tasks are not known, but at least the difference would disappear.
        let before = compare(estimate.tasks, &|_| true).before;
        let missing = before.saturating_sub(estimate.tasks);
        (estimate.tasks, Shrink { before, missing })
    };
    let allowed = options.guard.max_shrink;
    check_shrink(allowed, ResponseSource::Unsaved, tasks, shrink)?;
    Ok(shrink)
}

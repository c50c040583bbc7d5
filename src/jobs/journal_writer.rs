//! The journal's thread: appends what arrives, syncs it within a second, and updates the index.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::api::task_response::TaskResponse;
use crate::failure_kind::FailureKind;
use crate::fetch::task_result::{FetchedTask, TaskFailure};
use crate::jobs::error::ExportError;
use crate::jobs::journal_contents::RefusedResponse;
use crate::jobs::journal_index::{IndexUpdate, SharedIndex};
use crate::jobs::response_cache::ResponseCache;
use crate::journal::format::{BodyDigest, FLAG_FINAL, JournalRecord, RecordKind};
use crate::journal::index::{IndexEntry, StoredResponse};
use crate::journal::location::Location;
use crate::journal::writer::Journal;

/// After this long, a result that arrived survives a power loss.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A result waits briefly for others, to be written together with them: waking this thread and then the fetcher for
/// each result costs more than compressing it. The request is in flight meanwhile, so the wait ends when half of the
/// requests in flight have arrived, and soon in any case. Few steps, since each of them wakes this thread too.
const GATHER_STEPS: u32 = 2;
const GATHER_STEP: Duration = Duration::from_micros(200);

/// The maximum number of results to wait for.
const MAX_GATHERED: usize = 16;

/// What is left when everything has arrived.
pub(crate) struct StoredResults {
    /// The journal, synced.
    pub(crate) journal: Journal,
    /// Responses that were kept with the failures of their IDs.
    pub(crate) refused: Vec<RefusedResponse>,
}

/// The journal's thread.
pub(crate) struct JournalWriter<'w> {
    pub(crate) index: &'w SharedIndex,
    pub(crate) cache: &'w ResponseCache,
    /// The maximum number of requests in flight.
    pub(crate) in_flight: usize,
}

impl JournalWriter<'_> {
    /// Appends what arrives until the channel closes. Calls `watch` once per sync interval with how many results have
    /// arrived.
    pub(crate) fn run(
        &self,
        mut journal: Journal,
        mut arrived: Receiver<FetchedTask>,
        mut watch: impl FnMut(usize, &Journal),
    ) -> Result<StoredResults, ExportError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a runtime with a timer only opens no files"
        )]
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ExportError::Runtime)?;
        let mut refused = Vec::new();
        let mut appended = Vec::new();
        let mut stored = Vec::new();
        let mut responses = Vec::new();
        let mut count = 0;
        let mut synced = Instant::now();
        loop {
            let next = runtime.block_on(async { timeout(SYNC_INTERVAL, arrived.recv()).await });
            match next {
                Ok(Some(task)) => {
                    gather(&arrived, self.in_flight);
                    let mut next = Some(task);
                    while let Some(mut task) = next {
                        append(&mut journal, &mut task, &mut appended);
                        stored.push(task.stored);
                        if let Ok(response) = task.result {
                            responses.push((task.position, response));
                        }
                        next = if journal.is_full() {
                            None
                        } else {
                            arrived.try_recv().ok()
                        };
                    }
                    let locations = journal.flush()?;
                    let updates = updates(appended.drain(..), locations, &mut refused);
                    for (position, response) in responses.drain(..) {
                        self.cache.keep(position, response);
                    }
                    self.index.set(&updates);
                    count += updates.len();
                    for stored in stored.drain(..) {
                        // The fetcher may have been cancelled meanwhile.
                        let _ = stored.send(());
                    }
                }
                Ok(None) => break,
                Err(_) => {}
            }
            if synced.elapsed() >= SYNC_INTERVAL {
                journal.sync()?;
                synced = Instant::now();
                watch(count, &journal);
            }
        }
        journal.sync()?;
        Ok(StoredResults { journal, refused })
    }
}

/// Waits a moment for other results.
fn gather(arrived: &Receiver<FetchedTask>, in_flight: usize) {
    let enough = (in_flight / 2).min(MAX_GATHERED);
    for _ in 0..GATHER_STEPS {
        // The first result is no longer in the channel.
        if arrived.len() + 1 >= enough {
            break;
        }
        thread::sleep(GATHER_STEP);
    }
}

/// A record that was appended, and whose place is not yet known.
#[derive(Debug, Clone, Copy)]
struct AppendedRecord {
    /// The position of its ID.
    position: usize,
    kind: RecordKind,
    is_final: bool,
    digest: Option<BodyDigest>,
}

fn append(journal: &mut Journal, task: &mut FetchedTask, appended: &mut Vec<AppendedRecord>) {
    // Once, for the journal and for the digests of the publication.
    let mut digest = None;
    if let Ok(response) = &mut task.result {
        digest = Some(response.sha256());
        response.digest = digest;
    }
    let mut push = |kind, task_id: &str, body: &[u8], attempts, is_final| {
        journal.append(&JournalRecord {
            flags: if is_final { FLAG_FINAL } else { 0 },
            digest,
            ..record(kind, task_id, body, attempts)
        });
        appended.push(AppendedRecord {
            position: task.position,
            kind,
            is_final,
            digest,
        });
    };
    match &task.result {
        Ok(TaskResponse {
            task_id,
            body,
            is_final,
            ..
        }) => push(
            RecordKind::Response,
            task_id,
            body,
            task.attempts,
            *is_final,
        ),
        Err(failure) => {
            let TaskFailure { task_id, note, .. } = failure;
            if let Some(body) = &failure.body {
                push(RecordKind::Refused, task_id, body, task.attempts, false);
            }
            // Strings and numbers: serialization cannot fail.
            let body = serde_json::to_vec(note).unwrap_or_default();
            // Another key may be allowed to read the task.
            let is_own = note.kind != FailureKind::Forbidden;
            push(RecordKind::Failure, task_id, &body, note.attempts, is_own);
        }
    }
}

/// The updates of the index for records that were written, in their order.
fn updates(
    appended: impl Iterator<Item = AppendedRecord>,
    locations: Vec<Location>,
    refused: &mut Vec<RefusedResponse>,
) -> Vec<(usize, IndexUpdate)> {
    let mut updates = Vec::new();
    let mut before = None;
    for (record, location) in appended.zip(locations) {
        let AppendedRecord {
            position,
            kind,
            is_final,
            digest,
        } = record;
        match kind {
            RecordKind::Response => {
                let update = IndexUpdate::Response(StoredResponse {
                    location,
                    is_final,
                    digest,
                });
                updates.push((position, update));
            }
            RecordKind::Failure => {
                let is_own = is_final;
                updates.push((position, IndexUpdate::Failure { location, is_own }));
                refused.extend(before.take().map(|before| RefusedResponse {
                    location: before,
                    next: location.offset(),
                    position,
                }));
            }
            _ => before = Some(location),
        }
    }
    updates
}

/// A record with the current time and no flags.
fn record<'r>(
    kind: RecordKind,
    task_id: &'r str,
    body: &'r [u8],
    attempts: u32,
) -> JournalRecord<'r> {
    JournalRecord {
        kind,
        flags: 0,
        attempts,
        time: unix_millis(),
        task_id,
        body,
        digest: None,
    }
}

/// Marks in the journal that a refresh of all tasks begins; returns where the mark is.
pub(crate) fn start_refresh(journal: &mut Journal) -> Result<Location, ExportError> {
    Ok(journal.append_mark(&JournalRecord {
        kind: RecordKind::Refresh,
        flags: 0,
        attempts: 0,
        time: unix_millis(),
        task_id: "",
        body: &[],
        digest: None,
    })?)
}

/// Marks in the journal that the run ends by decision: failures that are not published no longer count.
pub(crate) fn end_run(journal: &mut Journal, index: &SharedIndex) -> Result<(), ExportError> {
    let since = index.published_bytes();
    let is_new = |entry: &IndexEntry| {
        let failure = entry.failure();
        failure.is_some_and(|failure| failure.offset() >= since)
    };
    if index.failures().iter().any(|(_, entry)| is_new(entry)) {
        journal.end_run(since, unix_millis())?;
    }
    Ok(())
}

/// The time as the journal has it: milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

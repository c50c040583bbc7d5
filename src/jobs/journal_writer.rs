//! The journal's thread: appends what arrives, syncs it within a second, tells the index.
//! Depends on `journal` and `fetch` for the type of what arrives.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::failure_kind::FailureKind;
use crate::fetch::options::{Delivery, Fetched, Outcome};
use crate::jobs::error::ExportError;
use crate::jobs::journal_index::{Index, News};
use crate::jobs::response_cache::{Recent, Response};
use crate::journal::format::{FLAG_FINAL, Record, RecordKind};
use crate::journal::index::Held;
use crate::journal::reader::{FailureNote, Location};
use crate::journal::writer::Journal;

/// What arrived is safe from a power loss after this long.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// A response waits for others, to be written together with them: waking this thread, and then whoever asked, once
/// for each costs more than compressing it. Its request is in flight meanwhile, so the wait ends when half of all
/// that may be in flight have come, and soon in any case.
const GATHER_STEPS: u32 = 5;
const GATHER_STEP: Duration = Duration::from_micros(100);

/// More than this many are not waited for.
const MAX_GATHERED: usize = 16;

/// What is left when everything has arrived.
pub(crate) struct Stored {
    /// The journal, synced.
    pub(crate) journal: Journal,
    /// Answers that were kept beside the failures of their IDs.
    pub(crate) refused: Vec<(Location, usize)>,
}

/// Appends what comes of at most `in_flight` requests at once, until the channel closes; now and then tells `watch` how
/// many have arrived.
pub(crate) fn run(
    mut journal: Journal,
    mut arrived: Receiver<Delivery>,
    in_flight: usize,
    index: &Index,
    recent: &Recent,
    mut watch: impl FnMut(usize, &Journal),
) -> Result<Stored, ExportError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(ExportError::Runtime)?;
    let mut refused = Vec::new();
    let mut news = Vec::new();
    let mut kept = Vec::new();
    let mut responses = Vec::new();
    let mut count = 0;
    let mut synced = Instant::now();
    loop {
        let next = runtime.block_on(async { timeout(SYNC_INTERVAL, arrived.recv()).await });
        match next {
            Ok(Some(delivery)) => {
                gather(&arrived, in_flight);
                let mut next = Some(delivery);
                while let Some(delivery) = next {
                    let position = delivery.fetched.position;
                    news.push(append(&mut journal, &delivery.fetched, &mut refused));
                    kept.push(delivery.kept);
                    if let Outcome::Task { body, nodes, .. } = delivery.fetched.outcome {
                        responses.push((position, Response { body, nodes }));
                    }
                    next = if journal.is_full() {
                        None
                    } else {
                        arrived.try_recv().ok()
                    };
                }
                journal.flush()?;
                for (position, response) in responses.drain(..) {
                    recent.keep(position, response);
                }
                index.set(&news);
                count += news.len();
                news.clear();
                for kept in kept.drain(..) {
                    // Whoever asked may have been stopped meanwhile.
                    let _ = kept.send(());
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
    Ok(Stored { journal, refused })
}

/// Waits for others, a moment.
fn gather(arrived: &Receiver<Delivery>, in_flight: usize) {
    let enough = (in_flight / 2).min(MAX_GATHERED);
    for _ in 0..GATHER_STEPS {
        // The first is not in there any more.
        if arrived.len() + 1 >= enough {
            break;
        }
        thread::sleep(GATHER_STEP);
    }
}

fn append(
    journal: &mut Journal,
    fetched: &Fetched,
    refused: &mut Vec<(Location, usize)>,
) -> (usize, News) {
    let Fetched {
        position,
        task_id,
        attempts,
        outcome,
    } = fetched;
    let record = |kind, flags, body| Record {
        kind,
        flags,
        attempts: *attempts,
        time: now(),
        task_id,
        body,
    };
    let news = match outcome {
        Outcome::Task { body, is_final, .. } => {
            let flags = if *is_final { FLAG_FINAL } else { 0 };
            News::Response {
                location: journal.append(&record(RecordKind::Response, flags, body)),
                is_final: *is_final,
            }
        }
        Outcome::Failed(failed) => {
            let note = FailureNote {
                kind: failed.kind,
                http_status: failed.http_status,
                attempts: *attempts,
                message: failed.message.clone(),
            };
            // Strings and numbers: serialization cannot fail.
            let note = serde_json::to_vec(&note).unwrap_or_default();
            if let Some(body) = &failed.body {
                let location = journal.append(&record(RecordKind::Refused, 0, body));
                refused.push((location, *position));
            }
            // Another key may help against a 403.
            let is_own = failed.kind != FailureKind::Forbidden;
            let flags = if is_own { FLAG_FINAL } else { 0 };
            News::Failure {
                location: journal.append(&record(RecordKind::Failure, flags, &note)),
                is_own,
            }
        }
    };
    (*position, news)
}

/// Says in the journal that a refresh of all tasks begins.
pub(crate) fn begin_refresh(journal: &mut Journal) -> Result<(), ExportError> {
    journal.append(&Record {
        kind: RecordKind::Refresh,
        flags: 0,
        attempts: 0,
        time: now(),
        task_id: "",
        body: &[],
    });
    Ok(journal.flush()?)
}

/// Says in the journal that the run ends by decision: the failures that no publication has do not count any more.
pub(crate) fn end_run(journal: &mut Journal, index: &Index) -> Result<(), ExportError> {
    let since = index.published_bytes();
    let is_new = |held: &Held| {
        let failure = held.failure();
        failure.is_some_and(|failure| failure.offset() >= since)
    };
    if index.failures().iter().any(|(_, held)| is_new(held)) {
        journal.end_run(since, now())?;
    }
    Ok(())
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

//! Builds the tables with several workers. The result does not depend on their number.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::jobs::error::ExportError;
use crate::jobs::ranges::merge::{BuiltTables, RangeMerge};
use crate::jobs::ranges::range_turns::{RangeTurns, TurnsEnd};
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{TaskReader, TaskSource};
use crate::jobs::ranges::worker::{RangeResult, Worker};
use crate::jobs::threads::{join, spawn};
use crate::journal::reader::JournalReader;
use crate::plural::plural;

/// A result, or why a worker ended.
type Sent = Result<(usize, RangeResult), ExportError>;

/// The tokens of a build.
#[derive(Clone, Copy)]
pub(crate) struct BuildTokens<'t> {
    /// Cancelled when the tables cannot be built: the rest need not be fetched or read then.
    pub(crate) run: &'t CancellationToken,
    /// Ends the build. It is the same, or a child that is cancelled when the tables are not needed.
    pub(crate) build: &'t CancellationToken,
}

impl<'t> BuildTokens<'t> {
    /// The tables are needed until the run ends.
    pub(crate) fn of_run(run: &'t CancellationToken) -> Self {
        Self { run, build: run }
    }
}

/// Builds all tables. Returns nothing when the build was cancelled, or the run ended before every ID had a result.
pub(crate) fn build_tables(
    target: TableTarget<'_>,
    source: TaskSource<'_>,
    journal: &JournalReader,
    tokens: BuildTokens<'_>,
) -> Result<Option<BuiltTables>, ExportError> {
    build(target, source, journal, tokens).inspect_err(|_| tokens.run.cancel())
}

fn build(
    target: TableTarget<'_>,
    source: TaskSource<'_>,
    journal: &JournalReader,
    tokens: BuildTokens<'_>,
) -> Result<Option<BuiltTables>, ExportError> {
    let merge = RangeMerge::begin(target, source.ids)?;
    let workers = target.workers.max(1);
    let turns = RangeTurns::new(workers);
    let flattened = AtomicUsize::new(0);
    // A result is mostly in temporary files, and `turns` bounds their number.
    let (sender, results) = sync_channel::<Sent>(workers);
    let merged = thread::scope(|scope| {
        let started: Result<Vec<_>, ExportError> = (0..workers)
            .map(|_| {
                let worker = Worker {
                    target,
                    reader: TaskReader {
                        source,
                        journal: journal.another(),
                    },
                    turns: &turns,
                    flattened: &flattened,
                    build: tokens.build,
                };
                let sender = sender.clone();
                let turns = &turns;
                spawn(scope, move || {
                    let _end = TurnsEnd(turns);
                    let send = |number, result| sender.send(Ok((number, result))).is_ok();
                    if let Err(error) = worker.run(send) {
                        // At once: other threads may wait for responses for a long time.
                        tokens.run.cancel();
                        // Without a receiver, another error is reported.
                        let _ = sender.send(Err(error));
                    }
                })
            })
            .collect();
        drop(sender);
        let merged =
            started.and_then(|workers| Ok((append_all(merge, &results, &turns)?, workers)));
        turns.end();
        if merged.is_err() {
            tokens.run.cancel();
        }
        // Workers that send a result after an error must not wait for a receiver.
        drop(results);
        let (merged, workers) = merged?;
        workers.into_iter().for_each(join);
        Ok::<_, ExportError>(merged)
    })?;
    let (ranges, copied) = merged.ranges();
    if tokens.build.is_cancelled() || ranges < source.ranges.all().len() {
        return Ok(None);
    }
    if target.saved.is_some() {
        let text = format!(
            "copied {copied} of {} from the published tables",
            plural(ranges as u64, "range")
        );
        target.events.send(Event::Detail(text));
    }
    merged.finish().map(Some)
}

/// Appends the results in order.
fn append_all<'m>(
    mut merge: RangeMerge<'m>,
    results: &Receiver<Sent>,
    turns: &RangeTurns,
) -> Result<RangeMerge<'m>, ExportError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for sent in results {
        let (number, result) = sent?;
        waiting.insert(number, result);
        while let Some(result) = waiting.remove(&next) {
            merge.append(result)?;
            turns.merged();
            next += 1;
        }
    }
    Ok(merge)
}

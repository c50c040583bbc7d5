//! Builds the tables: one thread feeds tasks, the caller's thread flattens them and encodes the rows, a third thread
//! compresses and writes.

use std::thread::{self, Scope, ScopedJoinHandle};

use tokio_util::sync::CancellationToken;

use crate::encode::format::Selection;
use crate::encode::table_writers::{TableWriters, WrittenTable};
use crate::event::Events;
use crate::flatten::flattener::Flattener;
use crate::jobs::batch_channel;
use crate::jobs::error::ExportError;
use crate::jobs::input_flattener::{FlattenSummary, InputFlattener};
use crate::jobs::part_channel::{RowSender, write};
use crate::jobs::task_input::TaskSender;
use crate::publish::digest_writer::DigestWriter;
use crate::publish::staging::Staging;
use crate::state::paths::NEW_DIGESTS;
use crate::threads;

/// Complete tables under temporary names, and what was found while they were built.
#[derive(Debug)]
pub(crate) struct BuiltTables {
    pub(crate) tables: Vec<WrittenTable>,
    pub(crate) flattened: FlattenSummary,
    /// The digests of the exported tasks, not complete yet.
    pub(crate) digests: DigestWriter,
}

/// The result of a feeding thread.
pub(crate) struct FeedResult<T> {
    /// Whether all tasks were fed. Otherwise there are no tables.
    pub(crate) is_complete: bool,
    pub(crate) value: T,
}

/// Which tables are built, and where.
#[derive(Clone, Copy)]
pub(crate) struct TableTarget<'s> {
    pub(crate) selection: Selection,
    pub(crate) staging: &'s Staging,
    pub(crate) events: &'s Events,
}

/// Builds all tables from what `feed` sends on a second thread. Returns no tables when it did not feed all tasks, or when
/// the run is cancelled. Cancels the run when the tables cannot be written: the rest need not be fetched then.
pub(crate) fn run<T: Send>(
    target: TableTarget<'_>,
    run: &CancellationToken,
    feed: impl FnOnce(TaskSender) -> Result<FeedResult<T>, ExportError> + Send,
) -> Result<(T, Option<BuiltTables>), ExportError> {
    build(target, run, feed).inspect_err(|_| run.cancel())
}

fn build<T: Send>(
    target: TableTarget<'_>,
    run: &CancellationToken,
    feed: impl FnOnce(TaskSender) -> Result<FeedResult<T>, ExportError> + Send,
) -> Result<(T, Option<BuiltTables>), ExportError> {
    let TableTarget {
        selection,
        staging,
        events,
    } = target;
    let writers = TableWriters::begin(selection, |name| staging.create(name))?;
    let digests = DigestWriter::begin(staging.create(NEW_DIGESTS)?)?;
    thread::scope(|scope| {
        let (sender, arrived) = batch_channel::channel();
        let feeder = spawn(scope, move || feed(sender))?;
        let (sender, parts) = batch_channel::channel();
        let writer = spawn(scope, move || {
            // At once: the feeding thread may wait for responses for a long time.
            write(writers, &parts).inspect_err(|_| run.cancel())
        })?;
        let rows = RowSender::new(selection, sender);
        let mut build = InputFlattener::new(Flattener::new(selection.tables), rows, digests);
        let taken = build.tasks(arrived, events, run);
        // Both channels are closed by now, so neither thread waits for this one.
        let finished = taken.and_then(|is_complete| build.finish(is_complete));
        if finished.is_err() {
            run.cancel();
        }
        let (feed_result, files) = (join(feeder), join(writer));
        // Of several errors, the one that caused the others is reported.
        let writers = files?;
        let FeedResult { is_complete, value } = feed_result?;
        let Some((flattened, digests)) = finished?.filter(|_| is_complete) else {
            return Ok((value, None));
        };
        let tables = writers.finish()?;
        let all = BuiltTables {
            tables,
            flattened,
            digests,
        };
        Ok((value, Some(all)))
    })
}

/// Starts a thread. A refusal of the system is an error.
pub(crate) fn spawn<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, ExportError> {
    threads::builder()
        .spawn_scoped(scope, work)
        .map_err(ExportError::Thread)
}

/// The result of a thread. A panic in it continues here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

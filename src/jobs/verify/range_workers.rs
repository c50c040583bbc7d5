//! Verifies ranges of tasks with several threads.
//!
//! This pass finds nothing, or its results are dropped, and the tasks are verified in order, which reports the findings.
//! So the report does not depend on the number of threads, nor on where ranges end.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::flatten::flattener::Flattener;
use crate::jobs::ranges::range_order::RangeOrder;
use crate::jobs::ranges::range_turns::{RangeTurns, TurnsEnd};
use crate::jobs::threads::join;
use crate::jobs::verify::digest_check::DigestCheck;
use crate::jobs::verify::error::VerifyError;
use crate::jobs::verify::range_merge::{RangeMerger, VerifiedRange};
use crate::jobs::verify::range_parts::RangeParts;
use crate::jobs::verify::raw_responses::RawResponses;
use crate::jobs::verify::report::{VerifyReport, VerifyResults};
use crate::jobs::verify::table_cursor::TableCursor;
use crate::jobs::verify::task_verifier::{TaskChecks, TaskVerifier};
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::plural::plural;
use crate::threads;

/// The number of a range, and its results. `None` if it has a finding or could not be verified.
type SentRange = (usize, Option<VerifiedRange>);

/// Verifies the ranges of an export. `None` if there are no ranges, or if they are not verified without a finding.
pub(crate) fn check_in_ranges(
    checks: TaskChecks<'_>,
    raw: Option<&RawResponses>,
) -> Result<Option<VerifyReport>, VerifyError> {
    let export = checks.export;
    if export.threads < 2 {
        return Ok(None);
    }
    let Some(ranges) = RangeParts::open(checks) else {
        return Ok(None);
    };
    let cancel = export.cancel.child_token();
    let checks = TaskChecks {
        export: VerifiedExport {
            cancel: &cancel,
            ..export
        },
        ..checks
    };
    let verified = verify_ranges(checks, raw, &ranges, &cancel);
    export.stop_if_cancelled()?;
    // The pass in order meets the same error, or it succeeds, since it needs less memory and fewer open files.
    let verified = verified.unwrap_or_default();
    let text = match &verified {
        Some(_) => format!("verified {}", plural(ranges.len() as u64, "range")),
        None => "could not verify a range without a finding: verifying all tasks in order".into(),
    };
    checks.events.send(Event::Detail(text));
    Ok(verified)
}

fn verify_ranges(
    checks: TaskChecks<'_>,
    raw: Option<&RawResponses>,
    ranges: &RangeParts<'_>,
    cancel: &CancellationToken,
) -> Result<Option<VerifyReport>, VerifyError> {
    let mut results = VerifyResults::default();
    let digests = DigestCheck::open(checks.export, &mut results);
    let checks = checks.with_tables(checks.tables, &mut results);
    if raw.is_none() && !checks.rebuilds {
        return Ok(None);
    }
    let mut merger = RangeMerger::new(checks, digests, results)?;
    let workers = checks.export.threads.min(ranges.len());
    let turns = RangeTurns::new(workers);
    let (sender, received) = sync_channel::<SentRange>(workers);
    let count = thread::scope(|scope| {
        // A panic drops both, so that no worker waits for a turn or for the receiver.
        let received = received;
        let _end = TurnsEnd(&turns);
        // If the system allows no more threads, the existing ones do all the work.
        let started = (0..workers).map_while(|_| {
            let worker = RangeWorker {
                checks,
                raw: raw.map(RawResponses::another),
                ranges,
            };
            let (sender, turns) = (sender.clone(), &turns);
            let work = move || {
                let _end = TurnsEnd(turns);
                worker.run(turns, |sent| sender.send(sent).is_ok());
            };
            threads::builder().spawn_scoped(scope, work).ok()
        });
        let started: Vec<_> = started.collect();
        drop(sender);
        let count = append_all(&mut merger, &received, &turns);
        turns.end();
        cancel.cancel();
        // Workers that send a result after a finding must not wait for a receiver.
        drop(received);
        started.into_iter().for_each(join);
        count
    })?;
    if count < ranges.len() {
        return Ok(None);
    }
    merger.finish(ranges)
}

/// Appends the results in order, until one has a finding. Returns their number.
fn append_all(
    merger: &mut RangeMerger<'_>,
    received: &Receiver<SentRange>,
    turns: &RangeTurns,
) -> Result<usize, VerifyError> {
    let mut order = RangeOrder::new();
    let mut appended = 0;
    for (number, range) in received {
        let Some(range) = range else {
            break;
        };
        order.add(number, range);
        while let Some(range) = order.take() {
            merger.append(range)?;
            if !merger.is_clean() {
                return Ok(appended);
            }
            turns.merged();
            appended += 1;
        }
    }
    Ok(appended)
}

/// Verifies ranges on one thread.
struct RangeWorker<'w> {
    checks: TaskChecks<'w>,
    raw: Option<RawResponses>,
    ranges: &'w RangeParts<'w>,
}

impl RangeWorker<'_> {
    /// Verifies ranges until there are no more, or until `send` returns false.
    fn run(self, turns: &RangeTurns, send: impl Fn(SentRange) -> bool) {
        while let Some(number) = turns.take().filter(|number| *number < self.ranges.len()) {
            // The pass in order meets the error again.
            let range = self.range(number).unwrap_or_default();
            if !send((number, range)) {
                break;
            }
        }
    }

    fn range(&self, number: usize) -> Result<Option<VerifiedRange>, VerifyError> {
        let ranges = self.ranges;
        let (Some(positions), Some(mut cursors)) =
            (ranges.positions(number), ranges.cursors(number))
        else {
            return Ok(None);
        };
        let mut results = VerifyResults::default();
        let mut digests = Vec::new();
        let raw = self.raw.as_ref().map(RawResponses::another);
        let flattener = Flattener::of_range(self.checks.tables);
        let mut verifier = TaskVerifier::new(self.checks, raw, flattener, &mut results);
        verifier.tasks(&mut cursors, positions, |position, sha256, results| {
            digests.push((position, sha256));
            if results.findings.count() > 0 {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if verifier.results.findings.count() > 0 {
            return Ok(None);
        }
        let tasks = verifier.finish(&mut cursors)?;
        let VerifyResults { findings, report } = results;
        let is_clean = findings.count() == 0
            && report.unproven.is_empty()
            && cursors.iter().all(TableCursor::is_whole);
        Ok(tasks.drift.filter(|_| is_clean).map(|drift| VerifiedRange {
            report,
            rows: cursors.iter().map(TableCursor::rows).collect(),
            digests,
            drift,
            versions: tasks.versions,
        }))
    }
}

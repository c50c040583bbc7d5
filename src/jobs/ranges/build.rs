//! Builds the tables with several workers. The result does not depend on their number.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::jobs::error::ExportError;
use crate::jobs::ranges::merge::{BuiltTables, RangeMerge, TaskCounts};
use crate::jobs::ranges::range_order::RangeOrder;
use crate::jobs::ranges::range_turns::{RangeTurns, TurnsEnd};
use crate::jobs::ranges::table_target::TableTarget;
use crate::jobs::ranges::task_source::{SourceIds, TaskReader, TaskSource};
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
    let mut build = TableBuild::begin(target, source.ids)?;
    if !build.add(target, source, journal, tokens)? {
        return Ok(None);
    }
    let (ranges, copied) = build.ranges();
    if target.saved.is_some() {
        let text = format!(
            "copied {copied} of {} from the published tables",
            plural(ranges as u64, "range")
        );
        target.events.send(Event::Detail(text));
    }
    build.finish().map(Some)
}

/// Tables that are built from one source after the other.
pub(crate) struct TableBuild<'m> {
    merge: RangeMerge<'m>,
    /// Tasks that all workers have flattened.
    flattened: AtomicUsize,
    /// IDs of the sources so far.
    ids: usize,
}

impl<'m> TableBuild<'m> {
    /// Creates the files. `ids` has the IDs of all sources.
    pub(crate) fn begin(target: TableTarget<'_>, ids: SourceIds<'m>) -> Result<Self, ExportError> {
        Ok(Self {
            merge: RangeMerge::begin(target, ids)?,
            flattened: AtomicUsize::new(0),
            ids: 0,
        })
    }

    /// Adds the tasks of the next source, with several workers. Returns false when the build was cancelled, or the run ended
    /// before every ID had a result.
    pub(crate) fn add(
        &mut self,
        target: TableTarget<'_>,
        source: TaskSource<'_>,
        journal: &JournalReader,
        tokens: BuildTokens<'_>,
    ) -> Result<bool, ExportError> {
        let before = self.ranges().0;
        let offset = self.ids;
        append_ranges(self, target, (source, offset), journal, tokens)?;
        self.ids += source.ranges.all().last().map_or(0, |range| range.end);
        let ranges = self.ranges().0 - before;
        Ok(!tokens.build.is_cancelled() && ranges == source.ranges.all().len())
    }

    /// The number of ranges, and of those that were copied.
    pub(crate) fn ranges(&self) -> (usize, usize) {
        self.merge.ranges()
    }

    /// The numbers of tasks so far.
    pub(crate) fn counts(&self) -> TaskCounts {
        self.merge.counts()
    }

    /// Completes the files.
    pub(crate) fn finish(self) -> Result<BuiltTables, ExportError> {
        self.merge.finish()
    }
}

/// Runs the workers, and appends their results.
fn append_ranges(
    build: &mut TableBuild<'_>,
    target: TableTarget<'_>,
    (source, offset): (TaskSource<'_>, usize),
    journal: &JournalReader,
    tokens: BuildTokens<'_>,
) -> Result<(), ExportError> {
    let TableBuild {
        merge, flattened, ..
    } = build;
    let flattened = &*flattened;
    let workers = target.workers.max(1);
    let turns = RangeTurns::new(workers);
    // A result is mostly in temporary files, and `turns` bounds their number.
    let (sender, results) = sync_channel::<Sent>(workers);
    thread::scope(|scope| {
        // A panic drops both, so that no worker waits for a turn or for the receiver.
        let results = results;
        let _end = TurnsEnd(&turns);
        let started: Result<Vec<_>, ExportError> = (0..workers)
            .map(|_| {
                let worker = Worker {
                    target,
                    reader: TaskReader {
                        source,
                        journal: journal.another(),
                    },
                    turns: &turns,
                    flattened,
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
        let appended = started.and_then(|workers| {
            append_all((merge, offset), &results, &turns, tokens.build)?;
            Ok(workers)
        });
        turns.end();
        if appended.is_err() {
            tokens.run.cancel();
        }
        // Workers that send a result after an error must not wait for a receiver.
        drop(results);
        appended?.into_iter().for_each(join);
        Ok(())
    })
}

/// Appends the results in order. The positions of a result begin at `offset` of the whole list.
fn append_all(
    (merge, offset): (&mut RangeMerge<'_>, usize),
    results: &Receiver<Sent>,
    turns: &RangeTurns,
    build: &CancellationToken,
) -> Result<(), ExportError> {
    let mut order = RangeOrder::new();
    for sent in results {
        let (number, result) = sent?;
        order.add(number, result);
        while let Some(result) = order.take() {
            if build.is_cancelled() {
                return Ok(());
            }
            merge.append(result, offset)?;
            turns.merged();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::encode::format::{Format, Selection};
    use crate::event::Events;
    use crate::failure_kind::FailureKind;
    use crate::ids::task_ids::TaskIds;
    use crate::jobs::journal_index::{IndexUpdate, SharedIndex};
    use crate::jobs::journal_marks::JournalMarks;
    use crate::jobs::ranges::range_list::RangeList;
    use crate::jobs::response_cache::ResponseCache;
    use crate::journal::failure_note::FailureNote;
    use crate::journal::format::{JournalOptions, JournalRecord, RecordKind};
    use crate::journal::index::{JournalIndex, StoredResponse};
    use crate::journal::writer::Journal;
    use crate::publish::output_dir::OutputDirectory;
    use crate::tables::schema_drift::DriftEntry;
    use crate::tables::selection::TableSelection;

    /// What the journal has for a task.
    #[derive(Debug, Clone, Copy)]
    struct StoredCase {
        /// The version of its project, and the number of its unknown key.
        response: Option<(u8, u8)>,
        is_usable: bool,
        /// The status of a request after it.
        failure: Option<u16>,
    }

    fn cases() -> impl Strategy<Value = Vec<StoredCase>> {
        let response = prop::option::weighted(0.8, (0_u8..4, 0_u8..6));
        let failure = prop::option::weighted(0.2, prop::sample::select(vec![404_u16, 410, 400]));
        let case = (response, prop::bool::weighted(0.9), failure);
        let case = case.prop_map(|(response, is_usable, failure)| StoredCase {
            response,
            is_usable,
            failure,
        });
        prop::collection::vec(case, 1..40)
    }

    fn body(task_id: &str, (version, key): (u8, u8), is_usable: bool) -> Vec<u8> {
        let project = json!({ "id": "p", "name": version, format!("odd_{version}"): 1 });
        let message = json!({ "role": "user", "content": { "text": task_id } });
        let mut task = json!({
            "task_id": if is_usable { task_id } else { "another" },
            "status": "completed",
            "project": project,
            "batch": { "id": "b", "name": key, "project": project },
            "threads": [{ "id": "thread", "turns": [{ "id": "turn", "messages": [message] }] }],
        });
        task[format!("key_{key}")] = json!(version);
        task.to_string().into_bytes()
    }

    fn note(status: u16) -> FailureNote {
        FailureNote {
            kind: FailureKind::HttpError,
            http_status: Some(status),
            attempts: 1,
            message: format!("status {status}"),
        }
    }

    /// A journal with these tasks, and its index.
    fn journal(
        directory: &OutputDirectory,
        ids: &TaskIds,
        cases: &[StoredCase],
    ) -> (Journal, SharedIndex) {
        let options = JournalOptions {
            base_url: "files".to_owned(),
            expand: Vec::new(),
            opts: Vec::new(),
            keep_secrets: false,
            copied: true,
        };
        let path = directory.path().join("journal");
        let mut journal = Journal::create(path, &options).unwrap();
        let mut appended = Vec::new();
        for (position, (task_id, case)) in ids.iter().zip(cases).enumerate() {
            let mut append = |kind, body: &[u8]| {
                journal.append(&JournalRecord {
                    kind,
                    flags: 0,
                    attempts: 1,
                    time: 1,
                    task_id,
                    body,
                    digest: None,
                });
                appended.push((position, kind));
            };
            if let Some(response) = case.response {
                append(
                    RecordKind::Response,
                    &body(task_id, response, case.is_usable),
                );
            }
            if let Some(status) = case.failure {
                append(
                    RecordKind::Failure,
                    &serde_json::to_vec(&note(status)).unwrap(),
                );
            }
        }
        let index = SharedIndex::new(JournalIndex::new(ids.len()), JournalMarks::new(None));
        for ((position, kind), location) in appended.into_iter().zip(journal.sync().unwrap()) {
            let update = match kind {
                RecordKind::Response => IndexUpdate::Response(StoredResponse {
                    location,
                    is_final: true,
                    digest: None,
                }),
                _ => IndexUpdate::Failure {
                    location,
                    is_own: true,
                },
            };
            index.set(&[(position, update)]);
        }
        index.close();
        (journal, index)
    }

    /// What does not depend on ranges.
    #[derive(Debug, PartialEq)]
    struct WholeResult {
        files: Vec<(String, Vec<u8>)>,
        drift: Vec<DriftEntry>,
        failures: String,
        failed: Vec<usize>,
        exported: u64,
    }

    struct BuildCase<'c> {
        directory: &'c OutputDirectory,
        ids: &'c TaskIds,
        stored: &'c (Journal, SharedIndex),
        drop_missing: bool,
    }

    impl BuildCase<'_> {
        fn build(&self, ends: Vec<usize>, workers: usize) -> WholeResult {
            let staging = self.directory.stage();
            let events = Events::none();
            let target = TableTarget {
                selection: Selection {
                    format: Format::Csv,
                    tables: TableSelection::all(),
                },
                staging: &staging,
                events: &events,
                workers,
                saved: None,
            };
            let (journal, index) = self.stored;
            let source = TaskSource {
                ids: SourceIds::Complete(self.ids),
                ranges: &RangeList::of_ends(ends, self.ids.len()),
                index,
                cache: &ResponseCache::default(),
                drop_missing: self.drop_missing,
            };
            let run = CancellationToken::new();
            let tokens = BuildTokens::of_run(&run);
            let built = build_tables(target, source, &journal.reader(), tokens);
            let BuiltTables {
                tables, flattened, ..
            } = built.unwrap().unwrap();
            let files = tables.into_iter().map(|table| {
                let content = std::fs::read(staging.place(&table.file.path)).unwrap();
                (table.file.path, content)
            });
            WholeResult {
                files: files.collect(),
                drift: flattened.drift.entries(),
                failures: String::from_utf8(flattened.failures.lines.text).unwrap(),
                failed: flattened.failures.positions,
                exported: flattened.exported,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_split_of_a_list_gives_the_same_records_drift_and_failures(
            cases in cases(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            workers in 1_usize..5,
            drop_missing: bool,
        ) {
            let base = tempfile::tempdir().unwrap();
            let selection = Selection {
                format: Format::Csv,
                tables: TableSelection::all(),
            };
            let directory = OutputDirectory::open(base.path(), selection, false).unwrap();
            let ids = (0..cases.len()).map(|number| format!("task_{number}"));
            let ids = TaskIds::collect(ids).unwrap();
            let stored = journal(&directory, &ids, &cases);
            let case = BuildCase {
                directory: &directory,
                ids: &ids,
                stored: &stored,
                drop_missing,
            };
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(cases.len())).collect();
            ends.sort_unstable();
            ends.dedup();
            ends.retain(|end| *end > 0);
            let whole = case.build(Vec::new(), 1);
            prop_assert_eq!(&case.build(ends, workers), &whole);
            let each = (1..=cases.len()).collect();
            prop_assert_eq!(&case.build(each, workers), &whole);
        }
    }
}

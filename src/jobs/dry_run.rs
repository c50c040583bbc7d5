//! The dry run: finds out what an export would do, and writes nothing.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::api::list_request::PAGE_TASKS;
use crate::event::Events;
use crate::fetch::fetcher::FetchContext;
use crate::fetch::wanted::WantedTasks;
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::journal_index::{FetchPlan, SharedIndex};
use crate::jobs::journal_marks::JournalMarks;
use crate::jobs::pipeline::good_ids;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::jobs::resume::published_bytes;
use crate::jobs::runtime::{Network, block_on};
use crate::journal::index::JournalIndex;
use crate::journal::reader::{JournalReader, break_if};
use crate::lists::dry_run_probe::{ProbeResult, probe_ids, probe_lists};
use crate::pacer::types::Rate;
use crate::publish::guard::{ResponseSource, Shrink, check_shrink};
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::publish::previous_export;
use crate::state::lock::Lock;
use crate::state::pace_memory;
use crate::state::paths::StateDir;

/// What an export would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRun {
    /// Distinct IDs; for lists, the tasks that they are known to have.
    pub requested: u64,
    /// Of these, IDs whose response is in the journal and would not be fetched again.
    #[serde(rename = "held")]
    pub kept: u64,
    /// Requests in all.
    pub requests: u64,
    /// Of these, for single tasks.
    pub single: u64,
    /// Of these, for list pages.
    pub pages: u64,
    /// Lists that these pages belong to.
    pub lists: u64,
    /// Whether these figures are lower bounds, because the length of a list is unknown.
    pub is_least: bool,
    /// Requests per second, if known: the value of `--rate`, or what an earlier run learned.
    pub rate: Option<f64>,
    /// How long the requests take at this rate, in seconds.
    pub seconds: Option<f64>,
    /// Bytes of the responses, if any are known.
    pub bytes: Option<f64>,
    /// Requests that the dry run sent.
    #[serde(rename = "asked")]
    pub sent: u64,
}

/// Finds out what an export would do.
pub fn dry_run(
    options: &ExportOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<DryRun>, ExportError> {
    match plan(options, events, cancel) {
        Ok(plan) => Ok(JobEnd::Done(plan)),
        Err(ExportError::Interrupted(saved)) => Ok(JobEnd::Stopped(saved)),
        Err(error) => Err(error),
    }
}

fn plan(
    options: &ExportOptions,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<DryRun, ExportError> {
    let fetch_options = options.fetch_options(events)?;
    let client = TaskClient::new(&fetch_options.client)?;
    OutputDirectory::check(&options.out, options.selection(), options.force)?;
    // A higher --rate does not make the server faster.
    let state = StateDir::of_output(&options.out);
    let learned = pace_memory::recall(&state, &fetch_options.client);
    let limit = learned
        .filter(|learned| learned.is_limit)
        .map(|learned| learned.rate);
    let rate = match fetch_options.rate {
        Rate::Limit(rate) => Some(limit.map_or(rate, |limit| limit.min(rate))),
        Rate::Learned => learned.map(|learned| learned.rate),
        Rate::Max => limit,
    };
    let body_check = options.body_check();
    let network = Network {
        context: FetchContext {
            client: &client,
            options: &fetch_options,
            body_check: &body_check,
            events,
        },
        cancel,
        state: Some(&state),
    };
    let mut kept = KeptTasks::default();
    let probe = if options.lists.is_empty() {
        let (index, kept_tasks) = read_journal(options, cancel)?;
        kept = kept_tasks;
        let wanted = WantedTasks {
            ids: &options.ids,
            count: options.ids.len() - kept.tasks,
            is_waiting: &|position| index.is_waiting(position),
        };
        let good_ids = good_ids(&options.ids, &index);
        let fetcher = network.fetcher(learned, good_ids);
        block_on(probe_ids(&fetcher, options.list_plan(), &wanted), cancel)?
    } else {
        let fetcher = network.fetcher(learned, Vec::new());
        let probe = block_on(probe_lists(&fetcher, &options.lists), cancel)?;
        if let Some(probe) = &probe {
            refuse_shrinking_lists(options, probe)?;
        }
        probe
    };
    let probe = probe.ok_or(ExportError::Interrupted(SavedWork::Nothing))?;
    Ok(DryRun::of(&probe, &kept, rate, !options.lists.is_empty()))
}

/// Refuses lists that are too short for `--max-shrink`, where their length is known.
fn refuse_shrinking_lists(options: &ExportOptions, probe: &ProbeResult) -> Result<(), ExportError> {
    let estimate = probe.estimate;
    if estimate.is_least {
        return Ok(());
    }
    let listed = estimate.tasks;
    let published = Manifest::sound(&options.out);
    // The tasks are not known, but at least the difference would disappear.
    let before =
        previous_export::compare(&options.out, published.as_ref(), listed, |_| true).before;
    let shrink = Shrink {
        before,
        missing: before.saturating_sub(listed),
    };
    Ok(check_shrink(
        options.guard.max_shrink,
        ResponseSource::Api,
        listed,
        shrink,
    )?)
}

/// What the output directory has already.
#[derive(Debug, Default)]
struct KeptTasks {
    tasks: usize,
    /// Average bytes of a task, if there are any.
    task_bytes: Option<f64>,
}

/// Reads what earlier runs left, as an export does.
fn read_journal(
    options: &ExportOptions,
    cancel: &CancellationToken,
) -> Result<(SharedIndex, KeptTasks), ExportError> {
    /// Records that are read to estimate the size of a task.
    const SAMPLE: usize = 100;
    let published = Manifest::sound(&options.out);
    // IDs that left the list would disappear, whatever the requests return.
    let requested = options.ids.len() as u64;
    let is_listed = |task_id: &str| options.ids.position(task_id).is_some();
    let shrink = previous_export::compare(&options.out, published.as_ref(), requested, is_listed);
    check_shrink(
        options.guard.max_shrink,
        ResponseSource::Api,
        requested,
        shrink,
    )?;
    let published_bytes = published_bytes(&options.out, published.as_ref());
    let journal = JournalIndex::new(options.ids.len());
    let index = SharedIndex::new(journal, JournalMarks::new(published_bytes));
    let state = StateDir::of_output(&options.out);
    let journal = state.journal();
    // A run replaces an empty journal.
    let is_empty = journal.metadata().is_ok_and(|metadata| metadata.len() == 0);
    if is_empty || !JournalReader::is_there(&journal)? {
        index.plan(options.refresh);
        return Ok((index, KeptTasks::default()));
    }
    let _lock = Lock::share(&options.out, &state)?;
    let (mut reader, ..) = JournalReader::open(&journal, None, |entry| {
        index.add_record(options.ids.position(entry.task_id), &entry);
        break_if(cancel.is_cancelled())
    })?;
    reader.refuse_other(&options.journal_options())?;
    index.finish_scan(reader.bytes()?);
    let records = index.records();
    let FetchPlan { wanted, .. } = index.plan(options.refresh);
    let (mut bytes, mut tasks, mut body) = (0, 0_u32, Vec::new());
    for (location, position) in records
        .iter()
        .step_by(records.len().div_ceil(SAMPLE).max(1))
    {
        let task_id = options.ids.get(*position).unwrap_or_default();
        // A record that cannot be read is skipped here; a run reports it.
        if reader.read(task_id, *location, &mut body).is_ok() {
            bytes += body.len();
            tasks += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "an average for the eye")]
    let task_bytes = (tasks > 0).then(|| bytes as f64 / f64::from(tasks));
    let kept = KeptTasks {
        tasks: options.ids.len() - wanted,
        task_bytes,
    };
    Ok((index, kept))
}

impl DryRun {
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    fn of(probe: &ProbeResult, kept: &KeptTasks, rate: Option<f64>, is_list: bool) -> Self {
        let estimate = probe.estimate;
        let requests = estimate.requests();
        let task_bytes = probe.task_bytes.or(kept.task_bytes);
        let kept = kept.tasks as u64;
        // A page that replaces single requests has other tasks too.
        let responses = if is_list {
            estimate.tasks + estimate.single
        } else {
            estimate.single + estimate.pages * u64::from(PAGE_TASKS)
        };
        Self {
            requested: estimate.tasks + kept,
            kept,
            requests,
            single: estimate.single,
            pages: estimate.pages,
            lists: estimate.lists,
            is_least: estimate.is_least,
            rate,
            seconds: rate.map(|rate| requests as f64 / rate),
            bytes: task_bytes.map(|bytes| bytes * responses as f64),
            sent: probe.requests,
        }
    }
}

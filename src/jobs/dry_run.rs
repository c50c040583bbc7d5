//! The dry run: finds out what an export would do, and writes nothing.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::api::list_request::PAGE_TASKS;
use crate::error::Exit;
use crate::event::Events;
use crate::fetch::fetcher::FetchContext;
use crate::fetch::wanted::WantedTasks;
use crate::ids::task_ids::TaskIds;
use crate::jobs::earlier_work::{EarlierWork, read_earlier, refuse_shrinking};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::known_end::known_end;
use crate::jobs::pipeline::good_ids;
use crate::jobs::publish_job::refuse_delta;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::jobs::runtime::{Network, block_on};
use crate::lists::dry_run_probe::{ProbeResult, probe_ids, probe_lists};
use crate::pacer::types::Rate;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
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
    /// What a run is known to end with: success if that depends on tasks that the dry run did not request.
    #[serde(skip)]
    pub exit: Exit,
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
    options.refuse_other_shard(Manifest::sound(&options.out).as_ref())?;
    refuse_delta(options.publish_request(&fetch_options))?;
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
    let mut exit = Exit::Success;
    let probe = if options.lists.is_empty() {
        let lock = Lock::share(&options.out, &state)?;
        let mut earlier = read_earlier(options, cancel)?;
        kept = KeptTasks::of(&options.ids, &mut earlier);
        drop(lock);
        let index = &earlier.index;
        let wanted = WantedTasks {
            ids: &options.ids,
            count: earlier.wanted,
            is_waiting: &|position| index.is_waiting(position),
        };
        let good_ids = good_ids(&options.ids, index);
        let fetcher = network.fetcher(learned, good_ids);
        let probe = block_on(probe_ids(&fetcher, options.list_plan(), &wanted), cancel)?;
        if let Some(probe) = &probe {
            exit = known_end(options, &mut earlier, &probe.failed)?;
        }
        probe
    } else {
        let fetcher = network.fetcher(learned, Vec::new());
        block_on(probe_lists(&fetcher, &options.lists), cancel)?
    };
    let probe = probe.ok_or(ExportError::Interrupted(SavedWork::Nothing))?;
    // A run compares last, too: a key that is refused comes before a list that is too short.
    refuse_shrinking(options, Some(&probe))?;
    let is_list = !options.lists.is_empty();
    Ok(DryRun {
        exit,
        ..DryRun::of(&probe, &kept, rate, is_list)
    })
}

/// What the output directory has already.
#[derive(Debug, Default)]
struct KeptTasks {
    tasks: usize,
    /// Average bytes of a task, if there are any.
    task_bytes: Option<f64>,
}

impl KeptTasks {
    /// What earlier runs left, with the size of some of their responses.
    fn of(ids: &TaskIds, earlier: &mut EarlierWork) -> Self {
        /// Records that are read to estimate the size of a task.
        const SAMPLE: usize = 100;
        let tasks = ids.len() - earlier.wanted;
        let Some(reader) = &mut earlier.reader else {
            return Self {
                tasks,
                task_bytes: None,
            };
        };
        let records = earlier.index.records();
        let (mut bytes, mut read, mut body) = (0, 0_u32, Vec::new());
        let step = records.len().div_ceil(SAMPLE).max(1);
        for (location, position) in records.iter().step_by(step) {
            let task_id = ids.get(*position).unwrap_or_default();
            // A record that cannot be read is skipped here; a run reports it.
            if reader.read(task_id, *location, &mut body).is_ok() {
                bytes += body.len();
                read += 1;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "an average for the eye")]
        let task_bytes = (read > 0).then(|| bytes as f64 / f64::from(read));
        Self { tasks, task_bytes }
    }
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
            exit: Exit::Success,
        }
    }
}

//! Checks whether an export would run. It writes nothing, and holds no lock.

use std::slice;

use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::fetch::fetcher::FetchContext;
use crate::fetch::options::FetchOptions;
#[cfg(feature = "buckets")]
use crate::jobs::bucket_publication::bucket_line;
use crate::jobs::check::check_line::{CheckLine, CheckName, CheckReport};
use crate::jobs::check::local::{
    CheckedClient, CheckedWork, check_client, check_output, check_work, is_directory,
    open_files_line,
};
use crate::jobs::check::network::{
    CheckTarget, NetworkCheck, NetworkResult, PATIENCE, skipped_network,
};
use crate::jobs::earlier_work::{EarlierWork, refuse_shrinking};
use crate::jobs::error::ExportError;
use crate::jobs::export_options::ExportOptions;
use crate::jobs::known_end::known_end;
use crate::jobs::pipeline::good_ids;
use crate::jobs::publish_job::check_delta;
use crate::jobs::report::{JobEnd, SavedWork};
use crate::lists::dry_run_probe::ProbeResult;
use crate::plural::plural;

/// The options of the export that is checked, as far as they could be read. A part that could not has a line that says
/// why; then its value in the options is empty and not used.
#[derive(Debug)]
pub struct CheckInput {
    /// The options.
    pub options: ExportOptions,
    /// The option or variable with the base URL.
    pub url_source: String,
    /// What is known of the tasks.
    pub tasks: CheckLine,
    /// What is known of the key.
    pub key: CheckLine,
    /// Why the base URL could not be read.
    pub url: Option<CheckLine>,
    /// Why the file of certificates could not be read.
    pub certificates: Option<CheckLine>,
    /// Why the options of the output cannot be used.
    pub output: Option<CheckLine>,
}

/// Why lines are skipped that depend on a part of the input.
const NO_URL: &str = "the URL is missing";
const NO_OUTPUT: &str = "the output directory is missing";

/// Checks each part of an export, in the order in which a run meets it.
///
/// # Errors
///
/// [`ExportError`] where the check itself cannot go on: the system refuses a thread or the network runtime. What is wrong
/// with the export is in the report.
pub fn check(
    input: &CheckInput,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<JobEnd<CheckReport>, ExportError> {
    match check_all(input, events, cancel) {
        Ok(report) => Ok(JobEnd::Done(report)),
        Err(ExportError::Interrupted(_)) => Ok(JobEnd::Stopped(SavedWork::Nothing)),
        Err(error) => Err(error),
    }
}

fn check_all(
    input: &CheckInput,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<CheckReport, ExportError> {
    let options = &input.options;
    let mut lines = vec![input.tasks.clone(), input.key.clone()];
    let limited = options.fetch_options(events);
    let concurrency = limited.as_ref().map(|limited| limited.client.concurrency);
    lines.push(open_files_line(concurrency));
    let fetch_options = limited.unwrap_or_else(|_| options.fetch.clone());
    let CheckedClient {
        lines: of_client,
        client,
    } = input.check_client(&fetch_options);
    lines.extend(of_client);
    let work = input.check_work(&fetch_options, (events, cancel))?;
    lines.extend(work.lines);
    let network = match &client {
        None => NetworkResult {
            lines: skipped_network("a line above failed"),
            probe: None,
            failed: None,
            requests: 0,
        },
        Some(client) => {
            let body_check = options.body_check();
            let patient = FetchOptions {
                retry_timeout: fetch_options.retry_timeout.min(PATIENCE),
                ..fetch_options.clone()
            };
            let context = FetchContext {
                client,
                options: &patient,
                body_check: &body_check,
                events,
            };
            input.check_network(context, work.earlier, cancel)?
        }
    };
    lines.extend(network.lines);
    lines.push(input.shrink_line(network.probe.as_ref()));
    Ok(CheckReport {
        lines,
        requests: network.requests,
    })
}

impl CheckInput {
    fn has_tasks(&self) -> bool {
        !self.tasks.is_failed()
    }

    /// The lines about the URL, the proxy and the certificates.
    fn check_client(&self, fetch_options: &FetchOptions) -> CheckedClient {
        if let Some(url) = &self.url {
            let mut lines = vec![url.clone(), CheckLine::skipped(CheckName::Proxy, NO_URL)];
            let skipped = CheckLine::skipped(CheckName::Certificates, NO_URL);
            lines.push(self.certificates.clone().unwrap_or(skipped));
            return CheckedClient {
                lines,
                client: None,
            };
        }
        let mut checked = check_client(&fetch_options.client, &self.url_source);
        if let Some(failed) = &self.certificates {
            let is_other = |line: &CheckLine| line.name != CheckName::Certificates;
            checked.lines.retain(is_other);
            checked.lines.push(failed.clone());
            checked.client = None;
        }
        checked
    }

    /// The lines about the output directory, what is saved in it, and the space.
    fn check_work(
        &self,
        fetch_options: &FetchOptions,
        (events, cancel): (&Events, &CancellationToken),
    ) -> Result<CheckedWork, ExportError> {
        let skipped = |names: &[CheckName], why: &str| -> Vec<CheckLine> {
            let lines = names.iter().map(|name| CheckLine::skipped(*name, why));
            lines.collect()
        };
        let of_work = [CheckName::Saved, CheckName::Space];
        if let Some(output) = &self.output {
            let mut lines = vec![output.clone()];
            lines.extend(skipped(&[CheckName::Lock], NO_OUTPUT));
            lines.extend(skipped(&of_work, NO_OUTPUT));
            return Ok(CheckedWork {
                lines,
                earlier: None,
            });
        }
        let mut lines = check_output(&self.options);
        let request = self.options.publish_request(fetch_options);
        #[cfg(feature = "buckets")]
        if let Some(output) = lines.first_mut().filter(|line| !line.is_failed())
            && let Some(line) = bucket_line(&request, (events, cancel))?
        {
            *output = line;
        }
        if let Some(output) = lines.first_mut().filter(|line| !line.is_failed())
            && let Some(fault) = check_delta(request, (events, cancel))?
        {
            *output = fault;
        }
        let missing = if self.url.is_some() {
            Some(NO_URL)
        } else {
            (!is_directory(&self.options.out)).then_some(NO_OUTPUT)
        };
        if let Some(why) = missing {
            lines.extend(skipped(&of_work, why));
            return Ok(CheckedWork {
                lines,
                earlier: None,
            });
        }
        let work = check_work(&self.options, self.has_tasks(), cancel)?;
        lines.extend(work.lines);
        Ok(CheckedWork {
            lines,
            earlier: work.earlier,
        })
    }

    /// The lines about the network.
    fn check_network(
        &self,
        context: FetchContext<'_>,
        mut earlier: Option<EarlierWork>,
        cancel: &CancellationToken,
    ) -> Result<NetworkResult, ExportError> {
        let ids = &self.options.ids;
        let index = earlier.as_ref().map(|earlier| &earlier.index);
        let is_waiting = |position: &usize| index.is_none_or(|index| index.is_waiting(*position));
        let waiting = (0..ids.len()).find(is_waiting);
        let first = waiting.or_else(|| (!ids.is_empty()).then_some(0));
        let target = match first.and_then(|position| ids.get(position)) {
            _ if !self.has_tasks() => CheckTarget::Nothing,
            _ if !self.options.lists.is_empty() => CheckTarget::Lists(&self.options.lists),
            Some(task_id) => CheckTarget::Task(task_id),
            None => CheckTarget::Nothing,
        };
        let is_idle = matches!(target, CheckTarget::Task(_)) && waiting.is_none();
        let check = NetworkCheck {
            context,
            target,
            good_ids: index.map_or_else(Vec::new, |index| good_ids(ids, index)),
            has_key: !self.key.is_failed(),
        };
        let mut result = check.run(cancel)?;
        let lines = std::mem::take(&mut result.lines).into_iter();
        result.lines = if is_idle {
            let why = "the next run sends no request, since it has nothing to fetch";
            lines.map(|line| line.without_failure(why)).collect()
        } else if let CheckTarget::Task(_) = target
            && let (Some(earlier), Some(failure)) = (&mut earlier, &result.failed)
        {
            let end = known_end(&self.options, earlier, slice::from_ref(failure));
            let decided = |line: CheckLine| match line.name {
                CheckName::FirstTask => line.deciding(&end),
                _ => line,
            };
            lines.map(decided).collect()
        } else {
            lines.collect()
        };
        Ok(result)
    }

    /// The line about tasks that would disappear.
    fn shrink_line(&self, probe: Option<&ProbeResult>) -> CheckLine {
        let name = CheckName::Shrink;
        if self.output.is_some() || !is_directory(&self.options.out) {
            return CheckLine::skipped(name, NO_OUTPUT);
        }
        let is_known = self.options.lists.is_empty() || probe.is_some();
        if !self.has_tasks() || !is_known {
            return CheckLine::skipped(name, "the tasks are not known");
        }
        match refuse_shrinking(&self.options, probe) {
            Err(error) => CheckLine::failed(name, &error),
            Ok(shrink) if shrink.before == 0 => CheckLine::passed(name, "no earlier export"),
            Ok(shrink) => {
                let before = plural(shrink.before, "task");
                let text = match shrink.missing {
                    0 => format!("none of {before} would disappear"),
                    missing => format!("{missing} of {before} would disappear, which is allowed"),
                };
                CheckLine::passed(name, text)
            }
        }
    }
}

//! The lines that need the network: address, connection, clock, key, first task.
//!
//! Requests go through the fetcher of a run, so that both judge a response in the same way. Only the patience with an API
//! that does not respond is shorter.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::api::error::{FetchError, OutageFault};
use crate::api::list_request::ListSource;
use crate::error::Exit;
use crate::event::Event;
use crate::failure_kind::FailureKind;
use crate::fetch::fetcher::{FetchContext, Fetcher};
use crate::fetch::task_result::TaskFailure;
use crate::jobs::check::check_line::{CheckLine, CheckName, CheckState};
use crate::jobs::error::ExportError;
use crate::jobs::report::SavedWork;
use crate::jobs::runtime::block_on;
use crate::lists::dry_run_probe::{ProbeResult, probe_lists};
use crate::plural::{bytes_text, plural, time_text};

/// How long a check waits for an API that does not respond. A run waits for `--retry-timeout`.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two lookups of an address, and between two looks at what came of the requests.
const PAUSE: Duration = Duration::from_secs(1);

/// Why nothing is fetched: the list is missing, or the shard has none of its IDs.
const NO_TASKS: &str = "no task is known";

/// The detail of lines that a rate limit leaves open.
const RATE_LIMITED: &str = "the API rate-limits the requests (status 429)";

/// Addresses that are shown.
const MAX_SHOWN_ADDRESSES: usize = 3;

/// The ID that is requested where the list has none. An API that knows the key responds with 404.
const NO_TASK: &str = "scale-export-check";

/// Seconds by which clocks may differ. Certificates, and times in filters, are often only minutes old.
const MAX_CLOCK_DIFFERENCE: u64 = 300;

/// What a check requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CheckTarget<'t> {
    /// A task of the list.
    Task(&'t str),
    /// The first page of each list.
    Lists(&'t [ListSource]),
    /// A task that does not exist, because the list is missing.
    Nothing,
}

/// What the lines start from.
pub(crate) struct NetworkCheck<'c> {
    pub(crate) context: FetchContext<'c>,
    pub(crate) target: CheckTarget<'c>,
    /// IDs whose tasks an earlier run received.
    pub(crate) good_ids: Vec<String>,
    /// Whether there is a key. Without one, requests still show whether the API can be reached.
    pub(crate) has_key: bool,
}

/// What the network showed.
#[derive(Debug)]
pub(crate) struct NetworkResult {
    pub(crate) lines: Vec<CheckLine>,
    /// What is known of lists.
    pub(crate) probe: Option<ProbeResult>,
    /// The task that was requested, if it failed.
    pub(crate) failed: Option<TaskFailure>,
    pub(crate) requests: u64,
}

/// What the requests returned.
#[derive(Debug)]
enum Probed {
    /// The task, with this many bytes.
    Task(usize),
    /// The API responded, and the task cannot be fetched.
    NoTask {
        failure: TaskFailure,
        /// Whether a task that an earlier run received can be fetched.
        has_other: bool,
    },
    Lists(ProbeResult),
    /// The API only responded with 429.
    RateLimited,
}

/// The lines that are skipped where no request can be sent, for this reason.
pub(crate) fn skipped_network(why: &str) -> Vec<CheckLine> {
    let names = [
        CheckName::Dns,
        CheckName::Connection,
        CheckName::Clock,
        CheckName::KeyAccepted,
        CheckName::FirstTask,
    ];
    names.map(|name| CheckLine::skipped(name, why)).into()
}

impl NetworkCheck<'_> {
    /// Looks up the address, and sends the requests.
    pub(crate) fn run(self, cancel: &CancellationToken) -> Result<NetworkResult, ExportError> {
        let events = self.context.events;
        events.send(Event::Phase("checking the network"));
        let interrupted = || ExportError::Interrupted(SavedWork::Nothing);
        let patience = PATIENCE.min(self.context.options.retry_timeout);
        let lookup = async { Ok::<_, FetchError>(look_up(self.context.client, patience).await) };
        let dns = block_on(lookup, cancel)?.ok_or_else(interrupted)?;
        if dns.is_failed() {
            let mut lines = skipped_network("the address is not known");
            if let Some(first) = lines.first_mut() {
                *first = dns;
            }
            return Ok(NetworkResult {
                lines,
                probe: None,
                failed: None,
                requests: 0,
            });
        }
        let fetcher = Fetcher::new(self.context, None, self.good_ids.clone());
        let probed = match block_on(self.request(&fetcher), cancel) {
            Ok(probed) => Ok(probed.ok_or_else(interrupted)?),
            Err(ExportError::Fetch(error)) => Err(error),
            Err(error) => return Err(error),
        };
        let [connection, key, task] = self.lines_of(&probed);
        let clock = clock_line(fetcher.counters.clock_lead.get().copied());
        let (probe, failed) = match probed {
            Ok(Probed::Lists(probe)) => (Some(probe), None),
            Ok(Probed::NoTask { failure, .. }) => (None, Some(failure)),
            _ => (None, None),
        };
        Ok(NetworkResult {
            lines: vec![dns, connection, clock, key, task],
            probe,
            failed,
            requests: fetcher.stats().requests,
        })
    }

    /// Sends the requests. Does not wait as long as a rate limit may require.
    async fn request(&self, fetcher: &Fetcher<'_>) -> Result<Probed, FetchError> {
        // Longer than the fetcher takes to give up without such a wait.
        let long = self.context.options.retry_timeout * 2;
        let is_limited = async {
            sleep(long).await;
            while fetcher.stats().rate_limited == 0 {
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            probed = self.request_target(fetcher) => probed,
            () = is_limited => Ok(Probed::RateLimited),
        }
    }

    async fn request_target(&self, fetcher: &Fetcher<'_>) -> Result<Probed, FetchError> {
        let task_id = match self.target {
            CheckTarget::Lists(lists) => {
                return Ok(Probed::Lists(probe_lists(fetcher, lists).await?));
            }
            CheckTarget::Task(task_id) => task_id,
            CheckTarget::Nothing => NO_TASK,
        };
        let (result, ..) = fetcher.fetch(task_id).await.map_err(FetchError::unsaved)?;
        let failure = match result {
            Ok(response) => return Ok(Probed::Task(response.body.len())),
            Err(failure) => failure,
        };
        // An ID that fails does not show that the key is accepted.
        let has_other = match self.good_ids.first() {
            Some(good_id) => fetcher
                .fetch(good_id)
                .await
                .map_err(FetchError::unsaved)?
                .0
                .is_ok(),
            None => false,
        };
        Ok(Probed::NoTask { failure, has_other })
    }

    /// The lines about the connection, the key and the first task.
    fn lines_of(&self, probed: &Result<Probed, FetchError>) -> [CheckLine; 3] {
        match probed {
            Ok(probed) => [
                self.connected(),
                self.accepted(probed),
                self.fetched(probed),
            ],
            Err(error) => self.lines_of_error(error),
        }
    }

    fn connected(&self) -> CheckLine {
        let client = self.context.client;
        let how = if client.base_url().starts_with("https") {
            " over TLS, with a trusted certificate"
        } else {
            " over http://"
        };
        let text = format!("{} responds{how}", client.host());
        CheckLine::passed(CheckName::Connection, text)
    }

    fn accepted(&self, probed: &Probed) -> CheckLine {
        let name = CheckName::KeyAccepted;
        if !self.has_key {
            return CheckLine::skipped(name, "the key is missing");
        }
        match probed {
            Probed::Task(_)
            | Probed::Lists(_)
            | Probed::NoTask {
                has_other: true, ..
            } => CheckLine::passed(name, "yes"),
            Probed::NoTask { failure, .. } => match failure.note.http_status {
                Some(status) => {
                    CheckLine::passed(name, format!("the API did not refuse it (status {status})"))
                }
                None => CheckLine::skipped(name, "the response does not show it"),
            },
            Probed::RateLimited => CheckLine::skipped(name, RATE_LIMITED),
        }
    }

    fn fetched(&self, probed: &Probed) -> CheckLine {
        let name = CheckName::FirstTask;
        match (probed, self.target) {
            (Probed::Task(bytes), CheckTarget::Task(task_id)) => {
                let size = bytes_text(*bytes as u64);
                CheckLine::passed(name, format!("`{task_id}`, {size}"))
            }
            (Probed::Lists(probe), _) => CheckLine::passed(name, list_text(probe)),
            (Probed::NoTask { failure, .. }, CheckTarget::Task(task_id)) => {
                let detail = format!("could not fetch `{task_id}`: {}", failure.note.message);
                CheckLine::warned(name, detail, hint_of(failure.note.kind))
            }
            (Probed::RateLimited, _) => CheckLine::warned(
                name,
                RATE_LIMITED,
                "a run waits as long as the API requires; if another program uses this key, lower --rate",
            ),
            _ => CheckLine::skipped(name, NO_TASKS),
        }
    }

    /// The lines for the error that a run would end with.
    fn lines_of_error(&self, error: &FetchError) -> [CheckLine; 3] {
        let (key, task) = (CheckName::KeyAccepted, CheckName::FirstTask);
        let why = "no task was received";
        match error.cause() {
            FetchError::Refused { status, .. } => {
                let is_about_key = !(*status == 403 && matches!(self.target, CheckTarget::Nothing));
                let line = if !self.has_key {
                    CheckLine::skipped(key, "the key is missing")
                } else if is_about_key {
                    CheckLine::failed(key, error)
                } else {
                    CheckLine::skipped(key, NO_TASKS)
                };
                let skipped = CheckLine::skipped(task, "the key is not accepted");
                [self.connected(), line, skipped]
            }
            FetchError::Untrusted { .. }
            | FetchError::GaveUp {
                fault: OutageFault::NoResponse,
                ..
            } => {
                let why = "the API cannot be reached";
                [
                    CheckLine::failed(CheckName::Connection, error),
                    CheckLine::skipped(key, why),
                    CheckLine::skipped(task, why),
                ]
            }
            FetchError::NoSuchList { .. } => {
                let accepted = "the API did not refuse it";
                [
                    self.connected(),
                    CheckLine::passed(key, accepted),
                    CheckLine::failed(task, error),
                ]
            }
            _ => [
                self.connected(),
                CheckLine::skipped(key, why),
                CheckLine::failed(task, error),
            ],
        }
    }
}

fn list_text(probe: &ProbeResult) -> String {
    let estimate = &probe.estimate;
    let least = if estimate.is_least { "at least " } else { "" };
    format!(
        "{}, with {least}{}",
        plural(estimate.lists, "list"),
        plural(estimate.tasks, "task")
    )
}

/// What the user can do about an ID that fails.
fn hint_of(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::NotFound => {
            "a run goes on without this ID; it may belong to another account, or to live instead of test"
        }
        FailureKind::Forbidden => "a run goes on without this ID; the key may not read it",
        FailureKind::TooLarge => "a run goes on without this ID; --max-body sets the limit",
        _ => "a run goes on without this ID, and requests it again the next time",
    }
}

/// Looks up the address that connections are made to.
async fn look_up(client: &TaskClient, patience: Duration) -> CheckLine {
    let (host, port) = client.first_hop();
    let name = CheckName::Dns;
    if host.parse::<IpAddr>().is_ok() {
        return CheckLine::passed(name, format!("{host} is an address"));
    }
    let started = Instant::now();
    loop {
        let cause = match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(found) => {
                let mut addresses: Vec<String> =
                    found.map(|address| address.ip().to_string()).collect();
                addresses.dedup();
                let rest = addresses.len().saturating_sub(MAX_SHOWN_ADDRESSES);
                addresses.truncate(MAX_SHOWN_ADDRESSES);
                let mut text = format!("{host} is {}", addresses.join(", "));
                if rest > 0 {
                    text += &format!(" and {rest} more");
                }
                return CheckLine::passed(name, text);
            }
            Err(error) => error,
        };
        // A run tries again, too.
        if started.elapsed() >= patience {
            return CheckLine {
                name,
                state: CheckState::Failed(Exit::GaveUp),
                detail: format!("could not find the address of `{host}`: {cause}"),
                hint: Some(
                    "check --base-url, the network, the name server and the proxy".to_owned(),
                ),
            };
        }
        sleep(PAUSE.min(patience)).await;
    }
}

/// The line about clocks; `lead` is how many seconds the server's is ahead.
fn clock_line(lead: Option<i64>) -> CheckLine {
    let name = CheckName::Clock;
    let Some(lead) = lead else {
        return CheckLine::skipped(name, "no response has a date");
    };
    let difference = lead.unsigned_abs();
    let span = time_text(Duration::from_secs(difference));
    match difference {
        // A date has whole seconds.
        0..=1 => return CheckLine::passed(name, "equal to the server's"),
        2..=MAX_CLOCK_DIFFERENCE => {
            return CheckLine::passed(name, format!("within {span} of the server's"));
        }
        _ => {}
    }
    let side = if lead > 0 { "behind" } else { "ahead of" };
    CheckLine::warned(
        name,
        format!("this machine's clock is {span} {side} the server's"),
        "set the clock: certificates and the times in an export depend on it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_differs_by_minutes_is_a_warning() {
        for (lead, state, text) in [
            (0, CheckState::Passed, "equal to the server's"),
            (-300, CheckState::Passed, "within 5 min of the server's"),
            (301, CheckState::Warned, "5 min 1 s behind the server's"),
            (-7_200, CheckState::Warned, "2 h ahead of the server's"),
        ] {
            let line = clock_line(Some(lead));
            assert_eq!(line.state, state, "{lead}");
            assert!(line.detail.ends_with(text), "{}", line.detail);
        }
        assert_eq!(clock_line(None).state, CheckState::Skipped);
    }
}

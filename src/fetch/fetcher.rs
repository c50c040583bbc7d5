//! All attempts for all IDs: concurrency, retries, and when an ID has failed for good. When the run ends: `outage`.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::api::body_check::BodyCheck;
use crate::api::client::TaskClient;
use crate::api::error::FetchError;
use crate::api::memory_budget::{MemoryBudget, MemoryShare, ResponseClass};
use crate::api::reply::{AttemptError, AttemptFault, Reply};
use crate::api::task_response::TaskResponse;
use crate::event::{Event, Events, RequestTarget};
use crate::failure_kind::FailureKind;
use crate::fetch::attempts::{Attempts, FailedAttempt, FailedRequest};
use crate::fetch::classify::Verdict;
use crate::fetch::liveness::Liveness;
use crate::fetch::options::FetchOptions;
use crate::fetch::retry::wait;
use crate::fetch::stats::{Counters, FetchStats, add, get};
use crate::fetch::task_result::{FetchedTask, TaskFailure, TaskResult};
use crate::fetch::throttle::Throttle;
use crate::fetch::wanted::WantedTasks;
use crate::journal::failure_note::FailureNote;
use crate::json::parser::parse_bytes_at_most;
use crate::pacer::controller::Pacer;
use crate::pacer::types::LearnedRate;
use crate::threads;

/// Larger bodies are checked on another thread, so that other responses do not wait.
const MAX_INLINE_CHECK_BYTES: usize = 1 << 20;

/// Tasks whose note is a warning. The notes of later tasks are details, which `-v` shows.
const MAX_WARNED_TASKS: u64 = 10;

/// What all fetchers of a job share.
#[derive(Debug, Clone, Copy)]
pub struct FetchContext<'f> {
    /// Sends the requests.
    pub client: &'f TaskClient,
    /// How tasks are fetched.
    pub options: &'f FetchOptions,
    /// Checks the bodies of responses.
    pub body_check: &'f Arc<BodyCheck>,
    /// Receives what happens.
    pub events: &'f Events,
}

/// Fetches tasks and pages, and knows what came of it: what the server allows, whether it works, and counts.
#[derive(Debug)]
pub struct Fetcher<'f> {
    pub(crate) client: &'f TaskClient,
    pub(crate) options: &'f FetchOptions,
    pub(crate) body_check: &'f Arc<BodyCheck>,
    pub(crate) events: &'f Events,
    pub(crate) throttle: Throttle,
    pub(crate) budget: MemoryBudget,
    pub(crate) counters: Counters,
    liveness: Mutex<Liveness>,
    /// Whether it was reported that nothing succeeds.
    pub(crate) is_outage: AtomicBool,
    /// Held while a known good ID is requested.
    pub(crate) probing: tokio::sync::Mutex<()>,
    random: RandomState,
}

fn class_of(target: &RequestTarget) -> ResponseClass {
    match target {
        RequestTarget::Task(_) => ResponseClass::Task,
        RequestTarget::Page(_) | RequestTarget::LargePage(_) => ResponseClass::Page,
    }
}

impl<'f> Fetcher<'f> {
    /// `learned` is what an earlier run or fetcher learned of the rate. The tasks of `good_ids` were fetched before.
    pub fn new(
        context: FetchContext<'f>,
        learned: Option<LearnedRate>,
        good_ids: Vec<String>,
    ) -> Self {
        let FetchContext {
            client,
            options,
            body_check,
            events,
        } = context;
        let mut pacer = Pacer::new(options.rate, learned, options.client.concurrency);
        if options.is_limit_shared {
            pacer = pacer.sharing_limit();
        }
        Self {
            client,
            options,
            body_check,
            events,
            throttle: Throttle::new(pacer, events.clone()),
            budget: MemoryBudget::default(),
            counters: Counters::default(),
            liveness: Mutex::new(Liveness::new(good_ids)),
            is_outage: AtomicBool::new(false),
            probing: tokio::sync::Mutex::default(),
            random: RandomState::new(),
        }
    }

    pub(crate) fn liveness(&self) -> MutexGuard<'_, Liveness> {
        threads::lock(&self.liveness)
    }

    /// The maximum number of requests in flight.
    pub(crate) fn concurrency(&self) -> usize {
        self.options.client.concurrency.max(1)
    }

    /// Fetches all tasks that wait, several at once, and hands each result over as it arrives.
    pub async fn fetch_all(
        &self,
        wanted: &WantedTasks<'_>,
        sink: &mpsc::Sender<FetchedTask>,
    ) -> Result<(), FetchError> {
        let ids = wanted.waiting();
        let ids = ids.filter_map(|position| Some((position, wanted.ids.get(position)?)));
        let ids = Mutex::new(ids);
        let next = || threads::lock(&ids).next();
        // One future for each request in flight, not for each task: it is several kilobytes, which would be moved.
        let fetch_some = async || {
            while let Some(task) = next() {
                // The share of memory is held until the result is stored.
                let (result, attempts, _share) = self.fetch(task.1).await?;
                self.hand_over(sink, task, attempts, result).await?;
            }
            Ok(())
        };
        let all: FuturesUnordered<_> = (0..self.concurrency()).map(|_| fetch_some()).collect();
        all.try_collect().await
    }

    /// Fetches one task until there is a result: that, the number of attempts, and the share of memory that the
    /// response takes.
    pub(crate) async fn fetch(
        &self,
        task_id: &str,
    ) -> Result<(TaskResult, u32, Option<MemoryShare<'_>>), FetchError> {
        let mut attempts = Attempts::new(RequestTarget::Task(task_id.to_owned()));
        let attempt = async |share: &mut MemoryShare<'_>| self.attempt_task(task_id, share).await;
        let (result, share) = match self.request(&mut attempts, attempt).await? {
            Ok((response, share)) => {
                self.liveness().add_good_id(task_id);
                self.count_task(&response);
                (Ok(response), Some(share))
            }
            Err(FailedRequest { kind, last }) => {
                let failure = TaskFailure {
                    task_id: task_id.to_owned(),
                    note: FailureNote {
                        kind,
                        http_status: last.status,
                        attempts: attempts.count,
                        message: last.error.message,
                    },
                    body: last.error.body,
                };
                (Err(failure), None)
            }
        };
        Ok((result, attempts.count, share))
    }

    /// Counts a task that has arrived, and reports its note.
    pub(crate) fn count_task(&self, response: &TaskResponse) {
        add(&self.counters.fetched, 1);
        if let Some(note) = &response.note {
            self.note(format!("task {}: {note}", response.task_id));
        }
        self.events.send(Event::TaskFetched);
    }

    /// Makes attempts until one succeeds or the request has failed for good. Gives the share of memory that the
    /// response takes as well.
    pub(crate) async fn request<T>(
        &self,
        attempts: &mut Attempts,
        attempt: impl AsyncFn(&mut MemoryShare<'_>) -> Reply<T>,
    ) -> Result<Result<(T, MemoryShare<'_>), FailedRequest>, FetchError> {
        loop {
            if self.next_failure_may_be_final(attempts) && !self.has_succeeded_since(attempts) {
                // No other request is made, or none succeeds: a known good ID shows which of the two fails.
                self.good_id_succeeds().await;
            }
            let mut share = self.budget.enter(class_of(&attempts.target)).await;
            let permit = self.throttle.permit().await;
            let sent = permit.sent_at();
            attempts.follows_success = self.has_succeeded_since(attempts);
            attempts.count += 1;
            if attempts.count > 1 {
                add(&self.counters.retries, 1);
            }
            let reply = attempt(&mut share).await;
            let verdict = permit.end(&reply);
            let failed = match reply.body {
                Ok(value) => {
                    self.note_success(sent);
                    return Ok(Ok((value, share)));
                }
                Err(error) => FailedAttempt {
                    sent,
                    status: reply.status,
                    verdict,
                    error,
                },
            };
            // Other responses can use its memory while this request waits for its retry.
            drop(share);
            if let Some(kind) = self.judge(attempts, &failed).await? {
                return Ok(Err(FailedRequest { kind, last: failed }));
            }
        }
    }

    /// Makes one attempt for a task.
    pub(crate) async fn attempt_task(
        &self,
        task_id: &str,
        share: &mut MemoryShare<'_>,
    ) -> Reply<TaskResponse> {
        let reply = self.counted(self.client.task(task_id, share)).await;
        let read = async |body| {
            let task_id = task_id.to_owned();
            let check = move |check: &BodyCheck, body| check.task(&task_id, body);
            let response = self.checked(body, share, check).await?;
            share.settle(response.size() as u64);
            Ok(response)
        };
        reply.and_then(read).await
    }

    /// Makes one attempt, with its counts and events.
    pub(crate) async fn counted(
        &self,
        attempt: impl Future<Output = Reply<Bytes>>,
    ) -> Reply<Bytes> {
        add(&self.counters.requests, 1);
        self.events.send(Event::RequestSent);
        let reply = attempt.await;
        if let Some(lead) = reply.clock_lead {
            // Only the first one counts.
            let _ = self.counters.clock_lead.set(lead);
        }
        add(&self.counters.bytes_received, reply.bytes);
        self.events.send(Event::RequestDone {
            status: reply.status,
            bytes: reply.bytes,
        });
        reply
    }

    /// Checks a body. A large one is checked on another thread, once there is memory for that.
    pub(crate) async fn checked<T: Send + 'static>(
        &self,
        body: Bytes,
        share: &mut MemoryShare<'_>,
        check: impl FnOnce(&BodyCheck, Bytes) -> Result<T, AttemptError> + Send + 'static,
    ) -> Result<T, AttemptError> {
        if body.len() <= MAX_INLINE_CHECK_BYTES {
            return check(self.body_check, body);
        }
        // The body, a second one where something in it is replaced or taken apart, and its parse.
        let most = 2 * body.len() + parse_bytes_at_most(&body);
        share.grow_to(most as u64).await;
        let body_check = Arc::clone(self.body_check);
        tokio::task::spawn_blocking(move || check(&body_check, body))
            .await
            .unwrap_or_else(|error| {
                let message = error.to_string();
                Err(AttemptError::new(AttemptFault::BadBody, message))
            })
    }

    /// Reports something about a task or page that was fetched: the first few times as a warning.
    pub(crate) fn note(&self, text: String) {
        let reported = self.counters.noted.fetch_add(1, Ordering::Relaxed);
        self.events.send(if reported < MAX_WARNED_TASKS {
            Event::Warning(text)
        } else {
            Event::Detail(text)
        });
    }

    /// Acts on a failed attempt: ends the run, fails the request (with this kind), or waits for the next attempt.
    async fn judge(
        &self,
        attempts: &mut Attempts,
        failed: &FailedAttempt,
    ) -> Result<Option<FailureKind>, FetchError> {
        match failed.verdict {
            Verdict::Fail(kind) => {
                // A server that responds about an ID works.
                self.note_success(failed.sent);
                return Ok(Some(kind));
            }
            Verdict::Forbidden => return self.judge_forbidden(attempts, failed).await.map(Some),
            Verdict::KeyRefused => return Err(self.refused(attempts, failed)),
            Verdict::Untrusted(why) => {
                return Err(FetchError::Untrusted {
                    host: self.client.host(),
                    why,
                    message: failed.error.message.clone(),
                });
            }
            Verdict::NoMemory => {
                return Err(FetchError::NoMemory {
                    what: attempts.target.to_string(),
                    message: failed.error.message.clone(),
                });
            }
            Verdict::RateLimited { .. } => add(&self.counters.rate_limited, 1),
            Verdict::Retry { .. } | Verdict::Unavailable { .. } | Verdict::Success => {}
        }
        self.report_outage(failed.verdict, &failed.error);
        let kind = failed.verdict.retry_kind();
        if let Some(kind) = kind {
            attempts.failures += 1;
            if kind == FailureKind::Timeout && attempts.failures >= attempts.max_timeouts() {
                return Ok(Some(kind));
            }
        }
        if self.is_exhausted(attempts, kind.is_some()) && self.fails_alone(attempts).await {
            return Ok(Some(kind.unwrap_or(FailureKind::HttpError)));
        }
        self.give_up_in_an_outage(&failed.error).await?;
        self.wait(attempts, failed).await;
        Ok(None)
    }

    /// Finds out whether a 403 is about the ID or about the key.
    async fn judge_forbidden(
        &self,
        attempts: &Attempts,
        failed: &FailedAttempt,
    ) -> Result<FailureKind, FetchError> {
        // Some other success is not enough: a server that responds with 404 has not accepted the key.
        let has_task = self.liveness().has_task();
        if has_task {
            self.note_success(failed.sent);
        } else if !self.good_id_succeeds().await {
            // No task was fetched by this run, and no task of an earlier run can be fetched now.
            return Err(self.refused(attempts, failed));
        }
        Ok(FailureKind::Forbidden)
    }

    fn refused(&self, attempts: &Attempts, failed: &FailedAttempt) -> FetchError {
        FetchError::Refused {
            what: attempts.target.to_string(),
            status: failed.status.unwrap_or_default(),
            message: failed.error.message.clone(),
            has_succeeded: self.liveness().has_task(),
        }
    }

    /// Takes note of the time of a failure; whether the request has failed as often, or for as long, as is allowed.
    fn is_exhausted(&self, attempts: &mut Attempts, is_counted: bool) -> bool {
        let now = self.throttle.now();
        attempts.first_failure.get_or_insert(now);
        attempts.last_failure = Some(now);
        let is_late = self.is_late(attempts, now);
        if is_counted {
            attempts.failures > self.options.max_retries || is_late
        } else {
            // A rate limit is not the ID's fault, unless this ID alone is limited again and again.
            attempts.count > self.options.max_retries && is_late
        }
    }

    /// Whether the request has failed for as long as is allowed.
    fn is_late(&self, attempts: &Attempts, now: Duration) -> bool {
        attempts
            .first_failure
            .is_some_and(|first| now.saturating_sub(first) >= self.options.retry_timeout)
    }

    /// Whether the next failure can be the last.
    fn next_failure_may_be_final(&self, attempts: &Attempts) -> bool {
        (attempts.failures > 0 && attempts.failures >= self.options.max_retries)
            || self.is_late(attempts, self.throttle.now())
    }

    /// Whether a request that was sent after the last failure has succeeded.
    fn has_succeeded_since(&self, attempts: &Attempts) -> bool {
        let last_failure = attempts.last_failure;
        last_failure.is_some_and(|failure| self.liveness().was_well_after(failure))
    }

    async fn wait(&self, attempts: &Attempts, failed: &FailedAttempt) {
        let random = self.random.hash_one((&attempts.target, attempts.count));
        // The upper 53 bits make a float64 that is uniform in 0..1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float64 exactly")]
        let random = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let left = self
            .patience(&failed.error)
            .saturating_sub(self.liveness().since_success(self.throttle.now()));
        let least = failed.verdict.own_wait();
        let delay = wait(attempts.failures.max(1), random, least, left);
        self.events.send(Event::Retry {
            target: attempts.target.clone(),
            attempts: attempts.count,
            delay,
            reason: failed.error.message.clone(),
        });
        tokio::time::sleep(delay).await;
    }

    /// Hands the result of the task with this position and ID over, and waits until it is stored.
    pub(crate) async fn hand_over(
        &self,
        sink: &mpsc::Sender<FetchedTask>,
        (position, task_id): (usize, &str),
        attempts: u32,
        result: TaskResult,
    ) -> Result<(), FetchError> {
        let note = result.as_ref().err().map(|failure| failure.note.clone());
        // The caller waits until the result is stored, so its request still counts as in flight.
        let (stored, is_stored) = oneshot::channel();
        let task = FetchedTask {
            position,
            attempts,
            result,
            stored,
        };
        if sink.send(task).await.is_err() || is_stored.await.is_err() {
            let what = RequestTarget::Task(task_id.to_owned()).to_string();
            return Err(FetchError::SinkClosed { what });
        }
        note.map_or(Ok(()), |note| self.report_failure(task_id, note))
    }

    fn report_failure(&self, task_id: &str, note: FailureNote) -> Result<(), FetchError> {
        let is_dropped = self.options.drop_missing && note.is_gone();
        let ends_run = self.options.fail_fast && !is_dropped;
        let error = ends_run.then(|| FetchError::FailFast {
            task_id: task_id.to_owned(),
            message: note.message.clone(),
        });
        self.events.send(Event::TaskFailed {
            task_id: task_id.to_owned(),
            kind: note.kind,
            message: note.message,
        });
        error.map_or(Ok(()), Err)
    }

    /// What was learned of the rate that the server allows.
    pub fn learned(&self) -> Option<LearnedRate> {
        self.throttle.learned()
    }

    /// What was done so far.
    pub fn stats(&self) -> FetchStats {
        FetchStats {
            requests: get(&self.counters.requests),
            retries: get(&self.counters.retries),
            rate_limited: get(&self.counters.rate_limited),
            bytes_received: get(&self.counters.bytes_received),
            fetched: get(&self.counters.fetched),
            from_lists: get(&self.counters.from_lists),
            pages: get(&self.counters.pages),
        }
    }
}

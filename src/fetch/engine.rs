//! All attempts for all IDs: concurrency, retries, and when to give up.
//! Depends on `client`, `gate`, `health` and `retry`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use tokio::sync::{mpsc, oneshot, watch};

use super::client::{Failure, TaskClient};
use super::gate::Gate;
use super::health::Health;
use super::retry::{Trouble, Verdict, decide, speaks_for_all, wait};
use super::{
    BadBody, CheckBody, CheckedBody, Delivery, Failed, FailureKind, FetchError, FetchOptions,
    Fetched, MaxFailures, Outcome,
};
use crate::event::{Event, Events};

/// Larger bodies are checked on another thread, so that the others do not wait.
const CHECKED_INLINE_BYTES: usize = 1 << 20;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct FetchStats {
    /// Attempts sent.
    pub requests: u64,
    /// Attempts beyond the first of their ID.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Bytes of answers, decompressed.
    pub bytes_received: u64,
    /// Tasks fetched.
    pub fetched: u64,
    /// IDs that failed for good.
    pub failed: u64,
    /// Was it stopped?
    pub stopped: bool,
    /// Requests a second at the end, unless nothing was held back.
    pub rate: Option<f64>,
    /// Failed IDs by kind.
    pub failures_by_kind: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    rate_limited: AtomicU64,
    bytes_received: AtomicU64,
    fetched: AtomicU64,
    /// Tasks with something to tell of them.
    noted: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

struct Engine<'e> {
    options: &'e FetchOptions,
    client: &'e TaskClient,
    gate: Gate,
    check: Arc<dyn CheckBody>,
    events: &'e Events,
    sink: mpsc::Sender<Delivery>,
    wanted: usize,
    counters: Counters,
    health: Mutex<Health>,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    random: RandomState,
}

/// What is to be fetched.
#[derive(Debug)]
pub struct Wanted<I> {
    /// IDs with their positions in the list.
    pub ids: I,
    /// How many they are.
    pub count: usize,
    /// An ID whose task an earlier run had, if there is one: it tells a server that is away, or a key
    /// that is refused, from an ID that cannot be had.
    pub good_id: Option<String>,
}

/// Fetches all wanted IDs; each result goes to the sink as it arrives.
///
/// When `stop` turns true, nothing more is asked, what is under way is dropped, and everything that
/// arrived has been handed over.
pub async fn fetch_all(
    wanted: Wanted<impl Iterator<Item = (usize, String)>>,
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    sink: mpsc::Sender<Delivery>,
    mut stop: watch::Receiver<bool>,
) -> Result<FetchStats, FetchError> {
    let engine = Engine {
        options,
        client,
        gate: Gate::new(options.rate, events.clone()),
        check,
        events,
        sink,
        wanted: wanted.count,
        counters: Counters::default(),
        health: Mutex::new(Health::new(wanted.good_id)),
        failures: Mutex::default(),
        random: RandomState::new(),
    };
    let all = stream::iter(wanted.ids)
        .map(async |(position, task_id)| {
            let fetched = engine.fetch(position, task_id).await?;
            engine.hand_over(fetched).await
        })
        .buffer_unordered(options.concurrency.max(1))
        .try_for_each(async |()| Ok(()));
    let stopped = tokio::select! {
        done = all => {
            done?;
            false
        }
        _ = stop.wait_for(|stopped| *stopped) => true,
    };
    Ok(engine.stats(stopped))
}

/// What is known of one ID's failed attempts.
#[derive(Debug, Default)]
struct Trials {
    attempts: u32,
    /// Failures that count against the ID.
    failures: u32,
    first_failure: Option<Duration>,
    last_failure: Option<Duration>,
    /// Was the last attempt sent after others had been asked for, with success, since the failure before?
    /// Then it is the ID that fails, and not the server: an attempt from within an outage is not held
    /// against its ID because the outage has not been noticed yet, or ends.
    follows_success: bool,
}

impl Engine<'_> {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn success(&self, task_id: &str, is_task: bool, sent: Duration) {
        self.health()
            .success(task_id, is_task, sent, self.gate.now());
        if self.gate.set_outage(false) {
            let text = "the API answers again".to_owned();
            self.events.send(Event::Warning(text));
        }
    }

    /// Fetches one ID until it has a result.
    async fn fetch(&self, position: usize, task_id: String) -> Result<Fetched, FetchError> {
        let mut trials = Trials::default();
        loop {
            if self.may_decide(&trials) && !self.is_well_since_failure(&trials) {
                // Nobody else is asked for, or nobody can be had: an ID that could be had before tells.
                self.good_id_succeeds().await;
            }
            let sent = self.gate.pass().await;
            trials.follows_success = self.is_well_since_failure(&trials);
            trials.attempts += 1;
            if trials.attempts > 1 {
                add(&self.counters.retries, 1);
            }
            let failure = match self.attempt(&task_id).await {
                Ok(CheckedBody {
                    body,
                    is_final,
                    note,
                }) => {
                    self.success(&task_id, true, sent);
                    add(&self.counters.fetched, 1);
                    if let Some(note) = note {
                        self.note(&task_id, &note);
                    }
                    self.events.send(Event::TaskFetched);
                    let outcome = Outcome::Task { body, is_final };
                    return Ok(Fetched {
                        position,
                        task_id,
                        attempts: trials.attempts,
                        outcome,
                    });
                }
                Err(failure) => failure,
            };
            let failed = self.judge(&task_id, sent, &failure, &mut trials).await?;
            if let Some(kind) = failed {
                let Failure {
                    status,
                    message,
                    body,
                    ..
                } = failure;
                let outcome = Outcome::Failed(Failed {
                    kind,
                    http_status: status,
                    message,
                    body,
                });
                return Ok(Fetched {
                    position,
                    task_id,
                    attempts: trials.attempts,
                    outcome,
                });
            }
        }
    }

    /// One attempt, counted and shown.
    async fn attempt(&self, task_id: &str) -> Result<CheckedBody, Failure> {
        add(&self.counters.requests, 1);
        self.events.send(Event::RequestSent);
        let answer = self.client.get(task_id).await;
        let (status, bytes) = match &answer {
            Ok(body) => (Some(200), body.len() as u64),
            Err(failure) => (failure.status, failure.bytes),
        };
        add(&self.counters.bytes_received, bytes);
        self.events.send(Event::RequestDone { status, bytes });
        self.check_body(task_id, answer?).await.map_err(|bad| {
            let (trouble, message, body) = match bad {
                BadBody::NoTask { why, body } => (Trouble::BadBody, why, body),
                BadBody::OtherTask => {
                    let why = "the answer is another task".to_owned();
                    (Trouble::WrongTask, why, None)
                }
            };
            Failure {
                trouble,
                status: Some(200),
                message,
                retry_after: None,
                bytes: 0,
                body,
            }
        })
    }

    /// Tells something about a task that was fetched; after the first few, with `-v` only.
    fn note(&self, task_id: &str, note: &str) {
        const TOLD: u64 = 10;
        let text = format!("task {task_id}: {note}");
        let told = self.counters.noted.fetch_add(1, Ordering::Relaxed);
        self.events.send(if told < TOLD {
            Event::Warning(text)
        } else {
            Event::Detail(text)
        });
    }

    async fn check_body(&self, task_id: &str, body: Bytes) -> Result<CheckedBody, BadBody> {
        if body.len() <= CHECKED_INLINE_BYTES {
            return self.check.check(task_id, body);
        }
        let check = Arc::clone(&self.check);
        let task_id = task_id.to_owned();
        tokio::task::spawn_blocking(move || check.check(&task_id, body))
            .await
            .unwrap_or_else(|error| {
                Err(BadBody::NoTask {
                    why: error.to_string(),
                    body: None,
                })
            })
    }

    /// Decides what a failed attempt means, and waits if there is to be another. The kind of
    /// failure when there is not.
    async fn judge(
        &self,
        task_id: &str,
        sent: Duration,
        failure: &Failure,
        trials: &mut Trials,
    ) -> Result<Option<FailureKind>, FetchError> {
        let message = failure.message.clone();
        let has_task = self.health().has_task();
        let kind = match decide(failure.trouble, has_task) {
            Verdict::Fail(kind) => {
                // The server works, and has spoken about this ID.
                self.success(task_id, false, sent);
                return Ok(Some(kind));
            }
            Verdict::Refused => {
                // No request of this run has succeeded, but one of an earlier run did: is it the key?
                if failure.status == Some(403) && self.good_id_succeeds().await {
                    return Ok(Some(FailureKind::Forbidden));
                }
                let status = failure.status.unwrap_or_default();
                return Err(FetchError::Refused {
                    task_id: task_id.to_owned(),
                    status,
                    message,
                });
            }
            Verdict::Untrusted(why) => {
                return Err(FetchError::Untrusted {
                    host: self.client.host(),
                    why,
                    message,
                });
            }
            Verdict::SlowDown => {
                add(&self.counters.rate_limited, 1);
                self.gate.objected(sent, failure.retry_after);
                None
            }
            Verdict::Retry(kind) => {
                trials.failures += 1;
                let outage = self.health().failure(self.options.concurrency);
                if self.gate.set_outage(outage) && outage {
                    let host = self.client.host();
                    self.events.send(Event::Warning(format!(
                        "the API at `{host}` does not answer ({message}); asking once a second, \
                         giving up when nothing succeeds for {:.0} s",
                        self.options.retry_timeout.as_secs_f64()
                    )));
                }
                if speaks_for_all(failure.status) && failure.retry_after.is_some() {
                    self.gate.objected(sent, failure.retry_after);
                }
                Some(kind)
            }
        };
        let now = self.gate.now();
        trials.first_failure.get_or_insert(now);
        trials.last_failure = Some(now);
        let is_late = self.is_late(trials, now);
        let is_exhausted = if kind.is_some() {
            trials.failures > self.options.max_retries || is_late
        } else {
            // A rate limit is no fault of the ID, unless it alone meets one, again and again.
            trials.attempts > self.options.max_retries && is_late
        };
        if is_exhausted
            && (trials.follows_success
                // Without further attempts nothing can come before the one that decides.
                || (trials.attempts == 1 && self.good_id_succeeds().await))
        {
            return Ok(Some(kind.unwrap_or(FailureKind::HttpError)));
        }
        self.give_up_in_an_outage(is_exhausted, &message).await?;
        self.wait(task_id, failure, trials, message).await;
        Ok(None)
    }

    /// Has this ID failed for as long as is allowed?
    fn is_late(&self, trials: &Trials, now: Duration) -> bool {
        trials
            .first_failure
            .is_some_and(|first| now.saturating_sub(first) >= self.options.retry_timeout)
    }

    /// May the next failure be the last?
    fn may_decide(&self, trials: &Trials) -> bool {
        (trials.failures > 0 && trials.failures >= self.options.max_retries)
            || self.is_late(trials, self.gate.now())
    }

    /// Has anybody been asked for, with success, since this ID failed last?
    fn is_well_since_failure(&self, trials: &Trials) -> bool {
        let last_failure = trials.last_failure;
        last_failure.is_some_and(|failure| self.health().was_well_after(failure))
    }

    /// Can an ID be had that could be had before?
    async fn good_id_succeeds(&self) -> bool {
        let good_id = self.health().good_id();
        let Some(good_id) = good_id else { return false };
        let sent = self.gate.pass().await;
        let is_well = self.attempt(&good_id).await.is_ok();
        if is_well {
            self.success(&good_id, true, sent);
        }
        is_well
    }

    /// Ends the run when nothing has succeeded for too long. An ID that has had its time asks first
    /// whether it is only that ID.
    async fn give_up_in_an_outage(
        &self,
        is_exhausted: bool,
        message: &str,
    ) -> Result<(), FetchError> {
        let elapsed = self.health().since_success(self.gate.now());
        if elapsed < self.options.retry_timeout || (is_exhausted && self.good_id_succeeds().await) {
            return Ok(());
        }
        Err(FetchError::GaveUp {
            host: self.client.host(),
            elapsed,
            requests: get(&self.counters.requests),
            has_succeeded: self.health().successes() > 0,
            message: message.to_owned(),
        })
    }

    async fn wait(&self, task_id: &str, failure: &Failure, trials: &Trials, reason: String) {
        let random = self.random.hash_one((task_id, trials.attempts));
        // The upper 53 bits make a double that is uniform in 0..1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let random = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let asked = failure
            .retry_after
            .filter(|_| !speaks_for_all(failure.status))
            .unwrap_or_default();
        let left = self
            .options
            .retry_timeout
            .saturating_sub(self.health().since_success(self.gate.now()));
        let delay = wait(trials.failures.max(1), random, asked, left);
        self.events.send(Event::Retry {
            task_id: task_id.to_owned(),
            attempts: trials.attempts,
            delay,
            reason,
        });
        tokio::time::sleep(delay).await;
    }

    async fn hand_over(&self, fetched: Fetched) -> Result<(), FetchError> {
        let task_id = fetched.task_id.clone();
        let failed = match &fetched.outcome {
            Outcome::Failed(failed) => Some(failed.clone()),
            Outcome::Task { .. } => None,
        };
        let (kept, is_kept) = oneshot::channel();
        if self.sink.send(Delivery { fetched, kept }).await.is_err() || is_kept.await.is_err() {
            return Err(FetchError::SinkClosed { task_id });
        }
        match failed {
            Some(failed) => self.count_failure(task_id, failed),
            None => Ok(()),
        }
    }

    fn count_failure(&self, task_id: String, failed: Failed) -> Result<(), FetchError> {
        let Failed { kind, message, .. } = failed;
        let count: u64 = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry(kind.as_str()).or_default() += 1;
            failures.values().sum()
        };
        self.events.send(Event::TaskFailed {
            task_id: task_id.clone(),
            kind: kind.as_str(),
            message: message.clone(),
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of IDs are far below 2^53"
        )]
        let is_too_many = match self.options.max_failures {
            None => false,
            Some(MaxFailures::Count(max)) => count > max,
            Some(MaxFailures::Percent(max)) => count as f64 > self.wanted as f64 * max / 100.0,
        };
        if is_too_many {
            let wanted = self.wanted;
            return Err(FetchError::TooManyFailures {
                failed: count,
                wanted,
                task_id,
                message,
            });
        }
        Ok(())
    }

    fn stats(&self, stopped: bool) -> FetchStats {
        let failures_by_kind = self
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        FetchStats {
            requests: get(&self.counters.requests),
            retries: get(&self.counters.retries),
            rate_limited: get(&self.counters.rate_limited),
            bytes_received: get(&self.counters.bytes_received),
            fetched: get(&self.counters.fetched),
            failed: failures_by_kind.values().sum(),
            stopped,
            rate: self.gate.rate(),
            failures_by_kind,
        }
    }
}

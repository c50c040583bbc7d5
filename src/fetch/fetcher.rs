//! All attempts for all IDs: concurrency, retries, and when an ID has failed. When the run has: `outage`.
//! Depends on `client`, `gate`, `health` and `retry`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::api::client::{Failure, TaskClient};
use crate::api::error::FetchError;
use crate::api::memory_budget::{Budget, Share, Size};
use crate::event::{Asked, Event, Events};
use crate::failure_kind::FailureKind;
use crate::fetch::attempts::{Got, Trials, answer_of, most_timeouts};
use crate::fetch::liveness::Health;
use crate::fetch::options::{
    BadBody, CheckBody, CheckedBody, Delivery, Failed, FetchOptions, Fetched, Outcome,
};
use crate::fetch::retry::{Trouble, Verdict, decide, speaks_for_all, wait};
use crate::fetch::stats::{Counters, FetchStats, add, get};
use crate::fetch::throttle::{Gate, Pass};
use crate::json::document::{Nodes, parse_bytes_at_most};
use crate::threads;

/// Larger bodies are checked on another thread, so that the others do not wait.
const CHECKED_INLINE_BYTES: usize = 1 << 20;

pub(crate) struct Engine<'e> {
    pub(crate) options: &'e FetchOptions,
    pub(crate) client: &'e TaskClient,
    pub(crate) gate: Gate,
    pub(crate) budget: Budget,
    pub(crate) check: Arc<dyn CheckBody>,
    pub(crate) events: &'e Events,
    pub(crate) counters: Counters,
    health: Mutex<Health>,
    /// Has it been told that nothing succeeds?
    pub(crate) is_outage: AtomicBool,
    /// Held by whoever asks for an ID that could be had before.
    pub(crate) probing: tokio::sync::Mutex<()>,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    random: RandomState,
}

/// What is to be fetched, by positions in the list of IDs.
pub trait Wanted: Sync + std::fmt::Debug {
    /// IDs in the list.
    fn ids(&self) -> usize;

    /// Of these, IDs to fetch.
    fn count(&self) -> usize;

    /// The ID at a position.
    fn id(&self, position: usize) -> Option<&str>;

    /// The position of an ID.
    fn position(&self, task_id: &str) -> Option<usize>;

    /// Is there nothing yet for the ID at a position?
    fn is_waiting(&self, position: usize) -> bool;

    /// IDs whose tasks an earlier run received, those first that are the most likely to succeed: they tell a server
    /// that is away, or a key that is refused, from an ID that fails.
    fn good_ids(&self) -> Vec<String>;
}

/// Fetches all wanted IDs; each result goes to the sink as it arrives.
///
/// When `cancel` turns true, nothing more is asked, what is under way is dropped, and everything that
/// arrived has been handed over.
pub async fn fetch_all(
    wanted: &dyn Wanted,
    client: &TaskClient,
    options: &FetchOptions,
    check: Arc<dyn CheckBody>,
    events: &Events,
    sink: mpsc::Sender<Delivery>,
    cancel: &CancellationToken,
) -> Result<FetchStats, FetchError> {
    let engine = Engine::new(client, options, check, events, wanted.good_ids());
    let all = async {
        engine.use_lists(wanted, &sink).await?;
        // What has arrived until its turn is not asked for again.
        let waiting = (0..wanted.ids()).filter(|position| wanted.is_waiting(*position));
        engine.fetch_each(wanted, waiting, &sink).await
    };
    let stopped = until_stopped(all, cancel).await?.is_none();
    Ok(engine.stats(stopped))
}

/// Runs until it is done, or stopped: then nothing.
pub(crate) async fn until_stopped<T>(
    work: impl Future<Output = Result<T, FetchError>>,
    cancel: &CancellationToken,
) -> Result<Option<T>, FetchError> {
    tokio::select! {
        done = work => done.map(Some),
        () = cancel.cancelled() => Ok(None),
    }
}

fn size_of_asked(asked: &Asked) -> Size {
    match asked {
        Asked::Task(_) => Size::Task,
        Asked::Page(_) | Asked::LargePage(_) => Size::Page,
    }
}

impl Drop for Engine<'_> {
    /// However it ends, what was learned is of use.
    fn drop(&mut self) {
        if let Some(learned) = self.gate.learned() {
            self.client.learn(learned);
        }
    }
}

impl<'e> Engine<'e> {
    /// `good_ids` were fetched before.
    pub(crate) fn new(
        client: &'e TaskClient,
        options: &'e FetchOptions,
        check: Arc<dyn CheckBody>,
        events: &'e Events,
        good_ids: Vec<String>,
    ) -> Self {
        Self {
            options,
            client,
            gate: Gate::new(
                options.rate,
                client.learned().or(options.remembered),
                options.concurrency,
                events.clone(),
            ),
            budget: Budget::default(),
            check,
            events,
            counters: Counters::default(),
            health: Mutex::new(Health::new(good_ids)),
            is_outage: AtomicBool::new(false),
            probing: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
            random: RandomState::new(),
        }
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        threads::lock(&self.health)
    }

    /// Fetches IDs by their positions, several at once, and hands them over.
    pub(crate) async fn fetch_each(
        &self,
        wanted: &dyn Wanted,
        positions: impl Iterator<Item = usize>,
        sink: &mpsc::Sender<Delivery>,
    ) -> Result<(), FetchError> {
        let ids = positions.filter_map(|position| Some((position, wanted.id(position)?)));
        stream::iter(ids)
            .map(async |(position, task_id)| {
                // Its memory is its share until it is stored.
                let (fetched, _share) = self.fetch(position, task_id.to_owned()).await?;
                self.hand_over(sink, fetched).await
            })
            .buffer_unordered(self.options.concurrency.max(1))
            .try_for_each(async |()| Ok(()))
            .await
    }

    /// Fetches one ID until it has a result; gives the share of memory that this takes as well.
    pub(crate) async fn fetch(
        &self,
        position: usize,
        task_id: String,
    ) -> Result<(Fetched, Option<Share<'_>>), FetchError> {
        let asked = Asked::Task(task_id.clone());
        let mut trials = Trials::default();
        let got = self
            .ask(&asked, &mut trials, async |share: &mut Share<'_>| {
                self.task(&task_id, share).await
            })
            .await?;
        let (outcome, share) = match got {
            Got::Answer(checked, sent, share) => {
                let CheckedBody {
                    body,
                    nodes,
                    is_final,
                    note,
                } = checked;
                self.success(Some(&task_id), sent);
                self.count_task(&task_id, note.as_deref());
                let outcome = Outcome::Task {
                    body,
                    nodes,
                    is_final,
                };
                (outcome, Some(share))
            }
            Got::Nothing(failure, kind) => {
                let failed = Failed {
                    kind,
                    http_status: failure.status,
                    message: failure.message,
                    body: failure.body,
                };
                (Outcome::Failed(failed), None)
            }
        };
        let fetched = Fetched {
            position,
            task_id,
            attempts: trials.attempts,
            outcome,
        };
        Ok((fetched, share))
    }

    /// Takes note of a task that has come.
    pub(crate) fn count_task(&self, task_id: &str, note: Option<&str>) {
        add(&self.counters.fetched, 1);
        if let Some(note) = note {
            self.note(&format!("task {task_id}: {note}"));
        }
        self.events.send(Event::TaskFetched);
    }

    /// Asks until there is an answer, or none will come.
    pub(crate) async fn ask<T>(
        &self,
        asked: &Asked,
        trials: &mut Trials,
        attempt: impl AsyncFn(&mut Share<'_>) -> Result<T, Failure>,
    ) -> Result<Got<'_, T>, FetchError> {
        loop {
            if self.may_decide(trials) && !self.is_well_since_failure(trials) {
                // Nobody else is asked for, or nobody can be had: an ID that could be had before tells.
                self.good_id_succeeds().await;
            }
            let mut share = self.budget.enter(size_of_asked(asked)).await;
            let pass = self.gate.pass().await;
            let sent = pass.at();
            trials.follows_success = self.is_well_since_failure(trials);
            trials.attempts += 1;
            if trials.attempts > 1 {
                add(&self.counters.retries, 1);
            }
            let answer = attempt(&mut share).await;
            self.end(pass, &answer);
            let failure = match answer {
                Ok(answer) => return Ok(Got::Answer(answer, sent, share)),
                Err(failure) => failure,
            };
            drop(share);
            if let Some(kind) = self.judge(asked, sent, &failure, trials).await? {
                return Ok(Got::Nothing(failure, kind));
            }
        }
    }

    /// An attempt has ended.
    pub(crate) fn end<T>(&self, pass: Pass<'_>, answer: &Result<T, Failure>) {
        pass.end(answer_of(answer));
        if let Err(failure) = answer {
            self.tell_outage(failure);
        }
    }

    /// One attempt for a task.
    pub(crate) async fn task(
        &self,
        task_id: &str,
        share: &mut Share<'_>,
    ) -> Result<CheckedBody, Failure> {
        let body = self.counted(self.client.task(task_id, share)).await?;
        let task_id = task_id.to_owned();
        let check = move |check: &dyn CheckBody, body| check.check(&task_id, body);
        let checked = self.checked(body, share, check).await?;
        let nodes = checked.nodes.as_ref().map_or(0, Nodes::size);
        share.settle((checked.body.len() + nodes) as u64);
        Ok(checked)
    }

    /// One attempt, counted and shown.
    pub(crate) async fn counted(
        &self,
        answer: impl Future<Output = Result<Bytes, Failure>>,
    ) -> Result<Bytes, Failure> {
        add(&self.counters.requests, 1);
        self.events.send(Event::RequestSent);
        let answer = answer.await;
        self.gate.told(&self.client.take_quotas());
        let (status, bytes) = match &answer {
            Ok(body) => (Some(200), body.len() as u64),
            Err(failure) => (failure.status, failure.bytes),
        };
        add(&self.counters.bytes_received, bytes);
        self.events.send(Event::RequestDone { status, bytes });
        answer
    }

    /// Checks a body, on another thread if it is a large one, when there is memory for what that takes.
    pub(crate) async fn checked<T: Send + 'static>(
        &self,
        body: Bytes,
        share: &mut Share<'_>,
        check: impl FnOnce(&dyn CheckBody, Bytes) -> Result<T, BadBody> + Send + 'static,
    ) -> Result<T, Failure> {
        let checked = if body.len() <= CHECKED_INLINE_BYTES {
            check(&*self.check, body)
        } else {
            // The body, a second one where something in it is replaced or taken apart, and its parse.
            let most = 2 * body.len() + parse_bytes_at_most(&body);
            share.grow_to(most as u64).await;
            let checker = Arc::clone(&self.check);
            tokio::task::spawn_blocking(move || check(&*checker, body))
                .await
                .unwrap_or_else(|error| {
                    Err(BadBody::NoTask {
                        why: error.to_string(),
                        body: None,
                    })
                })
        };
        checked.map_err(|bad| {
            let (trouble, message, body) = match bad {
                BadBody::NoTask { why, body } => (Trouble::BadBody, why, body),
                BadBody::OtherTask => {
                    let why = "the answer is another task".to_owned();
                    (Trouble::WrongTask, why, None)
                }
                BadBody::TooLarge { why } => (Trouble::TooLarge, why, None),
                BadBody::NoMemory => {
                    let why = "the system refused the memory to parse it".to_owned();
                    (Trouble::NoMemory, why, None)
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
    pub(crate) fn note(&self, text: &str) {
        const TOLD: u64 = 10;
        let text = text.to_owned();
        let told = self.counters.noted.fetch_add(1, Ordering::Relaxed);
        self.events.send(if told < TOLD {
            Event::Warning(text)
        } else {
            Event::Detail(text)
        });
    }

    /// Decides what a failed attempt means, and waits if there is to be another. The kind of
    /// failure when there is not.
    async fn judge(
        &self,
        asked: &Asked,
        sent: Duration,
        failure: &Failure,
        trials: &mut Trials,
    ) -> Result<Option<FailureKind>, FetchError> {
        let message = failure.message.clone();
        let has_task = self.health().has_task();
        let kind = match decide(failure.trouble, has_task) {
            Verdict::Fail(kind) => {
                // The server works, and has spoken about this ID.
                self.success(None, sent);
                return Ok(Some(kind));
            }
            Verdict::Refused => {
                // No request of this run has succeeded, but one of an earlier run did: is it the key?
                if failure.status == Some(403) && self.good_id_succeeds().await {
                    return Ok(Some(FailureKind::Forbidden));
                }
                let status = failure.status.unwrap_or_default();
                return Err(FetchError::Refused {
                    what: asked.to_string(),
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
            Verdict::NoMemory => {
                let what = asked.to_string();
                return Err(FetchError::NoMemory { what, message });
            }
            Verdict::SlowDown => {
                add(&self.counters.rate_limited, 1);
                None
            }
            Verdict::Retry(kind) => {
                trials.failures += 1;
                if kind == FailureKind::Timeout && trials.failures >= most_timeouts(asked) {
                    return Ok(Some(kind));
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
        if is_exhausted && self.fails_alone(trials).await {
            return Ok(Some(kind.unwrap_or(FailureKind::HttpError)));
        }
        self.give_up_in_an_outage(failure).await?;
        self.wait(asked, failure, trials, message).await;
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

    async fn wait(&self, asked: &Asked, failure: &Failure, trials: &Trials, reason: String) {
        let random = self.random.hash_one((asked, trials.attempts));
        // The upper 53 bits make a double that is uniform in 0..1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let random = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let least = failure
            .retry_after
            .filter(|_| !speaks_for_all(failure.status))
            .unwrap_or_default();
        let left = self
            .patience(failure)
            .saturating_sub(self.health().since_success(self.gate.now()));
        let delay = wait(trials.failures.max(1), random, least, left);
        self.events.send(Event::Retry {
            asked: asked.clone(),
            attempts: trials.attempts,
            delay,
            reason,
        });
        tokio::time::sleep(delay).await;
    }

    /// Hands a result over, and waits until it is kept.
    pub(crate) async fn hand_over(
        &self,
        sink: &mpsc::Sender<Delivery>,
        fetched: Fetched,
    ) -> Result<(), FetchError> {
        let task_id = fetched.task_id.clone();
        let failed = match &fetched.outcome {
            Outcome::Failed(failed) => Some(failed.clone()),
            Outcome::Task { .. } => None,
        };
        let (kept, is_kept) = oneshot::channel();
        if sink.send(Delivery { fetched, kept }).await.is_err() || is_kept.await.is_err() {
            let what = Asked::Task(task_id).to_string();
            return Err(FetchError::SinkClosed { what });
        }
        match failed {
            Some(failed) => self.count_failure(task_id, failed),
            None => Ok(()),
        }
    }

    fn count_failure(&self, task_id: String, failed: Failed) -> Result<(), FetchError> {
        let Failed {
            kind,
            message,
            http_status,
            ..
        } = failed;
        let is_dropped = self.options.drop_missing && crate::journal::reader::is_gone(http_status);
        {
            let mut failures = threads::lock(&self.failures);
            *failures.entry(kind.as_str()).or_default() += 1;
        }
        self.events.send(Event::TaskFailed {
            task_id: task_id.clone(),
            kind: kind.as_str(),
            message: message.clone(),
        });
        if self.options.fail_fast && !is_dropped {
            return Err(FetchError::FailFast { task_id, message });
        }
        Ok(())
    }

    /// What was done.
    pub(crate) fn stats(&self, stopped: bool) -> FetchStats {
        let failures_by_kind = threads::lock(&self.failures).clone();
        FetchStats {
            requests: get(&self.counters.requests),
            retries: get(&self.counters.retries),
            rate_limited: get(&self.counters.rate_limited),
            bytes_received: get(&self.counters.bytes_received),
            fetched: get(&self.counters.fetched),
            from_lists: get(&self.counters.from_lists),
            pages: get(&self.counters.pages),
            failed: failures_by_kind.values().sum(),
            stopped,
            failures_by_kind,
        }
    }
}

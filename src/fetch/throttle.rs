//! The pacer in real time: requests wait here for leave to go, first come, first served, but for one that tells
//! whether the others are worth sending.
//! Depends on `pace` and `event`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::event::{Event, Events};
use crate::fetch::options::Rate;
use crate::pacer::controller::Pacer;
use crate::pacer::types::{Answer, Learned, Quota, Sent, State, Take};
use crate::threads;

/// Changes of the rate are shown when they are at least this large.
const SHOWN_CHANGE: f64 = 0.05;

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    start: Instant,
    pacer: Mutex<Pacer>,
    /// Held by whoever is next, also while waiting: so a change of the rate applies at once, and
    /// nobody overtakes.
    turn: tokio::sync::Mutex<()>,
    /// Does somebody go ahead of whoever is next?
    goes_ahead: AtomicBool,
    /// That has gone.
    went_ahead: Notify,
    /// What was shown last.
    shown: Mutex<Option<(f64, State)>>,
    /// A request has ended.
    ended: Notify,
    events: Events,
}

/// Leave to send one request. When it is dropped without having [ended](Pass::end), the request counts as one that
/// nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Pass<'g> {
    gate: &'g Gate,
    sent: Sent,
    has_ended: bool,
}

impl Pass<'_> {
    /// When it was had.
    pub(crate) fn at(&self) -> Duration {
        self.sent.at
    }

    /// The request has ended.
    pub(crate) fn end(mut self, answer: Answer) {
        self.has_ended = true;
        self.gate.end(self.sent, answer);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.gate.end(self.sent, Answer::Accepted);
        }
    }
}

/// As long as it lives, somebody goes ahead.
struct GoesAhead<'g>(&'g Gate);

impl<'g> GoesAhead<'g> {
    fn of(gate: &'g Gate) -> Self {
        gate.goes_ahead.store(true, Ordering::Release);
        Self(gate)
    }
}

impl Drop for GoesAhead<'_> {
    fn drop(&mut self) {
        self.0.goes_ahead.store(false, Ordering::Release);
        self.0.went_ahead.notify_waiters();
    }
}

impl Gate {
    pub(crate) fn new(
        rate: Rate,
        remembered: Option<Learned>,
        concurrency: usize,
        events: Events,
    ) -> Self {
        Self {
            start: Instant::now(),
            pacer: Mutex::new(Pacer::new(rate, remembered, concurrency)),
            turn: tokio::sync::Mutex::new(()),
            goes_ahead: AtomicBool::new(false),
            went_ahead: Notify::new(),
            shown: Mutex::new(None),
            ended: Notify::new(),
            events,
        }
    }

    /// A thread that panicked has left the pacer whole: it is plain numbers.
    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        threads::lock(&self.pacer)
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for leave to send.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        let _turn = self.turn.lock().await;
        loop {
            // Whoever has gone from here on is not missed.
            let went_ahead = self.went_ahead.notified();
            if self.goes_ahead.load(Ordering::Acquire) {
                went_ahead.await;
            } else if let Some(pass) = self.try_pass().await {
                return pass;
            }
        }
    }

    /// Waits for leave to send, ahead of all others. One at a time.
    pub(crate) async fn pass_ahead(&self) -> Pass<'_> {
        let _ahead = GoesAhead::of(self);
        loop {
            if let Some(pass) = self.try_pass().await {
                return pass;
            }
        }
    }

    /// Leave to send, or none after a wait.
    async fn try_pass(&self) -> Option<Pass<'_>> {
        // Whoever ends from here on is not missed.
        let ended = self.ended.notified();
        let now = self.now();
        let (take, rate, state) = {
            let mut pacer = self.pacer();
            (pacer.take(now), pacer.rate(now), pacer.state(now))
        };
        match take {
            Take::Now(sent) => {
                self.show(rate, state);
                return Some(Pass {
                    gate: self,
                    sent,
                    has_ended: false,
                });
            }
            Take::At(due) => {
                // What ends meanwhile may change when it is due.
                tokio::select! {
                    () = tokio::time::sleep(due.saturating_sub(now)) => {}
                    () = ended, if state != State::Steady => {}
                }
            }
            Take::WhenAnswered => ended.await,
        }
        None
    }

    fn end(&self, sent: Sent, answer: Answer) {
        let now = self.now();
        let mut pacer = self.pacer();
        let has_changed = pacer.end(sent, now, answer);
        let (rate, waits, state) = (pacer.rate(now), pacer.waits(now), pacer.state(now));
        drop(pacer);
        self.ended.notify_waiters();
        if has_changed {
            let mut shown = threads::lock(&self.shown);
            *shown = rate.map(|rate| (rate, state));
            drop(shown);
            self.events.send(Event::Pace {
                rate,
                cooling_down: waits,
                state: state.as_str(),
            });
        }
    }

    /// Does nothing succeed?
    pub(crate) fn is_outage(&self) -> bool {
        self.pacer().state(self.now()) == State::Outage
    }

    /// What the server told of its limit.
    pub(crate) fn told(&self, quotas: &[Quota]) {
        if !quotas.is_empty() {
            self.pacer().told(quotas, self.now());
        }
    }

    fn show(&self, rate: Option<f64>, state: State) {
        let Some(now) = rate else { return };
        let mut shown = threads::lock(&self.shown);
        let is_news = shown.is_none_or(|(before, before_state)| {
            before_state != state || (now - before).abs() > before * SHOWN_CHANGE
        });
        if is_news {
            *shown = Some((now, state));
            self.events.send(Event::Pace {
                rate,
                cooling_down: None,
                state: state.as_str(),
            });
        }
    }

    /// What there is to remember.
    pub(crate) fn learned(&self) -> Option<Learned> {
        self.pacer().learned()
    }
}

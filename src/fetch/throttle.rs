//! The pacer in real time. Requests wait here for permission to be sent, first come, first served, except for one
//! request that tests whether the server works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::api::reply::Reply;
use crate::event::{Event, Events};
use crate::fetch::classify::{Verdict, classify};
use crate::pacer::controller::Pacer;
use crate::pacer::types::{
    LearnedRate, Pace, PacerState, RequestEnd, SendDecision, SentRequest, ServerQuota,
};
use crate::threads;

/// The smallest relative change of the rate that is reported.
const SHOWN_CHANGE: f64 = 0.05;

/// The throttle.
#[derive(Debug)]
pub(crate) struct Throttle {
    start: Instant,
    pacer: Mutex<Pacer>,
    /// Held by the request that is next, also while it waits. So a change of the rate applies at once, and no request
    /// overtakes another.
    turn: tokio::sync::Mutex<()>,
    /// Whether a request goes ahead of the one that is next.
    has_priority_turn: AtomicBool,
    /// Notified when that request was sent.
    priority_turn_ended: Notify,
    /// What was reported last.
    shown: Mutex<Option<(f64, PacerState)>>,
    /// Notified when a request has ended.
    ended: Notify,
    events: Events,
}

/// Permission to send one request. If it is dropped before its request has [ended](RequestPermit::end), such as when the
/// run is cancelled, its place is released, and the pacer learns nothing from it.
#[derive(Debug)]
pub(crate) struct RequestPermit<'t> {
    throttle: &'t Throttle,
    sent: SentRequest,
    has_ended: bool,
}

impl RequestPermit<'_> {
    /// When the permission was given, and the request sent.
    pub(crate) fn sent_at(&self) -> Duration {
        self.sent.at
    }

    /// The request has ended with this reply. The pacer learns all that it says of the rate. Returns what it means to the
    /// request.
    pub(crate) fn end<T>(mut self, reply: &Reply<T>) -> Verdict {
        self.has_ended = true;
        let verdict = classify(reply);
        self.throttle
            .end(self.sent, verdict.request_end(), &reply.quotas);
        verdict
    }
}

impl Drop for RequestPermit<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.throttle.release(self.sent);
        }
    }
}

/// While this exists, a request goes ahead of all others.
struct PriorityTurn<'t>(&'t Throttle);

impl<'t> PriorityTurn<'t> {
    fn of(throttle: &'t Throttle) -> Self {
        throttle.has_priority_turn.store(true, Ordering::Release);
        Self(throttle)
    }
}

impl Drop for PriorityTurn<'_> {
    fn drop(&mut self) {
        self.0.has_priority_turn.store(false, Ordering::Release);
        self.0.priority_turn_ended.notify_waiters();
    }
}

impl Throttle {
    pub(crate) fn new(pacer: Pacer, events: Events) -> Self {
        Self {
            start: Instant::now(),
            pacer: Mutex::new(pacer),
            turn: tokio::sync::Mutex::new(()),
            has_priority_turn: AtomicBool::new(false),
            priority_turn_ended: Notify::new(),
            shown: Mutex::new(None),
            ended: Notify::new(),
            events,
        }
    }

    /// The pacer is plain numbers, which stay valid after a panic.
    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        threads::lock(&self.pacer)
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for permission to send.
    pub(crate) async fn permit(&self) -> RequestPermit<'_> {
        let _turn = self.turn.lock().await;
        loop {
            // From here on, no notification is missed.
            let priority_turn_ended = self.priority_turn_ended.notified();
            if self.has_priority_turn.load(Ordering::Acquire) {
                priority_turn_ended.await;
            } else if let Some(permit) = self.try_permit().await {
                return permit;
            }
        }
    }

    /// Waits for permission to send ahead of all others. Only one request at a time may do this.
    pub(crate) async fn priority_permit(&self) -> RequestPermit<'_> {
        let _turn = PriorityTurn::of(self);
        loop {
            if let Some(permit) = self.try_permit().await {
                return permit;
            }
        }
    }

    /// Permission to send, or `None` after a wait.
    async fn try_permit(&self) -> Option<RequestPermit<'_>> {
        // From here on, no notification is missed.
        let ended = self.ended.notified();
        let now = self.now();
        let (take, rate, state) = {
            let mut pacer = self.pacer();
            (pacer.take(now), pacer.rate(now), pacer.state(now))
        };
        match take {
            SendDecision::Now(sent) => {
                self.show(rate, state);
                return Some(RequestPermit {
                    throttle: self,
                    sent,
                    has_ended: false,
                });
            }
            SendDecision::At(due) => {
                // A request that ends meanwhile may change when the next one is due.
                tokio::select! {
                    () = tokio::time::sleep(due.saturating_sub(now)) => {}
                    () = ended, if state != PacerState::Steady => {}
                }
            }
            SendDecision::AfterResponse => ended.await,
        }
        None
    }

    fn end(&self, sent: SentRequest, end: RequestEnd, quotas: &[ServerQuota]) {
        let changed = self.pacer().end(sent, self.now(), end, quotas);
        // A request that waits may be due at another time now.
        self.ended.notify_waiters();
        if let Some(pace) = changed {
            *threads::lock(&self.shown) = pace.rate.map(|rate| (rate, pace.state));
            self.events.send(Event::Pace(pace));
        }
    }

    fn release(&self, sent: SentRequest) {
        self.pacer().release(sent);
        self.ended.notify_waiters();
    }

    /// Whether nothing succeeds.
    pub(crate) fn is_outage(&self) -> bool {
        self.pacer().state(self.now()) == PacerState::Outage
    }

    fn show(&self, rate: Option<f64>, state: PacerState) {
        let Some(now) = rate else { return };
        let mut shown = threads::lock(&self.shown);
        let is_news = shown.is_none_or(|(before, before_state)| {
            before_state != state || (now - before).abs() > before * SHOWN_CHANGE
        });
        if is_news {
            *shown = Some((now, state));
            self.events.send(Event::Pace(Pace {
                rate,
                cooling_down: None,
                state,
            }));
        }
    }

    /// What was learned of the rate, if anything.
    pub(crate) fn learned(&self) -> Option<LearnedRate> {
        self.pacer().learned()
    }
}

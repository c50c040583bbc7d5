//! The pacer in real time: requests wait here for their token, first come, first served.
//! Depends on `pace` and `event`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Rate;
use super::pace::{Pacer, Take};
use crate::event::{Event, Events};

/// Changes of the rate are shown when they are at least this large.
const SHOWN_CHANGE: f64 = 0.05;

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    start: Instant,
    pacer: Mutex<Pacer>,
    /// Held by whoever is next, also while waiting: so a change of the rate applies at once, and
    /// nobody overtakes.
    turn: tokio::sync::Mutex<Option<f64>>,
    events: Events,
}

impl Gate {
    pub(super) fn new(rate: Rate, events: Events) -> Self {
        Self {
            start: Instant::now(),
            pacer: Mutex::new(Pacer::new(rate)),
            turn: tokio::sync::Mutex::new(None),
            events,
        }
    }

    /// A thread that panicked has left the pacer whole: it is plain numbers.
    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        self.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for a token; gives the time at which it was had.
    pub(super) async fn pass(&self) -> Duration {
        let mut shown = self.turn.lock().await;
        loop {
            let now = self.now();
            let (take, rate) = {
                let mut pacer = self.pacer();
                (pacer.take(now), pacer.rate())
            };
            match take {
                Take::Now => {
                    self.show(&mut shown, rate);
                    return now;
                }
                Take::At(due) => tokio::time::sleep(due.saturating_sub(now)).await,
            }
        }
    }

    fn show(&self, shown: &mut Option<f64>, rate: Option<f64>) {
        let Some(now) = rate else { return };
        if shown.is_none_or(|before| (now - before).abs() > before * SHOWN_CHANGE) {
            *shown = rate;
            self.events.send(Event::Pace {
                rate,
                cooling_down: None,
            });
        }
    }

    /// The server objected to a request that passed at `sent`.
    pub(super) fn objected(&self, sent: Duration, retry_after: Option<Duration>) {
        let now = self.now();
        let mut pacer = self.pacer();
        if pacer.objected(sent, now, retry_after) {
            let (rate, cooling_down) = (pacer.rate(), pacer.cooling_down(now));
            drop(pacer);
            self.events.send(Event::Pace { rate, cooling_down });
        }
    }

    /// Nothing succeeds any more, or something does again. Is that news?
    pub(super) fn set_outage(&self, outage: bool) -> bool {
        self.pacer().set_outage(outage)
    }

    /// The rate at the end of the run.
    pub(super) fn rate(&self) -> Option<f64> {
        self.pacer().rate()
    }
}

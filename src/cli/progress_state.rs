//! What the display knows of a run: counts, speeds, and the state of the server. Pure: time passes in.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Event;
use crate::pacer::types::PacerState;

/// Speeds are averages over this time: they follow the pacer, and no pause before it distorts them.
const SPEED_WINDOW: Duration = Duration::from_secs(15);

/// A time left needs a speed over at least this time.
const MIN_WINDOW: Duration = Duration::from_secs(1);

/// A longer time between two looks means that the process or its terminal was stopped.
const GAP: Duration = Duration::from_secs(3);

/// How far a run was at one time.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Duration,
    tasks: usize,
    requests: u64,
}

/// An outage of the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiOutage {
    /// When the last success was.
    pub(crate) since: Duration,
    /// Time without a success after which the run gives up.
    pub(crate) give_up_after: Duration,
}

/// Counts for the display. Times are those since the start of the run.
#[derive(Debug, Default)]
pub(crate) struct ProgressState {
    /// Whether the job sends no requests.
    pub(crate) offline: bool,
    /// Tasks in all; 0 while that is unknown.
    pub(crate) total: usize,
    pub(crate) done: usize,
    /// Of these, tasks of this run.
    done_now: usize,
    requests: u64,
    pub(crate) in_flight: i64,
    pub(crate) retries: u64,
    pub(crate) failed: u64,
    /// Requests per second that the pacer allows.
    pub(crate) rate: Option<f64>,
    cooling_until: Option<Duration>,
    /// What the pacer is doing, once it was reported.
    pub(crate) pacer: Option<PacerState>,
    pub(crate) phase: Option<&'static str>,
    pub(crate) outage: Option<ApiOutage>,
    /// Bytes still to be written, and free bytes, when these are too few.
    pub(crate) space: Option<(u64, u64)>,
    /// Within the window of the speeds, the oldest first.
    marks: VecDeque<Mark>,
    last_tick: Duration,
}

impl ProgressState {
    pub(crate) fn new(offline: bool) -> Self {
        Self {
            offline,
            ..Self::default()
        }
    }

    pub(crate) fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Planned {
                requested, kept, ..
            } => {
                self.total = *requested;
                self.done = *kept;
                self.done_now = 0;
                // Tasks that were kept took no time of this run.
                self.restart_window(now);
                self.phase = None;
            }
            Event::RequestSent => self.in_flight += 1,
            Event::RequestDone { .. } => {
                self.in_flight -= 1;
                self.requests += 1;
            }
            Event::Retry { .. } => self.retries += 1,
            Event::Pace(pace) => {
                self.pacer = Some(pace.state);
                self.rate = pace.rate;
                self.cooling_until = pace.cooling_down.map(|wait| now + wait);
            }
            Event::Outage {
                silence,
                give_up_after,
            } => {
                self.outage = Some(ApiOutage {
                    since: now.saturating_sub(*silence),
                    give_up_after: *give_up_after,
                });
            }
            Event::OutageOver => {
                self.outage = None;
                self.restart_window(now);
            }
            Event::TaskFetched => {
                self.done += 1;
                self.done_now += 1;
            }
            Event::TaskFailed { .. } => {
                self.done += 1;
                self.done_now += 1;
                self.failed += 1;
            }
            Event::Phase(phase) => self.phase = Some(phase),
            Event::Space { needed, free } => self.space = needed.map(|needed| (needed, *free)),
            Event::Progress { done, total } => self.progress(*done, *total, now),
            Event::TasksFlattened(done) if self.offline && self.total > 0 => {
                self.progress(*done, Some(self.total), now);
            }
            Event::TasksFlattened(_) | Event::Warning(_) | Event::Detail(_) => {}
        }
    }

    fn progress(&mut self, done: usize, total: Option<usize>, now: Duration) {
        // Each part of an offline job counts from zero.
        let is_next_part = done < self.done_now;
        self.done = done;
        self.done_now = done;
        self.total = total.unwrap_or_default();
        if is_next_part {
            self.restart_window(now);
        }
    }

    /// Looks at the clock, for the speeds. Call it at least once per second.
    pub(crate) fn tick(&mut self, now: Duration) {
        if now.saturating_sub(self.last_tick) > GAP {
            self.restart_window(now);
        }
        self.last_tick = now;
        let mark = self.mark(now);
        self.marks.push_back(mark);
        while self
            .marks
            .get(1)
            .is_some_and(|mark| now.saturating_sub(mark.at) >= SPEED_WINDOW)
        {
            self.marks.pop_front();
        }
    }

    fn mark(&self, now: Duration) -> Mark {
        Mark {
            at: now,
            tasks: self.done_now,
            requests: self.requests,
        }
    }

    /// Forgets the speeds of before.
    fn restart_window(&mut self, now: Duration) {
        self.marks.clear();
        let mark = self.mark(now);
        self.marks.push_back(mark);
    }

    /// The start of the window, and its length.
    fn window(&self, now: Duration) -> (Mark, Duration) {
        let from = self.marks.front().copied().unwrap_or_default();
        (from, now.saturating_sub(from.at))
    }

    /// Tasks per second.
    pub(crate) fn tasks_per_second(&self, now: Duration) -> f64 {
        let (from, window) = self.window(now);
        per_second(self.done_now.saturating_sub(from.tasks) as u64, window)
    }

    /// Requests per second.
    pub(crate) fn requests_per_second(&self, now: Duration) -> f64 {
        let (from, window) = self.window(now);
        per_second(self.requests - from.requests, window)
    }

    /// The time until all tasks are done, at the speed of the window.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn time_left(&self, now: Duration) -> Option<Duration> {
        let left = self.total.checked_sub(self.done).filter(|left| *left > 0)?;
        let (_, window) = self.window(now);
        let is_known = window >= MIN_WINDOW && self.outage.is_none();
        let seconds = left as f64 / self.tasks_per_second(now);
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|_| is_known)
    }

    /// The share of tasks that are done, in percent.
    pub(crate) fn percent(&self) -> Option<usize> {
        (self.done * 100).checked_div(self.total)
    }

    /// How long all requests still wait because the server rate-limits them.
    pub(crate) fn cooling(&self, now: Duration) -> Option<Duration> {
        self.cooling_until?
            .checked_sub(now)
            .filter(|wait| !wait.is_zero())
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn per_second(count: u64, window: Duration) -> f64 {
    if window.is_zero() {
        0.0
    } else {
        count as f64 / window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A run that fetches 10 of 1,000 tasks in each second from `from` to `until`.
    fn run(state: &mut ProgressState, from: u32, until: u32) {
        for second in from..until {
            for _ in 0..10 {
                state.take(&Event::RequestSent, SECOND * second);
                let done = Event::RequestDone {
                    status: Some(200),
                    bytes: 1,
                };
                state.take(&done, SECOND * second);
                state.take(&Event::TaskFetched, SECOND * second);
            }
            state.tick(SECOND * (second + 1));
        }
    }

    fn planned() -> ProgressState {
        let mut state = ProgressState::default();
        let planned = Event::Planned {
            requested: 1_000,
            kept: 0,
            duplicates: 0,
            listed: false,
            again: crate::event::AgainCounts::default(),
        };
        state.take(&planned, Duration::ZERO);
        state
    }

    #[test]
    fn speeds_and_the_time_left_are_those_of_the_window() {
        let mut state = planned();
        assert_eq!(state.time_left(Duration::ZERO), None);
        run(&mut state, 0, 20);
        let now = SECOND * 20;
        assert!((state.tasks_per_second(now) - 10.0).abs() < 0.01);
        assert!((state.requests_per_second(now) - 10.0).abs() < 0.01);
        assert_eq!(state.time_left(now), Some(SECOND * 80));
        assert_eq!(state.percent(), Some(20));
    }

    #[test]
    fn no_time_left_is_computed_over_a_gap() {
        let mut state = planned();
        run(&mut state, 0, 20);
        // The process was stopped for an hour.
        let now = SECOND * 3_620;
        state.tick(now);
        assert_eq!(state.time_left(now), None);
        run(&mut state, 3_620, 3_625);
        let left = state.time_left(SECOND * 3_625).unwrap();
        assert!(left < SECOND * 80, "{left:?}");
    }

    #[test]
    fn no_time_left_is_computed_during_an_outage() {
        let mut state = planned();
        run(&mut state, 0, 20);
        let outage = Event::Outage {
            silence: SECOND * 2,
            give_up_after: SECOND * 300,
        };
        state.take(&outage, SECOND * 22);
        assert_eq!(state.time_left(SECOND * 22), None);
        assert_eq!(state.outage.unwrap().since, SECOND * 20);
        state.take(&Event::OutageOver, SECOND * 60);
        assert_eq!(state.time_left(SECOND * 60), None);
        run(&mut state, 60, 65);
        assert_eq!(state.time_left(SECOND * 65), Some(SECOND * 75));
    }
}

//! What a person sees while it runs: a bar on a terminal, a line every 10 s elsewhere, log lines.
//! One consumer of the stream of events. The only file that names `indicatif`.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::messages::{json_line, write_stderr};
use crate::cli::shared_args::{LogFormatArg, ProgressArg};
use crate::cli::value_parsers::{rate_text, short_rate_text};
use crate::event::{Event, bytes_text};
use crate::jobs::error::ExportError;
use crate::printable::printable;
use crate::threads;

/// The bar is drawn this often: steady to the eye, and no cost.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// And this often where it goes into something that is no terminal.
const FORCED_DRAWS_A_SECOND: u8 = 5;

/// Off a terminal, a line this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Speed is that of this long: it follows the pacer, and no pause of before distorts it.
const SPEED_WINDOW: Duration = Duration::from_secs(15);

/// Failed IDs that are told one by one, unless `-v` is given; all stand in `failures.jsonl`.
const TOLD_FAILURES: u64 = 10;

/// How the display looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DisplayOptions {
    pub(crate) progress: ProgressArg,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) log_format: LogFormatArg,
    /// Does the job ask no server?
    pub(crate) offline: bool,
}

/// Counts for the display.
#[derive(Debug, Default)]
struct Counts {
    offline: bool,
    total: usize,
    done: usize,
    /// When how many of this run's tasks were done, within the window of the speed.
    recent: VecDeque<(Duration, usize)>,
    done_now: usize,
    in_flight: i64,
    retries: u64,
    failed: u64,
    rate: Option<f64>,
    cooling_until: Option<Instant>,
    /// What the pacer is doing.
    state: &'static str,
    phase: Option<&'static str>,
    /// Bytes that are still to be written, and bytes that are free, when they are too few.
    space: Option<(u64, u64)>,
}

impl Counts {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Planned {
                requested, held, ..
            } => {
                self.total = *requested;
                self.done = *held;
                self.done_now = 0;
                self.recent.clear();
                self.phase = None;
            }
            Event::RequestSent => self.in_flight += 1,
            Event::RequestDone { .. } => self.in_flight -= 1,
            Event::Retry { .. } => self.retries += 1,
            Event::Pace {
                rate,
                cooling_down,
                state,
            } => {
                self.state = state;
                self.rate = *rate;
                self.cooling_until = cooling_down.map(|wait| Instant::now() + wait);
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
            Event::Progress { done, total } => self.progress(*done, *total),
            Event::TasksFlattened(done) if self.offline && self.total > 0 => {
                self.progress(*done, Some(self.total));
            }
            Event::TasksFlattened(_) | Event::Warning(_) | Event::Detail(_) => {}
        }
    }

    fn progress(&mut self, done: usize, total: Option<usize>) {
        if done < self.done_now {
            // Another part of the job begins.
            self.recent.clear();
        }
        self.done = done;
        self.done_now = done;
        self.total = total.unwrap_or_default();
    }

    /// Takes note of the time, for the speed.
    fn tick(&mut self, elapsed: Duration) {
        self.recent.push_back((elapsed, self.done_now));
        while self
            .recent
            .get(1)
            .is_some_and(|(at, _)| elapsed.saturating_sub(*at) >= SPEED_WINDOW)
        {
            self.recent.pop_front();
        }
    }

    /// Tasks a second, lately.
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    fn speed(&self, elapsed: Duration) -> f64 {
        let (from, done_then) = self.recent.front().copied().unwrap_or_default();
        let window = elapsed.saturating_sub(from).as_secs_f64();
        self.done_now.saturating_sub(done_then) as f64 / window.max(0.001)
    }

    /// How far it is: done, speed, time left.
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    fn how_far(&self, elapsed: Duration) -> String {
        if self.offline && self.done == 0 {
            return self.phase.unwrap_or_default().to_owned();
        }
        let speed = self.speed(elapsed);
        let digits = usize::from(speed < 10.0);
        let of_total = match self.total {
            0 => String::new(),
            total => format!("/{total}"),
        };
        let mut text = format!("{}{of_total} tasks, {speed:.digits$}/s", self.done);
        let left = self.total.saturating_sub(self.done);
        let seconds = Duration::try_from_secs_f64(left as f64 / speed);
        if let Some(time) = seconds.ok().filter(|_| left > 0) {
            text += &format!(", {} left", left_text(time));
        }
        text
    }

    fn cooling(&self) -> Option<Duration> {
        self.cooling_until?.checked_duration_since(Instant::now())
    }

    /// How it goes: requests in flight, retries, failures, and what the pacer does.
    fn how_it_goes(&self) -> String {
        if self.offline {
            return self
                .phase
                .filter(|_| self.done > 0)
                .unwrap_or_default()
                .to_owned();
        }
        let mut text = format!(
            "{} in flight, {} retries, {} failed",
            self.in_flight.max(0),
            self.retries,
            self.failed
        );
        if let Some(wait) = self.cooling() {
            let seconds = wait.as_secs_f64().ceil();
            text += &format!(", told to slow down: waiting {seconds:.0} s");
        } else if let Some(rate) = self.rate {
            text += &format!(", pace {}", short_rate_text(rate));
            if !matches!(self.state, "" | "steady") {
                text += &format!(", {}", self.state);
            }
        }
        if let Some(phase) = self.phase {
            text += &format!(", {phase}");
        }
        text
    }

    /// What the disk would need to have, when it has not.
    fn space_text(&self) -> Option<String> {
        let (needed, free) = self.space?;
        let (needed, free) = (bytes_text(needed), bytes_text(free));
        Some(format!("about {needed} still to be written, {free} free"))
    }

    /// The same for a program.
    fn fields(&self, elapsed: Duration) -> Value {
        json!({
            "done": self.done,
            "total": self.total,
            "tasks_per_second": self.speed(elapsed),
            "in_flight": self.in_flight.max(0),
            "retries": self.retries,
            "failed": self.failed,
            "rate": self.rate,
            "pace": self.state,
            "cooling_down": self.cooling().map(|wait| wait.as_secs_f64()),
            "bytes_needed": self.space.map(|(needed, _)| needed),
            "bytes_free": self.space.map(|(_, free)| free),
        })
    }
}

fn left_text(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Consumes events on a thread of its own until their senders are gone.
#[derive(Debug)]
pub(crate) struct Display {
    thread: JoinHandle<()>,
}

impl Display {
    pub(crate) fn start(
        events: Receiver<Event>,
        options: DisplayOptions,
    ) -> Result<Self, ExportError> {
        let show = move || Screen::new(options).run(&events);
        let thread = threads::builder().spawn(show);
        let thread = thread.map_err(ExportError::Thread)?;
        Ok(Self { thread })
    }

    /// Waits until everything is shown. All senders of events must be gone by then.
    pub(crate) fn finish(self) {
        self.thread.thread().unpark();
        // A display that panicked has nothing more to show; the run's result stands without it.
        let _ = self.thread.join();
    }
}

/// Changes of the pace are told when they are at least this large, and waits when they are at least this long.
const TOLD_CHANGE: f64 = 0.2;
const TOLD_WAIT: Duration = Duration::from_secs(1);

struct Screen {
    options: DisplayOptions,
    bar: Option<ProgressBar>,
    show_lines: bool,
    started: Instant,
    counts: Counts,
    /// The pace that was told last.
    told_rate: Option<f64>,
}

impl Screen {
    fn new(options: DisplayOptions) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let wants = !options.quiet && options.progress != ProgressArg::Never;
        let is_text = options.log_format == LogFormatArg::Text;
        let forced = options.progress == ProgressArg::Always;
        let bar = (wants && is_text && (is_terminal || forced)).then(|| {
            let target = if is_terminal {
                ProgressDrawTarget::stderr()
            } else {
                // The plain target draws on terminals only.
                let terminal = Box::new(Term::buffered_stderr());
                ProgressDrawTarget::term_like_with_hz(terminal, FORCED_DRAWS_A_SECOND)
            };
            let bar = ProgressBar::with_draw_target(None, target);
            let colored =
                is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let template = if colored {
                "{bar:24.cyan/dim} {msg}\n{prefix}"
            } else {
                "{bar:24} {msg}\n{prefix}"
            };
            bar.with_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        let show_lines = wants && bar.is_none();
        Self {
            options,
            bar,
            show_lines,
            started: Instant::now(),
            counts: Counts {
                offline: options.offline,
                ..Counts::default()
            },
            told_rate: None,
        }
    }

    fn run(mut self, events: &Receiver<Event>) {
        let mut shown = Instant::now();
        'shown: loop {
            match events.recv_timeout(DRAW_INTERVAL) {
                Ok(event) => {
                    self.see(&event);
                    // The rest of what has gathered; then sleep, so that a fast run does not wake this
                    // thread for every request, until there is nothing more to come.
                    loop {
                        match events.try_recv() {
                            Ok(event) => self.see(&event),
                            Err(TryRecvError::Empty) => break,
                            Err(TryRecvError::Disconnected) => break 'shown,
                        }
                    }
                    std::thread::park_timeout(DRAW_INTERVAL / 2);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.draw(&mut shown);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, shown: &mut Instant) {
        let elapsed = self.started.elapsed();
        self.counts.tick(elapsed);
        if let Some(bar) = &self.bar {
            // While it is not known how much there is, nothing of it is done.
            let (done, total) = match self.counts.total {
                0 => (0, 1),
                total => (self.counts.done, total),
            };
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(self.counts.how_far(elapsed));
            let mut lines = self.counts.how_it_goes();
            if let Some(space) = self.counts.space_text() {
                lines += &format!("\n{space}");
            }
            bar.set_prefix(lines);
        } else if self.show_lines && shown.elapsed() >= LINE_INTERVAL {
            *shown = Instant::now();
            let how_far = self.counts.how_far(elapsed);
            let space = self.counts.space_text().unwrap_or_default();
            let parts = [how_far, self.counts.how_it_goes(), space];
            let said: Vec<&str> = parts
                .iter()
                .map(String::as_str)
                .filter(|part| !part.is_empty())
                .collect();
            let line = said.join(", ");
            self.log("progress", &line, &self.counts.fields(elapsed));
        }
    }

    fn see(&mut self, event: &Event) {
        self.counts.take(event);
        let verbose = self.options.verbose;
        let quiet = self.options.quiet;
        match event {
            Event::Planned { requested, held, listed: false, .. } if *held > 0 && !quiet => {
                let text = match requested - held {
                    0 => format!("all {requested} tasks are here already; the tables are made anew"),
                    wanted => format!("{held} of {requested} tasks are here already; {wanted} are to be fetched"),
                };
                self.log(
                    "resumed",
                    &text,
                    &json!({"held": held, "requested": requested}),
                );
            }
            Event::Warning(text) if !quiet => self.log("warning", text, &json!({})),
            Event::Detail(text) if verbose => self.log("detail", text, &json!({})),
            Event::Retry { asked, attempts, delay, reason } if verbose => self.log(
                "retry",
                &format!("{asked}: {reason}; attempt {attempts}, again in {:.1} s", delay.as_secs_f64()),
                &json!({"task_id": asked.task_id(), "asked": asked.to_string(), "attempts": attempts, "delay": delay.as_secs_f64(), "reason": reason}),
            ),
            Event::TaskFailed { .. } if !verbose && self.counts.failed == TOLD_FAILURES + 1 && !quiet => {
                let text = "further failures are not shown one by one; -v shows all";
                self.log("failed", text, &json!({}));
            }
            Event::TaskFailed { task_id, kind, message }
                if !quiet && (verbose || self.counts.failed <= TOLD_FAILURES) =>
            {
                self.log(
                    "failed",
                    &format!("task {task_id} failed ({kind}): {message}"),
                    &json!({"task_id": task_id, "kind": kind, "reason": message}),
                );
            }
            Event::Pace { rate, cooling_down, state } if verbose && self.is_news(*rate, *cooling_down) => {
                let pace = rate.map_or_else(|| "no limit".to_owned(), rate_text);
                let text = match cooling_down {
                    Some(wait) if *wait >= TOLD_WAIT => {
                        format!("the server objects: {pace} after {:.1} s", wait.as_secs_f64())
                    }
                    Some(_) => format!("the server objects: {pace}"),
                    None => format!("pace: {pace}, {state}"),
                };
                let cooling_down = cooling_down.map(|wait| wait.as_secs_f64());
                self.log("pace", &text, &json!({"rate": rate, "cooling_down": cooling_down, "state": state}));
            }
            _ => {}
        }
    }

    /// Is a change of the pace worth a line? Trials that come to nothing are not.
    fn is_news(&mut self, rate: Option<f64>, wait: Option<Duration>) -> bool {
        let has_changed = match (self.told_rate, rate) {
            (Some(told), Some(rate)) => (rate - told).abs() > told * TOLD_CHANGE,
            (told, rate) => told != rate,
        };
        let is_news = has_changed || wait.is_some_and(|wait| wait >= TOLD_WAIT);
        if is_news {
            self.told_rate = rate;
        }
        is_news
    }

    fn log(&self, event: &str, text: &str, fields: &Value) {
        let line = match self.options.log_format {
            LogFormatArg::Text if event == "warning" => printable(&format!("warning: {text}")),
            LogFormatArg::Text => printable(text),
            LogFormatArg::Json => json_line(event, text, fields),
        };
        match &self.bar {
            Some(bar) => bar.suspend(|| write_stderr(&line)),
            None => write_stderr(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacer::types::State;

    #[test]
    fn a_line_says_what_goes_on() {
        let mut counts = Counts::default();
        counts.take(&Event::Planned {
            requested: 300,
            held: 100,
            duplicates: 0,
            listed: false,
        });
        for _ in 0..50 {
            counts.take(&Event::RequestSent);
            counts.take(&Event::RequestDone {
                status: Some(200),
                bytes: 1,
            });
            counts.take(&Event::TaskFetched);
        }
        counts.take(&Event::RequestSent);
        counts.take(&Event::Pace {
            rate: Some(12.34),
            cooling_down: None,
            state: "steady",
        });
        let now = Duration::from_secs(10);
        assert_eq!(counts.how_far(now), "150/300 tasks, 5.0/s, 30 s left");
        assert_eq!(
            counts.how_it_goes(),
            "1 in flight, 0 retries, 0 failed, pace 12.3/s"
        );
        // Time that nothing was done in is forgotten, once the window has moved on.
        for second in 10..40 {
            counts.tick(Duration::from_secs(second));
        }
        counts.take(&Event::TaskFailed {
            task_id: "task_1".into(),
            kind: "not_found",
            message: String::new(),
        });
        assert_eq!(
            counts.how_far(Duration::from_secs(40)),
            "151/300 tasks, 0.1/s, 39 min 44 s left"
        );
    }

    #[test]
    fn a_disk_that_is_too_small_is_told_until_it_is_not() {
        let mut counts = Counts::default();
        assert_eq!(counts.space_text(), None);
        counts.take(&Event::Space {
            needed: Some(12_345_678_901),
            free: 4_000_000,
        });
        let text = "about 12.35 GB still to be written, 4.0 MB free";
        assert_eq!(counts.space_text().as_deref(), Some(text));
        let fields = counts.fields(Duration::from_secs(1));
        assert_eq!(fields["bytes_needed"], 12_345_678_901_u64);
        counts.take(&Event::Space {
            needed: None,
            free: 20_000_000_000,
        });
        assert_eq!(counts.space_text(), None);
    }

    /// As in the templates.
    const BAR_WIDTH: usize = 24;

    #[test]
    fn a_large_run_fits_a_terminal_of_80_columns() {
        let counts = Counts {
            total: 1_000_000,
            done: 123_456,
            done_now: 1_234,
            in_flight: 1_024,
            retries: 12_345,
            failed: 1_234,
            cooling_until: Some(Instant::now() + Duration::from_mins(5)),
            rate: Some(12_345.6),
            state: State::Trying.as_str(),
            ..Counts::default()
        };
        let far = counts.how_far(Duration::from_secs(10));
        assert!(BAR_WIDTH + 1 + far.len() <= 80, "{far}");
        let waits = counts.how_it_goes();
        assert!(
            waits.len() <= 80 && waits.contains("waiting 300 s"),
            "{waits}"
        );
        let mut counts = Counts {
            cooling_until: None,
            ..counts
        };
        for state in [
            State::Climbing,
            State::Searching,
            State::Trying,
            State::Told,
            State::Counted,
            State::Waiting,
            State::Outage,
        ] {
            counts.state = state.as_str();
            let goes = counts.how_it_goes();
            assert!(goes.len() <= 80 && goes.ends_with(state.as_str()), "{goes}");
        }
    }
}

//! What a person sees while it runs: a bar on a terminal, a line every 10 s elsewhere, log lines.
//! One consumer of the stream of events. The only file that names `indicatif`.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::args::{LogFormatArg, ProgressArg};
use crate::event::Event;

/// The bar is drawn this often: steady to the eye, and no cost.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// And this often where it goes into something that is no terminal.
const FORCED_DRAWS_A_SECOND: u8 = 5;

/// Off a terminal, a line this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How the display looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct DisplayOptions {
    pub(super) progress: ProgressArg,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    pub(super) log_format: LogFormatArg,
}

/// Counts for the display.
#[derive(Debug, Default)]
struct Counts {
    total: usize,
    done: usize,
    fetched_now: usize,
    in_flight: i64,
    retries: u64,
    failed: u64,
    rate: Option<f64>,
    cooling_until: Option<Instant>,
    phase: Option<&'static str>,
}

impl Counts {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Planned {
                requested, held, ..
            } => {
                self.total = *requested;
                self.done = *held;
            }
            Event::RequestSent => self.in_flight += 1,
            Event::RequestDone { .. } => self.in_flight -= 1,
            Event::Retry { .. } => self.retries += 1,
            Event::Pace { rate, cooling_down } => {
                self.rate = *rate;
                self.cooling_until = cooling_down.map(|wait| Instant::now() + wait);
            }
            Event::TaskFetched => {
                self.done += 1;
                self.fetched_now += 1;
            }
            Event::TaskFailed { .. } => {
                self.done += 1;
                self.failed += 1;
            }
            Event::Phase(phase) => self.phase = Some(phase),
            Event::TasksFlattened(_) | Event::Warning(_) | Event::Detail(_) => {}
        }
    }

    /// What goes on, in one line.
    fn line(&self, elapsed: Duration) -> String {
        let speed = rate_of(self.fetched_now, elapsed);
        let left = self.total.saturating_sub(self.done);
        let mut line = format!("{}/{} tasks, {speed:.0}/s", self.done, self.total);
        if speed > 0.0 && left > 0 {
            line += &format!(", {} left", left_text(rate_left(left, speed)));
        }
        line += &format!(
            ", {} in flight, {} retries, {} failed",
            self.in_flight.max(0),
            self.retries,
            self.failed
        );
        let cooling = self
            .cooling_until
            .and_then(|until| until.checked_duration_since(Instant::now()));
        if let Some(wait) = cooling {
            line += &format!(
                ", the server asked to slow down: waiting {:.0} s",
                wait.as_secs_f64().ceil()
            );
        } else if let Some(rate) = self.rate {
            line += &format!(", pace {rate:.1}/s");
        }
        if let Some(phase) = self.phase {
            line += &format!(", {phase}");
        }
        line
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn rate_of(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(0.001)
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn rate_left(left: usize, speed: f64) -> Duration {
    Duration::try_from_secs_f64(left as f64 / speed).unwrap_or(Duration::MAX)
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
pub(super) struct Display {
    thread: JoinHandle<()>,
}

impl Display {
    pub(super) fn start(events: Receiver<Event>, options: DisplayOptions) -> Self {
        Self {
            thread: std::thread::spawn(move || Screen::new(options).run(&events)),
        }
    }

    /// Waits until everything is shown. All senders of events must be gone by then.
    pub(super) fn finish(self) {
        // A display that panicked has nothing more to show; the run's result stands without it.
        let _ = self.thread.join();
    }
}

struct Screen {
    options: DisplayOptions,
    bar: Option<ProgressBar>,
    show_lines: bool,
    started: Instant,
    counts: Counts,
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
                "{bar:30.cyan/dim} {wide_msg}"
            } else {
                "{bar:30} {wide_msg}"
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
            counts: Counts::default(),
        }
    }

    fn run(mut self, events: &Receiver<Event>) {
        let mut shown = Instant::now();
        loop {
            match events.recv_timeout(DRAW_INTERVAL) {
                Ok(event) => {
                    self.see(&event);
                    // The rest of what has gathered; then sleep, so that a fast run does not wake this
                    // thread for every request.
                    while let Ok(event) = events.try_recv() {
                        self.see(&event);
                    }
                    if self.counts.done < self.counts.total {
                        std::thread::sleep(DRAW_INTERVAL / 2);
                    }
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

    fn draw(&self, shown: &mut Instant) {
        let line = || self.counts.line(self.started.elapsed());
        if let Some(bar) = &self.bar {
            bar.set_length(self.counts.total as u64);
            bar.set_position(self.counts.done as u64);
            bar.set_message(line());
        } else if self.show_lines && shown.elapsed() >= LINE_INTERVAL {
            *shown = Instant::now();
            self.log("progress", &line(), &json!({}));
        }
    }

    fn see(&mut self, event: &Event) {
        self.counts.take(event);
        let verbose = self.options.verbose;
        match event {
            Event::Warning(text) if !self.options.quiet => self.log("warning", text, &json!({})),
            Event::Detail(text) if verbose => self.log("detail", text, &json!({})),
            Event::Retry { task_id, attempts, delay, reason } if verbose => self.log(
                "retry",
                &format!("task {task_id}: {reason}; attempt {attempts}, again in {:.1} s", delay.as_secs_f64()),
                &json!({"task_id": task_id, "attempts": attempts, "delay": delay.as_secs_f64(), "reason": reason}),
            ),
            Event::TaskFailed { task_id, kind, message } if !self.options.quiet => self.log(
                "failed",
                &format!("task {task_id} failed ({kind}): {message}"),
                &json!({"task_id": task_id, "kind": kind, "reason": message}),
            ),
            Event::Pace { rate, cooling_down } if verbose => {
                let pace = rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.1} requests a second"));
                let text = match cooling_down {
                    Some(wait) => format!("the server asked to slow down: {pace} after {:.1} s", wait.as_secs_f64()),
                    None => format!("pace: {pace}"),
                };
                self.log("pace", &text, &json!({"rate": rate}));
            }
            _ => {}
        }
    }

    fn log(&self, event: &str, text: &str, fields: &serde_json::Value) {
        let line = match self.options.log_format {
            LogFormatArg::Text if event == "warning" => format!("warning: {text}"),
            LogFormatArg::Text => text.to_owned(),
            LogFormatArg::Json => json_line(event, text, fields),
        };
        match &self.bar {
            Some(bar) => bar.suspend(|| write_stderr(&line)),
            None => write_stderr(&line),
        }
    }
}

/// A log line for a program: when, what, in words, and the fields by themselves.
pub(super) fn json_line(event: &str, message: &str, fields: &serde_json::Value) -> String {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut line = json!({"time": time.to_string(), "event": event, "message": message});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    line.to_string()
}

/// Writes a line to stderr. When nobody can read it any more, the run goes on without.
pub(super) fn write_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_goes_on() {
        let mut counts = Counts::default();
        counts.take(&Event::Planned {
            requested: 300,
            held: 100,
            duplicates: 0,
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
        });
        assert_eq!(
            counts.line(Duration::from_secs(10)),
            "150/300 tasks, 5/s, 30 s left, 1 in flight, 0 retries, 0 failed, pace 12.3/s"
        );
    }
}

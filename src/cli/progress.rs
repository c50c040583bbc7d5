//! The display of a run: a progress line on a terminal, a log line every 10 s elsewhere, and log lines for events.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::messages::{write_json, write_text};
use crate::cli::progress_state::ProgressState;
use crate::cli::progress_text::{LineStyle, fields, log_line, status_line, stopping_line};
use crate::cli::shared_args::{LogFormatArg, ProgressArg};
use crate::cli::status_line::{FREE_COLUMNS, StatusLine};
use crate::cli::terminal;
use crate::cli::terminal::Terminal;
use crate::cli::value_parsers::rate_text;
use crate::event::{AgainCounts, Event};
use crate::jobs::error::ExportError;
use crate::pacer::types::Pace;
use crate::printable::printable;
use crate::threads;

/// Time between two drawings: steady to the eye, at no cost.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two drawings into something that is not a terminal.
const FORCED_DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Time between two progress lines in a log.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Time between log lines with progress where a program requests them, to draw its display.
const FORCED_LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Failed IDs that are logged one by one without `-v`; `failures.jsonl` lists all.
const LOGGED_FAILURES: u64 = 10;

/// A change of the rate is logged from this share on, and a wait from this time on.
const LOGGED_CHANGE: f64 = 0.2;
const LOGGED_WAIT: Duration = Duration::from_secs(1);

/// How the display looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DisplayOptions {
    pub(crate) progress: ProgressArg,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) log_format: LogFormatArg,
    /// Whether the job sends no requests.
    pub(crate) offline: bool,
}

/// Consumes events on its own thread until their senders are gone.
#[derive(Debug)]
pub(crate) struct Display {
    thread: JoinHandle<()>,
}

impl Display {
    pub(crate) fn start(
        events: Receiver<Event>,
        options: DisplayOptions,
        cancel: CancellationToken,
    ) -> Result<Self, ExportError> {
        let show = move || Screen::new(options, cancel).run(&events);
        let thread = threads::builder().spawn(show);
        let thread = thread.map_err(ExportError::Thread)?;
        Ok(Self { thread })
    }

    /// Waits until everything is shown. All senders of events must be gone by then.
    pub(crate) fn finish(self) {
        self.thread.thread().unpark();
        // A display that panicked has nothing more to show; the result of the run stands without it.
        let _ = self.thread.join();
    }
}

struct Screen {
    options: DisplayOptions,
    /// Cancelled when the run stops early.
    cancel: CancellationToken,
    terminal: Terminal,
    line: Option<StatusLine>,
    draw_interval: Duration,
    logs_progress: bool,
    line_interval: Duration,
    started: Instant,
    state: ProgressState,
    /// When the progress was shown last.
    shown: Option<Instant>,
    /// The rate in the last log line about it.
    logged_rate: Option<f64>,
}

impl Screen {
    fn new(options: DisplayOptions, cancel: CancellationToken) -> Self {
        let terminal = terminal::stderr();
        let shows_progress = !options.quiet && options.progress != ProgressArg::Never;
        let is_text = options.log_format == LogFormatArg::Text;
        let is_forced = options.progress == ProgressArg::Always;
        // A line that is redrawn would not be valid JSON.
        let has_line = shows_progress && is_text && (terminal.is_interactive || is_forced);
        Self {
            options,
            cancel,
            terminal,
            line: has_line.then(StatusLine::default),
            // A file or a pipe keeps every line that was drawn.
            draw_interval: if terminal.is_interactive {
                DRAW_INTERVAL
            } else {
                FORCED_DRAW_INTERVAL
            },
            logs_progress: shows_progress && !has_line,
            line_interval: if is_forced {
                FORCED_LINE_INTERVAL
            } else {
                LINE_INTERVAL
            },
            started: Instant::now(),
            state: ProgressState::new(options.offline),
            shown: None,
            logged_rate: None,
        }
    }

    fn run(mut self, events: &Receiver<Event>) {
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
            self.draw();
        }
        if let Some(line) = &mut self.line {
            // The result of the run is printed in its place.
            line.clear();
        }
    }

    fn draw(&mut self) {
        let now = self.started.elapsed();
        self.state.tick(now);
        if let Some(line) = &mut self.line {
            let shown = self.shown.map(|shown| shown.elapsed());
            if shown.is_some_and(|elapsed| elapsed < self.draw_interval) {
                return;
            }
            self.shown = Some(Instant::now());
            // Each time, since a window can change its size.
            let columns = terminal::columns().saturating_sub(FREE_COLUMNS);
            let (text, columns) = if self.cancel.is_cancelled() {
                let text = stopping_line(columns);
                let columns = text.len();
                (text, columns)
            } else {
                let style = LineStyle {
                    columns,
                    has_color: self.terminal.has_color,
                    has_unicode: self.terminal.has_unicode,
                };
                status_line(&self.state, now, style)
            };
            line.draw(&text, columns);
        } else if self.logs_progress
            && self.shown.unwrap_or(self.started).elapsed() >= self.line_interval
        {
            self.shown = Some(Instant::now());
            let fields = fields(&self.state, now);
            self.log("progress", &log_line(&self.state, now), &fields);
        }
    }

    fn see(&mut self, event: &Event) {
        // Before the event is logged, since that depends on the counts.
        self.state.take(event, self.started.elapsed());
        let DisplayOptions { verbose, quiet, .. } = self.options;
        match event {
            Event::Planned {
                listed: false,
                kept,
                ..
            } if *kept > 0 && !quiet => self.log_plan(event),
            Event::Warning(text) if !quiet => self.log("warning", text, &json!({})),
            Event::Detail(text) if verbose => self.log("detail", text, &json!({})),
            Event::Retry { .. } if verbose => self.log_retry(event),
            Event::TaskFailed { .. } if !quiet => self.log_failure(event),
            Event::Pace(pace) if verbose => self.log_pace(*pace),
            _ => {}
        }
    }

    fn log_plan(&mut self, event: &Event) {
        let Event::Planned {
            requested,
            kept,
            again,
            ..
        } = event
        else {
            return;
        };
        let AgainCounts {
            failed,
            not_final,
            is_final,
        } = *again;
        let wanted = requested - kept;
        let new = wanted.saturating_sub(failed + not_final + is_final);
        let text = if wanted == 0 {
            format!("all {requested} tasks kept; rebuilding the tables")
        } else {
            let finals = if is_final > 0 {
                format!(", {is_final} final")
            } else {
                String::new()
            };
            format!(
                "{kept} of {requested} tasks kept; fetching {wanted} ({not_final} not final, {failed} failed, {new} new{finals})"
            )
        };
        let fields = json!({
            "held": kept,
            "requested": requested,
            "not_final": not_final,
            "failed": failed,
            "new": new,
        });
        self.log("resumed", &text, &fields);
    }

    fn log_retry(&mut self, event: &Event) {
        let Event::Retry {
            target,
            attempts,
            delay,
            reason,
        } = event
        else {
            return;
        };
        let delay = delay.as_secs_f64();
        let text = format!("{target}: {reason}; attempt {attempts}, retrying in {delay:.1} s");
        let fields = json!({
            "task_id": target.task_id(),
            "asked": target.to_string(),
            "attempts": attempts,
            "delay": delay,
            "reason": reason,
        });
        self.log("retry", &text, &fields);
    }

    fn log_failure(&mut self, event: &Event) {
        let Event::TaskFailed {
            task_id,
            kind,
            message,
        } = event
        else {
            return;
        };
        if self.options.verbose || self.state.failed <= LOGGED_FAILURES {
            let text = format!("task `{task_id}` failed ({kind}): {message}");
            let fields = json!({"task_id": task_id, "kind": kind, "reason": message});
            self.log("failed", &text, &fields);
        } else if self.state.failed == LOGGED_FAILURES + 1 {
            let text = "further failures are only in failures.jsonl (use -v to log them)";
            self.log("failed", text, &json!({}));
        }
    }

    fn log_pace(&mut self, pace: Pace) {
        let Pace {
            rate,
            cooling_down,
            state,
        } = pace;
        if !self.is_news(rate, cooling_down) {
            return;
        }
        let pace = rate.map_or_else(|| "no limit".to_owned(), rate_text);
        let text = match cooling_down {
            Some(wait) if wait >= LOGGED_WAIT => {
                let seconds = wait.as_secs_f64();
                format!("rate-limited: {pace} after waiting {seconds:.1} s")
            }
            Some(_) => format!("rate-limited: {pace}"),
            None => format!("rate: {pace} ({})", state.as_str()),
        };
        let fields = json!({
            "rate": rate,
            "cooling_down": cooling_down.map(|wait| wait.as_secs_f64()),
            "state": state.as_str(),
        });
        self.log("pace", &text, &fields);
    }

    /// Whether a change of the rate is worth a line. Trials of a slightly higher rate are not.
    fn is_news(&mut self, rate: Option<f64>, wait: Option<Duration>) -> bool {
        let has_changed = match (self.logged_rate, rate) {
            (Some(logged), Some(rate)) => (rate - logged).abs() > logged * LOGGED_CHANGE,
            (logged, rate) => logged != rate,
        };
        let is_news = has_changed || wait.is_some_and(|wait| wait >= LOGGED_WAIT);
        if is_news {
            self.logged_rate = rate;
        }
        is_news
    }

    fn log(&mut self, event: &str, text: &str, fields: &Value) {
        if self.options.log_format == LogFormatArg::Json {
            return write_json(event, text, fields);
        }
        let label = if event == "warning" { "warning: " } else { "" };
        // A terminal shows when a line appears; a file does not.
        let time = if self.terminal.is_interactive {
            String::new()
        } else {
            let now = jiff::Timestamp::now();
            now.strftime("%Y-%m-%dT%H:%M:%SZ ").to_string()
        };
        if let Some(line) = &mut self.line {
            // Otherwise the log line would end in the rest of a longer status line.
            line.clear();
        }
        write_text(&printable(&format!("{time}{label}{text}")));
    }
}

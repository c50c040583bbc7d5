//! The life of a job: display, signals, the summary, and how each end is reported.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::dry_run_text::dry_run_text;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::export_text::{export_text, first_line, stopped_text};
use crate::cli::messages::{print_error, write_json, write_text};
use crate::cli::metrics_file::{prepare_metrics, write_metrics};
use crate::cli::progress::{Display, DisplayOptions};
use crate::cli::shared_args::{DisplayArgs, LogFormatArg};
use crate::cli::signals::Signals;
use crate::cli::summary_file::{prepare_summary, write_summary};
use crate::cli::terminal;
use crate::error::Exit;
use crate::event::{Event, Events};
use crate::jobs::dry_run::DryRun;
use crate::jobs::report::{ExportReport, FailureCounts, JobEnd, SavedWork};
use crate::jobs::run_hints;
use crate::jobs::run_summary::{JobName, RunStart};
use crate::plural::plural;
use crate::printable::printable_lines;
use crate::publish::guard::Allowance;
use crate::shell_quoting::shell_quoted;

/// Runs a job with its display and signal handlers, then reports how it ended.
pub(crate) fn run<T, E: Into<CommandError>>(
    args: &DisplayArgs,
    offline: bool,
    job: impl FnOnce(&Events, &Signals) -> Result<T, E>,
    report: impl FnOnce(T, &Signals) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let signals = Signals::watch()?;
    let (events, receiver) = Events::channel();
    let options = DisplayOptions {
        progress: args.progress,
        quiet: args.quiet,
        verbose: args.verbose,
        log_format: args.log_format,
        offline,
    };
    let display = Display::start(receiver, options, signals.cancel.clone())?;
    let done = job(&events, &signals);
    signals.job_is_done();
    // The display ends when the last sender is gone.
    drop(events);
    display.finish();
    report(done.map_err(Into::into)?, &signals)
}

/// The files around a job that are not its tables.
pub(crate) struct JobFiles<'j> {
    pub(crate) job: JobName,
    pub(crate) display: &'j DisplayArgs,
    /// The file of `--metrics`.
    pub(crate) metrics: Option<&'j Path>,
    /// Files and directories that the job reads.
    pub(crate) reads: &'j [PathBuf],
    /// The directory that it writes, or that `verify` or `report` reads.
    pub(crate) directory: Option<&'j Path>,
}

/// Where the summary of a job goes.
pub(crate) struct JobOutput<'j> {
    pub(crate) display: &'j DisplayArgs,
    metrics: Option<&'j Path>,
    pub(crate) start: RunStart,
}

impl JobOutput<'_> {
    /// Writes the summary and the metrics of the run. The error of the first that fails is returned; the other is
    /// written all the same.
    pub(crate) fn write(&self, summary: &Value) -> Result<(), UsageError> {
        let metrics = self
            .metrics
            .map_or(Ok(()), |path| write_metrics(path, summary));
        write_summary(self.display, summary).and(metrics)
    }
}

impl<'j> JobOutput<'j> {
    /// Checks that the summary and the metrics can be written, and starts the clock of the run.
    pub(crate) fn prepare(files: &JobFiles<'j>) -> Result<Self, CommandError> {
        let JobFiles {
            job,
            display,
            metrics,
            reads,
            directory,
        } = *files;
        let out = directory.filter(|_| job.publishes());
        let named = |error: UsageError| CommandError::from(error).with_variable(&display.origins);
        prepare_summary(display, reads, out).map_err(named)?;
        prepare_metrics(metrics, reads, out).map_err(named)?;
        Ok(Self {
            display,
            metrics,
            start: RunStart::now(job, directory),
        })
    }

    /// Writes the summary and the metrics of a run that ended with an error, which is printed first. It can be that one
    /// of these files cannot be written.
    pub(crate) fn record(&self, error: &CommandError) {
        let summary = self.start.failed(error, error.failures());
        if let Err(second) = self.write(&summary)
            && !error.is_about_summary()
        {
            let second = CommandError::from(second).with_variable(&self.display.origins);
            print_error(&second, self.display.log_format, self.display.quiet);
        }
    }
}

/// Checks that the summary and the metrics can be written, runs, and writes both if the run ends with an error.
pub(crate) fn with_summary(
    files: &JobFiles<'_>,
    run: impl FnOnce(&JobOutput<'_>) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let output = JobOutput::prepare(files)?;
    let done = run(&output).map_err(|error| error.with_variable(&output.display.origins));
    if let Err(error) = &done {
        output.record(error);
    }
    done
}

/// An export or a flattening, for the report of its end.
pub(crate) struct JobReport<'j> {
    pub(crate) output: &'j JobOutput<'j>,
    /// The output directory.
    pub(crate) out: &'j Path,
    /// The shards that the export was combined from, if it was.
    pub(crate) shards: &'j [PathBuf],
    /// Failed IDs that do not lead to exit code 3.
    pub(crate) tolerate: Allowance,
    pub(crate) started: Instant,
}

impl JobReport<'_> {
    /// The exit code and the summary of a run without an error.
    pub(crate) fn end(
        &self,
        end: &JobEnd<Box<ExportReport>>,
        failures: Option<&FailureCounts>,
        signals: &Signals,
    ) -> (Exit, Value) {
        let exit = run_hints::exit_of(end, self.tolerate, signals.exit());
        (exit, self.output.start.ended(end, failures, exit))
    }
}

/// The message of a job that was stopped before it changed anything.
const UNCHANGED: &str = "interrupted: nothing was changed";

/// The message of a job that was stopped while it uploaded what it had built.
const NOT_UPLOADED: &str =
    "interrupted: the export is published in its directory, and not all tables are uploaded";

/// Reports how an export or a flattening ended.
pub(crate) fn report_export(
    end: &JobEnd<Box<ExportReport>>,
    failures: Option<&FailureCounts>,
    signals: &Signals,
    job: &JobReport<'_>,
) -> Result<Exit, CommandError> {
    let args = job.output.display;
    let (exit, json) = job.end(end, failures, signals);
    match end {
        JobEnd::Done(report) => {
            let elapsed = job.started.elapsed();
            let first_line = first_line(report, job.out, elapsed);
            let text = if args.quiet {
                first_line.clone()
            } else {
                // A log has no width, and its lines are not wrapped.
                let columns = if terminal::stderr().is_interactive {
                    terminal::columns()
                } else {
                    usize::MAX
                };
                export_text(report, job.out, elapsed, columns, next_step(exit, job))
            };
            if !args.quiet || exit != Exit::Success {
                print_event(args, "summary", &text, || {
                    (first_line, json!({"summary": &json}))
                });
            }
            job.output.write(&json)?;
            Ok(exit)
        }
        JobEnd::Stopped(saved) => {
            let message = match saved {
                SavedWork::Fetched(kept) => stopped_text(kept),
                SavedWork::Nothing | SavedWork::Listed { tasks: 0 } => UNCHANGED.to_owned(),
                SavedWork::NotUploaded => NOT_UPLOADED.to_owned(),
                SavedWork::Listed { tasks } => {
                    let tasks = plural(*tasks as u64, "task");
                    format!("interrupted: {tasks} listed and saved; no tables were written")
                }
            };
            Ok(report_stopped(signals, job.output, &message, &json))
        }
    }
}

/// Reports how a job ended that builds tables from saved responses. Stopped, it has saved nothing.
pub(crate) fn report_offline(
    end: &JobEnd<Box<ExportReport>>,
    signals: &Signals,
    job: &JobReport<'_>,
) -> Result<Exit, CommandError> {
    if let JobEnd::Stopped(saved) = end
        && *saved != SavedWork::NotUploaded
    {
        let message = "interrupted: no tables were written";
        let (_, json) = job.end(end, None, signals);
        return Ok(report_stopped(signals, job.output, message, &json));
    }
    report_export(end, None, signals, job)
}

/// What a person at a terminal can do with a complete export.
fn next_step(exit: Exit, job: &JobReport<'_>) -> Option<String> {
    // The log of a scheduled run needs no advice.
    let is_for_person = exit == Exit::Success && terminal::stderr().is_interactive;
    let directories = [job.out]
        .into_iter()
        .chain(job.shards.iter().map(PathBuf::as_path));
    let directories: Vec<String> = directories.map(shell_quoted).collect();
    let directories = directories.join(" ");
    is_for_person.then(|| format!("to verify the export: scale-export verify {directories}"))
}

/// Reports what an export would do.
pub(crate) fn report_dry_run(
    end: JobEnd<DryRun>,
    signals: &Signals,
    output: &JobOutput<'_>,
) -> Result<Exit, CommandError> {
    let args = output.display;
    let JobEnd::Done(plan) = end else {
        let message = "interrupted: nothing was written";
        let stopped = JobEnd::Stopped(SavedWork::Nothing);
        let json = output.start.ended(&stopped, None, signals.exit());
        return Ok(report_stopped(signals, output, message, &json));
    };
    let text = dry_run_text(&plan);
    // Plain values: serialization cannot fail.
    let mut fields = serde_json::to_value(&plan).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("exit_code".to_owned(), (plan.exit as u8).into());
    }
    print_event(args, "plan", &text, || (text.clone(), fields.clone()));
    write_summary(args, &fields)?;
    Ok(plan.exit)
}

/// Reports that the user stopped the job. The summary can have a hint.
pub(crate) fn report_stopped(
    signals: &Signals,
    output: &JobOutput<'_>,
    message: &str,
    summary: &Value,
) -> Exit {
    let args = output.display;
    let hint = summary.get("hint").and_then(Value::as_str);
    let hint = hint.filter(|_| !args.quiet);
    let text = hint.map_or_else(
        || message.to_owned(),
        |hint| format!("{message}\nhint: {hint}"),
    );
    print_event(args, "interrupted", &text, || {
        (message.to_owned(), summary.clone())
    });
    // Only printed: the exit code of the signal counts more than that of a file.
    if let Err(error) = output.write(summary) {
        print_error(&error, args.log_format, args.quiet);
    }
    signals.exit()
}

/// Writes to stderr: text for people, or a log line for programs.
pub(crate) fn print_event(
    args: &DisplayArgs,
    event: &str,
    text: &str,
    for_programs: impl FnOnce() -> (String, Value),
) {
    match args.log_format {
        LogFormatArg::Text => write_text(&printable_lines(text)),
        LogFormatArg::Json => {
            let (message, fields) = for_programs();
            write_json(event, &message, &fields);
        }
    }
}

/// Reports warnings about the options.
pub(crate) fn warn(warnings: &[String], events: &Events) {
    for warning in warnings {
        events.send(Event::Warning(warning.clone()));
    }
}

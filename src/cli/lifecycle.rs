//! What the jobs share: display, summary, and how they end. Depends on the files of this folder.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::api_key::json_without_keys;
use crate::cli::args::{DisplayArgs, LogFormatArg};
use crate::cli::dispatch::{Failure, UsageError, print, print_error};
use crate::cli::progress::{Display, DisplayOptions, json_line, write_stderr};
use crate::cli::signals::Signals;
use crate::cli::summary;
use crate::error::{Exit, Explain};
use crate::event::Events;
use crate::jobs::dry_run::DryRun;
use crate::jobs::report::{ExportReport, JobEnd, SavedWork};
use crate::printable::printable_lines;
use crate::publish::file_names::is_published_name;
use crate::publish::guard::Allowance;
use crate::state::paths::StateDir;

/// Runs a job with a display beside it; writes a summary at every end.
pub(crate) fn run<T, E: Explain + 'static>(
    args: &DisplayArgs,
    offline: bool,
    job: impl FnOnce(&Events, &Signals) -> Result<T, E>,
    tell: impl FnOnce(T, &Signals) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let signals = Signals::watch().map_err(|error| Box::new(error) as Failure)?;
    let (events, receiver) = Events::channel();
    let options = DisplayOptions {
        progress: args.progress,
        quiet: args.quiet,
        verbose: args.verbose,
        log_format: args.log_format,
        offline,
    };
    let display = Display::start(receiver, options).map_err(|error| Box::new(error) as Failure)?;
    let done = job(&events, &signals);
    signals.job_is_done();
    drop(events);
    display.finish();
    tell(done.map_err(|error| Box::new(error) as Failure)?, &signals)
}

/// Makes sure that the summary can be written, runs, and writes how it ended if that was an error.
/// `reads` are files and directories that the job reads, and `out` the directory that it writes.
pub(crate) fn with_summary(
    args: &DisplayArgs,
    reads: &[PathBuf],
    out: Option<&Path>,
    run: impl FnOnce() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    // A summary that cannot be written is better known before the run than after it.
    if let Some(path) = args
        .summary
        .as_deref()
        .filter(|path| path.as_os_str() != "-")
    {
        refuse_to_overwrite(path, reads, out)?;
        open_summary_pipe(args, path)?;
        let was_there = path.exists();
        let opened = match args.summary_pipe.get() {
            Some(_) => Ok(()),
            None => appendable().create(true).open(path).map(drop),
        };
        // An empty one would be read as how a run ended.
        if opened.is_ok() && !was_there {
            let _ = std::fs::remove_file(path);
        }
        // Its directory may be the output's, which is made later.
        let will_be_made = path.parent().is_some_and(|parent| Some(parent) == out);
        if let Err(error) = opened
            && !(error.kind() == std::io::ErrorKind::NotFound && will_be_made)
        {
            return Err(summary_error(path, &error));
        }
    }
    let done = run();
    if let Err(error) = &done {
        let end = error_json(error.as_ref());
        // How the run ended matters more than a summary of it; that this one failed may be how.
        if let Err(second) = write_summary(args, &end)
            && second.to_string() != error.to_string()
        {
            print_error(second.as_ref(), args.log_format, args.quiet);
        }
    }
    done
}

fn appendable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    options
}

/// Opens a pipe or a device for the summary, and keeps it open: its reader would take an end before the summary for the
/// end. Opening a pipe waits for a reader, which a signal ends.
fn open_summary_pipe(args: &DisplayArgs, path: &Path) -> Result<(), Failure> {
    let is_pipe = path
        .metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_pipe {
        let opened = appendable().open(path);
        let _ = args
            .summary_pipe
            .set(opened.map_err(|error| summary_error(path, &error))?);
    }
    Ok(())
}

/// A summary must not take the place of what it is a summary of, through a link neither.
fn refuse_to_overwrite(path: &Path, reads: &[PathBuf], out: Option<&Path>) -> Result<(), Failure> {
    let refused = |cause: &str| -> Result<(), Failure> {
        Err(Box::new(UsageError::Summary {
            path: path.to_owned(),
            cause: cause.to_owned(),
        }))
    };
    if path.is_symlink() && !path.exists() {
        return refused("it is a link to nothing");
    }
    // The file may not exist yet; the directory that it stands in may.
    let name = path.file_name().unwrap_or_default();
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(parent) = parent.canonicalize() else {
        return Ok(());
    };
    let place = parent.join(name);
    for read in reads.iter().filter_map(|read| read.canonicalize().ok()) {
        if place == read || (read.is_dir() && place.starts_with(&read)) {
            return refused("it is, or stands in, what is read");
        }
    }
    if let Some(out) = out.and_then(|out| out.canonicalize().ok())
        && (place.starts_with(StateDir::of_output(&out).path())
            || (parent == out && is_published_name(&name.to_string_lossy())))
    {
        return refused("it is a name of the export's own files");
    }
    let directories = reads.iter().map(PathBuf::as_path).chain(out);
    let files = directories.flat_map(|read| {
        let state = StateDir::of_output(read).path().to_owned();
        let inside = [read.to_owned(), state.clone()];
        let inside = inside
            .into_iter()
            .filter_map(|directory| directory.read_dir().ok());
        let inside = inside
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        // Another file beside the tables may be an earlier summary.
        let is_ours = move |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            is_published_name(&name) || path.starts_with(&state)
        };
        std::iter::once(read.to_owned()).chain(inside.filter(is_ours))
    });
    let identity = |path: &Path| {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    let own = identity(path);
    if own.is_some() && files.into_iter().any(|file| identity(&file) == own) {
        return refused("it is a link to a file that is read, or of the export");
    }
    Ok(())
}

/// The summary of a run that ended with an error.
pub(crate) fn error_json(error: &dyn Explain) -> Value {
    json_without_keys(json!({
        "exit_code": error.exit() as u8,
        "error": error.to_string(),
        "hint": error.hint(),
    }))
}

/// An export or a flattening, as its end is reported.
pub(crate) struct Job<'j> {
    /// The output directory.
    pub(crate) out: &'j Path,
    /// Failed IDs that are not worth exit code 3.
    pub(crate) tolerate: Allowance,
    pub(crate) started: Instant,
}

impl Job<'_> {
    /// The exit code and the summary of a run without an error.
    pub(crate) fn end(&self, end: &JobEnd<Box<ExportReport>>, signals: &Signals) -> (Exit, Value) {
        match end {
            JobEnd::Done(report) => {
                let exit = self.exit_of(report);
                let elapsed = self.started.elapsed();
                (exit, summary::json(report, self.out, elapsed, exit as u8))
            }
            JobEnd::Stopped(saved) => {
                let exit = signals.exit();
                let (kept, listed) = match saved {
                    SavedWork::Nothing => (None, None),
                    SavedWork::Listed { tasks } => (None, Some(*tasks)),
                    SavedWork::Fetched(kept) => (Some(*kept), None),
                };
                let summary = json!({
                    "exit_code": exit as u8,
                    "listed": listed,
                    "held": kept.map(|kept| kept.held),
                    "requested": kept.map(|kept| kept.requested),
                    "requests": kept.map(|kept| kept.requests),
                    "rate_limited": kept.map(|kept| kept.rate_limited),
                    "pace": kept.and_then(|kept| kept.learned),
                    "hint": "run the same command again to go on",
                });
                (exit, summary)
            }
        }
    }

    fn exit_of(&self, report: &ExportReport) -> Exit {
        let incomplete = report.lists.as_ref().map_or(0, |lists| lists.incomplete);
        let has_failures = self
            .tolerate
            .is_exceeded(report.failures(), report.requested);
        if has_failures || report.unreadable > 0 || incomplete > 0 {
            Exit::SomeFailed
        } else {
            Exit::Success
        }
    }
}

/// What there is to say of a job that was stopped before it did anything.
const UNCHANGED: &str = "interrupted: nothing was changed";

/// Reports how an export or a flattening ended.
pub(crate) fn tell_export(
    end: &JobEnd<Box<ExportReport>>,
    signals: &Signals,
    args: &DisplayArgs,
    job: &Job<'_>,
) -> Result<Exit, Failure> {
    let (exit, json) = job.end(end, signals);
    match end {
        JobEnd::Done(report) => {
            let elapsed = job.started.elapsed();
            let first_line = summary::first_line(report, job.out, elapsed);
            let text = if args.quiet {
                first_line.clone()
            } else {
                summary::text(report, job.out, elapsed)
            };
            if !args.quiet || exit != Exit::Success {
                say(args, "summary", &text, || {
                    (first_line, json!({"summary": &json}))
                });
            }
            write_summary(args, &json)?;
            Ok(exit)
        }
        JobEnd::Stopped(saved) => {
            let message = match saved {
                SavedWork::Fetched(kept) => summary::stopped_text(kept),
                SavedWork::Nothing | SavedWork::Listed { tasks: 0 } => UNCHANGED.to_owned(),
                SavedWork::Listed { tasks } => {
                    format!("interrupted: {tasks} tasks were listed, and are kept")
                }
            };
            Ok(tell_stopped(signals, args, &message, json))
        }
    }
}

/// Tells what an export would do.
pub(crate) fn tell_dry_run(
    end: JobEnd<DryRun>,
    signals: &Signals,
    args: &DisplayArgs,
) -> Result<Exit, Failure> {
    let JobEnd::Done(plan) = end else {
        return Ok(tell_stopped(signals, args, "Stopped.", json!({})));
    };
    let text = summary::dry_run_text(&plan);
    // Plain values: serialization cannot fail.
    let mut fields = serde_json::to_value(&plan).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("exit_code".to_owned(), (Exit::Success as u8).into());
    }
    say(args, "plan", &text, || (text.clone(), fields.clone()));
    write_summary(args, &fields)?;
    Ok(Exit::Success)
}

/// Tells that the user stopped the job; `fields` may have a hint.
pub(crate) fn tell_stopped(
    signals: &Signals,
    args: &DisplayArgs,
    message: &str,
    mut fields: Value,
) -> Exit {
    let exit = signals.exit();
    let hint = fields.get("hint").and_then(Value::as_str);
    let hint = hint.filter(|_| !args.quiet);
    let text = hint.map_or_else(
        || message.to_owned(),
        |hint| format!("{message}\nhint: {hint}"),
    );
    say(args, "interrupted", &text, || {
        (message.to_owned(), fields.clone())
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("exit_code".to_owned(), (exit as u8).into());
    }
    if let Err(error) = write_summary(args, &fields) {
        print_error(error.as_ref(), args.log_format, args.quiet);
    }
    exit
}

/// Says something on stderr, for people or for programs.
pub(crate) fn say(
    args: &DisplayArgs,
    event: &str,
    text: &str,
    for_programs: impl FnOnce() -> (String, Value),
) {
    match args.log_format {
        LogFormatArg::Text => write_stderr(&printable_lines(text)),
        LogFormatArg::Json => {
            let (message, fields) = for_programs();
            write_stderr(&json_line(event, &message, &fields));
        }
    }
}

/// Writes the summary where it was asked for.
pub(crate) fn write_summary(args: &DisplayArgs, json: &Value) -> Result<(), Failure> {
    let text = format!("{:#}\n", json_without_keys(json.clone()));
    if let (Some(mut pipe), Some(path)) = (args.summary_pipe.get(), &args.summary) {
        let written = pipe.write_all(text.as_bytes());
        return written.map_err(|error| summary_error(path, &error));
    }
    match args.summary.as_deref() {
        None => Ok(()),
        Some(path) if path.as_os_str() == "-" => print(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| summary_error(path, &error)),
    }
}

fn summary_error(path: &Path, error: &std::io::Error) -> Failure {
    Box::new(UsageError::Summary {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

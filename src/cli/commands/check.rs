//! `check`: whether an export would run with the same options.

use serde_json::json;

use crate::cli::args::CheckArgs;
use crate::cli::check_input::check_input;
use crate::cli::check_text::{ChosenOption, check_json, check_text};
use crate::cli::core_dumps;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::export_options::unknown_values;
#[cfg(feature = "sandbox")]
use crate::cli::export_options::{SandboxServer, start_sandbox};
use crate::cli::lifecycle::{
    JobFiles, JobOutput, print_event, report_stopped, run, warn, with_summary,
};
use crate::cli::messages::{print_json, print_lines};
use crate::cli::terminal;
use crate::error::Exit;
use crate::jobs::check::check_line::CheckReport;
use crate::jobs::check::preflight::check;
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;

/// Checks an export, and prints the result to standard output.
pub(crate) fn run_check(args: &CheckArgs) -> Result<Exit, CommandError> {
    let export = &args.export;
    let display = &export.display;
    if args.json || !display.quiet {
        UsageError::refuse_summary_beside(
            &display.origins,
            display.summary.as_deref(),
            "the result of the check",
        )?;
    }
    let reads = export.reads();
    let files = JobFiles {
        job: JobName::Check,
        display: &export.display,
        metrics: None,
        reads: &reads,
        directory: export.output.out.as_deref(),
    };
    with_summary(&files, |output| {
        core_dumps::forbid();
        #[cfg(feature = "sandbox")]
        let sandbox = start_sandbox(&export.api.server)?;
        #[cfg(feature = "sandbox")]
        let server = sandbox.as_ref().map(SandboxServer::of);
        #[cfg(not(feature = "sandbox"))]
        let server = None;
        let input = check_input(export, server)?;
        run(
            &export.display,
            false,
            |events, signals| {
                // As a run does, so that a check shows all that a run would print before its first request.
                warn(&unknown_values(export), events);
                check(&input, events, &signals.cancel)
            },
            |end, signals| match end {
                JobEnd::Stopped(_) => {
                    let message = "interrupted: the check is not complete";
                    let summary = output.start.read(None::<&()>, signals.exit());
                    Ok(report_stopped(signals, output, message, &summary))
                }
                JobEnd::Done(report) => print_report(&report, args.json, output),
            },
        )
    })
}

fn print_report(
    report: &CheckReport,
    as_json: bool,
    output: &JobOutput<'_>,
) -> Result<Exit, CommandError> {
    let display = output.display;
    let options = ChosenOption::all(&display.origins);
    let json = check_json(report, &options);
    if as_json {
        print_json(&json)?;
    } else if !display.quiet {
        print_lines(&check_text(report, &options, terminal::stdout()))?;
    // With `--quiet`, one line says why the exit code is not 0.
    } else if let Some(failed) = report.first_failure() {
        let text = format!("error: {}", failed.detail);
        print_event(display, "check", &text, || {
            (failed.detail.clone(), json.clone())
        });
    }
    let fields = json!({"check": json});
    output.write(&output.start.read(Some(&fields), report.exit()))?;
    Ok(report.exit())
}

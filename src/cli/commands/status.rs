//! `status`: what an export holds and how its last run ended, offline.

use serde_json::json;

use crate::cli::args::StatusArgs;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::lifecycle::{JobFiles, report_stopped, run, with_summary};
use crate::cli::local_copy::{is_url, with_local_copy};
use crate::cli::messages::{print_json, print_lines};
use crate::cli::status_text::status_text;
use crate::error::Exit;
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;
use crate::jobs::status::export_status::status;
use crate::publish::file_names::FAILURES;
use crate::state::paths::IDS;
use crate::tables::table::Table;

/// Whether the status is read from a file of a published export: the list of IDs, the tasks and the failures.
fn is_read(path: &str) -> bool {
    path == IDS || path == FAILURES || path.starts_with(Table::Tasks.name())
}

/// Prints the status of an export to standard output.
pub(crate) fn run_status(args: &StatusArgs) -> Result<Exit, CommandError> {
    let display = &args.display;
    if args.json || !display.quiet {
        UsageError::refuse_summary_beside(
            &display.origins,
            display.summary.as_deref(),
            "the status",
        )?;
    }
    let files = JobFiles {
        job: JobName::Status,
        display,
        metrics: None,
        reads: std::slice::from_ref(&args.directory),
        directory: Some(&args.directory),
    };
    with_summary(&files, |output| {
        run(
            display,
            true,
            |events, signals| {
                let place = &args.directory;
                let end = with_local_copy(place, is_read, (events, signals), |directory| {
                    status(directory, events, &signals.cancel)
                })?;
                Ok::<_, CommandError>(match end {
                    JobEnd::Done(status) if is_url(place) => {
                        JobEnd::Done(Box::new(status.of_copy(place)))
                    }
                    end => end,
                })
            },
            |end, signals| match end {
                JobEnd::Stopped(_) => {
                    let message = "interrupted: the status is not known";
                    let summary = output.start.read(None::<&()>, signals.exit());
                    Ok(report_stopped(signals, output, message, &summary))
                }
                JobEnd::Done(status) => {
                    // Plain values: serialization cannot fail.
                    let json = serde_json::to_value(&*status).unwrap_or_default();
                    if args.json {
                        print_json(&json)?;
                    } else if !display.quiet {
                        print_lines(&status_text(&status))?;
                    }
                    let fields = json!({"status": json});
                    output.write(&output.start.read(Some(&fields), Exit::Success))?;
                    Ok(Exit::Success)
                }
            },
        )
    })
}

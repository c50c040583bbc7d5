//! `report`: an HTML page about an export, offline.

use std::path::Path;

use serde_json::json;

use crate::cli::args::ReportArgs;
use crate::cli::error::CommandError;
use crate::cli::lifecycle::{JobFiles, print_event, report_stopped, run, with_summary};
use crate::cli::local_copy::with_local_copy;
use crate::cli::messages::print;
use crate::cli::report_file::ReportFile;
use crate::error::Exit;
use crate::jobs::html_report::{HtmlReport, html_report};
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;
use crate::plural::{bytes_text, plural};
use crate::printable::printable_path;

/// Writes the report of an export.
pub(crate) fn run_report(args: &ReportArgs) -> Result<Exit, CommandError> {
    let display = &args.display;
    let files = JobFiles {
        job: JobName::Report,
        display,
        metrics: None,
        reads: std::slice::from_ref(&args.directory),
        directory: Some(&args.directory),
    };
    with_summary(&files, |output| {
        let is_stdout = args.out.as_os_str() == "-";
        let file = (!is_stdout)
            // Before the export is read, which takes minutes where it is large.
            .then(|| ReportFile::check(&args.out))
            .transpose()?;
        run(
            display,
            true,
            |events, signals| {
                with_local_copy(
                    &args.directory,
                    |_| true,
                    (events, signals),
                    |directory| html_report(directory, args.contributors, events, &signals.cancel),
                )
            },
            |end, signals| {
                let JobEnd::Done(report) = end else {
                    let message = "interrupted: no report was written";
                    let json = output.start.read(None::<&()>, signals.exit());
                    return Ok(report_stopped(signals, output, message, &json));
                };
                match &file {
                    Some(file) => file.write(&report.html)?,
                    None => print(&report.html)?,
                }
                let fields = json!({
                    "out": args.out.display().to_string(),
                    "exported": report.tasks,
                    "bytes": report.html.len(),
                });
                let json = output.start.read(Some(&fields), Exit::Success);
                if !display.quiet {
                    let text = result_line(&report, &args.out);
                    print_event(display, "report", &text, || {
                        (text.clone(), json!({"summary": &json}))
                    });
                }
                output.write(&json)?;
                Ok(Exit::Success)
            },
        )
    })
}

fn result_line(report: &HtmlReport, out: &Path) -> String {
    let place = if out.as_os_str() == "-" {
        "standard output".to_owned()
    } else {
        printable_path(out)
    };
    format!(
        "Wrote a report of {} to {place} ({})",
        plural(report.tasks, "task"),
        bytes_text(report.html.len() as u64)
    )
}

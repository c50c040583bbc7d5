//! `ids`: the task IDs of list endpoints, one per line.

use serde_json::json;

use crate::cli::args::IdsArgs;
use crate::cli::core_dumps;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::export_options::list_options;
#[cfg(feature = "sandbox")]
use crate::cli::export_options::{SandboxServer, start_sandbox};
use crate::cli::lifecycle::{JobFiles, print_event, report_stopped, run, with_summary};
use crate::cli::messages::print;
use crate::error::Exit;
use crate::jobs::list_ids::list_ids;
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;
use crate::plural::plural;

/// Prints the IDs of the tasks of lists. Nothing is printed unless all lists were read: half a list, as the source of an
/// export, would remove the other half.
pub(crate) fn run_ids(args: &IdsArgs) -> Result<Exit, CommandError> {
    let display = &args.display;
    UsageError::refuse_summary_beside(&display.origins, display.summary.as_deref(), "the IDs")?;
    let reads: Vec<_> = args.server.api_key_file.iter().cloned().collect();
    let files = JobFiles {
        job: JobName::Ids,
        display,
        metrics: None,
        reads: &reads,
        directory: None,
    };
    with_summary(&files, |output| {
        core_dumps::forbid();
        #[cfg(feature = "sandbox")]
        let sandbox = start_sandbox(&args.server)?;
        #[cfg(feature = "sandbox")]
        let server = sandbox.as_ref().map(SandboxServer::of);
        #[cfg(not(feature = "sandbox"))]
        let server = None;
        let options = list_options(args, server)?;
        run(
            display,
            false,
            |events, signals| list_ids(&options, events, &signals.cancel),
            |end, signals| {
                let JobEnd::Done(listed) = end else {
                    let message = "interrupted: no IDs were printed";
                    let json = output.start.read(None::<&()>, signals.exit());
                    return Ok(report_stopped(signals, output, message, &json));
                };
                let exit = if listed.lists.incomplete > 0 {
                    Exit::SomeFailed
                } else {
                    Exit::Success
                };
                // Standard output is flushed at each line, so the lines are written as one text.
                let mut text = String::new();
                for task_id in listed.ids.iter() {
                    text.push_str(task_id);
                    text.push('\n');
                }
                print(&text)?;
                let json = output.start.read(Some(&listed), exit);
                if !display.quiet || exit != Exit::Success {
                    let line = format!("Listed {}", plural(listed.listed, "task"));
                    print_event(display, "listed", &line, || {
                        (line.clone(), json!({"summary": &json}))
                    });
                }
                output.write(&json)?;
                Ok(exit)
            },
        )
    })
}

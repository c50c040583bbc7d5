//! The main job: exports tasks from the API into tables.

use std::time::Instant;

use crate::cli::args::ExportArgs;
use crate::cli::core_dumps;
use crate::cli::error::CommandError;
use crate::cli::export_options::export_options;
#[cfg(feature = "sandbox")]
use crate::cli::export_options::{SandboxServer, start_sandbox};
use crate::cli::lifecycle::{
    JobFiles, JobReport, report_dry_run, report_export, run, warn, with_summary,
};
use crate::error::Exit;
use crate::jobs::dry_run::dry_run;
use crate::jobs::export::{ExportEnd, export_until};
use crate::jobs::run_summary::JobName;

/// Runs the main job.
pub(crate) fn run_export(args: &ExportArgs) -> Result<Exit, CommandError> {
    let reads = args.reads();
    let files = JobFiles {
        job: JobName::Export,
        display: &args.display,
        metrics: args.metrics.metrics.as_deref(),
        reads: &reads,
        directory: args.output.out.as_deref(),
    };
    with_summary(&files, |output| {
        let started = Instant::now();
        // Before the key is read.
        core_dumps::forbid();
        #[cfg(feature = "sandbox")]
        let sandbox = start_sandbox(&args.api.server)?;
        #[cfg(feature = "sandbox")]
        let server = sandbox.as_ref().map(SandboxServer::of);
        #[cfg(not(feature = "sandbox"))]
        let server = None;
        let (options, warnings) = export_options(args, server)?;
        let job = JobReport {
            output,
            // A URL where the export goes to an object store.
            out: args.output.out.as_deref().unwrap_or(&options.out),
            shards: &[],
            tolerate: options.guard.tolerate,
            started,
        };
        if args.dry_run {
            return run(
                &args.display,
                false,
                |events, signals| {
                    warn(&warnings, events);
                    dry_run(&options, events, &signals.cancel)
                },
                |done, signals| report_dry_run(done, signals, output),
            );
        }
        run(
            &args.display,
            false,
            |events, signals| {
                warn(&warnings, events);
                let start = &output.start;
                let stopped = || signals.exit();
                Ok::<_, CommandError>(export_until(
                    &options,
                    start,
                    events,
                    &signals.cancel,
                    stopped,
                ))
            },
            |ExportEnd { end, failures }, signals| match end {
                Ok(end) => report_export(&end, failures.as_ref(), signals, &job),
                Err(error) => Err(CommandError::Export {
                    error,
                    failures: failures.map(Box::new),
                }),
            },
        )
    })
}

//! The main job: exports tasks from the API into tables.

use std::time::Instant;

use crate::cli::args::ExportArgs;
use crate::cli::core_dumps;
use crate::cli::error::CommandError;
use crate::cli::export_options::export_options;
use crate::cli::lifecycle::{JobReport, report_dry_run, report_export, run, warn, with_summary};
use crate::error::Exit;
use crate::jobs::dry_run::dry_run;
use crate::jobs::export::export_until;
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::server::Sandbox;

/// Runs the main job.
pub(crate) fn run_export(args: &ExportArgs) -> Result<Exit, CommandError> {
    let reads: Vec<_> = args
        .ids
        .iter()
        .chain(&args.api.api_key_file)
        .cloned()
        .collect();
    with_summary(&args.display, &reads, args.output.out.as_deref(), || {
        let started = Instant::now();
        core_dumps::forbid();
        let sandbox = args
            .api
            .sandbox
            .then(|| Sandbox::start(SandboxConfig::default()))
            .transpose()?;
        let (options, warnings) = export_options(args, sandbox.as_ref())?;
        let job = JobReport {
            out: &options.out,
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
                |done, signals| report_dry_run(done, signals, &args.display),
            );
        }
        run(
            &args.display,
            false,
            |events, signals| {
                warn(&warnings, events);
                export_until(&options, events, &signals.cancel, || signals.exit())
            },
            |ended, signals| report_export(&ended, signals, &args.display, &job),
        )
    })
}

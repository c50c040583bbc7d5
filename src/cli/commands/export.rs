//! The main job: exports tasks from the API into tables.

use std::time::Instant;

use crate::cli::args::ExportArgs;
use crate::cli::core_dumps;
use crate::cli::error::CommandError;
#[cfg(feature = "sandbox")]
use crate::cli::export_options::SandboxServer;
use crate::cli::export_options::export_options;
use crate::cli::lifecycle::{JobReport, report_dry_run, report_export, run, warn, with_summary};
use crate::error::Exit;
use crate::jobs::dry_run::dry_run;
use crate::jobs::export::export_until;
#[cfg(feature = "sandbox")]
use crate::sandbox::{config::SandboxConfig, server::Sandbox};

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
        #[cfg(feature = "sandbox")]
        let sandbox = args
            .api
            .sandbox
            .then(|| Sandbox::start(SandboxConfig::default()))
            .transpose()?;
        #[cfg(feature = "sandbox")]
        let server = sandbox.as_ref().map(|sandbox| SandboxServer {
            base_url: sandbox.base_url(),
            api_key: sandbox.key().to_owned().into(),
        });
        #[cfg(not(feature = "sandbox"))]
        let server = None;
        let (options, warnings) = export_options(args, server)?;
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

//! `verify`: whether an export is complete and correct, offline.

use serde_json::json;

use crate::cli::args::VerifyArgs;
use crate::cli::error::CommandError;
use crate::cli::lifecycle::{JobFiles, print_event, report_stopped, run, with_summary};
use crate::cli::local_copy::{refuse_url, with_local_copy};
use crate::cli::verify_text::{result_line, verified_text};
use crate::error::Exit;
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;
use crate::jobs::verify::verification::{VerifyOptions, verify};

/// Verifies an export, and prints what is wrong with it.
pub(crate) fn run_verify(args: &VerifyArgs) -> Result<Exit, CommandError> {
    let display = &args.display;
    let reads = [
        std::slice::from_ref(&args.directory),
        args.shards.as_slice(),
    ]
    .concat();
    let files = JobFiles {
        job: JobName::Verify,
        display,
        metrics: None,
        reads: &reads,
        directory: Some(&args.directory),
    };
    with_summary(&files, |output| {
        run(
            display,
            true,
            |events, signals| {
                args.shards.iter().try_for_each(|shard| refuse_url(shard))?;
                with_local_copy(
                    &args.directory,
                    |_| true,
                    (events, signals),
                    |directory| {
                        let options = VerifyOptions {
                            directory: directory.to_owned(),
                            shards: args.shards.clone(),
                            threads: args.threads.number(),
                        };
                        verify(&options, events, &signals.cancel)
                    },
                )
            },
            |end, signals| match end {
                JobEnd::Stopped(_) => {
                    let message = "interrupted: nothing was verified";
                    let json = output.start.read(None::<&()>, signals.exit());
                    Ok(report_stopped(signals, output, message, &json))
                }
                JobEnd::Done(report) => {
                    let exit = if report.findings > 0 {
                        Exit::Mismatch
                    } else {
                        Exit::Success
                    };
                    let json = output.start.read(Some(&report), exit);
                    // With `--quiet`, one line gives the reason of the exit code.
                    if !display.quiet || report.findings > 0 {
                        let result = result_line(&report, &args.directory);
                        let text = if display.quiet {
                            result.clone()
                        } else {
                            verified_text(&report, &args.directory, &args.shards)
                        };
                        print_event(display, "verified", &text, || {
                            (result, json!({"summary": &json}))
                        });
                    }
                    output.write(&json)?;
                    Ok(exit)
                }
            },
        )
    })
}

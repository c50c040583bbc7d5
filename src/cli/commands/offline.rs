//! The jobs that ask no server: `flatten` and `verify`. Depends on the files of this folder.

use std::time::Instant;

use serde_json::json;

use crate::cli::args::{FlattenArgs, VerifyArgs};
use crate::cli::commands::export::{Output, guard_options, output, warn, warnings_of_skipped};
use crate::cli::dispatch::Failure;
use crate::cli::lifecycle::{
    Job, run, say, tell_export, tell_stopped, with_summary, write_summary,
};
use crate::cli::summary;
use crate::error::Exit;
use crate::ids::read::{ReadIds, read_ids};
use crate::jobs::reflatten::{FlattenOptions, flatten};
use crate::jobs::report::JobEnd;
use crate::jobs::verify::verification::verify;

/// Makes tables from raw responses.
pub(crate) fn run_flatten(args: &FlattenArgs) -> Result<Exit, Failure> {
    // The output may be a source, and the summary stand beside its tables.
    let out = args.output.out.as_deref();
    let sources = args
        .sources
        .iter()
        .filter(|source| Some(source.as_path()) != out);
    let reads: Vec<_> = sources.chain(&args.ids).cloned().collect();
    with_summary(&args.display, &reads, out, || {
        let started = Instant::now();
        let Output {
            out,
            format,
            tables,
        } = output(&args.output, &args.origins)?;
        let read = (!args.ids.is_empty())
            .then(|| read_ids(&args.ids, &[], &args.list.id_column))
            .transpose()
            .map_err(|error| Box::new(error) as Failure)?;
        let (ids, skipped) = match read {
            Some(ReadIds { ids, skipped }) => (Some(ids), skipped),
            None => (None, Vec::new()),
        };
        let options = FlattenOptions {
            sources: args.sources.clone(),
            ids,
            out,
            format,
            tables,
            force: args.output.force,
            keep_secrets: args.output.keep_secrets,
            guard: guard_options(&args.guard),
        };
        let job = Job {
            out: &options.out,
            tolerate: options.guard.tolerate,
            started,
        };
        run(
            &args.display,
            true,
            |events, signals| {
                warn(&warnings_of_skipped(&skipped), events);
                flatten(&options, events, &signals.cancel)
            },
            |end, signals| match end {
                JobEnd::Stopped(_) => {
                    let message = "interrupted: nothing was published";
                    Ok(tell_stopped(signals, &args.display, message, json!({})))
                }
                end @ JobEnd::Done(_) => tell_export(&end, signals, &args.display, &job),
            },
        )
    })
}

/// Proves an export.
pub(crate) fn run_verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let display = &args.display;
    let reads = std::slice::from_ref(&args.directory);
    with_summary(display, reads, None, || {
        run(
            display,
            true,
            |events, signals| verify(&args.directory, events, &signals.cancel),
            |end, signals| match end {
                JobEnd::Stopped(_) => {
                    let message = "interrupted: nothing is proven yet";
                    Ok(tell_stopped(signals, display, message, json!({})))
                }
                JobEnd::Done(report) => {
                    let exit = if report.findings > 0 {
                        Exit::Mismatch
                    } else {
                        Exit::Success
                    };
                    let json = summary::verified_json(&report, &args.directory, exit as u8);
                    if !display.quiet || report.findings > 0 {
                        let text = summary::verified_text(&report, &args.directory);
                        let last = text.lines().last().unwrap_or_default().to_owned();
                        say(display, "verified", &text, || {
                            (last, json!({"summary": &json}))
                        });
                    }
                    write_summary(display, &json)?;
                    Ok(exit)
                }
            },
        )
    })
}

//! `combine`: the export of one run, from the exports of shards.

use std::time::Instant;

use crate::cli::args::CombineArgs;
use crate::cli::error::CommandError;
use crate::cli::lifecycle::{JobFiles, JobReport, report_offline, run, with_summary};
use crate::cli::local_copy::refuse_url;
use crate::cli::output_options::guard_options;
use crate::cli::publish_place::{PlaceArgs, offline_place};
use crate::error::Exit;
use crate::jobs::run_summary::JobName;
use crate::jobs::shards::combine::{CombineOptions, combine};

/// Combines the exports of shards.
pub(crate) fn run_combine(args: &CombineArgs) -> Result<Exit, CommandError> {
    let place = PlaceArgs {
        out: args.out.as_ref(),
        bucket: &args.bucket,
        delta: &args.delta,
    };
    let reads: Vec<_> = args
        .shards
        .iter()
        .chain(place.read_state(&[]))
        .cloned()
        .collect();
    let files = JobFiles {
        job: JobName::Combine,
        display: &args.display,
        metrics: args.metrics.metrics.as_deref(),
        reads: &reads,
        directory: args.out.as_deref(),
    };
    with_summary(&files, |output| {
        let started = Instant::now();
        args.shards.iter().try_for_each(|shard| refuse_url(shard))?;
        let place = offline_place(place, &[], &args.display.origins)?;
        let options = CombineOptions {
            shards: args.shards.clone(),
            out: place.out,
            targets: place.targets,
            threads: args.threads.number(),
            force: args.force,
            guard: guard_options(&args.guard),
        };
        let job = JobReport {
            output,
            // A URL where the export goes to an object store.
            out: args.out.as_deref().unwrap_or(&options.out),
            shards: &options.shards,
            tolerate: options.guard.tolerate,
            started,
        };
        run(
            &args.display,
            true,
            |events, signals| combine(&options, events, &signals.cancel),
            |end, signals| report_offline(&end, signals, &job),
        )
    })
}

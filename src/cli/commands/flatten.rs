//! `flatten`: tables rebuilt from raw responses, offline.

use std::time::Instant;

use crate::cli::args::FlattenArgs;
use crate::cli::error::CommandError;
use crate::cli::lifecycle::{JobFiles, JobReport, report_offline, run, warn, with_summary};
use crate::cli::messages::announce_stdin;
use crate::cli::output_options::{
    OutputOptions, guard_options, output_options, warnings_of_skipped,
};
use crate::cli::publish_place::{PlaceArgs, offline_place, source_directory};
use crate::error::Exit;
use crate::ids::read::{ReadIds, read_ids};
use crate::jobs::reflatten::{FlattenOptions, flatten};
use crate::jobs::run_summary::JobName;
use crate::publish::guard::GuardOptions;

/// Rebuilds tables from raw responses.
pub(crate) fn run_flatten(args: &FlattenArgs) -> Result<Exit, CommandError> {
    // The output can be a source, and the summary can be written beside its tables.
    let out = args.output.out.as_deref();
    let sources = args
        .sources
        .iter()
        .filter(|source| Some(source.as_path()) != out);
    let place = PlaceArgs::from(&args.output);
    let state = place.read_state(&args.sources);
    let reads: Vec<_> = sources.chain(&args.ids).chain(state).cloned().collect();
    let files = JobFiles {
        job: JobName::Flatten,
        display: &args.display,
        metrics: args.metrics.metrics.as_deref(),
        reads: &reads,
        directory: out,
    };
    with_summary(&files, |output| {
        let started = Instant::now();
        let place = offline_place(place, &args.sources, &args.display.origins)?;
        let sources = args.sources.iter();
        let sources = sources.map(|source| source_directory(source, &args.output.bucket));
        let sources = sources.collect::<Result<_, _>>()?;
        let OutputOptions {
            format,
            tables,
            threads,
        } = output_options(&args.output, &args.display.origins)?;
        // Before the first read, which waits for the user to type.
        announce_stdin(&args.sources, "tasks", &args.display);
        announce_stdin(&args.ids, "task IDs", &args.display);
        let read = (!args.ids.is_empty())
            .then(|| read_ids(&args.ids, &[], &args.list.id_column))
            .transpose()?;
        let (ids, skipped) = match read {
            Some(ReadIds { ids, skipped }) => (Some(ids), skipped),
            None => (None, Vec::new()),
        };
        let options = FlattenOptions {
            sources,
            ids,
            out: place.out,
            targets: place.targets,
            format,
            tables,
            threads,
            force: args.output.force,
            keep_secrets: args.output.keep_secrets,
            guard: GuardOptions {
                drop_missing: args.missing.drop_missing,
                ..guard_options(&args.guard)
            },
        };
        let job = JobReport {
            output,
            // A URL where the export goes to an object store.
            out: out.unwrap_or(&options.out),
            shards: &[],
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
            |end, signals| report_offline(&end, signals, &job),
        )
    })
}

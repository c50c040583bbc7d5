//! `changes`: the tasks that a publication inserted, updated and deleted, offline.

use serde::Serialize;
use serde_json::json;

use crate::cli::changes_args::ChangesArgs;
use crate::cli::changes_text::changes_line;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::lifecycle::{JobFiles, print_event, report_stopped, run, with_summary};
use crate::cli::local_copy::refuse_url;
use crate::cli::messages::print;
use crate::cli::option_origins::OptionPlace;
use crate::error::Exit;
use crate::jobs::changes::change_report::{
    ChangeCounts, ChangesOptions, ChangesReport, FeedOptions,
};
use crate::jobs::changes::list_changes::list_changes;
use crate::jobs::report::JobEnd;
use crate::jobs::run_summary::JobName;
use crate::publish::manifest::TableFile;
use crate::publish::publication_id::PublicationId;

/// What the summary says of changes.
#[derive(Debug, Serialize)]
struct ChangesSummary<'r> {
    from: Option<&'r PublicationId>,
    to: &'r PublicationId,
    #[serde(flatten)]
    counts: ChangeCounts,
    /// The directory of the feed, if one was written.
    out: Option<String>,
    files: &'r [TableFile],
}

/// Lists the changes, and writes them if a directory is named.
pub(crate) fn run_changes(args: &ChangesArgs) -> Result<Exit, CommandError> {
    let display = &args.display;
    if args.json {
        UsageError::refuse_summary_beside(
            &display.origins,
            display.summary.as_deref(),
            "the changes",
        )?;
    }
    let out = args.out.as_deref();
    let files = JobFiles {
        job: JobName::Changes,
        display,
        metrics: None,
        reads: &args.directories,
        directory: args.directories.last().map(|directory| &**directory),
    };
    with_summary(&files, |output| {
        args.directories
            .iter()
            .try_for_each(|directory| refuse_url(directory))?;
        let options = options(args)?;
        run(
            display,
            true,
            |events, signals| list_changes(&options, events, &signals.cancel),
            |end, signals| {
                let JobEnd::Done(report) = end else {
                    let message = "interrupted: no changes were written";
                    let json = output.start.read(None::<&()>, signals.exit());
                    return Ok(report_stopped(signals, output, message, &json));
                };
                let fields = summary(&report, args);
                let json = output.start.read(Some(&fields), Exit::Success);
                if args.json {
                    print(&report.to_json())?;
                } else if !display.quiet {
                    // With `--json`, standard output has the counts already, and the line would repeat them.
                    let line = changes_line(&report, out);
                    print_event(display, "changes", &line, || {
                        (line.clone(), json!({"summary": &json}))
                    });
                }
                output.write(&json)?;
                Ok(Exit::Success)
            },
        )
    })
}

fn options(args: &ChangesArgs) -> Result<ChangesOptions, UsageError> {
    let conflict = |reason: &str| {
        Err(UsageError::CommandLine {
            place: "command line",
            reason: reason.to_owned(),
            hint: args.display.origins.see_help(),
        })
    };
    if args.since.as_deref() == Some("") {
        return Err(UsageError::empty(&args.display.origins, "--since"));
    }
    // A directory on the command line is stronger than a variable or a file.
    let is_typed = args.display.origins.place("--since") == OptionPlace::CommandLine;
    let since = args
        .since
        .clone()
        .filter(|_| is_typed || args.directories.len() == 1);
    let (old, new) = match args.directories.as_slice() {
        [old, new] if since.is_none() => (Some(old.clone()), new.clone()),
        [_, _] => return conflict("--since cannot be used with two directories"),
        [new] => (None, new.clone()),
        // The command line takes one or two directories.
        _ => return conflict("DIR is missing"),
    };
    if args.with_tables && args.out.is_none() {
        return conflict("--with-tables needs --out");
    }
    let feed = args.out.clone().map(|out| FeedOptions {
        out,
        format: args.format.map(Into::into),
        with_tables: args.with_tables,
    });
    Ok(ChangesOptions {
        old,
        new,
        since,
        feed,
    })
}

fn summary<'r>(report: &'r ChangesReport, args: &ChangesArgs) -> ChangesSummary<'r> {
    ChangesSummary {
        from: report.from.as_ref(),
        to: &report.to,
        counts: report.counts,
        out: args.out.as_ref().map(|out| out.display().to_string()),
        files: &report.files,
    }
}

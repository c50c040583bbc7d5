//! Settles options that exclude each other: the command line has precedence over variables, and variables over
//! configuration files.

use std::cmp::Ordering;

use crate::api::api_key::KEY_VARIABLE;
use crate::cli::args::{ExportArgs, ServerArgs, SourceArgs};
use crate::cli::error::UsageError;
use crate::cli::option_origins::{OptionPlace, Origins, is_set};
use crate::cli::shared_args::DisplayArgs;
use crate::jobs::export_defaults::URL_VARIABLE;

/// Which of two options that are both given is dropped.
enum DroppedOption {
    First,
    Second,
}

/// The weaker of two options that exclude each other. Two of the same place are a mistake.
fn dropped_option(one: &str, other: &str, origins: &Origins) -> Result<DroppedOption, UsageError> {
    match origins.place(one).cmp(&origins.place(other)) {
        Ordering::Less => Ok(DroppedOption::First),
        Ordering::Greater => Ok(DroppedOption::Second),
        Ordering::Equal => Err(UsageError::conflict(origins, one, other)),
    }
}

/// Settles `--quiet` and `--verbose`.
pub(crate) fn settle_display(args: &mut DisplayArgs, origins: &Origins) -> Result<(), UsageError> {
    if args.quiet && args.verbose {
        match dropped_option("--quiet", "--verbose", origins)? {
            DroppedOption::First => args.quiet = false,
            DroppedOption::Second => args.verbose = false,
        }
    }
    Ok(())
}

/// Settles the options of an export.
pub(crate) fn settle_export(args: &mut ExportArgs, origins: &Origins) -> Result<(), UsageError> {
    if args.fail_fast && args.guard.max_failures.is_some() {
        match dropped_option("--fail-fast", "--max-failures", origins)? {
            DroppedOption::First => args.fail_fast = false,
            DroppedOption::Second => args.guard.max_failures = None,
        }
    }
    settle_tasks(args, origins);
    settle_server(&mut args.api.server, origins)
}

/// Of the options that say which tasks are exported, those of the strongest place count.
fn settle_tasks(args: &mut ExportArgs, origins: &Origins) {
    let strongest = strongest(origins);
    if origins.place("--ids") < strongest {
        args.ids.clear();
    }
    if origins.place("--id") < strongest {
        args.id.clear();
    }
    settle_sources(&mut args.source, origins);
}

/// The strongest place of the options that say which tasks are meant.
fn strongest(origins: &Origins) -> OptionPlace {
    let options = ["--ids", "--id", "--project", "--batch", "--delivery"];
    let places = options.map(|option| origins.place(option));
    places.into_iter().max().unwrap_or(OptionPlace::Default)
}

/// Of lists, those of the strongest place count. Where no list is left, filters of a file are dropped too: they belong to
/// the lists of the file. A filter in a variable without a list is a mistake.
pub(crate) fn settle_sources(args: &mut SourceArgs, origins: &Origins) {
    let strongest = strongest(origins);
    for (option, names) in [
        ("--project", &mut args.project),
        ("--batch", &mut args.batch),
        ("--delivery", &mut args.delivery),
    ] {
        if origins.place(option) < strongest {
            names.clear();
        }
    }
    if !args.project.is_empty() || !args.batch.is_empty() {
        return;
    }
    for (option, filter) in [
        ("--status", &mut args.status),
        ("--completed-after", &mut args.completed_after),
        ("--completed-before", &mut args.completed_before),
    ] {
        if origins.place(option) < strongest && is_of_file(origins, option) {
            *filter = None;
        }
    }
}

/// Settles where the key and the server come from. The variables that the clients of the API know are stronger than a
/// file, like all variables.
pub(crate) fn settle_server(args: &mut ServerArgs, origins: &Origins) -> Result<(), UsageError> {
    if args.api_key_file.is_some() && args.api_key_command.is_some() {
        match dropped_option("--api-key-file", "--api-key-command", origins)? {
            DroppedOption::First => args.api_key_file = None,
            DroppedOption::Second => args.api_key_command = None,
        }
    }
    if is_set(KEY_VARIABLE) {
        if is_of_file(origins, "--api-key-file") {
            args.api_key_file = None;
        }
        if is_of_file(origins, "--api-key-command") {
            args.api_key_command = None;
        }
    }
    if origins.name("--base-url") == URL_VARIABLE {
        args.base_url = None;
    }
    #[cfg(feature = "sandbox")]
    settle_sandbox(args, origins)?;
    Ok(())
}

/// The sandbox and another server exclude each other.
#[cfg(feature = "sandbox")]
fn settle_sandbox(args: &mut ServerArgs, origins: &Origins) -> Result<(), UsageError> {
    if !args.sandbox || args.base_url.is_none() {
        return Ok(());
    }
    match origins.place("--sandbox").cmp(&origins.place("--base-url")) {
        Ordering::Less => args.sandbox = false,
        Ordering::Greater => args.base_url = None,
        Ordering::Equal => {
            let [sandbox, url] = ["--sandbox", "--base-url"].map(|option| origins.name(option));
            return Err(UsageError::CommandLine {
                place: origins.place("--sandbox").as_str(),
                reason: format!("{sandbox} cannot be used with {url}"),
                hint: format!("the sandbox has its own address: remove {sandbox} or {url}"),
            });
        }
    }
    Ok(())
}

fn is_of_file(origins: &Origins, option: &str) -> bool {
    matches!(origins.place(option), OptionPlace::File(_))
}

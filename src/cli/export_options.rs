//! From the options of the command line to those of an export.

use secrecy::SecretString;

use crate::api::list_request::ListSource;
use crate::cli::args::{ExportArgs, IdsArgs, NetworkArgs, PlanArg, RefreshArg, ServerArgs};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::list_sources::{export_sources, list_sources};
use crate::cli::messages::announce_stdin;
use crate::cli::option_origins::Origins;
use crate::cli::output_options::{
    OutputOptions, guard_options, non_empty, output_options, warnings_of_skipped,
};
use crate::cli::publish_place::{PublishPlace, export_place};
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::error::Explain as _;
use crate::flatten::task::TASK_STATUSES;
use crate::ids::read::{ReadIds, read_ids};
use crate::jobs::export_builder::ExportOptionsBuilder;
use crate::jobs::export_defaults::DEFAULT_OPTS;
use crate::jobs::export_options::{ExportOptions, Refresh};
use crate::jobs::options_error::OptionsError;
use crate::lists::list_planner::ListPlan;
use crate::publish::guard::GuardOptions;
#[cfg(feature = "sandbox")]
use crate::sandbox::config::SandboxConfig;
#[cfg(feature = "sandbox")]
use crate::sandbox::error::SandboxError;
#[cfg(feature = "sandbox")]
use crate::sandbox::server::Sandbox;

/// Values of `--expand` that the API is known to have.
const KNOWN_EXPAND: [&str; 2] = ["project", "batch"];

/// Stored instead of the sandbox's address, whose port differs between runs.
const SANDBOX_LABEL: &str = "sandbox";

/// The sandbox in this process.
pub(crate) struct SandboxServer {
    pub(crate) base_url: String,
    pub(crate) api_key: SecretString,
}

#[cfg(feature = "sandbox")]
impl SandboxServer {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self {
            base_url: sandbox.base_url(),
            api_key: sandbox.key().to_owned().into(),
        }
    }
}

/// Starts the sandbox if `--sandbox` is given.
#[cfg(feature = "sandbox")]
pub(crate) fn start_sandbox(args: &ServerArgs) -> Result<Option<Sandbox>, SandboxError> {
    let wanted = args.sandbox;
    wanted
        .then(|| Sandbox::start(SandboxConfig::default()))
        .transpose()
}

/// The tasks that the command line names.
#[derive(Debug, Default)]
pub(crate) struct ChosenTasks {
    /// List endpoints; none with IDs.
    pub(crate) lists: Vec<ListSource>,
    pub(crate) read: ReadIds,
}

/// The options of an export, and warnings about them.
pub(crate) fn export_options(
    args: &ExportArgs,
    sandbox: Option<SandboxServer>,
) -> Result<(ExportOptions, Vec<String>), CommandError> {
    refuse_key(&args.api.server)?;
    // Mistakes on the command line come before lists of IDs, which may be large or wait for standard input.
    let lists = task_sources(args)?;
    let place = export_place((&args.output).into(), &args.display.origins)?;
    let output = output_options(&args.output, &args.display.origins)?;
    let tasks = read_tasks(args, lists)?;
    let mut warnings = warnings_of_skipped(&tasks.read.skipped);
    warnings.extend(unknown_values(args));
    let options = options_builder(args, (place, output), tasks, sandbox)
        .build()
        .map_err(|error| named(error, &args.display.origins))?;
    Ok((options, warnings))
}

/// Refuses a key on the command line.
pub(crate) fn refuse_key(args: &ServerArgs) -> Result<(), UsageError> {
    if args.api_key.is_some() {
        return Err(UsageError::KeyOnCommandLine);
    }
    Ok(())
}

/// The lists that the tasks are taken from; none if they come from IDs. Refuses a command line without any source of
/// tasks.
pub(crate) fn task_sources(args: &ExportArgs) -> Result<Vec<ListSource>, CommandError> {
    let lists = export_sources(args)?;
    if args.ids.is_empty() && args.id.is_empty() && lists.is_empty() {
        return Err(UsageError::Missing(
            "--ids",
            "try: scale-export --ids ids.txt --out dir/, or --project, --batch or --delivery instead of --ids",
        )
        .into());
    }
    Ok(lists)
}

/// Reads the IDs, unless the tasks are taken from lists.
pub(crate) fn read_tasks(
    args: &ExportArgs,
    lists: Vec<ListSource>,
) -> Result<ChosenTasks, CommandError> {
    let read = if lists.is_empty() {
        announce_stdin(&args.ids, "task IDs", &args.display);
        read_ids(&args.ids, &args.id, &args.list.id_column)?
    } else {
        ReadIds::default()
    };
    Ok(ChosenTasks { lists, read })
}

/// The options that are still to be resolved.
pub(crate) fn options_builder(
    args: &ExportArgs,
    (place, output): (PublishPlace, OutputOptions),
    tasks: ChosenTasks,
    sandbox: Option<SandboxServer>,
) -> ExportOptionsBuilder {
    let OutputOptions {
        format,
        tables,
        threads,
    } = output;
    let builder = ExportOptions::builder(place.out)
        .ids(tasks.read.ids)
        .lists(tasks.lists)
        .format(format)
        .tables(tables)
        .threads(threads)
        .targets(place.targets)
        .refresh(match args.refresh {
            RefreshArg::Pending => Refresh::Pending,
            RefreshArg::All => Refresh::All,
            RefreshArg::None => Refresh::None,
        })
        .prune(args.prune)
        .force(args.output.force)
        .keep_secrets(args.output.keep_secrets)
        .guard(GuardOptions {
            drop_missing: args.missing.drop_missing,
            ..guard_options(&args.guard)
        })
        .fail_fast(args.fail_fast)
        .plan(match args.plan {
            PlanArg::Auto => ListPlan::Auto,
            PlanArg::Ids => ListPlan::Ids,
            PlanArg::Lists => ListPlan::Lists,
        })
        .expand(non_empty(&args.api.expand))
        .opts(non_empty(&args.api.opts));
    let builder = match args.shard {
        Some(shard) => builder.shard(shard),
        None => builder,
    };
    let builder = with_network(builder, &args.network);
    with_server(builder, &args.api.server, sandbox)
}

/// The options of `ids`, which has no output directory.
pub(crate) fn list_options(
    args: &IdsArgs,
    sandbox: Option<SandboxServer>,
) -> Result<ExportOptions, CommandError> {
    let origins = &args.display.origins;
    let lists = list_sources(&args.source, origins)?;
    if lists.is_empty() {
        return Err(UsageError::Missing(
            "--project, --batch or --delivery",
            "try: scale-export ids --batch \"Week 7\"",
        )
        .into());
    }
    let builder = with_network(ExportOptions::builder("").lists(lists), &args.network);
    with_server(builder, &args.server, sandbox)
        .build()
        .map_err(|error| named(error, origins))
}

/// Adds how requests are sent.
fn with_network(builder: ExportOptionsBuilder, args: &NetworkArgs) -> ExportOptionsBuilder {
    let mut builder = builder
        .concurrency(args.concurrency.into())
        .timeout(args.timeout)
        .connect_timeout(args.connect_timeout)
        .max_body(args.max_body)
        .max_retries(args.max_retries)
        .retry_timeout(args.retry_timeout);
    if let Some(rate) = args.rate {
        builder = builder.rate(rate);
    }
    if let Some(path) = &args.ca_file {
        builder = builder.ca_file(path);
    }
    builder
}

/// Adds the server and the key.
fn with_server(
    builder: ExportOptionsBuilder,
    args: &ServerArgs,
    sandbox: Option<SandboxServer>,
) -> ExportOptionsBuilder {
    let mut builder = builder.allow_http(args.allow_http);
    // The sandbox brings a key, so those from files or programs are not read.
    if let Some(SandboxServer { base_url, api_key }) = sandbox {
        return builder
            .base_url(base_url)
            .base_url_label(SANDBOX_LABEL)
            .api_key(api_key)
            .server_in_process(true);
    }
    if let Some(url) = &args.base_url {
        builder = builder.base_url(url);
    }
    if let Some(path) = &args.api_key_file {
        builder = builder.api_key_file(path);
    }
    if let Some(command) = &args.api_key_command {
        builder = builder.api_key_command(command);
    }
    builder
}

/// The error, with the option or variable where the user gave the value.
pub(crate) fn named(error: OptionsError, origins: &Origins) -> CommandError {
    match error {
        OptionsError::EmptyBaseUrl { variable } => {
            let name = variable.unwrap_or_else(|| origins.name("--base-url"));
            UsageError::CommandLine {
                place: origins.place("--base-url").as_str(),
                reason: format!("{name} is empty"),
                hint: error.hint().unwrap_or_default(),
            }
            .into()
        }
        error => error.into(),
    }
}

/// Warnings about values that the API is not known to have.
pub(crate) fn unknown_values(args: &ExportArgs) -> Vec<String> {
    let (expand, opts) = (non_empty(&args.api.expand), non_empty(&args.api.opts));
    let status: Vec<String> = args.source.status.iter().cloned().collect();
    let mut warnings = Vec::new();
    for (option, values, known) in [
        ("--expand", &expand, &KNOWN_EXPAND[..]),
        ("--opts", &opts, &DEFAULT_OPTS[..]),
        ("--status", &status, &TASK_STATUSES[..]),
    ] {
        let option = args.display.origins.name(option);
        warnings.extend(warnings_of_unknown(option, values, known));
    }
    warnings
}

/// A warning for each value that the API does not document. The value is sent all the same: the
/// API can support more than its documentation says.
fn warnings_of_unknown(option: &str, values: &[String], known: &[&str]) -> Vec<String> {
    let unknown = values
        .iter()
        .filter(|value| !known.contains(&value.as_str()));
    unknown
        .map(|value| {
            let rest = format!("the known values are {}", known.join(", "));
            let hint = did_you_mean(nearest_name(value, known.iter().copied()), &rest);
            format!("`{value}` of {option} is not a known value: {hint}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use crate::ids::task_ids::TaskIds;
    use clap::Parser as _;

    #[test]
    fn the_command_line_has_the_defaults_of_the_builder() {
        let cli = Cli::try_parse_from(["scale-export", "--id", "task_1", "--out", "out"]).unwrap();
        let server = SandboxServer {
            base_url: "http://127.0.0.1:1".to_owned(),
            api_key: "key".into(),
        };
        let (options, warnings) = export_options(&cli.export, Some(server)).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let expected = ExportOptions::builder("out")
            .ids(TaskIds::collect(["task_1"]).unwrap())
            .base_url("http://127.0.0.1:1")
            .base_url_label(SANDBOX_LABEL)
            .api_key("key")
            .server_in_process(true)
            .build()
            .unwrap();
        // The hash table of the IDs, before this member, has a random seed.
        let after_ids = |options: &ExportOptions| {
            let text = format!("{options:?}");
            text.split_once("lists: ").unwrap().1.to_owned()
        };
        assert_eq!(after_ids(&options), after_ids(&expected));
    }
}

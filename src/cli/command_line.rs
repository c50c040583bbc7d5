//! Reads the command line and the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ArgMatches, ColorChoice, CommandFactory as _, FromArgMatches as _, ValueEnum,
};

#[cfg(feature = "sandbox")]
use crate::cli::args::ApiArgs;
use crate::cli::args::{Cli, Command, ExportArgs};
use crate::cli::environment::Origins;
use crate::cli::error::UsageError;
use crate::cli::messages::written_to_stdout;
use crate::cli::shared_args::{ColorArg, DisplayArgs, LogFormatArg};
use crate::cli::usage_errors::explain;
use crate::jobs::export_defaults::URL_VARIABLE;

/// Reads the command line and the environment. An option on the command line has precedence over the variable of an
/// opposite option. None where the arguments request the help or the version, which is printed.
pub(crate) fn read_command_line() -> Result<Option<Cli>, UsageError> {
    let command = command();
    let arguments = arguments(&command);
    let explained = |error: &clap::Error| explain(error, &command, &arguments);
    let mut matches = match command.clone().try_get_matches_from(&arguments) {
        Err(error) if !error.use_stderr() => {
            return written_to_stdout(error.print().and_then(|()| std::io::stdout().flush()))
                .map(|()| None);
        }
        matches => matches.map_err(|error| explained(&error))?,
    };
    let weak = ["fail_fast", "max_failures"].map(|name| is_weak(&matches, name));
    let weak_ids = ["ids", "id"].map(|name| is_weak(&matches, name));
    let weak_lists = ["project", "batch", "delivery"].map(|name| is_weak(&matches, name));
    #[cfg(feature = "sandbox")]
    let weak_server = ["sandbox", "base_url"].map(|name| is_weak(&matches, name));
    let origins = origins(&command, &matches);
    let deepest = matches.subcommand_matches(matches.subcommand_name().unwrap_or_default());
    let deepest = deepest.unwrap_or(&matches);
    // Only jobs have these options.
    let has_display = deepest.try_contains_id("quiet").is_ok();
    let weak_display = ["quiet", "verbose"].map(|name| has_display && is_weak(deepest, name));
    let mut cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| explained(&error))?;
    let display = match &mut cli.command {
        None => Some(&mut cli.export.display),
        Some(Command::Verify(args)) => Some(&mut args.display),
        Some(Command::Flatten(args)) => Some(&mut args.display),
        Some(_) => None,
    };
    if let Some(display) = display {
        settle(display, weak_display, &origins)?;
        display.origins = origins.clone();
    }
    #[cfg(feature = "sandbox")]
    if cli.command.is_none() {
        settle_server(&mut cli.export.api, weak_server, &origins)?;
    }
    let export = &mut cli.export;
    let [weak_fast, weak_max] = weak;
    if export.fail_fast && export.guard.max_failures.is_some() {
        match (weak_fast, weak_max) {
            (true, false) => export.fail_fast = false,
            (false, true) => export.guard.max_failures = None,
            _ => return Err(conflict(&origins, "--fail-fast", "--max-failures")),
        }
    }
    settle_sources(export, weak_ids, weak_lists);
    Ok(Some(cli))
}

/// A completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scale-export", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The name and version, as `--version` prints them.
pub(crate) fn version() -> String {
    Cli::command().render_version()
}

/// The format of log lines, where the arguments as a whole cannot be read.
pub(crate) fn log_format() -> LogFormatArg {
    raw_value("--log-format", "SCALE_EXPORT_LOG_FORMAT").unwrap_or(LogFormatArg::Text)
}

/// When to use color, where the arguments as a whole cannot be read.
pub(crate) fn color() -> ColorArg {
    raw_value("--color", "SCALE_EXPORT_COLOR").unwrap_or(ColorArg::Auto)
}

/// The value of an option, or of the variable in its place, if it is a valid one.
fn raw_value<T: ValueEnum>(option: &str, variable: &str) -> Option<T> {
    let mut chosen = std::env::var_os(variable);
    let mut arguments = std::env::args_os().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == option {
            chosen = arguments.next();
        } else if let Some(value) = argument
            .to_str()
            .and_then(|text| text.strip_prefix(option)?.strip_prefix('='))
        {
            chosen = Some(value.into());
        }
    }
    T::from_str(chosen?.to_str()?, false).ok()
}

/// The options, without the environment variables that are empty: these count as unset.
fn command() -> clap::Command {
    // Of the help, `-h` has no variables.
    let is_long_help = std::env::args_os()
        .skip(1)
        .any(|argument| argument == "--help" || argument == "help");
    let adapt = |argument: Arg| {
        // The help is plain text.
        let plain = |text: Option<&clap::builder::StyledStr>| {
            text.map(|text| text.to_string().replace('`', ""))
        };
        let help = plain(argument.get_help());
        let long_help = plain(argument.get_long_help());
        let argument = match help {
            Some(help) => argument.help(help),
            None => argument,
        };
        let argument = match long_help {
            Some(long_help) => argument.long_help(long_help),
            None => argument,
        };
        let argument = argument.hide_env(!is_long_help).hide_env_values(true);
        // Their texts name the values.
        let names_values = ["color", "refresh"].contains(&argument.get_id().as_str());
        let argument = argument.hide_possible_values(names_values && !is_long_help);
        let is_empty =
            |variable: &OsStr| std::env::var_os(variable).is_some_and(|value| value.is_empty());
        let argument = if argument.get_env().is_some_and(is_empty) {
            argument.env(None::<&'static str>)
        } else {
            argument
        };
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            // `-vv` means `-v`.
            let id = argument.get_id().clone();
            argument.overrides_with(id)
        } else {
            argument
        }
    };
    let color = match color() {
        ColorArg::Auto => ColorChoice::Auto,
        ColorArg::Always => ColorChoice::Always,
        ColorArg::Never => ColorChoice::Never,
    };
    let mut command = with_help_option(Cli::command())
        .color(color)
        .mut_args(adapt)
        .mut_subcommands(|command| with_help_option(command.mut_args(adapt)))
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version")
                .help_heading(LAST_HEADING),
        )
        .mut_subcommand("verify", |verify| {
            verify.mut_arg("verbose", |verbose| verbose.help("Print details"))
        });
    // Its own `help` command exists from here on.
    command.build();
    command.mut_subcommand("help", |help| help.about("Print help for a command"))
}

/// The heading of the options that every command has.
const LAST_HEADING: &str = "Display";

/// The command with `-h` and `--help` under the heading of its last options.
fn with_help_option(command: clap::Command) -> clap::Command {
    command.disable_help_flag(true).arg(
        Arg::new("help")
            .short('h')
            .long("help")
            .action(ArgAction::Help)
            .help("Print help; --help prints more")
            .help_heading(LAST_HEADING),
    )
}

/// The arguments, with negative numbers attached to their options, so that errors name the options.
fn arguments(command: &clap::Command) -> Vec<OsString> {
    let mut bound: Vec<OsString> = Vec::new();
    let mut given = std::env::args_os();
    bound.extend(given.next());
    let options: Vec<String> = std::iter::once(command)
        .chain(command.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter(|argument| argument.get_action().takes_values())
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let is_option = |argument: &OsString| options.iter().any(|option| *argument == **option);
    let mut is_over = false;
    for argument in given {
        is_over = is_over || argument == "--";
        let is_negative = argument.to_str().is_some_and(|text| {
            let number = text.strip_prefix('-').unwrap_or_default();
            number.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        });
        match bound
            .last_mut()
            .filter(|last| !is_over && is_negative && is_option(last))
        {
            Some(option) => {
                option.push("=");
                option.push(argument);
            }
            None => bound.push(argument),
        }
    }
    let asks_for_help = |argument: &OsString| argument == "--help" || argument == "-h";
    if bound.len() == 3
        && bound.get(1).is_some_and(|word| word == "help")
        && bound.last().is_some_and(asks_for_help)
    {
        bound.pop();
    }
    bound
}

/// The options whose values come from variables.
fn origins(command: &clap::Command, matches: &ArgMatches) -> Origins {
    let deepest = matches
        .subcommand()
        .and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    let all = [Some((command, matches)), deepest];
    let weak = all.into_iter().flatten().flat_map(|(command, matches)| {
        command
            .get_arguments()
            .filter(|argument| is_weak(matches, argument.get_id().as_str()))
    });
    let named = weak.filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?;
        Some((format!("--{}", argument.get_long()?), variable.to_owned()))
    });
    let mut variables: BTreeMap<String, String> = named.collect();
    // This variable has its name from the API's own clients, and is read where the option is not given.
    if matches.value_source("base_url").is_none()
        && std::env::var_os(URL_VARIABLE).is_some_and(|url| !url.is_empty())
    {
        variables.insert("--base-url".to_owned(), URL_VARIABLE.to_owned());
    }
    Origins {
        variables,
        command: matches.subcommand_name().map(str::to_owned),
    }
}

/// The sandbox and another server exclude each other. Of an option and the variable of the other, the option has
/// precedence.
#[cfg(feature = "sandbox")]
fn settle_server(args: &mut ApiArgs, weak: [bool; 2], origins: &Origins) -> Result<(), UsageError> {
    if !args.sandbox || args.base_url.is_none() {
        return Ok(());
    }
    match weak {
        [true, false] => args.sandbox = false,
        [false, true] => args.base_url = None,
        _ => {
            let [sandbox, url] = ["--sandbox", "--base-url"].map(|option| origins.name(option));
            return Err(UsageError::CommandLine {
                place: origins.place("--sandbox"),
                reason: format!("{sandbox} cannot be used with {url}"),
                hint: format!("the sandbox has its own address: remove {sandbox} or {url}"),
            });
        }
    }
    Ok(())
}

/// Sources of tasks on the command line replace those of the environment.
fn settle_sources(args: &mut ExportArgs, weak_ids: [bool; 2], weak_lists: [bool; 3]) {
    let ExportArgs {
        ids,
        id,
        project,
        batch,
        delivery,
        ..
    } = args;
    let [weak_file, weak_id] = weak_ids;
    let [weak_project, weak_batch, weak_delivery] = weak_lists;
    let has_strong = (!ids.is_empty() && !weak_file)
        || (!id.is_empty() && !weak_id)
        || (!project.is_empty() && !weak_project)
        || (!batch.is_empty() && !weak_batch)
        || (!delivery.is_empty() && !weak_delivery);
    if !has_strong {
        return;
    }
    if weak_file {
        ids.clear();
    }
    for (names, is_weak) in [
        (id, weak_id),
        (project, weak_project),
        (batch, weak_batch),
        (delivery, weak_delivery),
    ] {
        if is_weak {
            names.clear();
        }
    }
}

/// Whether the value of an option comes from the environment.
fn is_weak(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::EnvVariable)
}

/// Of `--quiet` and `--verbose`, the one on the command line has precedence.
fn settle(
    display: &mut DisplayArgs,
    [weak_quiet, weak_verbose]: [bool; 2],
    origins: &Origins,
) -> Result<(), UsageError> {
    if display.quiet && display.verbose {
        match (weak_quiet, weak_verbose) {
            (true, false) => display.quiet = false,
            (false, true) => display.verbose = false,
            _ => return Err(conflict(origins, "--quiet", "--verbose")),
        }
    }
    Ok(())
}

fn conflict(origins: &Origins, one: &str, other: &str) -> UsageError {
    UsageError::conflict(origins, one, other)
}

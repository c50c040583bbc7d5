//! Reads the command line and the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{
    Arg, ArgAction, ArgMatches, ColorChoice, CommandFactory as _, FromArgMatches as _, ValueEnum,
};

use crate::cli::args::{Cli, Command, ExportArgs};
use crate::cli::config::layers::{ConfiguredOptions, KnownOptions, OptionShape, combine};
use crate::cli::config::location::read_files;
use crate::cli::error::UsageError;
use crate::cli::messages::{print, written_to_stdout};
use crate::cli::option_origins::{OptionOrigin, OptionPlace, Origins};
use crate::cli::precedence::{settle_display, settle_export, settle_server, settle_sources};
use crate::cli::shared_args::{
    CONFIG_VARIABLE, ColorArg, DisplayArgs, LogFormatArg, PROFILE_VARIABLE,
};
use crate::cli::usage_errors::explain;
use crate::cli::version_text::{version_details, wants_version_details};
use crate::jobs::run_summary::JobName;

/// Reads the command line, the environment and the configuration files. None where the arguments request the help or the
/// version, which is printed.
pub(crate) fn read_command_line() -> Result<Option<Cli>, UsageError> {
    let command = command(HelpView::of_arguments());
    let arguments = arguments(&command);
    let parse = |command: &clap::Command, configured: &ConfiguredOptions| match command
        .clone()
        .try_get_matches_from(&arguments)
    {
        // `clap` stops at `--version`, so it has not read `-v`.
        Err(error) if is_version(&error) && wants_version_details(&arguments) => {
            print(&version_details()).map(|()| None)
        }
        // `clap` reports a request for help as an error too.
        Err(error) if !error.use_stderr() => {
            written_to_stdout(error.print().and_then(|()| std::io::stdout().flush())).map(|()| None)
        }
        matches => matches
            .map(Some)
            .map_err(|error| explain(&error, command, &arguments, configured)),
    };
    let mut configured = ConfiguredOptions::new();
    // Mistakes of the command line are found, and help is printed, without the files.
    let Some(mut matches) = parse(&command, &configured)? else {
        return Ok(None);
    };
    let deepest = deepest(&command, &matches).0;
    // A broken file must not keep a user from commands that do not need it, such as `completions`.
    if deepest
        .get_arguments()
        .any(|argument| argument.get_id() == JOB_OPTION)
    {
        configured = read_configuration()?;
    }
    let command = with_defaults(command, &configured);
    // Values of files pass through the parsers of their options, so the arguments are parsed once more with them.
    if !configured.is_empty() {
        match parse(&command, &configured)? {
            Some(parsed) => matches = parsed,
            None => return Ok(None),
        }
    }
    // Before `from_arg_matches_mut`, which takes the values out of the matches.
    let origins = origins(&command, &matches, &configured);
    let mut cli = Cli::from_arg_matches_mut(&mut matches)
        .map_err(|error| explain(&error, &command, &arguments, &configured))?;
    if let Some(export) = export_args(&mut cli) {
        settle_export(export, &origins)?;
    } else if let Some(Command::Ids(args)) = &mut cli.command {
        settle_sources(&mut args.source, &origins);
        settle_server(&mut args.server, &origins)?;
    }
    if let Some(display) = display_args(&mut cli) {
        settle_display(display, &origins)?;
        display.origins = origins;
    }
    Ok(Some(cli))
}

/// An option that jobs have, and other commands do not have: only jobs read configuration files.
const JOB_OPTION: &str = "quiet";

/// The display options of a job.
fn display_args(cli: &mut Cli) -> Option<&mut DisplayArgs> {
    match &mut cli.command {
        None => Some(&mut cli.export.display),
        Some(Command::Verify(args)) => Some(&mut args.display),
        Some(Command::Check(args)) => Some(&mut args.export.display),
        Some(Command::Status(args)) => Some(&mut args.display),
        Some(Command::Changes(args)) => Some(&mut args.display),
        Some(Command::Flatten(args)) => Some(&mut args.display),
        Some(Command::Ids(args)) => Some(&mut args.display),
        Some(Command::Report(args)) => Some(&mut args.display),
        Some(_) => None,
    }
}

/// The options of an export, for the commands that have them.
fn export_args(cli: &mut Cli) -> Option<&mut ExportArgs> {
    match &mut cli.command {
        None => Some(&mut cli.export),
        Some(Command::Check(args)) => Some(&mut args.export),
        Some(_) => None,
    }
}

/// The command that is run, with its arguments.
fn deepest<'c>(
    command: &'c clap::Command,
    matches: &'c ArgMatches,
) -> (&'c clap::Command, &'c ArgMatches) {
    matches
        .subcommand()
        .and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)))
        .unwrap_or((command, matches))
}

/// Reads the configuration files.
fn read_configuration() -> Result<ConfiguredOptions, UsageError> {
    let file = raw_argument("--config", CONFIG_VARIABLE).map(PathBuf::from);
    let profile = raw_argument("--profile", PROFILE_VARIABLE);
    let profile = profile.map(|name| name.to_string_lossy().into_owned());
    let files = read_files(file.as_deref())?;
    if files.is_empty() && profile.is_none() {
        return Ok(ConfiguredOptions::new());
    }
    Ok(combine(&files, profile.as_deref(), &known_options())?)
}

/// The options that a file can have: those that have a variable, except the two that choose the file.
fn known_options() -> KnownOptions {
    // Only `clap` knows the type of a value, and paths are relative to their file.
    let path = clap::builder::ValueParser::path_buf().type_id();
    let commands = with_variables();
    let options = commands.values().flatten();
    options
        .filter_map(|option| {
            let shape = OptionShape {
                is_path: option.get_value_parser().type_id() == path,
                takes_many: matches!(option.get_action(), ArgAction::Append),
            };
            Some((option.get_long()?.to_owned(), shape))
        })
        .collect()
}

/// The options that have a variable and can be in a file, of each command by its name. Empty variables do not matter here.
fn with_variables() -> BTreeMap<String, Vec<Arg>> {
    let command = Cli::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let options = commands.map(|command| {
        let options = command.get_arguments().filter(|option| {
            option.get_env().is_some() && !CHOOSE_FILE.contains(&option.get_id().as_str())
        });
        (command.get_name().to_owned(), options.cloned().collect())
    });
    options.collect()
}

/// The options that choose the configuration file and its profile. A file cannot contain them.
const CHOOSE_FILE: [&str; 2] = ["config", "profile"];

/// The command, with the values of the files as defaults: these are weaker than variables and the command line.
fn with_defaults(command: clap::Command, configured: &ConfiguredOptions) -> clap::Command {
    // From a fresh command: the one that is adapted has lost the variables that are empty.
    let known = with_variables();
    let adapt = |command: clap::Command| {
        let known = known.get(command.get_name());
        let is_known = |id: &clap::Id| {
            known.is_some_and(|options| options.iter().any(|option| option.get_id() == id))
        };
        command.mut_args(|argument| {
            let option = argument.get_long().and_then(|name| configured.get(name));
            match option.map(|option| option.values.clone()) {
                Some(values) if is_known(argument.get_id()) => argument.default_values(values),
                _ => argument,
            }
        })
    };
    adapt(command).mut_subcommands(adapt)
}

/// A completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scale-export", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Whether `clap` found the option that prints the version.
fn is_version(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayVersion
}

/// The format of log lines, where the arguments as a whole cannot be read.
pub(crate) fn log_format() -> LogFormatArg {
    raw_value("--log-format", "SCALE_EXPORT_LOG_FORMAT").unwrap_or(LogFormatArg::Text)
}

/// When to use color, where the arguments as a whole cannot be read.
pub(crate) fn color() -> ColorArg {
    raw_value("--color", "SCALE_EXPORT_COLOR").unwrap_or(ColorArg::Auto)
}

/// The options that name files for a run, where the arguments as a whole cannot be read.
pub(crate) fn file_args() -> Option<ExportArgs> {
    let options = [
        ("--summary", "SCALE_EXPORT_SUMMARY"),
        ("--metrics", "SCALE_EXPORT_METRICS"),
        ("--out", "SCALE_EXPORT_OUT"),
    ];
    // Only these options are parsed, so that what is wrong with the others does not matter.
    let mut words: Vec<OsString> = vec![env!("CARGO_PKG_NAME").into()];
    for (option, variable) in options {
        if let Some(value) = raw_argument(option, variable) {
            let mut word = OsString::from(format!("{option}="));
            word.push(value);
            words.push(word);
        }
    }
    // A variable can be what is wrong.
    let command = Cli::command().mut_args(|argument| argument.env(None::<&'static str>));
    let mut matches = command.try_get_matches_from(words).ok()?;
    Some(Cli::from_arg_matches_mut(&mut matches).ok()?.export)
}

/// The job that the arguments name, where they cannot be read as a whole.
pub(crate) fn job_of_arguments() -> JobName {
    let mut words = std::env::args_os().skip(1);
    words
        .find_map(|word| JobName::find(word.to_str()?))
        .unwrap_or(JobName::Export)
}

/// The value of an option, or of the variable in its place, if it is a valid one.
fn raw_value<T: ValueEnum>(option: &str, variable: &str) -> Option<T> {
    T::from_str(raw_argument(option, variable)?.to_str()?, false).ok()
}

/// The value of an option, or of the variable in its place. An empty variable counts as unset.
fn raw_argument(option: &str, variable: &str) -> Option<OsString> {
    let mut chosen = std::env::var_os(variable).filter(|value| !value.is_empty());
    // Words after `--` are not options.
    let mut arguments = std::env::args_os().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == option {
            chosen = arguments.next();
        } else if let Some(value) = argument
            .as_encoded_bytes()
            .strip_prefix(option.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
        {
            chosen = Some(OsStr::from_bytes(value).to_owned());
        }
    }
    chosen
}

/// Where the texts of the options appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HelpView {
    /// `-h`, and error messages.
    Short,
    /// `--help`.
    Long,
    /// Manual pages, which do not depend on the environment.
    Page,
}

impl HelpView {
    /// What the arguments of this process request.
    fn of_arguments() -> Self {
        // The view decides how the command is built, so it cannot wait for the arguments to be parsed.
        let is_long = std::env::args_os()
            .skip(1)
            .any(|argument| argument == "--help" || argument == "help");
        if is_long { Self::Long } else { Self::Short }
    }
}

/// An option with the texts of a view. An environment variable that is empty counts as unset.
fn adapt(argument: Arg, view: HelpView) -> Arg {
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
    let is_short = view == HelpView::Short;
    // The value of a variable can be a secret, and would differ from machine to machine.
    let argument = argument.hide_env(is_short).hide_env_values(true);
    // Their texts name the values.
    let names_values = ["color", "refresh"].contains(&argument.get_id().as_str());
    let argument = argument.hide_possible_values(names_values && is_short);
    let is_empty =
        |variable: &OsStr| std::env::var_os(variable).is_some_and(|value| value.is_empty());
    let argument = match view {
        // Otherwise a page has no text for the option.
        HelpView::Page => argument.hide_short_help(false),
        _ if argument.get_env().is_some_and(is_empty) => argument.env(None::<&'static str>),
        _ => argument,
    };
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        // `-vv` means `-v`.
        let id = argument.get_id().clone();
        argument.overrides_with(id)
    } else {
        argument
    }
}

/// All commands with their options, for manual pages.
pub(crate) fn documented_command() -> clap::Command {
    // `help` prints what the pages contain.
    command(HelpView::Page).mut_subcommand("help", |help| help.hide(true))
}

/// All commands with their options.
fn command(view: HelpView) -> clap::Command {
    let color = match color() {
        ColorArg::Auto => ColorChoice::Auto,
        ColorArg::Always => ColorChoice::Always,
        ColorArg::Never => ColorChoice::Never,
    };
    let adapt = |argument| adapt(argument, view);
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
                .help("Print the version; with -v, the versions of all formats too")
                .help_heading(LAST_HEADING)
                .display_order(LAST + 1),
        )
        // It takes all options of a run, so that a command can be checked as it is.
        .mut_subcommand("check", |check| {
            check.mut_arg("dry_run", |dry_run| dry_run.hide(true))
        })
        .mut_subcommand("verify", |verify| {
            verify.mut_arg("verbose", |verbose| verbose.help("Print details"))
        })
        .mut_subcommand("changes", |changes| {
            changes.mut_arg("verbose", |verbose| verbose.help("Print details"))
        });
    // Its own `help` command exists from here on.
    command.build();
    command.mut_subcommand("help", |help| help.about("Print help for a command"))
}

/// The heading of the options that every command has.
const LAST_HEADING: &str = "Display";

/// The place of `--help` below that heading: after all other options.
const LAST: usize = 1_000;

/// The command with `-h` and `--help` under the heading of its last options.
fn with_help_option(command: clap::Command) -> clap::Command {
    command.disable_help_flag(true).arg(
        Arg::new("help")
            .short('h')
            .long("help")
            .action(ArgAction::Help)
            .help("Print help; --help prints more")
            .help_heading(LAST_HEADING)
            .display_order(LAST),
    )
}

/// The arguments, with negative numbers attached to their options, so that errors name the options.
fn arguments(command: &clap::Command) -> Vec<OsString> {
    let mut bound: Vec<OsString> = Vec::new();
    let mut arguments = std::env::args_os();
    bound.extend(arguments.next());
    let options: Vec<String> = std::iter::once(command)
        .chain(command.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter(|argument| argument.get_action().takes_values())
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let is_option = |argument: &OsString| options.iter().any(|option| *argument == **option);
    let mut is_over = false;
    for argument in arguments {
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
    // `help --help` would print the help of the command `help`.
    if bound.len() == 3
        && bound.get(1).is_some_and(|word| word == "help")
        && bound.last().is_some_and(asks_for_help)
    {
        bound.pop();
    }
    bound
}

/// Where the values of the options come from.
fn origins(
    command: &clap::Command,
    matches: &ArgMatches,
    configured: &ConfiguredOptions,
) -> Origins {
    let name = matches.subcommand_name().map(str::to_owned);
    let (command, matches) = deepest(command, matches);
    let origin = |argument: &Arg| {
        let long = argument.get_long()?;
        let option = format!("--{long}");
        let (place, name) = match matches.value_source(argument.get_id().as_str())? {
            ValueSource::CommandLine => (OptionPlace::CommandLine, option.clone()),
            ValueSource::EnvVariable => {
                let variable = argument.get_env()?.to_str()?;
                (OptionPlace::Variable, variable.to_owned())
            }
            _ => {
                // For `clap`, the value of a file is a default.
                let configured = configured.get(long)?;
                let place = OptionPlace::File(configured.layer);
                (place, configured.source.clone())
            }
        };
        let values = matches.get_raw(argument.get_id().as_str());
        let values = values
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy());
        let value = values.collect::<Vec<_>>().join(",");
        Some((option, OptionOrigin { place, name, value }))
    };
    Origins::new(command.get_arguments().filter_map(origin), name)
}

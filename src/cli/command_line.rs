//! Reads the command line and the environment, and explains what is wrong with them. With `args.rs` the only file that
//! names `clap`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::cli::api_key::without_keys;
use crate::cli::args::{Cli, Command, DisplayArgs, ExportArgs, LogFormatArg};
use crate::cli::dispatch::{Failure, UsageError};
use crate::cli::suggest::{Candidate, did_you_mean, nearest, nearest_name};

/// Where the options are listed.
const SEE_HELP: &str = "see scale-export --help";

/// Options that have their value from an environment variable: the variable of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(BTreeMap<String, String>);

impl Origins {
    /// What the user gave: the variable, or the option itself.
    pub(crate) fn name<'o>(&'o self, option: &'o str) -> &'o str {
        self.0.get(option).map_or(option, String::as_str)
    }
}

/// Reads the command line. An option that stands there wins over the environment's word for its opposite.
pub(crate) fn read_command_line() -> Result<Cli, Failure> {
    let command = command();
    let arguments = arguments(&command);
    let explained = |error: &clap::Error| Box::new(explain(error, &command, &arguments)) as Failure;
    let mut matches = match command.clone().try_get_matches_from(&arguments) {
        Err(error) if !error.use_stderr() => error.exit(),
        matches => matches.map_err(|error| explained(&error))?,
    };
    let weak = ["fail_fast", "max_failures"].map(|name| is_weak(&matches, name));
    let weak_ids = ["ids", "id"].map(|name| is_weak(&matches, name));
    let weak_lists = ["project", "batch", "delivery"].map(|name| is_weak(&matches, name));
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
    if let Some(Command::Flatten(args)) = &mut cli.command {
        args.origins = origins;
    } else {
        cli.export.origins = origins;
    }
    Ok(cli)
}

/// A completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scale-export", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The program's name and version, as `--version` prints them.
pub(crate) fn version() -> String {
    Cli::command().render_version()
}

/// The format of log lines that the arguments or the environment choose; needed where they cannot be read otherwise.
pub(crate) fn log_format() -> LogFormatArg {
    let mut chosen = std::env::var_os("SCALE_EXPORT_LOG_FORMAT");
    let mut arguments = std::env::args_os().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--log-format" {
            chosen = arguments.next();
        } else if let Some(value) = argument
            .to_str()
            .and_then(|text| text.strip_prefix("--log-format="))
        {
            chosen = Some(value.into());
        }
    }
    match chosen {
        Some(value) if value == "json" => LogFormatArg::Json,
        _ => LogFormatArg::Text,
    }
}

/// The options, without the environment variables that are empty: these count as unset.
fn command() -> clap::Command {
    fn adapt(argument: Arg) -> Arg {
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
    }
    Cli::command()
        .mut_args(adapt)
        .mut_subcommands(|command| command.mut_args(adapt))
}

/// The arguments, with negative numbers bound to their options, so that errors name these.
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

/// Which options have their values from which variables.
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
    Origins(
        weak.filter_map(|argument| {
            let variable = argument.get_env()?.to_str()?;
            Some((format!("--{}", argument.get_long()?), variable.to_owned()))
        })
        .collect(),
    )
}

/// Says what is wrong, with the option or variable that it is wrong with.
fn explain(error: &clap::Error, command: &clap::Command, arguments: &[OsString]) -> UsageError {
    let given = arguments.get(1..).unwrap_or_default();
    let subject = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let word = context(error, ContextKind::InvalidSubcommand);
    let active = active(command, given);
    match (error.kind(), word) {
        (ErrorKind::InvalidValue, _) if value.is_empty() => {
            let reason = format!("{} needs a value", option_of(subject));
            wrong(&reason, SEE_HELP.to_owned())
        }
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, _) => {
            let option = option_of(subject);
            let variable = [active, command]
                .iter()
                .find_map(|command| variable_of(command, &option, given));
            explain_value(error, value, variable.as_deref(), &option)
        }
        (ErrorKind::UnknownArgument, _) if subject.starts_with('-') => {
            let near = nearest(subject.trim_start_matches('-'), options_of(active));
            let near = near.filter(|_| subject.starts_with("--"));
            let near = near.map(|name| format!("--{name}"));
            let reason = format!("unknown option `{subject}`");
            wrong(&reason, did_you_mean(near, SEE_HELP))
        }
        (ErrorKind::UnknownArgument, _) => {
            let reason = format!("unexpected argument `{subject}`");
            wrong(&reason, extra_hint(active, given, subject))
        }
        (ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict, Some(word)) => {
            explain_word(word, command, given)
        }
        (ErrorKind::InvalidUtf8, _) => {
            let not_utf8 = [active, command]
                .iter()
                .find_map(|command| not_utf8_variable(command, given));
            match not_utf8 {
                Some(variable) => {
                    UsageError::not_utf8(&variable, format!("set {variable} again, or unset it"))
                }
                None => wrong(&rendered(error), SEE_HELP.to_owned()),
            }
        }
        _ => wrong(&rendered(error), SEE_HELP.to_owned()),
    }
}

/// Something is wrong with the command line. Words that look like keys are not repeated.
fn wrong(reason: &str, hint: String) -> UsageError {
    UsageError::CommandLine {
        place: "command line",
        reason: without_keys(reason),
        hint,
    }
}

/// What an error says of its context.
fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The command whose options are given.
fn active<'c>(command: &'c clap::Command, given: &[OsString]) -> &'c clap::Command {
    let words = given.iter().filter_map(|word| word.to_str());
    let mut commands = words.filter_map(|word| command.find_subcommand(word));
    commands.next().unwrap_or(command)
}

/// A value that an option, or the variable in its place, does not take.
fn explain_value(
    error: &clap::Error,
    value: &str,
    variable: Option<&str>,
    option: &str,
) -> UsageError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let mut expected = cause.unwrap_or_else(|| "it cannot be read".to_owned());
    let mut near = None;
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        expected = format!("expected {}", one_of(values));
        near = nearest_name(value, values.iter().map(String::as_str));
    }
    let name = variable.unwrap_or(option);
    UsageError::CommandLine {
        place: match variable {
            Some(_) => "environment",
            None => "command line",
        },
        reason: without_keys(&format!("invalid value `{value}` for {name}: {expected}")),
        hint: did_you_mean(near, SEE_HELP),
    }
}

/// A word where a command may stand.
fn explain_word(word: &str, command: &clap::Command, given: &[OsString]) -> UsageError {
    if command.find_subcommand(word).is_some() {
        let reason = format!("the command `{word}` does not come first");
        return wrong(&reason, format!("try: scale-export {word} --help"));
    }
    if given.first().is_some_and(|first| *first != *word) {
        let reason = format!("unexpected argument `{word}`");
        return wrong(&reason, extra_hint(command, given, word));
    }
    let commands = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let near = nearest_name(word, commands.map(clap::Command::get_name));
    let reason = format!("unknown command `{word}`");
    wrong(&reason, did_you_mean(near, SEE_HELP))
}

/// The error in the words of `clap`, as one line.
fn rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.trim_start_matches("error: ");
    let is_reason = |line: &&str| {
        !["Usage:", "For more", "tip:"]
            .iter()
            .any(|other| line.starts_with(other))
    };
    let reason: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(is_reason)
        .filter(|line| !line.is_empty())
        .collect();
    reason.join(" ")
}

/// `--out` of `--out <DIR>`.
fn option_of(subject: &str) -> String {
    subject.split(' ').next().unwrap_or_default().to_owned()
}

/// The variable that an option has its value from, where the option does not stand on the command line.
fn variable_of(command: &clap::Command, option: &str, given: &[OsString]) -> Option<String> {
    let long = option.strip_prefix("--")?;
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long))?;
    let variable = argument.get_env()?.to_str()?;
    let is_given = given.iter().filter_map(|word| word.to_str()).any(|word| {
        word.strip_prefix(option)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    });
    (!is_given && std::env::var_os(variable).is_some()).then(|| variable.to_owned())
}

/// The first variable in place of an option whose value is not UTF-8 although it is not a path.
fn not_utf8_variable(command: &clap::Command, given: &[OsString]) -> Option<String> {
    let path = clap::builder::ValueParser::path_buf().type_id();
    let texts = command
        .get_arguments()
        .filter(|argument| argument.get_value_parser().type_id() != path);
    texts
        .filter_map(|argument| variable_of(command, &format!("--{}", argument.get_long()?), given))
        .find(|variable| {
            std::env::var_os(variable).is_some_and(|value| value.into_string().is_err())
        })
}

/// Options to suggest. `--id-file` means `--ids`, which takes a file.
fn options_of(command: &clap::Command) -> Vec<Candidate> {
    let shown = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    shown
        .filter_map(|argument| {
            let name = argument.get_long()?.to_owned();
            let values = argument.get_value_names().unwrap_or_default();
            let also = values
                .iter()
                .map(|value| format!("{name}-{value}"))
                .collect();
            Some(Candidate { name, also })
        })
        .collect()
}

/// What an argument that no option takes may have been meant for.
fn extra_hint(command: &clap::Command, given: &[OsString], extra: &str) -> String {
    let before: Vec<&str> = given
        .iter()
        .filter_map(|word| word.to_str())
        .take_while(|word| *word != extra)
        .collect();
    let list = before
        .iter()
        .rposition(|word| word.starts_with('-'))
        .and_then(|at| {
            let (option, values) = before.get(at..)?.split_first()?;
            let long = option.strip_prefix("--")?;
            let argument = command
                .get_arguments()
                .find(|argument| argument.get_long() == Some(long))?;
            (argument.get_value_delimiter().is_some() && !values.is_empty())
                .then_some((option, values))
        });
    match list {
        Some((option, values)) => {
            let values = values.join(",");
            let values = values.trim_end_matches(',');
            without_keys(&format!(
                "separate values with commas: {option} {values},{extra}"
            ))
        }
        None => SEE_HELP.to_owned(),
    }
}

/// `a, b or c`.
fn one_of(values: &[String]) -> String {
    match values.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Where tasks come from on the command line wins over where they come from in the environment.
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

/// Whether an option has its value from the environment.
fn is_weak(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::EnvVariable)
}

/// Of two opposites, the one on the command line wins.
fn settle(
    display: &mut DisplayArgs,
    [weak_quiet, weak_verbose]: [bool; 2],
    origins: &Origins,
) -> Result<(), Failure> {
    if display.quiet && display.verbose {
        match (weak_quiet, weak_verbose) {
            (true, false) => display.quiet = false,
            (false, true) => display.verbose = false,
            _ => return Err(conflict(origins, "--quiet", "--verbose")),
        }
    }
    Ok(())
}

fn conflict(origins: &Origins, one: &str, other: &str) -> Failure {
    Box::new(UsageError::conflict(origins, one, other))
}

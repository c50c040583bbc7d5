//! What is wrong with the command line or the environment, and what was probably meant.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::api::key_redaction::without_keys;
use crate::cli::config::layers::ConfiguredOptions;
use crate::cli::error::UsageError;
use crate::cli::option_origins;
use crate::cli::suggest::{KnownName, did_you_mean, nearest, nearest_name};

/// The name of the main command.
const MAIN: &str = "scale-export";

/// The error that names the option or variable at fault.
pub(crate) fn explain(
    error: &clap::Error,
    command: &clap::Command,
    arguments: &[OsString],
    configured: &ConfiguredOptions,
) -> UsageError {
    let arguments = arguments.get(1..).unwrap_or_default();
    let subject = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let word = context(error, ContextKind::InvalidSubcommand);
    let active = active(command, arguments);
    let see_help = see_help(active);
    match (error.kind(), word) {
        (ErrorKind::InvalidValue, _) if value.is_empty() => {
            let reason = format!("{} needs a value", option_of(subject));
            wrong(&reason, see_help)
        }
        (ErrorKind::MissingRequiredArgument, _) => missing(error, active, see_help),
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, _) => {
            let option = option_of(subject);
            let source = value_source([active, command], &option, arguments, configured);
            explain_value(error, value, &source, &see_help)
        }
        (ErrorKind::UnknownArgument, _) if subject.starts_with('-') => {
            unknown_option(subject, active, arguments)
        }
        (ErrorKind::UnknownArgument, _) => {
            let reason = format!("unexpected argument `{subject}`");
            wrong(&reason, extra_hint(active, arguments, subject))
        }
        (ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict, Some(word)) => {
            explain_word(word, command, arguments)
        }
        (ErrorKind::InvalidUtf8, _) => {
            let not_utf8 = [active, command]
                .iter()
                .find_map(|command| not_utf8_variable(command, arguments));
            match not_utf8 {
                Some(variable) => {
                    UsageError::not_utf8(&variable, format!("set {variable} again, or unset it"))
                }
                None => wrong(&rendered(error), see_help),
            }
        }
        _ => wrong(&rendered(error), see_help),
    }
}

/// Where the options of a command are listed.
fn see_help(command: &clap::Command) -> String {
    let name = command.get_name();
    option_origins::see_help((name != MAIN).then_some(name))
}

/// An error on the command line. Words that look like keys are not repeated.
fn wrong(reason: &str, hint: String) -> UsageError {
    UsageError::CommandLine {
        place: "command line",
        reason: without_keys(reason),
        hint,
    }
}

/// A text from the context of an error.
fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The command whose options are given.
fn active<'c>(command: &'c clap::Command, arguments: &[OsString]) -> &'c clap::Command {
    let words = arguments.iter().filter_map(|word| word.to_str());
    let mut commands = words.filter_map(|word| command.find_subcommand(word));
    commands.next().unwrap_or(command)
}

/// Where a value comes from: a part of the input, and the name in it.
struct ValuePlace {
    place: &'static str,
    name: String,
}

/// The source of the value of an option: the command line, a variable, or a configuration file.
fn value_source(
    commands: [&clap::Command; 2],
    option: &str,
    arguments: &[OsString],
    configured: &ConfiguredOptions,
) -> ValuePlace {
    if is_given(option, arguments) {
        return ValuePlace {
            place: "command line",
            name: option.to_owned(),
        };
    }
    let mut variables = commands
        .iter()
        .filter_map(|command| variable_of(command, option, arguments));
    let configured = option
        .strip_prefix("--")
        .and_then(|name| configured.get(name));
    match (variables.next(), configured) {
        (Some(name), _) => ValuePlace {
            place: "environment",
            name,
        },
        (None, Some(configured)) => ValuePlace {
            place: "configuration",
            name: configured.source.clone(),
        },
        (None, None) => ValuePlace {
            place: "command line",
            name: option.to_owned(),
        },
    }
}

/// Whether an option is on the command line.
fn is_given(option: &str, arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .filter_map(|word| word.to_str())
        .any(|word| {
            word.strip_prefix(option)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
}

/// The error for a value that an option, its variable or its line in a file does not accept.
fn explain_value(
    error: &clap::Error,
    value: &str,
    source: &ValuePlace,
    see_help: &str,
) -> UsageError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let mut expected = cause.unwrap_or_else(|| "it is not valid".to_owned());
    let mut near = None;
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        expected = format!("expected {}", one_of(values));
        near = nearest_name(value, values.iter().map(String::as_str));
    }
    let ValuePlace { place, name } = source;
    UsageError::CommandLine {
        place,
        reason: without_keys(&format!("invalid value `{value}` for {name}: {expected}")),
        hint: did_you_mean(near, see_help),
    }
}

/// The error for an option that the command does not have. A single `-` before a long name is a frequent mistake:
/// `clap` then names its first letter only.
fn unknown_option(subject: &str, active: &clap::Command, arguments: &[OsString]) -> UsageError {
    let words = arguments.iter().filter_map(|word| word.to_str());
    let mut long = words.filter(|word| word.len() > subject.len() && word.starts_with(subject));
    let subject = long
        .next()
        .filter(|_| !subject.starts_with("--"))
        .map_or(subject, |word| word.split('=').next().unwrap_or(word));
    // A single letter is near to every other one.
    let is_long = subject.len() > "-x".len();
    let name = subject.trim_start_matches('-');
    let near = meant_option(name, active).or_else(|| nearest(name, options_of(active)));
    let near = near.filter(|_| is_long).map(|name| format!("--{name}"));
    let reason = format!("unknown option `{subject}`");
    wrong(&reason, did_you_mean(near, &see_help(active)))
}

/// Options of other programs, and what they are here.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("key", "api-key-file"),
    ("key-file", "api-key-file"),
    ("token", "api-key-file"),
    ("api-token", "api-key-file"),
    ("silent", "quiet"),
    ("input", "ids"),
    ("no-progress", "progress never"),
    ("no-color", "color never"),
    ("no-colour", "color never"),
];

/// The option that has another name in other programs, if the command has it.
fn meant_option(name: &str, command: &clap::Command) -> Option<String> {
    let (_, meant) = OTHER_NAMES.iter().find(|(other, _)| *other == name)?;
    let option = meant.split(' ').next();
    let mut arguments = command.get_arguments();
    arguments
        .any(|argument| argument.get_long() == option)
        .then(|| (*meant).to_owned())
}

/// Whether a word is probably a file or directory, and not a misspelled command.
fn looks_like_path(word: &str) -> bool {
    word.contains(['.', '/']) || Path::new(word).exists()
}

/// Whether a word is a directory, or is written like one.
fn is_directory(path: &str) -> bool {
    path.ends_with('/') || Path::new(path).is_dir()
}

/// A hint for a list of IDs and a directory that are given without their options.
fn paths_hint(arguments: &[OsString]) -> String {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let paths: Vec<&&str> = words
        .iter()
        .take_while(|word| !word.starts_with('-'))
        .collect();
    let (ids, out) = match paths.as_slice() {
        // Both words lack their options, so the directory shows which is which.
        [ids, out, ..] if is_directory(ids) && !is_directory(out) => (**out, **ids),
        [ids, out, ..] => (**ids, **out),
        [out] if is_directory(out) => ("ids.txt", **out),
        [ids] => (**ids, "export/"),
        [] => ("ids.txt", "export/"),
    };
    let ids = option_value(&words, "--ids", "--ids").unwrap_or(ids);
    let out = option_value(&words, "--out", "-o").unwrap_or(out);
    without_keys(&format!(
        "name the list with --ids and the directory with --out: scale-export --ids {ids} --out {out}"
    ))
}

/// The value that the words give to an option.
fn option_value<'w>(words: &[&'w str], long: &str, short: &str) -> Option<&'w str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == long || *word == short {
            return words.next().copied();
        }
        let value = word
            .strip_prefix(long)
            .and_then(|rest| rest.strip_prefix('='));
        if value.is_some() {
            return value;
        }
    }
    None
}

/// Whether a word is probably the ID of a task, and not a misspelled command.
fn looks_like_id(word: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    word.contains(|letter: char| letter.is_ascii_digit())
        && word.chars().all(is_plain)
        && without_keys(word) == word
}

/// The command line with a command first, if the command has the options before it; its help otherwise.
fn reordered(word: &str, active: &clap::Command, arguments: &[OsString]) -> String {
    let help = format!("try: scale-export {word} --help");
    let words: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
    let Some(words) = words else { return help };
    let Some(at) = words.iter().position(|other| *other == word) else {
        return help;
    };
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-=,:".contains(letter);
    let is_known = |option: &str| {
        let name = option.trim_start_matches('-');
        let name = name.split('=').next().unwrap_or_default();
        let is_short = |argument: &clap::Arg| {
            let short = argument.get_short().map(String::from);
            short.is_some_and(|short| short == name)
        };
        active
            .get_arguments()
            .any(|argument| argument.get_long() == Some(name) || is_short(argument))
    };
    let (before, after) = words.split_at(at);
    let mut options = before.iter().filter(|word| word.starts_with('-'));
    let are_plain = words.iter().all(|word| word.chars().all(is_plain));
    if !are_plain || !options.all(|option| is_known(option)) {
        return help;
    }
    let after = after.get(1..).unwrap_or_default();
    let words = [&["scale-export", word], before, after].concat();
    without_keys(&format!("try: {}", words.join(" ")))
}

/// The error for an argument that is missing.
fn missing(error: &clap::Error, active: &clap::Command, see_help: String) -> UsageError {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.as_slice(),
        _ => &[],
    };
    let names = names.iter().map(|name| option_of(name));
    let names: Vec<String> = names
        .map(|name| name.trim_end_matches('.').to_owned())
        .collect();
    let are = if names.len() > 1 { "are" } else { "is" };
    let hint = match active.get_name() {
        "verify" => "try: scale-export verify export/".to_owned(),
        "report" => "try: scale-export report export/".to_owned(),
        "changes" => "try: scale-export changes export/".to_owned(),
        "flatten" => "try: scale-export flatten export/ --out export/".to_owned(),
        "combine" => "try: scale-export combine shard-0/ shard-1/ --out export/".to_owned(),
        "completions" => "try: scale-export completions bash".to_owned(),
        _ => see_help,
    };
    wrong(&format!("{} {are} missing", names.join(", ")), hint)
}

/// The error for a word where a command belongs.
fn explain_word(word: &str, command: &clap::Command, arguments: &[OsString]) -> UsageError {
    if command.find_subcommand(word).is_some() {
        let reason = format!("the command `{word}` must come first");
        return wrong(
            &reason,
            reordered(word, active(command, arguments), arguments),
        );
    }
    // `help` takes the names of commands only, so hints about paths and IDs do not fit.
    let is_about_help = arguments.first().is_some_and(|first| first == "help");
    if !is_about_help && arguments.first().is_some_and(|first| *first != *word) {
        let reason = format!("unexpected argument `{word}`");
        return wrong(&reason, extra_hint(command, arguments, word));
    }
    let commands = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let near = nearest_name(word, commands.map(clap::Command::get_name));
    // No command has these characters.
    let is_path = word.contains(['.', '/']) || (near.is_none() && looks_like_path(word));
    if is_path && !is_about_help {
        let reason = format!("unexpected argument `{word}`");
        return wrong(&reason, paths_hint(arguments));
    }
    // Other commands have the name of their job, and this one has none.
    if word == "export" && !is_about_help {
        return wrong(
            "unknown command `export`",
            "an export needs no command: scale-export --ids ids.txt --out export/".to_owned(),
        );
    }
    let see_help = see_help(command);
    if near.is_none() && !is_about_help && looks_like_id(word) {
        let reason = format!("unexpected argument `{word}`");
        return wrong(&reason, format!("did you mean `--id {word}`? {see_help}"));
    }
    let reason = format!("unknown command `{word}`");
    wrong(&reason, did_you_mean(near, &see_help))
}

/// The message of `clap` as one line.
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

/// The variable that gives an option its value, where the option is not on the command line.
fn variable_of(command: &clap::Command, option: &str, arguments: &[OsString]) -> Option<String> {
    let long = option.strip_prefix("--")?;
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long))?;
    let variable = argument.get_env()?.to_str()?;
    (!is_given(option, arguments) && std::env::var_os(variable).is_some())
        .then(|| variable.to_owned())
}

/// The first variable of an option that is not UTF-8 and not a path.
fn not_utf8_variable(command: &clap::Command, arguments: &[OsString]) -> Option<String> {
    let path = clap::builder::ValueParser::path_buf().type_id();
    let texts = command
        .get_arguments()
        .filter(|argument| argument.get_value_parser().type_id() != path);
    texts
        .filter_map(|argument| {
            variable_of(command, &format!("--{}", argument.get_long()?), arguments)
        })
        .find(|variable| {
            std::env::var_os(variable).is_some_and(|value| value.into_string().is_err())
        })
}

/// Options to suggest. `--id-file` means `--ids`, which takes a file.
fn options_of(command: &clap::Command) -> Vec<KnownName> {
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
            Some(KnownName { name, also })
        })
        .collect()
}

/// The long option of a word like `-out`, which `clap` reads as `-o ut`.
fn with_single_dash(word: &str, command: &clap::Command) -> Option<String> {
    let name = word.strip_prefix('-')?.split('=').next()?;
    command
        .get_arguments()
        .any(|argument| name.len() > 1 && argument.get_long() == Some(name))
        .then(|| format!("--{name}"))
}

/// A hint for an argument that no option takes.
fn extra_hint(command: &clap::Command, arguments: &[OsString], extra: &str) -> String {
    let before: Vec<&str> = arguments
        .iter()
        .filter_map(|word| word.to_str())
        .take_while(|word| *word != extra)
        .collect();
    if let Some(option) = before
        .last()
        .and_then(|word| with_single_dash(word, command))
    {
        return format!("did you mean `{option}`? {}", see_help(command));
    }
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
        None if command.get_name() == MAIN && looks_like_path(extra) => {
            let has = |long: &str, short: &str| {
                let mut words = before.iter();
                words.any(|word| is_option(word, long, short))
            };
            let is_list = has("--out", "-o") || !is_directory(extra);
            let option = if is_list && !has("--ids", "--ids") {
                "--ids"
            } else {
                "--out"
            };
            without_keys(&format!(
                "did you mean `{option} {extra}`? {}",
                see_help(command)
            ))
        }
        None => see_help(command),
    }
}

/// Whether a word is an option, perhaps with its value.
fn is_option(word: &str, long: &str, short: &str) -> bool {
    let rest = word.strip_prefix(long);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        || (word.starts_with(short) && !word.starts_with("--"))
}

/// `a, b or c`.
fn one_of(values: &[String]) -> String {
    match values.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

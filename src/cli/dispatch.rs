//! The program: reads the command line, does what it says, and gives the exit code.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;
use thiserror::Error;

use crate::cli::api_key::KEY_VARIABLE;
use crate::cli::args::{Command, LogFormatArg, SandboxArgs};
use crate::cli::command_line::{Origins, completions, log_format, read_command_line, version};
use crate::cli::commands::export::run_export;
use crate::cli::commands::offline::{run_flatten, run_verify};
use crate::cli::commands::schema::print_schema;
use crate::cli::progress::{json_line, write_stderr};
use crate::cli::signals::Signals;
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::error::{Exit, Explain};
use crate::printable::printable;
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::limit_models::{Limit, LimitPlan};
use crate::sandbox::server::Sandbox;
use crate::tables::definition::TABLES;

/// What a person can get wrong on the command line, beyond what `clap` sees.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    #[error("could not start: {0} is missing")]
    Missing(&'static str, &'static str),
    #[error("could not start: the key must not stand on the command line")]
    KeyOnCommandLine,
    #[error("could not read the API key: {cause}")]
    Key { cause: String, hint: Option<String> },
    #[error("could not use `{}` as the output directory: object stores cannot be written to yet", .0.display())]
    ObjectStore(PathBuf),
    #[error("could not write to standard output: {0}")]
    Stdout(std::io::Error),
    #[error("could not read the {place}: {reason}")]
    CommandLine {
        /// The command line, or the environment.
        place: &'static str,
        reason: String,
        hint: String,
    },
    #[error("could not find table `{name}`{}", of_option(option.as_deref()))]
    Table {
        name: String,
        /// The option or variable that names it.
        option: Option<String>,
    },
    #[error("could not write the summary to `{}`: {cause}", path.display())]
    Summary { path: PathBuf, cause: String },
}

fn of_option(option: Option<&str>) -> String {
    option.map_or_else(String::new, |option| format!(" of {option}"))
}

impl UsageError {
    /// Something is wrong with the command line that the help explains.
    pub(crate) fn command_line(reason: String) -> Self {
        Self::CommandLine {
            place: "command line",
            reason,
            hint: "see scale-export --help".to_owned(),
        }
    }

    /// The value of an environment variable is not valid UTF-8.
    pub(crate) fn not_utf8(variable: &str, hint: String) -> Self {
        Self::CommandLine {
            place: "environment",
            reason: format!("the value of {variable} is not UTF-8"),
            hint,
        }
    }

    /// Two options exclude each other.
    pub(crate) fn conflict(origins: &Origins, one: &str, other: &str) -> Self {
        let reason = format!(
            "{} cannot be used with {}",
            origins.name(one),
            origins.name(other)
        );
        Self::command_line(reason)
    }
}

impl Explain for UsageError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_, hint) => (*hint).to_owned(),
            Self::KeyOnCommandLine => {
                format!(
                    "everyone on this machine can read it there; set {KEY_VARIABLE} or use --api-key-file"
                )
            }
            Self::Key { hint, .. } => hint.clone().unwrap_or_else(|| {
                format!(
                    "set {KEY_VARIABLE} or use --api-key-file; --sandbox tries the tool without a key"
                )
            }),
            Self::Table { name, .. } => {
                let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
                let all = format!("the tables are {}", names.join(", "));
                did_you_mean(nearest_name(name, names), &all)
            }
            Self::CommandLine { hint, .. } => hint.clone(),
            Self::ObjectStore(_) => "give a directory, and copy it there".to_owned(),
            Self::Stdout(_) => "make space, or send it elsewhere".to_owned(),
            Self::Summary { .. } => "choose a file that can be written with --summary".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Summary { .. } | Self::Stdout(_) => Exit::Output,
            _ => Exit::Usage,
        }
    }
}

/// Why a command ended.
pub(crate) type Failure = Box<dyn Explain>;

/// Runs the program: parses the command line, does what it says, prints how it ended.
pub fn main() -> Exit {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What is caught becomes an error with a name, and is told as that.
        if !crate::encode::catch_panic::is_guarded() {
            print_panic(panic);
        }
    }));
    let cli = match read_command_line() {
        Ok(cli) => cli,
        Err(error) => {
            print_error(error.as_ref(), log_format(), false);
            return error.exit();
        }
    };
    let display = match &cli.command {
        Some(Command::Verify(args)) => &args.display,
        Some(Command::Flatten(args)) => &args.display,
        _ => &cli.export.display,
    };
    let (log_format, quiet) = (display.log_format, display.quiet);
    let done = match cli.command {
        None => run_export(&cli.export),
        Some(Command::Verify(args)) => run_verify(&args),
        Some(Command::Flatten(args)) => run_flatten(&args),
        Some(Command::Schema(args)) => print_schema(&args),
        Some(Command::Sandbox(args)) => run_sandbox(*args),
        Some(Command::Completions { shell }) => print(&completions(shell)).map(|()| Exit::Success),
        Some(Command::Version) => print(&version()).map(|()| Exit::Success),
    };
    done.unwrap_or_else(|error| {
        print_error(error.as_ref(), log_format, quiet);
        error.exit()
    })
}

/// Says what went wrong, and what to do about it unless `quiet`.
pub(crate) fn print_error(error: &dyn Explain, log_format: LogFormatArg, quiet: bool) {
    let hint = error.hint();
    if log_format == LogFormatArg::Json {
        let fields = json!({"hint": hint, "exit_code": error.exit() as u8});
        write_stderr(&json_line("error", &error.to_string(), &fields));
        return;
    }
    write_stderr(&printable(&format!("error: {error}")));
    if let Some(hint) = hint.filter(|_| !quiet) {
        write_stderr(&printable(&format!("hint: {hint}")));
    }
}

/// Writes data to standard output. A reader that has seen enough is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Box::new(UsageError::Stdout(error)))
        }
        _ => Ok(()),
    }
}

fn run_sandbox(args: SandboxArgs) -> Result<Exit, Failure> {
    let mut limits = args.limit;
    limits.extend(args.rate_limit.map(|rate| match args.burst {
        Some(burst) => Limit::TokenBucket { rate, burst },
        None => Limit::token_bucket(rate),
    }));
    let mut changes = args.limit_change;
    changes.sort_by_key(|(time, _)| *time);
    let config = SandboxConfig {
        port: args.port,
        key: args.key,
        tasks: args.tasks,
        from: args.from,
        seed: args.seed,
        drift: args.drift,
        batch_size: args.batch_size,
        limits: LimitPlan {
            limits,
            changes,
            other_clients: args.other_client,
            outages: args.outage,
        },
        retry_after: args.retry_after,
        quota_headers: args.quota_headers,
        latency: args.latency,
        latency_jitter: args.latency_jitter.unwrap_or_default(),
        list_faults: args.list_fault,
        faults: args.fault,
        failed_ids: args.fail_id,
    };
    let sandbox = Sandbox::start(config).map_err(|error| Box::new(error) as Failure)?;
    print(&format!("{}\n", sandbox.base_url()))?;
    let signals = Signals::watch().map_err(|error| Box::new(error) as Failure)?;
    write_stderr(&format!(
        "the sandbox is up; try it from another terminal:\n  {KEY_VARIABLE}={} scale-export --base-url {} --id task_1 --id task_2 --out dir/\nCtrl-C ends it",
        printable(sandbox.key()),
        sandbox.base_url()
    ));
    signals.wait();
    write_stderr(&format!(
        "{} requests, of which {} were answered 429",
        sandbox.requests(),
        sandbox.rejected()
    ));
    Ok(Exit::Success)
}

//! The program: reads the command line, does what it says, and gives the exit code.

use std::io::Write as _;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use serde_json::json;
use thiserror::Error;

use super::args::{Cli, Command, DisplayArgs, ExportArgs, LogFormatArg, SandboxArgs};
use super::display::{json_line, write_stderr};
use super::export::run_export;
use super::offline::{run_flatten, run_verify};
use super::schema::print_schema;
use super::signals::Signals;
use crate::error::{Exit, Explain};
use crate::sandbox::limit::{Limit, LimitPlan};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::tables::definition::TABLES;

/// The environment variable of the key, which has a name of its own.
pub(super) const KEY_VARIABLE: &str = "SCALE_API_KEY";

/// What a person can get wrong on the command line, beyond what `clap` sees.
#[derive(Debug, Error)]
pub(super) enum UsageError {
    #[error("could not start: {0} is missing")]
    Missing(&'static str, &'static str),
    #[error("could not start: the key must not stand on the command line")]
    KeyOnCommandLine,
    #[error("could not read the API key: {0}")]
    Key(String),
    #[error("could not use `{}` as the output directory: object stores cannot be written to yet", .0.display())]
    ObjectStore(PathBuf),
    #[error("could not write to standard output: {0}")]
    Stdout(std::io::Error),
    #[error("could not read the command line: {0}")]
    CommandLine(String),
    #[error("could not find table `{0}`")]
    Table(String),
    #[error("could not write the summary to `{}`: {cause}", path.display())]
    Summary { path: PathBuf, cause: String },
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
            Self::Key(_) => {
                format!(
                    "set {KEY_VARIABLE} or use --api-key-file; --sandbox tries the tool without a key"
                )
            }
            Self::Table(_) => {
                let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
                format!("the tables are {}", names.join(", "))
            }
            Self::CommandLine(_) => "see scale-export --help".to_owned(),
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
pub(super) type Failure = Box<dyn Explain>;

/// Runs the program: parses the command line, does what it says, prints how it ended.
pub fn main() -> Exit {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What is caught becomes an error with a name, and is told as that.
        if !crate::reader::is_guarded() {
            print_panic(panic);
        }
    }));
    let cli = match read_command_line() {
        Ok(cli) => cli,
        Err(error) => {
            print_error(error.as_ref(), LogFormatArg::Text);
            return error.exit();
        }
    };
    let log_format = match &cli.command {
        Some(Command::Verify(args)) => args.display.log_format,
        Some(Command::Flatten(args)) => args.display.log_format,
        _ => cli.export.display.log_format,
    };
    let done = match cli.command {
        None => run_export(&cli.export),
        Some(Command::Verify(args)) => run_verify(&args),
        Some(Command::Flatten(args)) => run_flatten(&args),
        Some(Command::Schema(args)) => print_schema(&args),
        Some(Command::Sandbox(args)) => run_sandbox(*args),
        Some(Command::Completions { shell }) => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "scale-export", &mut std::io::stdout());
            Ok(Exit::Success)
        }
    };
    done.unwrap_or_else(|error| {
        print_error(error.as_ref(), log_format);
        error.exit()
    })
}

/// Reads the command line. An option that stands there wins over the environment's word for its
/// opposite.
fn read_command_line() -> Result<Cli, Failure> {
    let wrong = |error: &clap::Error| -> Failure {
        let text = error.render().to_string();
        let text = text.trim_start_matches("error: ");
        let reason: Vec<&str> = text
            .lines()
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        Box::new(UsageError::CommandLine(reason.join(" ")))
    };
    let mut matches = match Cli::command().try_get_matches() {
        Err(error) if !error.use_stderr() => error.exit(),
        matches => matches.map_err(|error| wrong(&error))?,
    };
    let weak = ["fail_fast", "max_failures"].map(|name| is_weak(&matches, name));
    let weak_ids = ["ids", "id"].map(|name| is_weak(&matches, name));
    let weak_lists = ["project", "batch", "delivery"].map(|name| is_weak(&matches, name));
    let deepest = matches.subcommand_matches(matches.subcommand_name().unwrap_or_default());
    let deepest = deepest.unwrap_or(&matches);
    // Only jobs have these options.
    let has_display = deepest.try_contains_id("quiet").is_ok();
    let weak_display = ["quiet", "verbose"].map(|name| has_display && is_weak(deepest, name));
    let mut cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| wrong(&error))?;
    let display = match &mut cli.command {
        None => Some(&mut cli.export.display),
        Some(Command::Verify(args)) => Some(&mut args.display),
        Some(Command::Flatten(args)) => Some(&mut args.display),
        Some(_) => None,
    };
    if let Some(display) = display {
        settle(display, weak_display)?;
    }
    let export = &mut cli.export;
    let [weak_fast, weak_max] = weak;
    if export.fail_fast && export.max_failures.is_some() {
        match (weak_fast, weak_max) {
            (true, false) => export.fail_fast = false,
            (false, true) => export.max_failures = None,
            _ => return Err(conflict("--fail-fast", "--max-failures")),
        }
    }
    settle_sources(export, weak_ids, weak_lists);
    Ok(cli)
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

/// Does an option come from the environment?
fn is_weak(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::EnvVariable)
}

/// Of two opposites, the one on the command line wins.
fn settle(display: &mut DisplayArgs, [weak_quiet, weak_verbose]: [bool; 2]) -> Result<(), Failure> {
    if display.quiet && display.verbose {
        match (weak_quiet, weak_verbose) {
            (true, false) => display.quiet = false,
            (false, true) => display.verbose = false,
            _ => return Err(conflict("--quiet", "--verbose")),
        }
    }
    Ok(())
}

fn conflict(one: &str, other: &str) -> Failure {
    let reason = format!("{one} cannot be used with {other}");
    Box::new(UsageError::CommandLine(reason))
}

/// Says what went wrong.
pub(super) fn print_error(error: &dyn Explain, log_format: LogFormatArg) {
    let hint = error.hint();
    if log_format == LogFormatArg::Json {
        let fields = json!({"hint": hint, "exit_code": error.exit() as u8});
        write_stderr(&json_line("error", &error.to_string(), &fields));
        return;
    }
    write_stderr(&format!("error: {error}"));
    if let Some(hint) = hint {
        write_stderr(&format!("hint: {hint}"));
    }
}

/// Writes data to standard output. A reader that has seen enough is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
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
    let signals = Signals::watch();
    write_stderr(&format!(
        "the sandbox is up; try it from another terminal:\n  {KEY_VARIABLE}={} scale-export --base-url {} --id task_1 --id task_2 --out dir/\nCtrl-C ends it",
        sandbox.key(),
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

//! From options to a finished run, and from its end to an exit code.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use secrecy::SecretString;
use serde_json::json;
use thiserror::Error;

use super::args::{
    Cli, Command, ExportArgs, FormatArg, LogFormatArg, RefreshArg, SandboxArgs, SchemaFormat,
};
use super::checker::Checker;
use super::display::{Display, DisplayOptions, json_line, write_stderr};
use super::signals::Signals;
use super::summary;
use crate::error::{Exit, Explain};
use crate::event::Events;
use crate::export::{Ended, ExportOptions, Refresh, export};
use crate::fetch::{CheckBody, FetchOptions, MaxFailures, Rate};
use crate::ids::read_ids;
use crate::output::Format;
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::tables::{self, definition::TABLES, schema};

/// Where the API is, when nobody says otherwise.
const DEFAULT_BASE_URL: &str = "https://api.scale.com";

/// Environment variables with names of their own.
const KEY_VARIABLE: &str = "SCALE_API_KEY";
const URL_VARIABLE: &str = "SCALE_API_URL";

/// An answer that stops coming for this long will not go on.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What stands for the sandbox's address, whose port is another one each time.
const SANDBOX_LABEL: &str = "sandbox";

/// What a person can get wrong on the command line, beyond what `clap` sees.
#[derive(Debug, Error)]
enum UsageError {
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

type Failure = Box<dyn Explain>;

/// Runs the program: parses the command line, does what it says, prints how it ended.
pub fn main() -> Exit {
    let cli = match read_command_line() {
        Ok(cli) => cli,
        Err(error) => {
            print_error(error.as_ref(), LogFormatArg::Text);
            return error.exit();
        }
    };
    let log_format = cli.export.log_format;
    let done = match cli.command {
        None => run_export(&cli.export),
        Some(Command::Schema { table, format }) => print_schema(table.as_deref(), format),
        Some(Command::Sandbox(args)) => run_sandbox(args),
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
    let from_environment =
        |name: &str| matches.value_source(name) == Some(ValueSource::EnvVariable);
    let weak = ["quiet", "verbose", "fail_fast", "max_failures"].map(from_environment);
    let mut cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| wrong(&error))?;
    let export = &mut cli.export;
    let [weak_quiet, weak_verbose, weak_fast, weak_max] = weak;
    if export.quiet && export.verbose {
        match (weak_quiet, weak_verbose) {
            (true, false) => export.quiet = false,
            (false, true) => export.verbose = false,
            _ => return Err(conflict("--quiet", "--verbose")),
        }
    }
    if export.fail_fast && export.max_failures.is_some() {
        match (weak_fast, weak_max) {
            (true, false) => export.fail_fast = false,
            (false, true) => export.max_failures = None,
            _ => return Err(conflict("--fail-fast", "--max-failures")),
        }
    }
    Ok(cli)
}

fn conflict(one: &str, other: &str) -> Failure {
    let reason = format!("{one} cannot be used with {other}");
    Box::new(UsageError::CommandLine(reason))
}

fn print_error(error: &dyn Explain, log_format: LogFormatArg) {
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
fn print(text: &str) -> Result<(), Failure> {
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

fn print_schema(table: Option<&str>, format: SchemaFormat) -> Result<Exit, Failure> {
    let wanted: Vec<_> = match table {
        Some(name) => {
            vec![
                tables::find(name)
                    .ok_or_else(|| Box::new(UsageError::Table(name.to_owned())) as Failure)?,
            ]
        }
        None => TABLES.iter().collect(),
    };
    let text = match format {
        SchemaFormat::Md => wanted
            .iter()
            .map(|table| schema::to_markdown(table))
            .collect::<Vec<_>>()
            .join("\n"),
        SchemaFormat::Sql => wanted
            .iter()
            .map(|table| schema::to_sql(table))
            .collect::<Vec<_>>()
            .join("\n"),
        SchemaFormat::Json => {
            let all: Vec<_> = wanted.iter().map(|table| schema::to_json(table)).collect();
            let value = if table.is_some() {
                all.into_iter().next().unwrap_or_default()
            } else {
                all.into()
            };
            format!("{value:#}\n")
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn run_sandbox(args: SandboxArgs) -> Result<Exit, Failure> {
    let config = SandboxConfig {
        port: args.port,
        key: args.key,
        tasks: args.tasks,
        from: args.from,
        seed: args.seed,
        drift: args.drift,
        lone_surrogates: true,
        rate_limit: args.rate_limit,
        burst: args.burst,
        retry_after: args.retry_after,
        latency: args.latency,
        faults: args.fault,
        failed_ids: args.fail_id,
    };
    let sandbox = Sandbox::start(config).map_err(|error| Box::new(error) as Failure)?;
    print(&format!("{}\n", sandbox.base_url()))?;
    let signals = Signals::watch();
    write_stderr(&format!(
        "the sandbox is up; try it from another terminal:\n  {KEY_VARIABLE}={} scale-export --base-url {} --rate max --id task_1 --id task_2 --out dir/\nCtrl-C ends it",
        sandbox.key(),
        sandbox.base_url()
    ));
    signals.wait();
    Ok(Exit::Success)
}

fn run_export(args: &ExportArgs) -> Result<Exit, Failure> {
    // A summary that cannot be written is better known before the run than after it.
    if let Some(path) = args
        .summary
        .as_deref()
        .filter(|path| path.as_os_str() != "-")
    {
        let opened = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        // Its directory may be the output's, which is made later.
        if let Err(error) = opened
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(summary_error(path, &error));
        }
    }
    let done = export_and_tell(args);
    if let Err(error) = &done {
        let end = json!({
            "exit_code": error.exit() as u8,
            "error": error.to_string(),
            "hint": error.hint(),
        });
        // How the run ended matters more than a summary of it.
        if let Err(error) = write_summary(args.summary.as_deref(), &end) {
            print_error(error.as_ref(), args.log_format);
        }
    }
    done
}

fn export_and_tell(args: &ExportArgs) -> Result<Exit, Failure> {
    let started = Instant::now();
    let sandbox = args
        .sandbox
        .then(|| Sandbox::start(SandboxConfig::default()))
        .transpose()
        .map_err(|error| Box::new(error) as Failure)?;
    let options = export_options(args, sandbox.as_ref())?;
    let signals = Signals::watch();
    let (events, receiver) = Events::channel();
    let display = Display::start(
        receiver,
        DisplayOptions {
            progress: args.progress,
            quiet: args.quiet,
            verbose: args.verbose,
            log_format: args.log_format,
        },
    );
    let checker: Arc<dyn CheckBody> = Arc::new(Checker::new(args.keep_secrets));
    let ended = export(&options, &checker, &events, &signals.stop);
    drop(events);
    display.finish();
    match ended.map_err(|error| Box::new(error) as Failure)? {
        Ended::Published(report) => {
            let exit = if report.failed > 0 {
                Exit::SomeFailed
            } else {
                Exit::Success
            };
            let elapsed = started.elapsed();
            let json = summary::json(&report, &options.out, elapsed, exit as u8);
            if !args.quiet {
                write_stderr(&match args.log_format {
                    LogFormatArg::Text => summary::text(&report, &options.out, elapsed),
                    LogFormatArg::Json => json_line(
                        "summary",
                        &summary::first_line(&report, &options.out, elapsed),
                        &json!({"summary": &json}),
                    ),
                });
            }
            write_summary(args.summary.as_deref(), &json)?;
            Ok(exit)
        }
        Ended::Stopped { held, requested } => {
            let message = format!("interrupted: {held} of {requested} tasks are kept");
            let hint = "run the same command again to go on";
            write_stderr(&match args.log_format {
                LogFormatArg::Text => format!("{message}\nhint: {hint}"),
                LogFormatArg::Json => {
                    let fields = json!({"held": held, "requested": requested, "hint": hint});
                    json_line("interrupted", &message, &fields)
                }
            });
            let exit = signals.exit();
            let end = json!({"exit_code": exit as u8, "held": held, "requested": requested, "hint": hint});
            if let Err(error) = write_summary(args.summary.as_deref(), &end) {
                print_error(error.as_ref(), args.log_format);
            }
            Ok(exit)
        }
    }
}

fn write_summary(path: Option<&Path>, json: &serde_json::Value) -> Result<(), Failure> {
    let text = format!("{json:#}\n");
    match path {
        None => Ok(()),
        Some(path) if path.as_os_str() == "-" => print(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| summary_error(path, &error)),
    }
}

fn summary_error(path: &Path, error: &std::io::Error) -> Failure {
    Box::new(UsageError::Summary {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

fn export_options(args: &ExportArgs, sandbox: Option<&Sandbox>) -> Result<ExportOptions, Failure> {
    let usage = |error: UsageError| Box::new(error) as Failure;
    if args.api_key.is_some() {
        return Err(usage(UsageError::KeyOnCommandLine));
    }
    if args.ids.is_empty() && args.id.is_empty() {
        return Err(usage(UsageError::Missing(
            "--ids",
            "try: scale-export --ids ids.txt --out dir/",
        )));
    }
    let out = args.out.clone().ok_or_else(|| {
        usage(UsageError::Missing(
            "--out",
            "name a directory for the tables: --out dir/",
        ))
    })?;
    if out.to_string_lossy().contains("://") {
        return Err(usage(UsageError::ObjectStore(out)));
    }
    if let Some(unknown) = args.tables.iter().find(|name| tables::find(name).is_none()) {
        return Err(usage(UsageError::Table(unknown.clone())));
    }
    let ids = read_ids(&args.ids, &args.id).map_err(|error| Box::new(error) as Failure)?;
    let (base_url, api_key) = match sandbox {
        Some(sandbox) => (
            sandbox.base_url(),
            SecretString::from(sandbox.key().to_owned()),
        ),
        None => (
            base_url(args),
            read_key(args.api_key_file.as_deref()).map_err(usage)?,
        ),
    };
    let implied_rate = if sandbox.is_some() {
        Rate::Max
    } else {
        Rate::Learned
    };
    let given = |values: &[String]| {
        values
            .iter()
            .filter(|value| !value.is_empty())
            .cloned()
            .collect()
    };
    Ok(ExportOptions {
        ids,
        out: out.clone(),
        format: match args.format {
            FormatArg::Parquet => Format::Parquet,
            FormatArg::Csv => Format::Csv,
        },
        tables: args.tables.clone(),
        refresh: match args.refresh {
            RefreshArg::Pending => Refresh::Pending,
            RefreshArg::All => Refresh::All,
            RefreshArg::None => Refresh::None,
        },
        force: args.force,
        welcome: summary_inside(args.summary.as_deref(), &out),
        keep_secrets: args.keep_secrets,
        base_url_label: sandbox.map(|_| SANDBOX_LABEL.to_owned()),
        fetch: FetchOptions {
            base_url,
            api_key,
            expand: given(&args.expand),
            opts: given(&args.opts),
            concurrency: args.concurrency.into(),
            rate: args.rate.unwrap_or(implied_rate),
            timeout: args.timeout,
            connect_timeout: args.connect_timeout,
            read_timeout: args.timeout.min(READ_TIMEOUT),
            max_retries: args.max_retries,
            retry_timeout: args.retry_timeout,
            max_body: args.max_body,
            max_failures: if args.fail_fast {
                Some(MaxFailures::Count(0))
            } else {
                args.max_failures
            },
            ca_file: args.ca_file.clone(),
            proxy: sandbox.is_none(),
        },
    })
}

/// The summary may stand beside the tables: the name of its file, if it does.
fn summary_inside(summary: Option<&Path>, out: &Path) -> Vec<String> {
    let is_inside = |summary: &&Path| match (summary.parent(), out.canonicalize()) {
        (Some(parent), Ok(out)) => parent.canonicalize().is_ok_and(|parent| parent == out),
        _ => false,
    };
    let name = summary.filter(is_inside).and_then(Path::file_name);
    name.map(|name| name.to_string_lossy().into_owned())
        .into_iter()
        .collect()
}

fn base_url(args: &ExportArgs) -> String {
    let url = args
        .base_url
        .clone()
        .or_else(|| std::env::var(URL_VARIABLE).ok());
    url.filter(|url| !url.is_empty()).map_or_else(
        || DEFAULT_BASE_URL.to_owned(),
        |url| url.trim_end_matches('/').to_owned(),
    )
}

fn read_key(file: Option<&Path>) -> Result<SecretString, UsageError> {
    let (key, from) = match file {
        Some(path) => {
            let key = std::fs::read_to_string(path)
                .map_err(|error| UsageError::Key(format!("`{}`: {error}", path.display())))?;
            (key, format!("`{}`", path.display()))
        }
        None => match std::env::var(KEY_VARIABLE) {
            Ok(key) => (key, KEY_VARIABLE.to_owned()),
            Err(_) => return Err(UsageError::Key(format!("{KEY_VARIABLE} is not set"))),
        },
    };
    let key = key.trim();
    if key.is_empty() {
        return Err(UsageError::Key(format!("{from} is empty")));
    }
    Ok(SecretString::from(key.to_owned()))
}

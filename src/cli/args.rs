//! The commands and the options of the main job, as `clap` reads them.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::changes_args::ChangesArgs;
#[cfg(feature = "buckets")]
use crate::cli::download_args::DownloadArgs;
#[cfg(feature = "sandbox")]
use crate::cli::sandbox_args::SandboxArgs;
use crate::cli::shared_args::{
    BucketArgs, ColorArg, DeltaArgs, DisplayArgs, GuardArgs, ListArgs, MetricsArgs, MissingArgs,
    OutputArgs, ThreadArgs,
};
use crate::cli::version_text::version;
use crate::cli::{help, value_parsers};
use crate::ids::shard::Shard;
use crate::jobs::export_defaults::{DEFAULT_CONCURRENCY, DEFAULT_MAX_RETRIES, MAX_CONCURRENCY};
use crate::pacer::types::Rate;
use crate::tables::sql::dialect::Dialect;

/// Export Scale annotation tasks as Parquet or CSV tables
#[derive(Debug, Parser)]
#[command(
    name = "scale-export",
    version = version(),
    args_conflicts_with_subcommands = true,
    max_term_width = help::WIDTH,
    override_usage = help::USAGE,
    after_help = help::AFTER_SHORT,
    after_long_help = help::AFTER_LONG,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    /// When to use color: auto, always or never
    ///
    /// `auto` is color on a terminal unless `NO_COLOR` is set, and everywhere if `CLICOLOR_FORCE` is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t = ColorArg::Auto,
        env = "SCALE_EXPORT_COLOR",
        help_heading = "Display", hide_short_help = true)]
    pub(crate) color: ColorArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify an export: checksums, keys, and a rebuild of every task
    #[command(after_long_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Check whether an export would run: key, network, output, IDs
    #[command(after_long_help = help::CHECK)]
    Check(Box<CheckArgs>),
    /// Print what an export holds and how its last run ended
    #[command(after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// Rebuild tables from raw responses, without requests to the API
    #[command(after_long_help = help::FLATTEN)]
    Flatten(Box<FlattenArgs>),
    /// Merge the exports of shards into the export of one run
    #[command(after_long_help = help::COMBINE)]
    Combine(Box<CombineArgs>),
    /// Write an HTML report of an export: tasks, labels, scores, failures
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// Print the task IDs of a project, batch or delivery, one per line
    #[command(after_long_help = help::IDS)]
    Ids(Box<IdsArgs>),
    /// List the tasks that the last publication inserted, updated and deleted
    #[command(override_usage = help::CHANGES_USAGE, after_long_help = help::CHANGES)]
    Changes(Box<ChangesArgs>),
    /// Print the columns of the tables, or SQL that creates and loads them
    #[command(after_long_help = help::SCHEMA)]
    Schema(SchemaArgs),
    #[cfg(feature = "sandbox")]
    /// Run a local mock server of the API, for demonstrations and tests
    #[command(after_long_help = help::SANDBOX)]
    Sandbox(Box<SandboxArgs>),
    /// Print a completion script for a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// Shell to complete commands in
        shell: clap_complete::Shell,
    },
    /// Print the manual page of a command, or write all pages
    #[command(after_long_help = help::MAN)]
    Man(ManArgs),
    /// Copy an export from a bucket into a directory, for the Python package
    #[cfg(feature = "buckets")]
    #[command(hide = true)]
    Download(Box<DownloadArgs>),
    /// Print the version, as --version does
    #[command(hide = true)]
    Version {
        /// Print the commit, the target, and the versions of the formats too
        #[arg(short, long)]
        verbose: bool,
    },
}

/// Parses the name of a dialect, and lists all of them in the help.
fn dialect() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::name))
        .try_map(|name| Dialect::find(&name).ok_or("unknown dialect"))
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Print one table only
    pub(crate) table: Option<String>,
    /// Output format [default: md, or sql with --dialect or --dir]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<SchemaFormat>,
    /// Print SQL for this database [default: duckdb]
    #[arg(long, value_name = "NAME", value_parser = dialect())]
    pub(crate) dialect: Option<Dialect>,
    /// Print `DuckDB` views with absolute paths over the export in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Command of the page [default: the main page]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Write the pages of all commands into a directory
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) out: Option<PathBuf>,
}

/// Output formats of `schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    Md,
    Json,
    Sql,
}

/// Options of the main job.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tasks")]
pub(crate) struct ExportArgs {
    /// File of task IDs, one per line; `-` is standard input; repeatable
    ///
    /// .csv, .tsv, .jsonl, .json and .parquet files are read from a column. Each can be compressed as .gz or .zst.
    #[arg(long, value_name = "FILE", env = "SCALE_EXPORT_IDS")]
    pub(crate) ids: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
    /// Export one task; repeatable
    #[arg(long, value_name = "ID", env = "SCALE_EXPORT_ID")]
    pub(crate) id: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Export only part I of N of the IDs, for several machines
    ///
    /// The first of four parts is 0/4. Each has its own --out, and `scale-export combine` merges them. A value of --rate is
    /// that of all parts together.
    #[arg(long, value_name = "I/N", value_parser = value_parsers::shard, env = "SCALE_EXPORT_SHARD", hide_short_help = true)]
    pub(crate) shard: Option<Shard>,
    /// Tasks to fetch again: pending, all or none
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        default_value_t = RefreshArg::Pending,
        env = "SCALE_EXPORT_REFRESH"
    )]
    pub(crate) refresh: RefreshArg,
    /// Delete saved responses of tasks that are not in the list
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_PRUNE", hide_short_help = true)]
    pub(crate) prune: bool,
    /// Whether to fetch pages of 100 tasks from list endpoints instead of single tasks
    #[arg(
        long,
        value_name = "PLAN",
        value_enum,
        default_value_t = PlanArg::Auto,
        env = "SCALE_EXPORT_PLAN",
        hide_short_help = true
    )]
    pub(crate) plan: PlanArg,
    /// Print what a run would request, and write nothing
    ///
    /// A few requests are sent to estimate it.
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_DRY_RUN")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Stop at the first task that fails, and publish nothing
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_FAIL_FAST",
        help_heading = "Publication",
        hide_short_help = true
    )]
    pub(crate) fail_fast: bool,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    #[command(flatten)]
    pub(crate) missing: MissingArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}

/// List endpoints, and which of their tasks count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tasks")]
pub(crate) struct SourceArgs {
    /// Take all tasks of a project; repeatable
    #[arg(long, value_name = "ID|NAME", env = "SCALE_EXPORT_PROJECT")]
    pub(crate) project: Vec<String>,
    /// Take all tasks of a batch; repeatable
    #[arg(long, value_name = "ID|NAME", env = "SCALE_EXPORT_BATCH")]
    pub(crate) batch: Vec<String>,
    /// Take all tasks of a delivery; repeatable
    #[arg(
        long,
        value_name = "ID",
        env = "SCALE_EXPORT_DELIVERY",
        hide_short_help = true
    )]
    pub(crate) delivery: Vec<String>,
    /// Select tasks of a project or batch with this status
    #[arg(
        long,
        value_name = "STATUS",
        env = "SCALE_EXPORT_STATUS",
        hide_short_help = true
    )]
    pub(crate) status: Option<String>,
    /// Select tasks of a project or batch completed after this time
    ///
    /// A date like 2024-01-31 (midnight UTC), or a time like 2024-01-31T12:00:00Z.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = value_parsers::time,
        env = "SCALE_EXPORT_COMPLETED_AFTER",
        hide_short_help = true
    )]
    pub(crate) completed_after: Option<String>,
    /// Select tasks of a project or batch completed before this time
    #[arg(
        long,
        value_name = "TIME",
        value_parser = value_parsers::time,
        env = "SCALE_EXPORT_COMPLETED_BEFORE",
        hide_short_help = true
    )]
    pub(crate) completed_before: Option<String>,
}

impl ExportArgs {
    /// The files that a run reads.
    pub(crate) fn reads(&self) -> Vec<PathBuf> {
        let files = self.ids.iter().chain(&self.api.server.api_key_file);
        files.chain(&self.output.bucket.state).cloned().collect()
    }
}

/// The server, the key, and what a request selects.
#[derive(Debug, Args)]
#[command(next_help_heading = "API")]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Entities to expand, comma-separated: project, batch
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        env = "SCALE_EXPORT_EXPAND",
        hide_short_help = true
    )]
    pub(crate) expand: Vec<String>,
    /// Details to request, comma-separated; `--opts ''` requests none
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        default_value = "annotation_details,attachment_details,model_parameters",
        env = "SCALE_EXPORT_OPTS",
        hide_short_help = true
    )]
    pub(crate) opts: Vec<String>,
}

/// The server and the key.
#[derive(Debug, Args)]
#[command(next_help_heading = "API")]
pub(crate) struct ServerArgs {
    /// Read the API key from a file [default: the variable `SCALE_API_KEY`]
    #[arg(long, value_name = "FILE", env = "SCALE_EXPORT_API_KEY_FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Run a program that prints the API key
    ///
    /// It is run without a shell. Arguments are separated by spaces and can be quoted.
    #[arg(
        long,
        value_name = "COMMAND",
        env = "SCALE_EXPORT_API_KEY_COMMAND",
        hide_short_help = true
    )]
    pub(crate) api_key_command: Option<String>,
    /// Not an option: other users can read a key on the command line.
    #[arg(long, hide = true)]
    pub(crate) api_key: Option<String>,
    /// Run against a mock server inside the process; needs no key
    #[cfg(feature = "sandbox")]
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_SANDBOX")]
    pub(crate) sandbox: bool,
    /// Address of the API [default: the variable `SCALE_API_URL`, or `https://api.scale.com`]
    #[arg(
        long,
        value_name = "URL",
        env = "SCALE_EXPORT_BASE_URL",
        hide_short_help = true
    )]
    pub(crate) base_url: Option<String>,
    /// Allow sending the key over http:// to another machine, where others can read it
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_ALLOW_HTTP", hide_short_help = true)]
    pub(crate) allow_http: bool,
}

/// How requests are sent, and when a request or the run gives up.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Maximum number of requests in flight
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_CONCURRENCY,
        value_parser = value_parsers::whole::<u16>("number of requests", 1..=MAX_CONCURRENCY.into()),
        env = "SCALE_EXPORT_CONCURRENCY", hide_short_help = true)]
    pub(crate) concurrency: u16,
    /// Maximum requests per second, also as 600/m, or `max` [default: learned]
    ///
    /// Without the option, the rate limit of the server is found and remembered. With `max`, the rate is not limited until
    /// the server responds with 429.
    #[arg(long, value_name = "N|max", value_parser = value_parsers::rate, env = "SCALE_EXPORT_RATE")]
    pub(crate) rate: Option<Rate>,
    /// Timeout of one request
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = value_parsers::duration,
        env = "SCALE_EXPORT_TIMEOUT",
        hide_short_help = true
    )]
    pub(crate) timeout: Duration,
    /// Timeout for opening a connection
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = value_parsers::duration,
        env = "SCALE_EXPORT_CONNECT_TIMEOUT",
        hide_short_help = true
    )]
    pub(crate) connect_timeout: Duration,
    /// Retries for a task that keeps failing while others succeed
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_MAX_RETRIES,
        value_parser = value_parsers::whole::<u32>("number of retries", 0..=u32::MAX.into()),
        env = "SCALE_EXPORT_MAX_RETRIES",
        hide_short_help = true
    )]
    pub(crate) max_retries: u32,
    /// How long a task, or the whole run, can go without a success
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        value_parser = value_parsers::duration,
        env = "SCALE_EXPORT_RETRY_TIMEOUT",
        hide_short_help = true
    )]
    pub(crate) retry_timeout: Duration,
    /// PEM file with additional CA certificates
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_CA_FILE",
        hide_short_help = true
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Maximum size of a response, up to 1GiB
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256MiB",
        value_parser = value_parsers::body_size,
        env = "SCALE_EXPORT_MAX_BODY",
        hide_short_help = true
    )]
    pub(crate) max_body: u64,
}

/// Values of `--plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanArg {
    /// Where that needs fewer requests
    Auto,
    /// Never
    Ids,
    /// Wherever a list exists
    Lists,
}

/// Values of `--refresh`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RefreshArg {
    /// Tasks that are not in a final state, and failed IDs
    Pending,
    /// All tasks
    All,
    /// Failed IDs only
    None,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Directory of an export
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Directories of the shards that it was combined from, which have its raw responses
    #[arg(value_name = "SHARD")]
    pub(crate) shards: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of `ids`.
#[derive(Debug, Args)]
pub(crate) struct IdsArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Directory of an export
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// File of the report; `-` is standard output
    // The variable of this name is the output directory of an export.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "report.html",
        help_heading = "Output"
    )]
    pub(crate) out: PathBuf,
    /// Show how many submissions each contributor made
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_CONTRIBUTORS",
        help_heading = "Output"
    )]
    pub(crate) contributors: bool,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    /// Print the result as JSON
    #[arg(long, help_heading = "Display")]
    pub(crate) json: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Directory of an export
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print the status as JSON
    #[arg(long, help_heading = "Display")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of `combine`.
#[derive(Debug, Args)]
pub(crate) struct CombineArgs {
    /// Directories of all shards, in any order
    #[arg(value_name = "SHARD", required = true)]
    pub(crate) shards: Vec<PathBuf>,
    /// Output directory, or the URL of a bucket
    #[arg(
        short,
        long,
        value_name = "DIR",
        env = "SCALE_EXPORT_OUT",
        help_heading = "Output"
    )]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) bucket: BucketArgs,
    #[command(flatten)]
    pub(crate) delta: DeltaArgs,
    /// Overwrite files that scale-export did not create
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_FORCE",
        help_heading = "Output",
        hide_short_help = true
    )]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}

/// Options of `flatten`.
#[derive(Debug, Args)]
pub(crate) struct FlattenArgs {
    /// Directories or URLs of exports, and files with one task per line; `-` is standard input
    ///
    /// Files can be compressed as .gz or .zst. Of several responses for one task, the last one counts.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// Read task IDs from a file: which tasks, and their order [default: as in the sources]
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_IDS",
        help_heading = "Tasks"
    )]
    pub(crate) ids: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    #[command(flatten)]
    pub(crate) missing: MissingArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
}

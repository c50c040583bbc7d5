//! The options, as a person gives them. With `command_line.rs` the only file that names `clap`.

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::environment::Origins;
use crate::cli::value_parsers;
use crate::pacer::types::Rate;
use crate::publish::guard::Allowance;
use crate::sandbox::limit_models::{Limit, OtherClient, TimeSpan};
use crate::tables::sql::dialect::Dialect;

/// Export Scale annotation tasks as Parquet or CSV tables.
#[derive(Debug, Parser)]
#[command(name = "scale-export", version = version(), args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
}

/// The program's version, and that of its tables.
fn version() -> String {
    format!(
        "{} (schema {})",
        env!("CARGO_PKG_VERSION"),
        crate::tables::table::SCHEMA_VERSION
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what the tables look like
    Schema(SchemaArgs),
    /// Prove an export: checksums, keys, and a rebuild of every task
    Verify(VerifyArgs),
    /// Make tables again from raw responses, without the network
    Flatten(FlattenArgs),
    /// Run a local stand-in of the API, for trying out and for tests
    Sandbox(Box<SandboxArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version, as --version does
    #[command(hide = true)]
    Version,
}

/// Takes the name of a dialect, and lists all of them.
fn dialect() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::name))
        .try_map(|name| Dialect::find(&name).ok_or("unknown dialect"))
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// One table; all when left out
    pub(crate) table: Option<String>,
    /// As what; `md` when left out, `sql` with --dialect or --dir
    #[arg(long, value_enum)]
    pub(crate) format: Option<SchemaFormat>,
    /// SQL that creates the tables and loads their files, for this database [default: duckdb]
    #[arg(long, value_name = "NAME", value_parser = dialect())]
    pub(crate) dialect: Option<Dialect>,
    /// DuckDB views with absolute paths over the export in this directory, instead of tables
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    Md,
    Json,
    Sql,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tasks")]
pub(crate) struct ExportArgs {
    /// Which options have their values from the environment
    #[arg(skip)]
    pub(crate) origins: Origins,
    /// File of task IDs, one per line; `-` is standard input; .csv, .tsv, .jsonl, .json and .parquet files are
    /// read from a column; .gz and .zst of each
    #[arg(long, value_name = "FILE", env = "SCALE_EXPORT_IDS")]
    pub(crate) ids: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
    /// One task ID; may be repeated
    #[arg(long, value_name = "ID", env = "SCALE_EXPORT_ID")]
    pub(crate) id: Vec<String>,
    /// All tasks of this project, by its ID or name, instead of a list of IDs; may be repeated
    #[arg(long, value_name = "ID|NAME", env = "SCALE_EXPORT_PROJECT")]
    pub(crate) project: Vec<String>,
    /// All tasks of this batch; may be repeated
    #[arg(long, value_name = "ID|NAME", env = "SCALE_EXPORT_BATCH")]
    pub(crate) batch: Vec<String>,
    /// All tasks of this delivery; may be repeated
    #[arg(long, value_name = "ID", env = "SCALE_EXPORT_DELIVERY")]
    pub(crate) delivery: Vec<String>,
    /// Of a project or batch, only tasks with this status
    #[arg(long, value_name = "STATUS", env = "SCALE_EXPORT_STATUS")]
    pub(crate) status: Option<String>,
    /// Only tasks completed after this time (2024-01-31 or 2024-01-31T12:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = value_parsers::time, env = "SCALE_EXPORT_COMPLETED_AFTER")]
    pub(crate) completed_after: Option<String>,
    /// Only tasks completed before this time
    #[arg(long, value_name = "TIME", value_parser = value_parsers::time, env = "SCALE_EXPORT_COMPLETED_BEFORE")]
    pub(crate) completed_before: Option<String>,
    /// With IDs: may lists of the API, which give 100 tasks a request, stand in for requests of single tasks?
    #[arg(long, value_enum, default_value_t = PlanArg::Auto, env = "SCALE_EXPORT_PLAN")]
    pub(crate) plan: PlanArg,
    /// Print what would be asked, after a few requests to find out, and write nothing
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Which tasks of an earlier run are fetched again
    #[arg(long, value_enum, default_value_t = RefreshArg::Pending, env = "SCALE_EXPORT_REFRESH")]
    pub(crate) refresh: RefreshArg,
    /// Drop raw responses of tasks that are not listed any more
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_PRUNE")]
    pub(crate) prune: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    /// Where the API is [env also: `SCALE_API_URL`]
    #[arg(
        long,
        value_name = "URL",
        env = "SCALE_EXPORT_BASE_URL",
        help_heading = "API"
    )]
    pub(crate) base_url: Option<String>,
    /// Send the key over http:// to a host other than this machine, where others can read it
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_ALLOW_HTTP", help_heading = "API")]
    pub(crate) allow_http: bool,
    /// File that holds the API key; without it, `SCALE_API_KEY` does
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_API_KEY_FILE",
        help_heading = "API"
    )]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Not an option: a key on the command line can be seen by others
    #[arg(long, hide = true)]
    pub(crate) api_key: Option<String>,
    /// Entities to expand: project, batch
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        env = "SCALE_EXPORT_EXPAND",
        help_heading = "API"
    )]
    pub(crate) expand: Vec<String>,
    /// Details to ask for
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        default_value = "annotation_details,attachment_details,model_parameters",
        env = "SCALE_EXPORT_OPTS",
        help_heading = "API"
    )]
    pub(crate) opts: Vec<String>,
    /// Run against a sandbox inside this process; needs no key
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_SANDBOX", help_heading = "API")]
    pub(crate) sandbox: bool,

    /// Requests in flight
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parsers::whole::<u16>("number of requests", 1..=1024), env = "SCALE_EXPORT_CONCURRENCY", help_heading = "Network")]
    pub(crate) concurrency: u16,
    /// Requests a second (or 600/m) that are never exceeded, or `max`; learned when left out
    #[arg(long, value_name = "N|max", value_parser = value_parsers::rate, env = "SCALE_EXPORT_RATE", help_heading = "Network")]
    pub(crate) rate: Option<Rate>,
    /// For one request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value_parsers::duration, env = "SCALE_EXPORT_TIMEOUT", help_heading = "Network")]
    pub(crate) timeout: Duration,
    /// For making a connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = value_parsers::duration, env = "SCALE_EXPORT_CONNECT_TIMEOUT", help_heading = "Network")]
    pub(crate) connect_timeout: Duration,
    /// Further attempts for a task that keeps failing
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = value_parsers::whole::<u32>("number of retries", 0..=u32::MAX.into()),
        env = "SCALE_EXPORT_MAX_RETRIES",
        help_heading = "Network"
    )]
    pub(crate) max_retries: u32,
    /// How long a task, or the whole run, may go without any success
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = value_parsers::duration, env = "SCALE_EXPORT_RETRY_TIMEOUT", help_heading = "Network")]
    pub(crate) retry_timeout: Duration,
    /// Stop at the first task that fails, and publish nothing
    #[arg(
        long,
        value_parser = value_parsers::flag, env = "SCALE_EXPORT_FAIL_FAST",
        help_heading = "Publication"
    )]
    pub(crate) fail_fast: bool,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    /// PEM file with one more trusted authority, or several
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_CA_FILE",
        help_heading = "Network"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Largest answer that is read
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = value_parsers::body_size, env = "SCALE_EXPORT_MAX_BODY", help_heading = "Network")]
    pub(crate) max_body: u64,

    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// What an export must be like to be published.
#[derive(Debug, Args)]
#[command(next_help_heading = "Publication")]
pub(crate) struct GuardArgs {
    /// Publish nothing (exit code 1) when more IDs failed
    #[arg(long, value_name = "N|P%", value_parser = value_parsers::allowance, env = "SCALE_EXPORT_MAX_FAILURES")]
    pub(crate) max_failures: Option<Allowance>,
    /// Exit with 0 in place of 3 when at most this many IDs failed
    #[arg(long, value_name = "N|P%", default_value = "0", value_parser = value_parsers::allowance, env = "SCALE_EXPORT_TOLERATE")]
    pub(crate) tolerate: Allowance,
    /// Publish nothing (exit code 8) when more of the tasks published before, and more than 10, would disappear
    #[arg(long, value_name = "N|P%", default_value = "20%", value_parser = value_parsers::allowance, env = "SCALE_EXPORT_MAX_SHRINK")]
    pub(crate) max_shrink: Allowance,
    /// Treat IDs that return 404 or 410 as deleted tasks: they leave the tables
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_DROP_MISSING")]
    pub(crate) drop_missing: bool,
}

/// How lists of IDs are read.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Column of IDs in .csv, .tsv, .jsonl, .json and .parquet files; case, `_`, `-` and spaces do not matter
    #[arg(long, value_name = "NAME", default_value = crate::ids::task_ids::DEFAULT_COLUMN, env = "SCALE_EXPORT_ID_COLUMN")]
    pub(crate) id_column: String,
}

/// Where tables go, and how.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Output directory
    #[arg(
        long,
        value_name = "DIR",
        env = "SCALE_EXPORT_OUT",
        help_heading = "Output"
    )]
    pub(crate) out: Option<PathBuf>,
    /// File format
    #[arg(long, value_enum, default_value_t = FormatArg::Parquet, env = "SCALE_EXPORT_FORMAT", help_heading = "Output")]
    pub(crate) format: FormatArg,
    /// Write only these tables
    #[arg(
        long,
        value_name = "TABLE",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        env = "SCALE_EXPORT_TABLES",
        help_heading = "Output"
    )]
    pub(crate) tables: Vec<String>,
    /// Overwrite files that scale-export did not create
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_FORCE", help_heading = "Output")]
    pub(crate) force: bool,
    /// Keep `workspace_token`s, which are live credentials
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_KEEP_SECRETS", help_heading = "Output")]
    pub(crate) keep_secrets: bool,
}

/// What is shown of a job, and how.
#[derive(Debug, Args)]
pub(crate) struct DisplayArgs {
    /// Show progress
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto, env = "SCALE_EXPORT_PROGRESS", help_heading = "Display")]
    pub(crate) progress: ProgressArg,
    /// Say nothing but errors
    #[arg(
        short,
        long,
        value_parser = value_parsers::flag, env = "SCALE_EXPORT_QUIET",
        help_heading = "Display"
    )]
    pub(crate) quiet: bool,
    /// Say more: retries and details
    #[arg(short, long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_VERBOSE", help_heading = "Display")]
    pub(crate) verbose: bool,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormatArg::Text, env = "SCALE_EXPORT_LOG_FORMAT", help_heading = "Display")]
    pub(crate) log_format: LogFormatArg,
    /// Write the run's summary as JSON; `-` is standard output
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_SUMMARY",
        help_heading = "Display"
    )]
    pub(crate) summary: Option<PathBuf>,

    /// The file of the summary where that is a pipe or a device: those are opened once.
    #[arg(skip)]
    pub(crate) summary_pipe: OnceLock<File>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArg {
    Parquet,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanArg {
    /// Where that is expected to need fewer requests
    Auto,
    /// Never
    Ids,
    /// Wherever there is a list
    Lists,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RefreshArg {
    /// Those that were not in a final state, or failed
    Pending,
    /// All
    All,
    /// Only those that failed
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// On a terminal a bar, elsewhere a line every 10 s
    Auto,
    /// The bar, even when standard error is no terminal
    Always,
    /// Nothing
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormatArg {
    Text,
    Json,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Directory of an export
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of `flatten`.
#[derive(Debug, Args)]
pub(crate) struct FlattenArgs {
    /// Which options have their values from the environment
    #[arg(skip)]
    pub(crate) origins: Origins,
    /// Directories of exports, and files with one task a line, plain, .gz or .zst; `-` is standard
    /// input. Of several responses for one task the last counts
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// File of task IDs: which tasks, in which order; as the sources have them when left out
    #[arg(long, value_name = "FILE", env = "SCALE_EXPORT_IDS")]
    pub(crate) ids: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) guard: GuardArgs,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

/// Options of the sandbox.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080, value_parser = value_parsers::whole::<u16>("port", 0..=u16::MAX.into()))]
    pub(crate) port: u16,
    /// Number of the last task; any `task_<number>` exists when left out, but lists end at 1,000
    #[arg(long, value_name = "N", value_parser = value_parsers::whole::<u64>("number of tasks", 0..=u64::MAX))]
    pub(crate) tasks: Option<u64>,
    /// Serve the tasks of this .jsonl or .jsonl.gz file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Other tasks for other seeds
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parsers::whole::<u64>("seed", 0..=u64::MAX))]
    pub(crate) seed: u64,
    /// Mix in what the API's documentation does not have
    #[arg(long)]
    pub(crate) drift: bool,
    /// The key that is accepted
    #[arg(long, value_name = "KEY", default_value = crate::sandbox::config::DEFAULT_KEY)]
    pub(crate) key: String,
    /// Tasks of a batch, one after the other; batches are mixed when left out
    #[arg(long, value_name = "N", value_parser = value_parsers::whole::<u64>("number of tasks", 1..=u64::MAX))]
    pub(crate) batch_size: Option<u64>,
    /// A limit that clients are not told of, as KIND=N; may be repeated: `token_bucket=100/s` or, with a burst,
    /// `token_bucket=100/s:20`, `fixed_window=6000/m`, `sliding_window=100/s`, `concurrency=8`, `queue=50/s`
    #[arg(long, value_name = "KIND=N")]
    pub(crate) limit: Vec<Limit>,
    /// Short for --limit `token_bucket=N`
    #[arg(long, value_name = "N", value_parser = value_parsers::requests_per_second)]
    pub(crate) rate_limit: Option<f64>,
    /// Requests that may come at once with --rate-limit; a tenth of a second's when left out
    #[arg(long, value_name = "N", requires = "rate_limit", value_parser = value_parsers::burst)]
    pub(crate) burst: Option<f64>,
    /// From a time on, all limits are so many times what they were: `30s=0.5`; may be repeated
    #[arg(long, value_name = "TIME=FACTOR", value_parser = value_parsers::limit_change)]
    pub(crate) limit_change: Vec<(Duration, f64)>,
    /// Another client of the same key, with requests a second: `50@20s-40s`; may be repeated
    #[arg(long, value_name = "N@FROM-UNTIL", value_parser = value_parsers::other_client)]
    pub(crate) other_client: Vec<OtherClient>,
    /// A time in which every answer is 503: `20s-50s`; may be repeated
    #[arg(long, value_name = "FROM-UNTIL", value_parser = value_parsers::span)]
    pub(crate) outage: Vec<TimeSpan>,
    /// How long a 429 asks to wait: seconds, `date:SECONDS`, or `date:SECONDS+SKEW` by a clock that is fast; none
    /// when left out
    #[arg(long, value_name = "SECONDS")]
    pub(crate) retry_after: Option<crate::sandbox::responses::RetryAfter>,
    /// Tell what is left of the first limit in headers: plain, prefixed (X-) or structured
    #[arg(long, value_name = "KIND")]
    pub(crate) quota_headers: Option<crate::sandbox::responses::QuotaHeaders>,
    /// Something odd about lists: `loop`, `empty_page`, `moving`, `expire=N`, `differs`, `short_pages`, `bad_task`;
    /// may be repeated
    #[arg(long, value_name = "KIND")]
    pub(crate) list_fault: Vec<crate::sandbox::pagination::ListFault>,
    /// Time that an answer takes
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = value_parsers::duration)]
    pub(crate) latency: Duration,
    /// Time that it takes at most beyond that
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration)]
    pub(crate) latency_jitter: Option<Duration>,
    /// A fault and the share of tasks that have it on their first attempt: `reset=0.05`; may be
    /// repeated. `reset=0.05:3` for three attempts, `reset=0.05:always` for all
    #[arg(long, value_name = "KIND=SHARE[:N]")]
    pub(crate) fault: Vec<crate::sandbox::faults::FaultRule>,
    /// One task that always has a fault: `500=task_7`; may be repeated
    #[arg(long, value_name = "KIND=ID")]
    pub(crate) fail_id: Vec<crate::sandbox::faults::FailedId>,
}

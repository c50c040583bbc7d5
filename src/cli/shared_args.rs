//! Options that several commands share: ID lists, output, publication, display.

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::option_origins::Origins;
use crate::cli::value_parsers;
use crate::encode::format::Format;
use crate::jobs::export_defaults::{MAX_THREADS, default_threads};
use crate::publish::guard::Allowance;

/// When an export is published, and when the exit code is 0.
#[derive(Debug, Args)]
#[command(next_help_heading = "Publication")]
pub(crate) struct GuardArgs {
    /// Publish nothing and exit with 1 when more IDs failed
    #[arg(long, value_name = "N|P%", value_parser = value_parsers::allowance, env = "SCALE_EXPORT_MAX_FAILURES")]
    pub(crate) max_failures: Option<Allowance>,
    /// Exit with 0 instead of 3 when at most this many IDs failed
    #[arg(
        long,
        value_name = "N|P%",
        default_value = "0",
        value_parser = value_parsers::allowance,
        env = "SCALE_EXPORT_TOLERATE",
        hide_short_help = true
    )]
    pub(crate) tolerate: Allowance,
    /// Publish nothing and exit with 8 when more tasks vanish
    ///
    /// Counts the tasks of the previous export that would have no row in the new one. Up to 10 can vanish in any case.
    #[arg(
        long,
        value_name = "N|P%",
        default_value = "20%",
        value_parser = value_parsers::allowance,
        env = "SCALE_EXPORT_MAX_SHRINK", hide_short_help = true)]
    pub(crate) max_shrink: Allowance,
}

/// What deleted tasks mean.
#[derive(Debug, Args)]
#[command(next_help_heading = "Publication")]
pub(crate) struct MissingArgs {
    /// Remove IDs that return 404 or 410 from the tables, as deleted tasks
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_DROP_MISSING",
        hide_short_help = true
    )]
    pub(crate) drop_missing: bool,
}

/// How lists of IDs are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tasks")]
pub(crate) struct ListArgs {
    /// Column of IDs in .csv, .tsv, .jsonl, .json and .parquet files
    ///
    /// Case, `_`, `-` and spaces do not matter.
    #[arg(
        long,
        value_name = "NAME",
        default_value = crate::ids::task_ids::DEFAULT_COLUMN,
        env = "SCALE_EXPORT_ID_COLUMN",
        hide_short_help = true
    )]
    pub(crate) id_column: String,
}

/// How many threads build or verify tables.
#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// Threads that build or verify tables [default: one per core, at most 8]
    ///
    /// Each takes memory for 8,000 to 16,000 tasks. The result does not depend on their number.
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parsers::whole::<u16>("number of threads", 1..=MAX_THREADS.into()),
        env = "SCALE_EXPORT_THREADS",
        hide_short_help = true
    )]
    threads: Option<u16>,
}

impl ThreadArgs {
    /// The given number, or the default one.
    pub(crate) fn number(&self) -> usize {
        self.threads.map_or_else(default_threads, usize::from)
    }
}

/// The output directory and its tables.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Output directory, or the URL of a bucket
    #[arg(short, long, value_name = "DIR", env = "SCALE_EXPORT_OUT")]
    pub(crate) out: Option<PathBuf>,
    /// File format
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = FormatArg::Parquet,
        env = "SCALE_EXPORT_FORMAT"
    )]
    pub(crate) format: FormatArg,
    /// Write only these tables, comma-separated
    #[arg(
        long,
        value_name = "TABLES",
        value_delimiter = ',',
        value_parser = value_parsers::item,
        env = "SCALE_EXPORT_TABLES"
    )]
    pub(crate) tables: Vec<String>,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) delta: DeltaArgs,
    /// Overwrite files that scale-export did not create
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_FORCE", hide_short_help = true)]
    pub(crate) force: bool,
    /// Keep `workspace_token` values, which are live credentials
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_KEEP_SECRETS",
        hide_short_help = true
    )]
    pub(crate) keep_secrets: bool,
    #[command(flatten)]
    pub(crate) bucket: BucketArgs,
}

/// Where the state is, and how long replaced objects stay.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct BucketArgs {
    /// Directory of raw responses and tables; required with a URL
    ///
    /// Without a URL, the state is in .scale-export in the output directory.
    #[arg(
        long,
        value_name = "DIR",
        env = "SCALE_EXPORT_STATE",
        hide_short_help = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// How long objects stay after a publication that no longer names them
    ///
    /// Readers of an earlier manifest have this time to read its objects.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "24h",
        value_parser = value_parsers::duration,
        env = "SCALE_EXPORT_GRACE",
        hide_short_help = true
    )]
    pub(crate) grace: Duration,
}

/// Where the tables are committed besides.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct DeltaArgs {
    /// Directory of Delta tables to which the tables are committed as well: s3://, gs://, az://, or a local path
    ///
    /// Only in builds with the feature `delta`.
    #[arg(
        long,
        value_name = "URL",
        env = "SCALE_EXPORT_DELTA",
        hide_short_help = true
    )]
    pub(crate) delta: Option<PathBuf>,
}

/// What a job prints, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Display")]
pub(crate) struct DisplayArgs {
    /// Print one line, and only if the exit code is not 0
    #[arg(short, long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_QUIET")]
    pub(crate) quiet: bool,
    /// Print retries and details
    #[arg(short, long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_VERBOSE")]
    pub(crate) verbose: bool,
    /// When to show progress
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t = ProgressArg::Auto,
        env = "SCALE_EXPORT_PROGRESS",
        hide_short_help = true
    )]
    pub(crate) progress: ProgressArg,
    /// Format of log lines
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormatArg::Text,
        env = "SCALE_EXPORT_LOG_FORMAT",
        hide_short_help = true
    )]
    pub(crate) log_format: LogFormatArg,
    /// Write a summary of the run as JSON; `-` is standard output
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_SUMMARY",
        hide_short_help = true
    )]
    pub(crate) summary: Option<PathBuf>,

    /// Read options from this file [default: scale-export.toml]
    ///
    /// The default is scale-export.toml in the current directory, and in ~/.config/scale-export.
    #[arg(
        long,
        value_name = "FILE",
        env = CONFIG_VARIABLE,
        hide_short_help = true,
        help_heading = "Configuration"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Use the options of this profile of the configuration
    #[arg(
        long,
        value_name = "NAME",
        env = PROFILE_VARIABLE,
        hide_short_help = true,
        help_heading = "Configuration"
    )]
    pub(crate) profile: Option<String>,

    /// The file of the summary where that is a pipe or a device, which is opened once.
    #[arg(skip)]
    pub(crate) summary_pipe: OnceLock<File>,
    /// Where the values of the command's options come from.
    #[arg(skip)]
    pub(crate) origins: Origins,
}

/// Metrics of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Display")]
pub(crate) struct MetricsArgs {
    /// Write metrics of the run in the text format of Prometheus
    #[arg(
        long,
        value_name = "FILE",
        env = "SCALE_EXPORT_METRICS",
        hide_short_help = true
    )]
    pub(crate) metrics: Option<PathBuf>,
}

/// The variable of `--config`.
pub(crate) const CONFIG_VARIABLE: &str = "SCALE_EXPORT_CONFIG";

/// The variable of `--profile`.
pub(crate) const PROFILE_VARIABLE: &str = "SCALE_EXPORT_PROFILE";

/// Values of `--format`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArg {
    Parquet,
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Parquet => Self::Parquet,
            FormatArg::Csv => Self::Csv,
        }
    }
}

/// Values of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, and a line every 10 s elsewhere
    Auto,
    /// A bar, also where standard error is not a terminal; with JSON logs, a line every second
    Always,
    /// None
    Never,
}

/// Values of `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormatArg {
    Text,
    Json,
}

/// Values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    Auto,
    Always,
    Never,
}

//! The errors of the command line, and one type for every way in which a command fails.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::api::api_key::KEY_VARIABLE;
use crate::api::error::FetchError;
#[cfg(feature = "buckets")]
use crate::bucket::error::BucketError;
use crate::cli::config::error::ConfigError;
use crate::cli::option_origins::Origins;
use crate::cli::report_file::ReportFileError;
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::error::{Exit, Explain};
use crate::ids::error::IdsError;
use crate::jobs::changes::error::ChangesError;
use crate::jobs::error::ExportError;
use crate::jobs::html_report::HtmlReportError;
use crate::jobs::options_error::OptionsError;
use crate::jobs::report::FailureCounts;
use crate::jobs::source_error::SourceError;
use crate::jobs::status::error::StatusError;
use crate::jobs::verify::error::VerifyError;
use crate::output_error::OutputError;
use crate::publish::published_export::UnreadableExport;
#[cfg(feature = "sandbox")]
use crate::sandbox::error::SandboxError;
use crate::tables::definition::TABLES;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Ids(#[from] IdsError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error("{error}")]
    Export {
        #[source]
        error: ExportError,
        /// The failures that the run knew of.
        failures: Option<Box<FailureCounts>>,
    },
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Report(#[from] HtmlReportError),
    #[error(transparent)]
    ReportFile(#[from] ReportFileError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error(transparent)]
    Changes(#[from] ChangesError),
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// An error about the value of an environment variable, or of a line of a configuration file.
    #[error("{error} (set by {variable})")]
    Variable {
        /// The option that gets the value.
        option: &'static str,
        variable: String,
        error: Box<Self>,
    },
}

impl From<ExportError> for CommandError {
    fn from(error: ExportError) -> Self {
        Self::Export {
            error,
            failures: None,
        }
    }
}

impl CommandError {
    /// The failures that the run knew of, by kind.
    pub(crate) fn failures(&self) -> Option<&FailureCounts> {
        match self {
            Self::Export { failures, .. } => failures.as_deref(),
            Self::Variable { error, .. } => error.failures(),
            _ => None,
        }
    }

    fn explained(&self) -> &dyn Explain {
        match self {
            Self::Usage(error) => error,
            Self::Options(error) => error,
            Self::Schema(error) => error,
            Self::Ids(error) => error,
            Self::Output(error) => error,
            Self::Export { error, .. } => error,
            Self::Verify(error) => error,
            Self::Report(error) => error,
            Self::ReportFile(error) => error,
            Self::Status(error) => error,
            Self::Changes(error) => error,
            #[cfg(feature = "sandbox")]
            Self::Sandbox(error) => error,
            Self::Variable { error, .. } => error.explained(),
        }
    }

    /// The options whose values the error can be about.
    fn options(&self) -> &'static [&'static str] {
        match self {
            Self::Usage(UsageError::ObjectStore(_)) => &["--out"],
            #[cfg(feature = "buckets")]
            Self::Usage(UsageError::Bucket(_) | UsageError::NoState(_)) => &["--out"],
            #[cfg(feature = "delta")]
            Self::Usage(UsageError::Delta(_)) => &["--delta"],
            #[cfg(not(feature = "delta"))]
            Self::Usage(UsageError::NoDelta) => &["--delta"],
            Self::Usage(UsageError::Summary { .. }) => &["--summary"],
            Self::Ids(IdsError::Id { .. }) => &["--id"],
            Self::Ids(IdsError::Column { .. } | IdsError::Ambiguous { .. }) => {
                &["--id-column", "--ids"]
            }
            Self::Ids(_) => &["--ids"],
            Self::Options(OptionsError::Key(_)) => &["--api-key-file"],
            Self::Export {
                error:
                    ExportError::Source {
                        cause: SourceError::OtherState(_) | SourceError::NoState(_),
                        ..
                    },
                ..
            } => &["--state"],
            Self::Options(OptionsError::CaFile(error))
            | Self::Export {
                error: ExportError::Fetch(error),
                ..
            } => match error {
                FetchError::BadUrl { .. } | FetchError::PlainHttp { .. } => &["--base-url"],
                FetchError::CaFile { .. } => &["--ca-file"],
                FetchError::NoSuchList { .. } => &["--project", "--batch", "--delivery"],
                _ => &[],
            },
            _ => &[],
        }
    }

    /// The error, with the variable if its value is from the environment.
    pub(crate) fn with_variable(self, origins: &Origins) -> Self {
        let mut options = self.options().iter();
        match options.find_map(|option| Some((*option, origins.source(option)?))) {
            Some((option, variable)) => Self::Variable {
                option,
                variable: variable.to_owned(),
                error: Box::new(self),
            },
            None => self,
        }
    }

    /// Whether the summary, the metrics or standard output cannot be written.
    pub(crate) fn is_about_summary(&self) -> bool {
        match self {
            Self::Usage(
                UsageError::Summary { .. } | UsageError::Metrics { .. } | UsageError::Stdout(_),
            ) => true,
            Self::Variable { error, .. } => error.is_about_summary(),
            _ => false,
        }
    }
}

impl Explain for CommandError {
    fn hint(&self) -> Option<String> {
        let hint = self.explained().hint()?;
        Some(match self {
            // The user does not use the option, so a hint that names it names the variable.
            Self::Variable {
                option, variable, ..
            } if hint.contains(option) => hint.replace(option, variable),
            Self::Variable { variable, .. } => format!("change {variable}: {hint}"),
            _ => hint,
        })
    }

    fn exit(&self) -> Exit {
        self.explained().exit()
    }
}

/// A mistake on the command line or in the environment that `clap` does not see, and output that cannot be written.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("could not start: {0} is missing")]
    Missing(&'static str, &'static str),
    #[error("could not start: the API key must not be on the command line")]
    KeyOnCommandLine,
    #[error("could not use `{}`: this command needs a local directory", .0.display())]
    ObjectStore(PathBuf),
    #[cfg(feature = "buckets")]
    #[error(transparent)]
    Bucket(Box<BucketError>),
    #[cfg(feature = "buckets")]
    #[error("could not start: --state is missing, which `{0}` needs")]
    NoState(String),
    #[cfg(feature = "buckets")]
    #[error(transparent)]
    SourceUrl(Box<BucketError>),
    #[cfg(feature = "buckets")]
    #[error("could not start: --state is missing, which has the raw responses of `{0}`")]
    NoSourceState(String),
    #[cfg(feature = "delta")]
    #[error(transparent)]
    Delta(Box<BucketError>),
    #[cfg(not(feature = "delta"))]
    #[error("could not use --delta: this build of scale-export lacks Delta tables")]
    NoDelta,
    #[error("could not write to standard output: {0}")]
    Stdout(std::io::Error),
    #[error("could not read the {place}: {reason}")]
    CommandLine {
        /// The command line, the environment, or the configuration.
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
    #[error("could not write the metrics to `{}`: {cause}", path.display())]
    Metrics { path: PathBuf, cause: String },
}

fn of_option(option: Option<&str>) -> String {
    option.map_or_else(String::new, |option| format!(" of {option}"))
}

impl UsageError {
    /// The value of an option is empty.
    pub(crate) fn empty(origins: &Origins, option: &str) -> Self {
        Self::CommandLine {
            place: origins.place(option).as_str(),
            reason: format!("{} is empty", origins.name(option)),
            hint: origins.see_help(),
        }
    }

    /// Refuses a summary on standard output, which has `content` already: programs could not parse both.
    pub(crate) fn refuse_summary_beside(
        origins: &Origins,
        summary: Option<&Path>,
        content: &str,
    ) -> Result<(), Self> {
        if summary != Some(Path::new("-")) {
            return Ok(());
        }
        Err(Self::CommandLine {
            place: origins.place("--summary").as_str(),
            reason: format!("{} cannot be `-`", origins.name("--summary")),
            hint: format!("standard output has {content}; name a file"),
        })
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
        Self::CommandLine {
            place: origins.place(one).as_str(),
            reason: format!(
                "{} cannot be used with {}",
                origins.name(one),
                origins.name(other)
            ),
            hint: origins.see_help(),
        }
    }
}

impl Explain for UsageError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config(error) => return error.hint(),
            Self::Missing(_, hint) => (*hint).to_owned(),
            Self::KeyOnCommandLine => {
                format!(
                    "other users of this machine can read it there; set {KEY_VARIABLE} or use --api-key-file"
                )
            }
            Self::Table { name, .. } => {
                let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
                let all = format!("the tables are {}", names.join(", "));
                did_you_mean(nearest_name(name, names), &all)
            }
            Self::CommandLine { hint, .. } => hint.clone(),
            Self::ObjectStore(_) => {
                "name a local directory; that of an export to a URL is `out` in --state".to_owned()
            }
            #[cfg(feature = "buckets")]
            Self::Bucket(error) | Self::SourceUrl(error) => return error.hint(),
            #[cfg(feature = "buckets")]
            Self::NoSourceState(_) => "name the --state of the runs that publish there".to_owned(),
            #[cfg(feature = "delta")]
            Self::Delta(error) => return error.hint(),
            #[cfg(not(feature = "delta"))]
            Self::NoDelta => {
                "build it from source: cargo install --locked --features delta --path .".to_owned()
            }
            #[cfg(feature = "buckets")]
            Self::NoState(_) => {
                "name a local directory that stays between runs: --state dir/".to_owned()
            }
            Self::Stdout(_) => {
                "free space, or redirect standard output to another place".to_owned()
            }
            Self::Summary { .. } => "name another file, or `-` for standard output".to_owned(),
            Self::Metrics { .. } => "name another file".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Summary { .. } | Self::Metrics { .. } | Self::Stdout(_) => Exit::Output,
            _ => Exit::Usage,
        }
    }
}

/// Why a schema could not be printed.
#[derive(Debug, Error)]
pub(crate) enum SchemaError {
    #[error("could not print the schema: {option} is for --format sql")]
    NotSql { option: &'static str },
    #[error("could not print views for {dialect}: --dir is for DuckDB")]
    NotDuckDb { dialect: &'static str },
    #[error(transparent)]
    Export(#[from] UnreadableExport),
    #[error("could not find table `{table}` in the export in `{}`", directory.display())]
    NotExported { table: String, directory: PathBuf },
    #[error("could not write `{}` into SQL: the path is not UTF-8", .0.display())]
    Path(PathBuf),
}

impl Explain for SchemaError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotSql { option } => format!("remove --format or {option}"),
            Self::NotDuckDb { .. } => {
                "remove --dir, and run the script in the directory of the export".to_owned()
            }
            Self::Export(error) => return error.hint(),
            Self::NotExported { .. } => {
                "run the export again with this table in --tables".to_owned()
            }
            Self::Path(_) => "rename the directory, or create a symbolic link to it".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

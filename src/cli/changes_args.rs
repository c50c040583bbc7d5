//! The options of `changes`, as `clap` reads them.

use std::path::PathBuf;

use clap::Args;

use crate::cli::shared_args::{DisplayArgs, FormatArg};
use crate::cli::value_parsers;

/// Options of `changes`.
#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Directory of an export; or of an older export, and of a newer one to compare with it
    #[arg(value_name = "DIR", num_args = 1..=2, required = true)]
    pub(crate) directories: Vec<PathBuf>,
    /// Publication that the consumer has; exit with 2 unless it is the last one or the one before
    #[arg(
        long,
        value_name = "ID",
        env = "SCALE_EXPORT_SINCE",
        help_heading = "Publications"
    )]
    pub(crate) since: Option<String>,
    // The variables of the next two names are the output directory and the format of an export.
    /// Write the changes into this directory
    ///
    /// It must be new or empty, or have an earlier feed, which is replaced.
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// File format of the changes [default: that of the export]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        requires = "out",
        help_heading = "Output"
    )]
    pub(crate) format: Option<FormatArg>,
    /// Write the rows of inserted and updated tasks too
    #[arg(
        long,
        value_parser = value_parsers::flag,
        env = "SCALE_EXPORT_WITH_TABLES",
        help_heading = "Output"
    )]
    pub(crate) with_tables: bool,
    /// Print the counts as JSON on standard output
    #[arg(long, value_parser = value_parsers::flag, env = "SCALE_EXPORT_JSON", help_heading = "Output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) display: DisplayArgs,
}

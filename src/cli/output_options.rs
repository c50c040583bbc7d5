//! The options that `export` and `flatten` share: the output directory, its tables, and the guards of a publication.

use std::path::PathBuf;

use crate::cli::environment::Origins;
use crate::cli::error::UsageError;
use crate::cli::shared_args::{FormatArg, GuardArgs, OutputArgs};
use crate::encode::format::Format;
use crate::ids::list::SkippedCells;
use crate::publish::guard::GuardOptions;
use crate::tables::selection::TableSelection;
use crate::tables::table::Table;

/// The rules of publication.
pub(crate) fn guard_options(args: &GuardArgs) -> GuardOptions {
    let GuardArgs {
        max_failures,
        tolerate,
        max_shrink,
        drop_missing,
    } = *args;
    GuardOptions {
        max_failures,
        tolerate,
        max_shrink,
        drop_missing,
    }
}

/// Warnings about cells of ID lists that contain no ID.
pub(crate) fn warnings_of_skipped(skipped: &[SkippedCells]) -> Vec<String> {
    skipped.iter().map(SkippedCells::to_string).collect()
}

/// Checked options of the output.
pub(crate) struct OutputOptions {
    pub(crate) out: PathBuf,
    pub(crate) format: Format,
    pub(crate) tables: TableSelection,
}

/// Checks the options of the output.
pub(crate) fn output(args: &OutputArgs, origins: &Origins) -> Result<OutputOptions, UsageError> {
    let out = args.out.clone().ok_or(UsageError::Missing(
        "--out",
        "name a directory for the tables: --out dir/",
    ))?;
    if out.to_string_lossy().contains("://") {
        return Err(UsageError::ObjectStore(out));
    }
    let option = origins.name("--tables");
    let names = non_empty(&args.tables);
    if names.is_empty() && !args.tables.is_empty() {
        return Err(UsageError::empty(origins, "--tables"));
    }
    if let Some(unknown) = names.iter().find(|name| Table::find(name).is_none()) {
        return Err(UsageError::Table {
            name: unknown.clone(),
            option: Some(option.to_owned()),
        });
    }
    let format = match args.format {
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Csv => Format::Csv,
    };
    Ok(OutputOptions {
        out,
        format,
        tables: TableSelection::of_names(names.iter().map(String::as_str)),
    })
}

/// The items that are not empty: an extra comma leaves an empty one.
pub(crate) fn non_empty(items: &[String]) -> Vec<String> {
    let given = items.iter().filter(|item| !item.is_empty());
    given.cloned().collect()
}

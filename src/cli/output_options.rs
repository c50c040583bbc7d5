//! The options that `export` and `flatten` share: the output directory, its tables, and the guards of a publication.

use std::path::PathBuf;

#[cfg(feature = "delta")]
use crate::bucket::error::BucketError;
use crate::cli::error::UsageError;
use crate::cli::option_origins::Origins;
use crate::cli::shared_args::{DeltaArgs, GuardArgs, OutputArgs};
use crate::encode::format::Format;
use crate::ids::list::SkippedCells;
use crate::jobs::delta_target::DeltaTarget;
use crate::jobs::export_defaults::default_threads;
use crate::publish::guard::GuardOptions;
use crate::tables::selection::TableSelection;
use crate::tables::table::Table;

/// The rules of publication.
pub(crate) fn guard_options(args: &GuardArgs) -> GuardOptions {
    let GuardArgs {
        max_failures,
        tolerate,
        max_shrink,
    } = *args;
    GuardOptions {
        max_failures,
        tolerate,
        max_shrink,
        ..GuardOptions::default()
    }
}

/// Warnings about cells of ID lists that contain no ID.
pub(crate) fn warnings_of_skipped(skipped: &[SkippedCells]) -> Vec<String> {
    skipped.iter().map(SkippedCells::to_string).collect()
}

/// Checked options of the output.
#[derive(Debug)]
pub(crate) struct OutputOptions {
    pub(crate) format: Format,
    pub(crate) tables: TableSelection,
    /// Threads that build tables.
    pub(crate) threads: usize,
}

impl OutputOptions {
    /// The default ones, where the options cannot be used.
    pub(crate) fn none() -> Self {
        Self {
            format: Format::Parquet,
            tables: TableSelection::all(),
            threads: default_threads(),
        }
    }
}

/// Checks that the output is a directory.
pub(crate) fn output_directory(out: Option<&PathBuf>) -> Result<PathBuf, UsageError> {
    let out = out.cloned().ok_or(UsageError::Missing(
        "--out",
        "name a directory for the tables: --out dir/",
    ))?;
    // `s3://bucket` is a valid name of a directory, which a run would create.
    if out.to_string_lossy().contains("://") {
        return Err(UsageError::ObjectStore(out));
    }
    Ok(out)
}

/// Checks the place of Delta tables.
#[cfg(feature = "delta")]
pub(crate) fn delta_target(args: &DeltaArgs) -> Result<Option<DeltaTarget>, UsageError> {
    let Some(place) = &args.delta else {
        return Ok(None);
    };
    let target = match place.to_str() {
        Some(text) => DeltaTarget::parse(text),
        None => Err(BucketError::Prefix),
    };
    let target = target.map_err(|error| UsageError::Delta(Box::new(error)))?;
    Ok(Some(target))
}

/// Refuses a place of Delta tables.
#[cfg(not(feature = "delta"))]
pub(crate) fn delta_target(args: &DeltaArgs) -> Result<Option<DeltaTarget>, UsageError> {
    match args.delta {
        Some(_) => Err(UsageError::NoDelta),
        None => Ok(None),
    }
}

/// Checks the options of the output.
pub(crate) fn output_options(
    args: &OutputArgs,
    origins: &Origins,
) -> Result<OutputOptions, UsageError> {
    Ok(OutputOptions {
        format: args.format.into(),
        tables: selected(&args.tables, origins)?,
        threads: args.threads.number(),
    })
}

/// The tables of these names; without names, all tables.
fn selected(names: &[String], origins: &Origins) -> Result<TableSelection, UsageError> {
    if names.is_empty() {
        return Ok(TableSelection::all());
    }
    let option = origins.name("--tables");
    // An extra comma leaves an empty name.
    let names = names.iter().filter(|name| !name.is_empty());
    let tables = names.map(|name| {
        Table::find(name).ok_or_else(|| UsageError::Table {
            name: name.clone(),
            option: Some(option.to_owned()),
        })
    });
    let tables: TableSelection = tables.collect::<Result<_, _>>()?;
    if tables.is_empty() {
        return Err(UsageError::empty(origins, "--tables"));
    }
    Ok(tables)
}

/// The items that are not empty: an extra comma leaves an empty one.
pub(crate) fn non_empty(items: &[String]) -> Vec<String> {
    let items = items.iter().filter(|item| !item.is_empty());
    items.cloned().collect()
}

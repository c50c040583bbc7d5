//! The file of `--summary`: checked before a run, written at its end.
#![expect(
    clippy::disallowed_methods,
    reason = "a summary is not part of an export: nothing depends on it"
)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api::key_redaction::json_without_keys;
use crate::cli::error::UsageError;
use crate::cli::messages::print;
use crate::cli::shared_args::DisplayArgs;
use crate::publish::file_names::is_published_name;
use crate::state::paths::StateDir;

/// Checks before the run that the summary can be written and overwrites nothing else. `reads` are files and directories
/// that the job reads, and `out` the directory that it writes.
pub(crate) fn prepare_summary(
    args: &DisplayArgs,
    reads: &[PathBuf],
    out: Option<&Path>,
) -> Result<(), UsageError> {
    let path = args.summary.as_deref();
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        return Ok(());
    };
    refuse_to_overwrite(path, reads, out).map_err(|cause| UsageError::Summary {
        path: path.to_owned(),
        cause: cause.to_owned(),
    })?;
    open_summary_pipe(args, path)?;
    let was_there = path.exists();
    let opened = match args.summary_pipe.get() {
        Some(_) => Ok(()),
        None => appendable().create(true).open(path).map(drop),
    };
    // An empty file would be read as the end of a run.
    if opened.is_ok() && !was_there {
        let _ = std::fs::remove_file(path);
    }
    // Its directory may be the output directory, which the job creates.
    let will_be_made = path.parent().is_some_and(|parent| Some(parent) == out);
    match opened {
        Err(error) if !(error.kind() == std::io::ErrorKind::NotFound && will_be_made) => {
            Err(summary_error(path, &error))
        }
        _ => Ok(()),
    }
}

fn appendable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    options
}

/// Opens a pipe or a device for the summary, and keeps it open: its reader would take an earlier close for the end.
/// Opening a pipe waits for a reader; a signal ends the wait.
fn open_summary_pipe(args: &DisplayArgs, path: &Path) -> Result<(), UsageError> {
    let is_pipe = path
        .metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_pipe {
        let opened = appendable().open(path);
        let _ = args
            .summary_pipe
            .set(opened.map_err(|error| summary_error(path, &error))?);
    }
    Ok(())
}

/// Refuses a file that would overwrite an input or a file of the export, also through a link. The error says why.
pub(crate) fn refuse_to_overwrite(
    path: &Path,
    reads: &[PathBuf],
    out: Option<&Path>,
) -> Result<(), &'static str> {
    if path.is_symlink() && !path.exists() {
        return Err("it is a dangling symbolic link");
    }
    // The file may not exist yet; its directory may.
    let name = path.file_name().unwrap_or_default();
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(parent) = parent.canonicalize() else {
        return Ok(());
    };
    let place = parent.join(name);
    for read in reads.iter().filter_map(|read| read.canonicalize().ok()) {
        if place == read || (read.is_dir() && place.starts_with(&read)) {
            return Err("it is an input of this command, or inside of one");
        }
    }
    if let Some(out) = out.and_then(|out| out.canonicalize().ok())
        && (place.starts_with(StateDir::of_output(&out).path())
            || (parent == out && is_published_name(&name.to_string_lossy())))
    {
        return Err("the export has a file of this name");
    }
    let directories = reads.iter().map(PathBuf::as_path).chain(out);
    let files = directories.flat_map(|read| {
        let inside = [read.to_owned(), StateDir::of_output(read).path().to_owned()];
        let inside = inside
            .into_iter()
            .filter_map(|directory| directory.read_dir().ok());
        let inside = inside
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        // Another file beside the tables may be an earlier summary.
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            is_published_name(&name) || path.starts_with(StateDir::of_output(read).path())
        };
        std::iter::once(read.to_owned()).chain(inside.filter(is_ours))
    });
    // A hard link has another name and is the same file, so names alone are not enough.
    let identity = |path: &Path| {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    let own = identity(path);
    if own.is_some() && files.into_iter().any(|file| identity(&file) == own) {
        return Err("it is a link to an input, or to a file of the export");
    }
    Ok(())
}

/// Writes the summary to the file of `--summary`, or to stdout.
pub(crate) fn write_summary(args: &DisplayArgs, json: &Value) -> Result<(), UsageError> {
    let text = format!("{:#}\n", json_without_keys(json.clone()));
    if let (Some(mut pipe), Some(path)) = (args.summary_pipe.get(), &args.summary) {
        let written = pipe.write_all(text.as_bytes());
        return written.map_err(|error| summary_error(path, &error));
    }
    match args.summary.as_deref() {
        None => Ok(()),
        Some(path) if path.as_os_str() == "-" => print(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| summary_error(path, &error)),
    }
}

fn summary_error(path: &Path, error: &std::io::Error) -> UsageError {
    UsageError::Summary {
        path: path.to_owned(),
        cause: error.to_string(),
    }
}

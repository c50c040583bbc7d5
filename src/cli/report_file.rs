//! The file of `report --out`: checked before the report is made, replaced when it is complete.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::durable_fs;
use crate::durable_fs::{Access, StagedFile};
use crate::error::{Exit, Explain};
use crate::output_error::OutputError;
use crate::publish::file_names::is_published_name;
use crate::report::html::page::PAGE_START;
use crate::state::paths::STATE_DIRECTORY;

/// Why a report cannot be written to a file.
#[derive(Debug, Error)]
pub(crate) enum ReportFileError {
    #[error("could not write the report to `{}`: {cause}", path.display())]
    Refused { path: PathBuf, cause: &'static str },
    #[error("could not write the report to `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Explain for ReportFileError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => {
                Some("name another file with --out; `-` is standard output".to_owned())
            }
            Self::Io { .. } => Some(
                "name a file in an existing, writable directory with --out; `-` is standard output"
                    .to_owned(),
            ),
            Self::Output(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Usage,
            Self::Io { .. } => Exit::Output,
            Self::Output(error) => error.exit(),
        }
    }
}

/// A file that a report may be written to.
#[derive(Debug)]
pub(crate) struct ReportFile {
    directory: PathBuf,
    name: String,
}

impl ReportFile {
    /// Checks that a report may be written there: no file stands there, or an earlier report, or an empty file.
    pub(crate) fn check(path: &Path) -> Result<Self, ReportFileError> {
        let refused = |cause| ReportFileError::Refused {
            path: path.to_owned(),
            cause,
        };
        let failed = |source| ReportFileError::Io {
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            return Err(refused("it is a directory"));
        }
        // A link stays, and its target is replaced.
        let target = if path.is_symlink() {
            path.canonicalize().map_err(failed)?
        } else {
            path.to_owned()
        };
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refused("its name is not UTF-8"))?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = parent.canonicalize().map_err(failed)?;
        let is_state = directory
            .components()
            .any(|part| part.as_os_str() == STATE_DIRECTORY);
        if is_published_name(name) || is_state {
            return Err(refused("exports have files of this name"));
        }
        match fs::metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(refused("it is not a regular file"));
            }
            Ok(metadata) => {
                let is_ours = metadata.len() == 0 || is_report(&target).map_err(failed)?;
                if !is_ours {
                    return Err(refused("a file that is not a report exists there"));
                }
            }
        }
        durable_fs::refuse_unwritable(&directory).map_err(failed)?;
        Ok(Self {
            directory,
            name: name.to_owned(),
        })
    }

    /// Writes the report under a temporary name, and renames it. Two commands do not share the temporary name.
    pub(crate) fn write(&self, html: &str) -> Result<(), ReportFileError> {
        let temporary = format!("{}-{}", self.name, std::process::id());
        let mut staged = StagedFile::create(&self.directory, &temporary, Access::Everyone)?;
        let written = staged.path().to_owned();
        let write = OutputError::io("write", &written);
        staged.write_all(html.as_bytes()).map_err(write)?;
        staged.finish()?;
        let path = self.directory.join(&self.name);
        durable_fs::rename(&written, &path).map_err(OutputError::io("write", &path))?;
        let synced = durable_fs::sync_directory(&self.directory);
        synced.map_err(OutputError::io("sync", &self.directory))?;
        Ok(())
    }
}

/// Whether a file begins as a report.
fn is_report(path: &Path) -> io::Result<bool> {
    let mut start = vec![0; PAGE_START.len()];
    match File::open(path)?.read_exact(&mut start) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| start == PAGE_START.as_bytes()),
    }
}

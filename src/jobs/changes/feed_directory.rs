//! The directory of a feed: its files replace those of an earlier feed, `changes.json` last.
//!
//! ```text
//! write all files under temporary names
//! remove the earlier changes.json      from here on, the feed is gone
//! rename all files, remove those that the new feed does not have
//! rename changes.json                  the new feed is complete
//! ```
//!
//! After a crash, the temporary `changes.json` shows that the other files belong to an incomplete feed. The next run removes
//! them before it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::durable_fs;
use crate::durable_fs::{
    Access, StagedFile, is_temporary, remove_temporary_files, temporary_name, temporary_path,
};
use crate::encode::format::Format;
use crate::jobs::changes::change_report::ChangesReport;
use crate::jobs::changes::error::ChangesError;
use crate::output_error::OutputError;
use crate::publish::file_names::MANIFEST;
use crate::state::paths::STATE_DIRECTORY;
use crate::tables::definition::TABLES;
use crate::tables::table::Table;

/// Describes the feed.
pub(crate) const FEED_MANIFEST: &str = "changes.json";

/// Maximum bytes of `changes.json`. It names twenty files at most.
const MAX_BYTES: u64 = 1 << 20;

/// A directory that new file systems have.
const LOST_AND_FOUND: &str = "lost+found";

/// A directory into which this process may write a feed.
#[derive(Debug)]
pub(crate) struct FeedDirectory {
    path: PathBuf,
    /// Files of the earlier feed.
    earlier: BTreeSet<String>,
    /// Keeps other processes out while it is open.
    _lock: File,
}

impl FeedDirectory {
    /// Creates the directory if necessary, and refuses one that has other files than those of an earlier feed.
    pub(crate) fn open(path: &Path) -> Result<Self, ChangesError> {
        durable_fs::create_directories(path).map_err(OutputError::io("create", path))?;
        let opened = File::open(path).map_err(OutputError::io("open", path))?;
        // A file system without locks on directories cannot keep other processes out.
        if let Err(TryLockError::WouldBlock) = durable_fs::lock(&opened, path) {
            return Err(ChangesError::Busy {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            earlier: earlier_files(path)?,
            _lock: opened,
        })
    }

    /// Removes what is left of a feed that was not completed.
    pub(crate) fn clear(&self) -> Result<(), OutputError> {
        let marker = temporary_path(&self.path, FEED_MANIFEST);
        if marker.symlink_metadata().is_ok() && !self.path.join(FEED_MANIFEST).exists() {
            for name in feed_names() {
                self.remove(&name)?;
            }
            self.sync()?;
        }
        remove_temporary_files(&self.path)
    }

    /// Creates a file under a temporary name. Fails if a user's own file has its name.
    pub(crate) fn create(&self, name: &str) -> Result<StagedFile, OutputError> {
        StagedFile::create(&self.path, name, Access::Everyone)
    }

    /// Refuses names of files that are not those of an earlier feed.
    pub(crate) fn refuse_taken<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), ChangesError> {
        let is_there = |name: &str| self.path.join(name).symlink_metadata().is_ok();
        let mut names = names.into_iter();
        match names.find(|name| is_there(name) && !self.earlier.contains(*name)) {
            Some(name) => Err(taken(&self.path, name)),
            None => Ok(()),
        }
    }

    /// Gives all files of a feed their names. Their temporary files are complete and synced.
    pub(crate) fn publish(&self, report: &ChangesReport) -> Result<(), OutputError> {
        let mut manifest = self.create(FEED_MANIFEST)?;
        let written = manifest.write_all(report.to_json().as_bytes());
        written.map_err(OutputError::io("write", manifest.path()))?;
        manifest.finish()?;
        self.sync()?;
        self.remove(FEED_MANIFEST)?;
        self.sync()?;
        let names: BTreeSet<&str> = report
            .files
            .iter()
            .map(|file| file.file.path.as_str())
            .collect();
        for name in &names {
            self.rename(name)?;
        }
        for name in &self.earlier {
            if !names.contains(name.as_str()) {
                self.remove(name)?;
            }
        }
        self.sync()?;
        self.rename(FEED_MANIFEST)?;
        self.sync()
    }

    fn rename(&self, name: &str) -> Result<(), OutputError> {
        let target = self.path.join(name);
        let temporary = temporary_path(&self.path, name);
        durable_fs::rename(&temporary, &target).map_err(OutputError::io("publish", &target))
    }

    fn remove(&self, name: &str) -> Result<(), OutputError> {
        let path = self.path.join(name);
        durable_fs::remove(&path).map_err(OutputError::io("remove", &path))
    }

    fn sync(&self) -> Result<(), OutputError> {
        durable_fs::sync_directory(&self.path).map_err(OutputError::io("sync", &self.path))
    }
}

fn taken(path: &Path, name: &str) -> ChangesError {
    ChangesError::Taken {
        path: path.to_owned(),
        name: name.to_owned(),
    }
}

/// The names that a feed can have, apart from `changes.json`.
fn feed_names() -> impl Iterator<Item = String> {
    let tables = TABLES.iter().chain([Table::Changes.info()]);
    tables
        .flat_map(|table| [Format::Parquet, Format::Csv].map(|format| format.file_name(table.name)))
}

/// The files of the earlier feed in a directory. Fails if the directory has other files, and no feed.
fn earlier_files(path: &Path) -> Result<BTreeSet<String>, ChangesError> {
    let entries = fs::read_dir(path).map_err(OutputError::io("list", path))?;
    let mut names: Vec<OsString> = Vec::new();
    for entry in entries {
        names.push(entry.map_err(OutputError::io("list", path))?.file_name());
    }
    names.sort_unstable();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    // An export has tables under the same names.
    if let Some(name) = [STATE_DIRECTORY, MANIFEST]
        .into_iter()
        .find(|name| has(name))
    {
        return Err(taken(path, name));
    }
    if has(FEED_MANIFEST) {
        let Some(report) = read_report(path)? else {
            return Err(taken(path, FEED_MANIFEST));
        };
        let of_feed: BTreeSet<String> = report
            .files
            .into_iter()
            .map(|file| file.file.path)
            .collect();
        // A prepared changes.json must not make scale-export remove other files.
        return Ok(feed_names().filter(|name| of_feed.contains(name)).collect());
    }
    if has(&temporary_name(FEED_MANIFEST)) {
        return Ok(feed_names().filter(|name| has(name)).collect());
    }
    let is_other = |name: &&OsString| !is_temporary(name) && *name != LOST_AND_FOUND;
    match names.iter().find(is_other) {
        Some(name) => Err(taken(path, &name.to_string_lossy())),
        None => Ok(BTreeSet::new()),
    }
}

/// The `changes.json` of a directory, if scale-export wrote it.
fn read_report(path: &Path) -> Result<Option<ChangesReport>, OutputError> {
    let path = path.join(FEED_MANIFEST);
    let text = match durable_fs::read_small(&path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
        text => text.map_err(OutputError::io("read", &path))?,
    };
    let report: Option<ChangesReport> = serde_json::from_slice(&text).ok();
    Ok(report.filter(ChangesReport::is_ours))
}

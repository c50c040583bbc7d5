//! Limits of the machine: open files and disk space.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::encode::format::Format;
use crate::event::{Event, Events};
use crate::jobs::error::ExportError;
use crate::plural::{bytes_text, plural};
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::nearest_existing;
use crate::publish::staging::Staging;

/// Open files apart from connections: tables being written, the journal twice, the lock, standard streams, event loops,
/// name lookups, certificates.
const OTHER_FILES: u64 = 64;

/// Raises the soft limit of open files as far as needed and allowed; returns how many requests may be in flight.
pub(crate) fn fit_concurrency(
    wanted: usize,
    files_per_request: u64,
    events: &Events,
) -> Result<usize, ExportError> {
    let needed = OTHER_FILES + wanted as u64 * files_per_request;
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= needed {
        return Ok(wanted);
    }
    limit.current = Some(needed.min(limit.maximum.unwrap_or(u64::MAX)));
    let raised = limit.current.unwrap_or(soft);
    let allowed = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(_) => soft,
    };
    let least = OTHER_FILES + files_per_request;
    if allowed < least {
        return Err(ExportError::OpenFiles { allowed, least });
    }
    let fitting = allowed.saturating_sub(OTHER_FILES) / files_per_request;
    let fitting = usize::try_from(fitting).unwrap_or(wanted).clamp(1, wanted);
    if fitting < wanted {
        events.send(Event::Warning(format!(
            "sending at most {} at a time instead of {wanted}, because the limit of open files is {allowed}; raise it with `ulimit -n`",
            plural(fitting as u64, "request")
        )));
    }
    Ok(fitting)
}

/// Free bytes for this user on the file system of a directory; `None` when it does not report them.
pub(crate) fn free_space(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    // Some network shares report zeros.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Estimated bytes of a record while the tasks are unknown: a conversation of a few messages.
const RECORD_BYTES: f64 = 3_000.0;

/// Estimated bytes of tables per byte of compressed responses while the tasks are unknown. `docs/operations.md` has the
/// measurements.
const PARQUET_SHARE: f64 = 1.0;
const CSV_SHARE: f64 = 6.0;

/// Fetched tasks after which their sizes replace the estimate.
const MIN_MEASURED_TASKS: usize = 20;

/// How much an export has and still needs, at the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportSize {
    /// IDs to be fetched.
    pub(crate) wanted: usize,
    /// IDs with a response in the journal.
    pub(crate) kept: usize,
    /// Bytes of their records.
    pub(crate) kept_bytes: u64,
    /// Bytes of the whole journal.
    pub(crate) journal_bytes: u64,
}

/// The space that an export needs, and has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpaceEstimate {
    /// Estimated bytes that are still to be written.
    pub(crate) needed: u64,
    /// Bytes that are free.
    pub(crate) free: u64,
}

impl SpaceEstimate {
    /// What a directory lacks, for messages.
    pub(crate) fn shortage(self, directory: &Path) -> String {
        format!(
            "the export needs about {} more space in `{}`, and {} is free",
            bytes_text(self.needed),
            directory.display(),
            bytes_text(self.free),
        )
    }
}

/// Watches whether what is still to be written will fit on the disk.
#[derive(Debug)]
pub(crate) struct SpaceWatch {
    directory: PathBuf,
    events: Events,
    /// IDs to be fetched.
    wanted: usize,
    /// Bytes of the journal's records that count, at the start.
    kept_bytes: f64,
    record_bytes: f64,
    /// Bytes of tables for each byte of records.
    table_share: f64,
    journal_bytes: u64,
    is_short: bool,
}

impl SpaceWatch {
    /// Starts with the sizes of the previous export in this directory.
    pub(crate) fn new(
        directory: &Path,
        size: ExportSize,
        format: Format,
        published: Option<&Manifest>,
        events: &Events,
    ) -> Self {
        let ExportSize {
            wanted,
            kept,
            journal_bytes,
            ..
        } = size;
        let kept_bytes = as_f64(size.kept_bytes);
        let published = published.filter(|manifest| manifest.options.format == format);
        let published_bytes = published.map(|manifest| {
            let files = manifest.all_files();
            as_f64(files.map(|file| file.bytes).sum())
        });
        let usual_share = match format {
            Format::Parquet => PARQUET_SHARE,
            Format::Csv => CSV_SHARE,
        };
        let table_share = published_bytes
            .filter(|_| kept_bytes > 0.0)
            .map_or(usual_share, |bytes| bytes / kept_bytes);
        let record_bytes = if kept > 0 {
            kept_bytes / as_f64(kept as u64)
        } else {
            RECORD_BYTES
        };
        Self {
            directory: directory.to_owned(),
            events: events.clone(),
            wanted,
            kept_bytes,
            record_bytes,
            table_share,
            journal_bytes,
            is_short: false,
        }
    }

    /// Checks the space after `fetched` tasks, with a journal of so many bytes.
    pub(crate) fn check(&mut self, fetched: usize, journal_bytes: u64) {
        if fetched >= MIN_MEASURED_TASKS {
            let grown = as_f64(journal_bytes.saturating_sub(self.journal_bytes));
            self.record_bytes = grown / as_f64(fetched as u64);
        }
        let Some(SpaceEstimate { needed, free }) = self.estimate(fetched) else {
            return;
        };
        let is_short = needed > free;
        if is_short || self.is_short {
            self.events.send(Event::Space {
                needed: is_short.then_some(needed),
                free,
            });
        }
        if is_short && !self.is_short {
            let estimate = SpaceEstimate { needed, free };
            self.events.send(Event::Warning(format!(
                "{}; if the disk fills up, free space and run the same command again",
                estimate.shortage(&self.directory)
            )));
        }
        self.is_short = is_short;
    }

    /// The space that is needed and free after `fetched` tasks; `None` when the file system does not report it.
    pub(crate) fn estimate(&self, fetched: usize) -> Option<SpaceEstimate> {
        let free = free_space(nearest_existing(&self.directory))?;
        let needed = self.needed(fetched, Staging::bytes(&self.directory));
        Some(SpaceEstimate { needed, free })
    }

    /// Estimated bytes that are still to be written.
    fn needed(&self, fetched: usize, staged: u64) -> u64 {
        let wanted = as_f64(self.wanted as u64);
        let left = as_f64(self.wanted.saturating_sub(fetched) as u64) * self.record_bytes;
        let tables = (self.kept_bytes + wanted * self.record_bytes) * self.table_share;
        let needed = left + (tables - as_f64(staged)).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, never negative"
        )]
        let needed = needed as u64;
        needed
    }
}

#[expect(clippy::cast_precision_loss, reason = "for an estimate")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(wanted: usize, kept: (usize, u64)) -> SpaceWatch {
        let (kept, bytes) = kept;
        let directory = Path::new(".");
        let events = Events::none();
        let size = ExportSize {
            wanted,
            kept,
            kept_bytes: bytes,
            journal_bytes: bytes,
        };
        SpaceWatch::new(directory, size, Format::Parquet, None, &events)
    }

    #[test]
    fn the_space_estimate_follows_the_size_of_fetched_tasks() {
        // Nothing is known: records and tables of the usual size.
        assert_eq!(watch(1_000, (0, 0)).needed(0, 0), 6_000_000);
        // What was held shows the size of what comes.
        let mut known = watch(100, (100, 100_000));
        assert_eq!(known.needed(0, 0), 100_000 + 200_000);
        // Half of the rest is here, and was twice as large; a part of the tables stands already.
        known.check(50, 100_000 + 100_000);
        assert_eq!(known.needed(50, 60_000), 100_000 + 300_000 - 60_000);
        assert_eq!(known.needed(100, 10_000_000), 0);
    }

    #[test]
    fn the_free_space_of_a_file_system_is_read() {
        assert!(free_space(Path::new(".")).unwrap() > 0);
        assert_eq!(free_space(Path::new("/no/such/directory")), None);
    }
}

//! Reads a published export without its lock: the manifest before and after, and again if it changed meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::durable_fs;
use crate::error::{Exit, Explain, FileRole};
use crate::output_error::OutputError;
use crate::publish::commit::is_pending;
use crate::publish::earlier_files::refuse_newer;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::publish::manifest_fault::ManifestFault;
use crate::tables::table::SCHEMA_VERSION;

/// How often an export is read before the reader gives up.
const MAX_READS: usize = 10;

/// Pause before the next read. A publication renames about twenty files, which takes less.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a published export could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnreadableExport {
    /// There is no export.
    #[error("could not read the export in `{}`: {cause}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        cause: &'static str,
    },
    /// The manifest is damaged.
    #[error("could not read the export in `{}`: {MANIFEST}: {cause}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the manifest.
        cause: ManifestFault,
    },
    /// Another version of scale-export wrote the tables.
    #[error("could not read the export in `{}`: its tables have schema version {theirs}, this program reads {SCHEMA_VERSION}", path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// The schema version of its tables.
        theirs: String,
    },
    /// A newer version of scale-export wrote the manifest.
    #[error(transparent)]
    Newer(#[from] OutputError),
    /// Each time that it was read, a run published a new export.
    #[error("could not read the export in `{}`: runs keep publishing new exports", path.display())]
    Changing {
        /// The directory.
        path: PathBuf,
    },
    /// A run ended while it renamed files, so files of two exports may be mixed.
    #[error("could not read the export in `{}`: its publication is not complete", path.display())]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// The system returned an error.
    #[error("could not read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl Explain for UnreadableExport {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "name the output directory of an export; it has a manifest.json after the first publication".to_owned()
            }
            Self::Damaged { .. } | Self::Unfinished { .. } => {
                "run the export again, which publishes it again".to_owned()
            }
            Self::Version { .. } => {
                "use the version of scale-export that wrote it, or rebuild the tables: scale-export flatten DIR --out DIR".to_owned()
            }
            Self::Newer(error) => return error.hint(),
            Self::Changing { .. } => "wait for the runs to end, and run the same command again".to_owned(),
            Self::Io { source, .. } => FileRole::Verified.hint(source).to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// The manifest of an export whose tables are those of this version.
pub(crate) fn readable_manifest(directory: &Path) -> Result<Manifest, UnreadableExport> {
    manifest_of(directory).map(|(manifest, _)| manifest)
}

/// The manifest of an export, and its bytes.
fn manifest_of(directory: &Path) -> Result<(Manifest, Vec<u8>), UnreadableExport> {
    let path = || directory.to_owned();
    if !directory.is_dir() {
        let cause = if directory.exists() {
            "it is not a directory"
        } else {
            "it does not exist"
        };
        return Err(UnreadableExport::Missing {
            path: path(),
            cause,
        });
    }
    let Some(bytes) = manifest_bytes(directory)? else {
        let cause = "it has no manifest.json";
        return Err(UnreadableExport::Missing {
            path: path(),
            cause,
        });
    };
    refuse_newer(directory)?;
    let damaged = |cause| UnreadableExport::Damaged {
        path: path(),
        cause,
    };
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| damaged(ManifestFault::Json(error)))?;
    if manifest.schema_version != SCHEMA_VERSION {
        return Err(UnreadableExport::Version {
            path: path(),
            theirs: manifest.schema_version,
        });
    }
    if let Some(cause) = manifest.fault() {
        return Err(damaged(cause));
    }
    Ok((manifest, bytes))
}

/// The bytes of the manifest; `None` if there is none.
fn manifest_bytes(directory: &Path) -> Result<Option<Vec<u8>>, UnreadableExport> {
    let path = directory.join(MANIFEST);
    match durable_fs::read_small(&path, MAX_MANIFEST_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read
            .map(Some)
            .map_err(|source| UnreadableExport::Io { path, source }),
    }
}

/// Reads an export without its lock. A run that publishes meanwhile makes `read` start over, also when it failed: files
/// of two exports do not fit together. The manifest is the last file of a publication, so an export whose manifest is
/// the same before and after, with no publication under way, was read as a whole.
pub(crate) fn read_published<T, E: From<UnreadableExport>>(
    directory: &Path,
    mut read: impl FnMut(&Manifest) -> Result<T, E>,
) -> Result<T, E> {
    let mut is_unfinished = false;
    for _ in 0..MAX_READS {
        let (manifest, before) = manifest_of(directory)?;
        let done = read(&manifest);
        let after = manifest_bytes(directory)?;
        is_unfinished = is_pending(directory);
        if after.as_deref() == Some(before.as_slice()) && !is_unfinished {
            return done;
        }
        std::thread::sleep(PAUSE);
    }
    let path = directory.to_owned();
    Err(if is_unfinished {
        UnreadableExport::Unfinished { path }.into()
    } else {
        UnreadableExport::Changing { path }.into()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::publish::manifest::ENCODING_VERSION;
    use crate::state::paths::StateDir;

    fn publish(directory: &Path, finished_at: &str, schema_version: &str) {
        let options = json!({"base_url": "", "expand": [], "opts": [], "format": "csv", "tables": [], "keep_secrets": false});
        let ids = json!({"requested": 0, "exported": 0, "failed": 0, "duplicates": 0, "path": "", "bytes": 0, "sha256": ""});
        let run = json!({"started_at": "", "finished_at": finished_at, "requests": 0, "retries": 0, "rate_limited": 0, "bytes_received": 0});
        let manifest = json!({
            "format_version": 1, "tool": {"name": "scale-export", "version": "0.0.0"}, "schema_version": schema_version,
            "encoding_version": ENCODING_VERSION, "options": options, "ids": ids, "tables": {}, "files": [], "drift": [],
            "run": run,
        });
        fs::write(directory.join(MANIFEST), manifest.to_string()).unwrap();
    }

    /// Reads an export while `disturb` happens, whose argument is the number of earlier reads.
    fn read(
        directory: &Path,
        disturb: impl Fn(usize) -> Result<(), UnreadableExport>,
    ) -> (usize, Result<String, UnreadableExport>) {
        let mut reads = 0;
        let read = read_published(directory, |manifest| {
            reads += 1;
            disturb(reads - 1)?;
            Ok(manifest.run.finished_at.clone())
        });
        (reads, read)
    }

    #[test]
    fn a_publication_during_the_read_starts_it_over() {
        let base = tempfile::tempdir().unwrap();
        publish(base.path(), "first", SCHEMA_VERSION);
        let (reads, found) = read(base.path(), |_| Ok(()));
        assert_eq!((reads, found.unwrap().as_str()), (1, "first"));
        let (reads, found) = read(base.path(), |before| {
            if before == 0 {
                publish(base.path(), "second", SCHEMA_VERSION);
                // Files of two exports do not fit together.
                let path = base.path().to_owned();
                let cause = ManifestFault::Counts;
                return Err(UnreadableExport::Damaged { path, cause });
            }
            Ok(())
        });
        assert_eq!((reads, found.unwrap().as_str()), (2, "second"));
    }

    #[test]
    fn an_error_without_a_publication_is_returned() {
        let base = tempfile::tempdir().unwrap();
        publish(base.path(), "first", SCHEMA_VERSION);
        let (reads, found) = read(base.path(), |_| {
            let path = base.path().to_owned();
            let cause = ManifestFault::Tables;
            Err(UnreadableExport::Damaged { path, cause })
        });
        assert_eq!(reads, 1);
        assert!(
            found
                .unwrap_err()
                .to_string()
                .ends_with("that its options select")
        );
    }

    #[test]
    fn an_export_that_never_rests_ends_the_read() {
        let base = tempfile::tempdir().unwrap();
        publish(base.path(), "first", SCHEMA_VERSION);
        let (reads, found) = read(base.path(), |before| {
            publish(base.path(), &before.to_string(), SCHEMA_VERSION);
            Ok(())
        });
        assert_eq!(reads, MAX_READS);
        assert!(matches!(found, Err(UnreadableExport::Changing { .. })));
        let state = StateDir::of_output(base.path());
        fs::create_dir(state.path()).unwrap();
        fs::write(state.publication(), "").unwrap();
        let (_, found) = read(base.path(), |_| Ok(()));
        assert!(matches!(found, Err(UnreadableExport::Unfinished { .. })));
    }

    #[test]
    fn exports_that_cannot_be_read_are_usage_errors_with_a_hint() {
        let base = tempfile::tempdir().unwrap();
        let refused = |name: &str| {
            let error = readable_manifest(&base.path().join(name)).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            assert!(error.hint().is_some());
            error
        };
        assert!(matches!(refused("none"), UnreadableExport::Missing { .. }));
        assert!(matches!(refused(""), UnreadableExport::Missing { .. }));
        publish(base.path(), "first", "99.0.0");
        assert!(matches!(refused(""), UnreadableExport::Version { .. }));
        fs::write(base.path().join(MANIFEST), "{").unwrap();
        assert!(matches!(refused(""), UnreadableExport::Damaged { .. }));
        fs::write(
            base.path().join(MANIFEST),
            r#"{"format_version": 99, "tool": {"name": "scale-export", "version": "99.0.0"}}"#,
        )
        .unwrap();
        assert!(matches!(refused(""), UnreadableExport::Newer(_)));
    }
}

//! Where the state of an output directory is: the one owner of all paths in the state directory.

use std::path::{Path, PathBuf};

/// The state directory's name in the output directory.
pub const STATE_DIRECTORY: &str = ".scale-export";
/// The distinct IDs in their order, as a path in the output directory.
pub const IDS: &str = ".scale-export/ids.txt";
/// The raw responses, as a path in the output directory.
pub const JOURNAL: &str = ".scale-export/journal";
/// The failures that the last run knew of, as a path in the output directory.
pub const LAST_FAILURES: &str = ".scale-export/last_failures.jsonl";

/// How the last run ended, as a path in the output directory.
pub(crate) const LAST_RUN: &str = ".scale-export/last_run.json";
/// The digests of a publication while it is built and its ID is unknown, as a path in the output directory.
pub const NEW_DIGESTS: &str = ".scale-export/digests";

/// What the ranges of the published tables are made of, as a path in the output directory.
pub(crate) const RANGES: &str = ".scale-export/ranges";

/// Hexadecimal digits of a publication's ID. An ID is compared with two others at a time, so 64 bits are enough to tell
/// them apart: two publications get the same ID by chance once in 10^19.
pub const ID_DIGITS: usize = 16;

/// The extension of a file's name while it is written.
const NEW_EXTENSION: &str = "new";

/// A state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The state directory of an output directory.
    pub fn of_output(output: &Path) -> Self {
        Self {
            path: output.join(STATE_DIRECTORY),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The raw responses.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The distinct IDs in their order.
    pub fn ids(&self) -> PathBuf {
        self.path.join("ids.txt")
    }

    /// The digests of the publication with this ID.
    pub fn digests(&self, id: &str) -> PathBuf {
        self.path.join(format!("digests-{id}"))
    }

    /// What the ranges of the published tables are made of.
    pub(crate) fn ranges(&self) -> PathBuf {
        self.path.join("ranges")
    }

    /// The lock of the run that writes.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The rate limits that earlier runs learned, by server.
    pub fn pace(&self) -> PathBuf {
        self.path.join("pace.json")
    }

    /// The page that each list was read up to.
    pub fn list_checkpoint(&self) -> PathBuf {
        self.path.join("listing")
    }

    /// How the last run ended, published or not.
    pub fn last_run(&self) -> PathBuf {
        self.path.join("last_run.json")
    }

    /// The failures that the last run knew of.
    pub fn last_failures(&self) -> PathBuf {
        self.path.join("last_failures.jsonl")
    }

    /// What was published last in an object store.
    #[cfg(feature = "buckets")]
    pub(crate) fn bucket(&self) -> PathBuf {
        self.path.join("bucket.json")
    }

    /// The record of a publication, while files are published.
    pub fn publication(&self) -> PathBuf {
        self.path.join("publication")
    }

    /// The record of a publication, while the previous export is restored.
    pub fn rollback(&self) -> PathBuf {
        self.path.join("publication.undo")
    }

    /// The record of a publication, while it is written.
    pub fn new_publication(&self) -> PathBuf {
        while_written(&self.publication())
    }

    /// The directory of hard links to the previous files, during a publication.
    pub fn previous_files(&self) -> PathBuf {
        self.path.join("previous")
    }
}

/// The path of a file while it is written.
pub(crate) fn while_written(path: &Path) -> PathBuf {
    path.with_added_extension(NEW_EXTENSION)
}

/// The digests of the publication with this ID, as a path in the output directory.
pub fn digests_name(id: &str) -> String {
    format!("{NEW_DIGESTS}-{id}")
}

/// The ID of the publication whose digests have this path in the output directory, if they have one.
pub fn digests_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix(NEW_DIGESTS)?.strip_prefix('-')?;
    is_publication_id(id).then_some(id)
}

/// Whether a text has the form of a publication's ID.
pub fn is_publication_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

/// Whether a path in the output directory is that of a part of the state which is published with the tables.
pub(crate) fn is_published_state(name: &str) -> bool {
    [IDS, JOURNAL, RANGES].contains(&name) || digests_id(name).is_some()
}

/// Whether a path in the output directory is part of its state.
pub fn is_in_state(path: &Path) -> bool {
    path.starts_with(STATE_DIRECTORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names_are_paths_of_the_state() {
        let output = Path::new("out");
        let state = StateDir::of_output(output);
        assert_eq!(state.ids(), output.join(IDS));
        assert_eq!(state.journal(), output.join(JOURNAL));
        assert_eq!(state.last_failures(), output.join(LAST_FAILURES));
        assert_eq!(state.last_run(), output.join(LAST_RUN));
        assert_eq!(state.ranges(), output.join(RANGES));
        let id = "0123456789abcdef";
        assert_eq!(state.digests(id), output.join(digests_name(id)));
        assert_eq!(digests_id(&digests_name(id)), Some(id));
        for other in [NEW_DIGESTS, ".scale-export/digests-../../manifest", IDS] {
            assert_eq!(digests_id(other), None);
        }
        assert!(
            [IDS, JOURNAL, RANGES]
                .iter()
                .all(|name| is_published_state(name))
        );
        assert!(is_published_state(&digests_name(id)) && !is_published_state(LAST_RUN));
        assert!(is_in_state(Path::new(IDS)) && !is_in_state(Path::new("tasks.parquet")));
    }
}

//! Why a manifest is not valid.

use std::io;

use thiserror::Error;

/// Why a manifest is not valid.
#[derive(Debug, Error)]
pub enum ManifestFault {
    /// The file is too large, or it is not a regular file.
    #[error(transparent)]
    File(io::Error),
    /// It is not JSON with the fields of a manifest.
    #[error(transparent)]
    Json(serde_json::Error),
    /// A later version of scale-export wrote it.
    #[error("this version does not support its format version")]
    Newer,
    /// This version of scale-export writes another format version.
    #[error("its format version is not that of this version of scale-export")]
    FormatVersion,
    /// The sums of IDs are wrong.
    #[error("its counts of IDs contradict each other")]
    Counts,
    /// Its tables are not those of its options.
    #[error("its tables are not those that its options select")]
    Tables,
    /// The files or rows of a table are wrong.
    #[error("its entry for table `{0}` is not as scale-export writes it")]
    TableEntry(String),
    /// Its other files have wrong names.
    #[error("its files are not those that this version of scale-export publishes")]
    Files,
}

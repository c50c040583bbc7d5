//! Who may read a file that is created.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;

/// Only its owner looks into state: it holds the raw responses.
pub(super) const STATE_MODE: u32 = 0o700;
pub(super) const STATE_FILE_MODE: u32 = 0o600;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever the process lets read its files.
    Everyone,
    /// Its owner only, for the state.
    Owner,
}

impl Access {
    pub(super) fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        if self == Self::Owner {
            options.mode(STATE_FILE_MODE);
        }
        options
    }
}

//! Permissions of files and directories that scale-export creates.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;

/// Only the owner may read the state: it holds raw responses.
pub(super) const STATE_MODE: u32 = 0o700;
pub(super) const STATE_FILE_MODE: u32 = 0o600;

/// The users who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Every user that the umask of the process allows.
    Everyone,
    /// Only the owner, for files of the state.
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

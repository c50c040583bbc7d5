//! All changes of the file system: create, write, sync, rename, remove. Tests can make each step fail.
#![expect(
    clippy::disallowed_methods,
    reason = "the only module that changes files"
)]

mod access;
#[cfg(debug_assertions)]
mod failpoint;
mod ownership;
mod staged_file;
mod step;
mod steps;

pub(crate) use access::Access;
pub(crate) use ownership::{
    is_in_place, open_to_read, protect, read_small, refuse_foreign, refuse_unwritable,
};
pub use staged_file::FileRef;
pub(crate) use staged_file::{
    StagedFile, is_temporary, remove_temporary_files, temporary_name, temporary_path,
};
pub(crate) use steps::{
    create, create_directories, create_state_directory, link, lock, open, open_directory, remove,
    remove_directory, rename, set_length, sync, sync_directory, write_all_at,
};

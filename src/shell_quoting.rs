//! Paths in commands that a person can copy. Pure.

use std::path::Path;

/// A path as a shell reads it. A name that a shell would read otherwise is quoted.
pub(crate) fn shell_quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    if !path.is_empty() && path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

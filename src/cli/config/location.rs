//! Finds and reads configuration files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cli::config::error::ConfigError;
use crate::cli::config::text::{ConfigText, parse};

/// The name of a configuration file.
pub(crate) const CONFIG_NAME: &str = "scale-export.toml";

/// The folder of the user's file, in the user's configuration directory.
const USER_FOLDER: &str = "scale-export";

/// Maximum bytes of a file. It has one line for each option and profile.
const MAX_BYTES: u64 = 1 << 20;

/// The mode bit that lets every user of the machine write a file.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Where a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigPlace {
    /// In the configuration directory of the user.
    User,
    /// In the current directory, where a file can come with a project of other people.
    Current,
    /// Named by the user.
    Named,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) place: ConfigPlace,
    pub(crate) text: ConfigText,
}

/// Reads the file that the user names, or else those of the user and of the current directory, in this order.
pub(crate) fn read_files(named: Option<&Path>) -> Result<Vec<ConfigFile>, ConfigError> {
    if let Some(path) = named {
        let file = File::open(path).map_err(|cause| ConfigError::Read {
            path: path.to_owned(),
            cause,
        })?;
        return Ok(vec![read(file, path.to_owned(), ConfigPlace::Named)?]);
    }
    let mut files = Vec::new();
    let mut seen = None;
    let user = user_file();
    let places = user
        .map(|path| (path, ConfigPlace::User))
        .into_iter()
        .chain([(PathBuf::from(CONFIG_NAME), ConfigPlace::Current)]);
    for (path, place) in places {
        let Some(file) = open(&path)? else { continue };
        let identity = file.metadata().ok().map(|data| (data.dev(), data.ino()));
        // A user who works in the configuration directory.
        if identity.is_some() && identity == seen {
            continue;
        }
        seen = identity;
        files.push(read(file, path, place)?);
    }
    Ok(files)
}

/// Opens a file, if it exists. A pipe would wait for a writer, so only regular files are opened.
fn open(path: &Path) -> Result<Option<File>, ConfigError> {
    let failed = |cause| ConfigError::Read {
        path: path.to_owned(),
        cause,
    };
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => File::open(path).map(Some).map_err(failed),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        // The directory can belong to another user, as with `su`.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// `scale-export/scale-export.toml` in `$XDG_CONFIG_HOME`, or in `~/.config`.
fn user_file() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        // The XDG specification says to ignore relative paths.
        path.is_absolute().then_some(path)
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(config.join(USER_FOLDER).join(CONFIG_NAME))
}

/// Reads an open file.
fn read(file: File, path: PathBuf, place: ConfigPlace) -> Result<ConfigFile, ConfigError> {
    let failed = |cause| ConfigError::Read {
        path: path.clone(),
        cause,
    };
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if let Some((reason, hint)) = mistrust(place, metadata.uid(), metadata.mode()) {
        return Err(ConfigError::Untrusted { path, reason, hint });
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    // Editors on Windows write a byte order mark, which is not part of TOML.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match parse(text) {
        Ok(text) => Ok(ConfigFile { path, place, text }),
        Err(mistake) => Err(ConfigError::Text {
            path,
            line: mistake.line,
            reason: mistake.reason,
            hint: "see docs/configuration.md in the source of scale-export".to_owned(),
        }),
    }
}

/// Why a file that the user did not name is not used, and what to do. In a shared directory such as `/tmp`, another user
/// could place a file that chooses which files a run overwrites.
fn mistrust(place: ConfigPlace, owner: u32, mode: u32) -> Option<(&'static str, &'static str)> {
    let user = rustix::process::geteuid().as_raw();
    if place == ConfigPlace::Named {
        None
    // Root can change every file, so a file of root is as safe as one of the user.
    } else if owner != user && owner != 0 {
        Some((
            "it belongs to another user",
            "name it with --config to use it, or remove it",
        ))
    } else if mode & WRITABLE_BY_OTHERS != 0 {
        Some((
            "every user of this machine can write it",
            "run chmod o-w on it, or name it with --config",
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_users_are_read_only_if_they_are_named() {
        let user = rustix::process::geteuid().as_raw();
        let other = user + 1;
        for (place, owner, mode, is_obeyed) in [
            (ConfigPlace::Current, user, 0o644, true),
            (ConfigPlace::Current, 0, 0o644, true),
            (ConfigPlace::Current, other, 0o644, false),
            (ConfigPlace::User, user, 0o646, false),
            (ConfigPlace::Named, other, 0o666, true),
        ] {
            let reason = mistrust(place, owner, mode);
            assert_eq!(reason.is_none(), is_obeyed, "{place:?} {owner} {mode:o}");
        }
    }
}

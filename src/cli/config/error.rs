//! Why a configuration file cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::error::{Exit, Explain};

/// Why a configuration file cannot be used. The exit code is always 2.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the configuration `{}`: {cause}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// Another user could have written the file, and the user did not name it.
    #[error("could not use the configuration `{}`: {reason}", path.display())]
    Untrusted {
        path: PathBuf,
        reason: &'static str,
        hint: &'static str,
    },
    /// The text is not a configuration.
    #[error("could not read the configuration `{}`, line {line}: {reason}", path.display())]
    Text {
        path: PathBuf,
        line: usize,
        reason: String,
        hint: String,
    },
    /// No file has the profile.
    #[error("could not find the profile `{name}`")]
    Profile {
        name: String,
        /// The profiles of all files.
        known: Vec<String>,
        /// The files that were read.
        files: Vec<PathBuf>,
    },
}

impl Explain for ConfigError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "name a readable file with --config".to_owned(),
            Self::Untrusted { hint, .. } => (*hint).to_owned(),
            Self::Text { hint, .. } => hint.clone(),
            Self::Profile { files, .. } if files.is_empty() => {
                "scale-export.toml was not found; name a file with --config".to_owned()
            }
            Self::Profile { name, known, files } => {
                let files: Vec<String> = files
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                let all = match known.as_slice() {
                    [] => format!("add [profile.{name}] to {}", files.join(" or ")),
                    [only] => format!("the only profile is {only}"),
                    known => format!("the profiles are {}", known.join(", ")),
                };
                did_you_mean(nearest_name(name, known.iter().map(String::as_str)), &all)
            }
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

//! Why a sandbox could not start.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::threads::THREAD_HINT;

/// Why a sandbox could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The port is not available.
    #[error("could not listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Its thread could not be started.
    #[error("could not start a thread: {0}")]
    Thread(std::io::Error),
    /// The file of tasks could not be read.
    #[error("could not read tasks from `{}`: {cause}", path.display())]
    Source {
        /// The path as given.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

impl Explain for SandboxError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { .. } => "choose another port with --port; 0 takes any free port".into(),
            Self::Thread(_) => THREAD_HINT.into(),
            Self::Source { .. } => "give a .jsonl or .jsonl.gz file with one task per line".into(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Thread(_) => Exit::Failure,
            Self::Listen { .. } | Self::Source { .. } => Exit::Usage,
        }
    }
}

//! Why a sandbox could not start.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Exit, Explain};
use crate::json::lexer::JsonError;
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
        #[source]
        cause: TaskFileError,
    },
}

/// Why a file of tasks could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskFileError {
    /// The system returned an error, or the file could not be decompressed.
    #[error("{0}")]
    Read(std::io::Error),
    /// A line is not a task.
    #[error("line {number}: {cause}")]
    Line {
        /// The number of the line, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        cause: TaskLineError,
    },
}

/// Why a line of a file of tasks is not a task.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskLineError {
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("{0}")]
    NotJson(JsonError),
    /// It has no string for `task_id`.
    #[error("it has no `task_id`")]
    NoTaskId,
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

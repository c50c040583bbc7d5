//! Gets the API key from a program, for example a password manager.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::threads;

/// How long the program may take. A run from cron must not wait for a password.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Time between two looks whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Why a program gave no key. No message contains its output.
#[derive(Debug, Error)]
pub(crate) enum KeyCommandError {
    #[error("it has an opening quote without a closing one")]
    Quotes(#[source] shell_words::ParseError),
    #[error("it is empty")]
    Empty,
    #[error("`{program}` could not be started: {cause}")]
    Start {
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("`{program}` ended with {status}")]
    Failed { program: String, status: ExitStatus },
    #[error("`{program}` did not end within {} s", TIMEOUT.as_secs())]
    Timeout { program: String },
    #[error("its output could not be read: {0}")]
    Output(#[source] io::Error),
}

/// Runs a command line without a shell, and returns at most `max_bytes` and one of its standard output. Words are
/// separated and quoted as in a POSIX shell. Standard input is empty; standard error is that of this process.
pub(crate) fn output_of(command: &str, max_bytes: u64) -> Result<Vec<u8>, KeyCommandError> {
    let words = shell_words::split(command).map_err(KeyCommandError::Quotes)?;
    let (program, arguments) = words.split_first().ok_or(KeyCommandError::Empty)?;
    let start = |cause| KeyCommandError::Start {
        program: program.clone(),
        cause,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let Some(stdout) = child.stdout.take() else {
        return Ok(Vec::new());
    };
    // A program that prints more than a pipe holds waits for a reader, so the reader is a thread.
    let (sender, output) = std::sync::mpsc::channel();
    threads::builder()
        .name("key".to_owned())
        .spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(max_bytes + 1).read_to_end(&mut text);
            // After a timeout, the receiver is gone.
            let _ = sender.send(read.map(|_| text));
        })
        .map_err(start)?;
    let end = Instant::now() + TIMEOUT;
    let timeout = || KeyCommandError::Timeout {
        program: program.clone(),
    };
    let status = wait(&mut child, end)
        .map_err(KeyCommandError::Output)?
        .ok_or_else(timeout)?;
    if !status.success() {
        return Err(KeyCommandError::Failed {
            program: program.clone(),
            status,
        });
    }
    // A process that the program left behind can hold the pipe open.
    let left = end.saturating_duration_since(Instant::now());
    let read = output.recv_timeout(left).map_err(|_| timeout())?;
    read.map_err(KeyCommandError::Output)
}

/// The status of a program that ends in time. One that does not is killed.
fn wait(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            // Otherwise the killed program would remain as a zombie.
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

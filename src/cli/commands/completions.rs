//! `completions`: a completion script for a shell.

use crate::cli::command_line::completions;
use crate::cli::error::CommandError;
use crate::cli::messages::print;
use crate::error::Exit;

/// Prints the script.
pub(crate) fn print_completions(shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    print(&completions(shell))?;
    Ok(Exit::Success)
}

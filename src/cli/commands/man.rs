//! `man`: manual pages, printed or written into a directory.

use std::path::Path;

use crate::cli::args::ManArgs;
use crate::cli::command_line::documented_command;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::man_pages::{ManPage, man_pages};
use crate::cli::messages::print;
use crate::cli::suggest::{did_you_mean, nearest_name};
use crate::durable_fs;
use crate::durable_fs::Access;
use crate::error::Exit;
use crate::output_error::OutputError;

/// Prints a page, or writes all pages.
pub(crate) fn write_man_pages(args: &ManArgs) -> Result<Exit, CommandError> {
    let pages = man_pages(&documented_command());
    match &args.out {
        Some(directory) => write_pages(&pages, directory)?,
        None => print(&find_page(&pages, args.command.as_deref())?.text)?,
    }
    Ok(Exit::Success)
}

/// The page of a command, or the main page.
fn find_page<'p>(pages: &'p [ManPage], command: Option<&str>) -> Result<&'p ManPage, UsageError> {
    let name = command.unwrap_or_default();
    let page = pages.iter().find(|page| page.command == name);
    page.ok_or_else(|| {
        let names = pages.iter().map(|page| page.command.as_str());
        UsageError::CommandLine {
            place: "command line",
            reason: format!("unknown command `{name}`"),
            hint: did_you_mean(nearest_name(name, names), "see scale-export --help"),
        }
    })
}

fn write_pages(pages: &[ManPage], directory: &Path) -> Result<(), OutputError> {
    durable_fs::create_directories(directory)
        .map_err(OutputError::io("create the directory", directory))?;
    for page in pages {
        let path = directory.join(&page.file_name);
        durable_fs::create(&path, Access::Everyone)
            .and_then(|file| durable_fs::write_all_at(&file, &path, page.text.as_bytes(), 0))
            .map_err(OutputError::io("write", &path))?;
    }
    Ok(())
}

//! The program: reads the command line, runs the command, returns the exit code.

use crate::cli::args::Command;
use crate::cli::command_line::{color, log_format, read_command_line};
use crate::cli::commands::changes::run_changes;
use crate::cli::commands::check::run_check;
use crate::cli::commands::combine::run_combine;
use crate::cli::commands::completions::print_completions;
#[cfg(feature = "buckets")]
use crate::cli::commands::download::run_download;
use crate::cli::commands::export::run_export;
use crate::cli::commands::flatten::run_flatten;
use crate::cli::commands::ids::run_ids;
use crate::cli::commands::man::write_man_pages;
use crate::cli::commands::report::run_report;
#[cfg(feature = "sandbox")]
use crate::cli::commands::sandbox::run_sandbox;
use crate::cli::commands::schema::print_schema;
use crate::cli::commands::status::run_status;
use crate::cli::commands::verify::run_verify;
use crate::cli::messages::{print, print_error};
use crate::cli::terminal::choose_color;
use crate::cli::usage_summary::record_usage_error;
use crate::cli::version_text::{version_details, version_line};
use crate::error::{Exit, Explain as _};

/// Runs the program: reads the command line, runs the command, prints an error if it fails.
pub fn main() -> Exit {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A caught panic becomes an error, which is printed as such.
        if !crate::encode::catch_panic::is_guarded() {
            print_panic(panic);
        }
    }));
    let cli = match read_command_line() {
        Ok(Some(cli)) => cli,
        Ok(None) => return Exit::Success,
        Err(error) => {
            choose_color(color());
            // The arguments could not be parsed as a whole, so the format is looked for among the words.
            print_error(&error, log_format(), false);
            return record_usage_error(error).exit();
        }
    };
    choose_color(cli.color);
    let display = match &cli.command {
        Some(Command::Verify(args)) => &args.display,
        Some(Command::Check(args)) => &args.export.display,
        Some(Command::Status(args)) => &args.display,
        Some(Command::Changes(args)) => &args.display,
        Some(Command::Flatten(args)) => &args.display,
        #[cfg(feature = "buckets")]
        Some(Command::Download(args)) => &args.display,
        Some(Command::Combine(args)) => &args.display,
        Some(Command::Ids(args)) => &args.display,
        Some(Command::Report(args)) => &args.display,
        _ => &cli.export.display,
    };
    let (log_format, quiet) = (display.log_format, display.quiet);
    let done = match cli.command {
        None => run_export(&cli.export),
        Some(Command::Verify(args)) => run_verify(&args),
        Some(Command::Check(args)) => run_check(&args),
        Some(Command::Status(args)) => run_status(&args),
        Some(Command::Changes(args)) => run_changes(&args),
        Some(Command::Flatten(args)) => run_flatten(&args),
        #[cfg(feature = "buckets")]
        Some(Command::Download(args)) => run_download(&args),
        Some(Command::Combine(args)) => run_combine(&args),
        Some(Command::Ids(args)) => run_ids(&args),
        Some(Command::Report(args)) => run_report(&args),
        Some(Command::Schema(args)) => print_schema(&args),
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox(args)) => run_sandbox(*args),
        Some(Command::Completions { shell }) => print_completions(shell),
        Some(Command::Man(args)) => write_man_pages(&args),
        Some(Command::Version { verbose }) => {
            let text = if verbose {
                version_details()
            } else {
                version_line()
            };
            print(&text).map(|()| Exit::Success).map_err(Into::into)
        }
    };
    done.unwrap_or_else(|error| {
        print_error(&error, log_format, quiet);
        error.exit()
    })
}

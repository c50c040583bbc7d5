//! The command line: options, commands, progress and messages.

pub mod args;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod core_dumps;
pub mod dispatch;
pub mod dry_run_text;
pub mod error;
pub mod export_options;
pub mod export_text;
pub mod help;
pub mod lifecycle;
pub mod list_sources;
pub mod messages;
pub mod metrics_file;
pub mod option_origins;
pub mod output_options;
pub mod precedence;
pub mod progress;
pub mod progress_state;
pub mod progress_text;
pub mod report_file;
#[cfg(feature = "sandbox")]
pub mod sandbox_args;
#[cfg(feature = "sandbox")]
pub mod sandbox_values;
pub mod shared_args;
mod shell_quoting;
pub mod signals;
pub mod status_line;
pub mod suggest;
pub mod summary_file;
pub mod terminal;
pub mod usage_errors;
pub mod value_parsers;
pub mod verify_text;

//! The command line: options, commands, progress and messages.

pub mod api_key;
pub mod args;
pub mod checker;
pub mod command_line;
pub mod commands;
pub mod core_dumps;
pub mod dispatch;
pub mod environment;
pub mod error;
pub mod export_options;
pub mod help;
pub mod key_redaction;
pub mod lifecycle;
pub mod list_sources;
pub mod messages;
pub mod output_options;
pub mod progress;
pub mod sandbox_args;
pub mod shared_args;
pub mod signals;
pub mod suggest;
pub mod summary;
pub mod summary_file;
pub mod usage_errors;
pub mod value_parsers;

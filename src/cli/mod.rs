//! The command line: options, the display, and what is printed. Depends on everything; nothing
//! depends on it.

pub mod api_key;
pub mod args;
pub mod command_line;
pub mod commands;
pub mod core_dumps;
pub mod dispatch;
pub mod lifecycle;
pub mod progress;
pub mod signals;
pub mod suggest;
pub mod summary;
pub mod value_parsers;

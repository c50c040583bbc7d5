//! The command line: options, the display, and what is printed. Depends on everything; nothing
//! depends on it.

mod args;
mod checker;
mod command_line;
mod core_dumps;
mod display;
mod export;
mod jobs;
mod key;
mod offline;
mod run;
mod schema;
mod signals;
mod suggest;
mod summary;
mod values;

pub use run::main;

//! The command line: options, the display, and what is printed. Depends on everything; nothing
//! depends on it.

mod args;
mod checker;
mod display;
mod export;
mod jobs;
mod offline;
mod run;
mod schema;
mod signals;
mod summary;
mod values;

pub use run::main;

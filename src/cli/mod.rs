//! The command line: options, the display, and what is printed. Depends on everything; nothing
//! depends on it.

mod args;
mod values;
mod display;
mod run;
mod summary;

pub use run::main;

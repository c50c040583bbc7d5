//! The state directory `.scale-export`: its paths and its files apart from the journal.

pub mod last_run;
pub mod list_checkpoint;
pub mod lock;
pub mod pace_memory;
pub mod paths;
pub mod replace;

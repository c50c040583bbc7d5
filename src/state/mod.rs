//! The state directory `.scale-export`: lock, paths, what was learned of the rate.

pub mod lock;
pub mod pace_memory;

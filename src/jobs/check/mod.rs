//! The check job: whether an export would run. Each part is checked, whatever is wrong with the others.

pub mod check_line;
pub mod local;
pub mod network;
pub mod preflight;

//! The rate controller. Pure: time is passed in.

pub mod bracket;
pub mod bucket_fit;
pub mod controller;
pub mod in_flight_limit;
pub mod rate_search;
pub mod rejection;
pub mod rejection_bursts;
pub mod server_quota;
pub mod settings;
pub mod types;
pub mod window;

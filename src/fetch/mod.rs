//! Many requests: the fetch loop, attempts, classification of failures, liveness, throttle.

pub mod attempts;
pub mod fetcher;
pub mod liveness;
pub mod options;
pub mod outage;
pub mod retry;
pub mod stats;
pub mod throttle;

//! Many requests: the fetch loop, attempts, the classification of failures, liveness and the throttle.

pub mod attempts;
pub mod classify;
pub mod fetcher;
pub mod liveness;
pub mod options;
pub mod outage;
pub mod retry;
pub mod stats;
pub mod task_result;
pub mod throttle;
pub mod wanted;

//! Flattens the JSON of tasks into rows. Pure: no I/O, no clock.

pub mod annotation;
pub mod attachment;
pub mod entity;
pub mod entity_merge;
pub mod entity_versions;
pub mod flattener;
pub mod label;
pub mod members;
pub mod message;
pub mod rubric;
pub mod task;
pub mod task_flattener;
pub mod time;

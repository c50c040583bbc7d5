//! The report of an export: statistics of its rows, and their page in HTML. Pure: the rows and the manifest pass in.

pub mod bounded_map;
pub mod collector;
pub mod duration_statistics;
pub mod facts;
pub mod histogram;
pub mod html;
pub mod kind_failures;
pub mod merge;
pub mod message_statistics;
pub mod quantiles;
pub mod question_statistics;
pub mod rubric_statistics;
pub mod score_summary;
pub mod short_text;
pub mod statistics;
pub mod task_statistics;

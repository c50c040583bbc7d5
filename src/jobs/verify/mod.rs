//! Verifies an export: files, keys, and the reconstruction of every task.

pub mod compare;
pub mod digest_check;
pub mod error;
pub mod failure_list;
pub mod files;
pub mod findings;
pub mod generated;
pub mod id_bitset;
pub mod id_list;
pub mod key_checks;
pub mod range_merge;
pub mod range_parts;
pub mod range_workers;
pub mod raw_responses;
pub mod report;
pub mod table_cursor;
pub mod task_verifier;
pub mod tasks;
pub mod totals;
pub mod verification;
pub mod verified_export;

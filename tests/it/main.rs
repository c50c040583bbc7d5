//! Integration tests: the program against a server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::too_many_arguments,
    clippy::too_many_lines,
    reason = "a test that cannot go on has failed, and its cases stand in one list"
)]

mod architecture;
mod buckets;
mod changes;
mod check;
mod configuration;
mod consumers;
mod corpus;
#[cfg(debug_assertions)] // Only debug builds have numbered steps.
mod crash;
mod documents;
mod dry_run;
mod encoding;
mod engines;
mod export;
mod export_readme;
mod failure_kinds;
mod faults;
mod flatten;
mod golden;
mod guard;
mod help;
mod hostile;
mod id_lists;
mod interrupt;
mod journal;
mod journal_damage;
mod journal_index;
mod keys;
mod library;
mod lists;
mod locks;
mod network;
mod options;
mod output_directory;
mod overlap;
mod pacing;
mod parquet_columns;
mod pipes;
mod proxies;
mod ranges;
mod readers;
mod rebuild;
mod refresh;
mod report;
mod running;
mod sandbox;
mod scheduling;
mod shards;
mod silent_connections;
mod sql;
mod state;
mod status;
mod stdout;
mod style;
mod summaries;
mod support;
mod terminal;
mod tunnels;
mod unusual_json;
mod variables;
mod verify;
mod verify_command;

//! A mock server of the API: a real HTTP server on loopback with generated or given tasks, rate limits and faults.

pub mod catalog;
pub mod config;
pub mod error;
pub mod faults;
pub mod fixture;
pub mod generate;
pub mod json_writer;
pub mod limit_models;
pub mod naming;
pub mod pagination;
pub mod random;
pub mod responses;
pub mod routes;
pub mod server;

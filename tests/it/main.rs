//! Integration tests: the real program against a real server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod architecture;
mod consumers;
mod corpus;
mod documents;
mod export;
mod golden;
mod network;
mod rebuild;
mod running;
mod support;
mod verify;

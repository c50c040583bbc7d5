//! What a run learned of a server's limit, as a starting point for the next run with the same key against the same base
//! URL. It is kept in the state directory. A file that cannot be read or written costs only the few seconds of learning
//! it again, so errors are ignored.

use std::io;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::api::options::ClientOptions;
use crate::pacer::types::LearnedRate;
use crate::state::paths::StateDir;
use crate::state::replace::{Durability, replace};
use crate::{durable_fs, hex};

/// The version of the file's format.
const VERSION: u32 = 1;

/// The maximum number of servers. Beyond it, the oldest is forgotten.
const MAX_SERVERS: usize = 16;

/// The maximum size of the file in bytes. It has a few numbers for each server.
const MAX_BYTES: u64 = 1 << 20;

/// Bytes of the checksum that identifies a server and key. So few bytes do not reveal the key.
const NAME_BYTES: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
struct PaceFile {
    version: u32,
    /// The latest last.
    servers: Vec<RememberedServer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RememberedServer {
    server: String,
    #[serde(flatten)]
    learned: LearnedRate,
}

/// What an earlier run with this state directory learned.
pub(crate) fn recall(state: &StateDir, options: &ClientOptions) -> Option<LearnedRate> {
    let name = name(options);
    let servers = read(state)?.servers.into_iter();
    let mut servers = servers.filter(|server| server.server == name);
    servers.next_back().map(|server| server.learned)
}

/// What the latest run with this state directory learned, whatever its server and key.
pub(crate) fn latest(state: &StateDir) -> Option<LearnedRate> {
    Some(read(state)?.servers.last()?.learned)
}

/// Writes what was learned, for later runs.
pub(crate) fn remember(state: &StateDir, options: &ClientOptions, learned: LearnedRate) {
    let name = name(options);
    let mut servers = read(state).map_or_else(Vec::new, |memory| memory.servers);
    servers.retain(|server| server.server != name);
    servers.push(RememberedServer {
        server: name,
        learned,
    });
    let too_many = servers.len().saturating_sub(MAX_SERVERS);
    servers.drain(..too_many);
    let memory = PaceFile {
        version: VERSION,
        servers,
    };
    // An error costs the next run only the time to learn it again.
    let _ = write(state, &memory);
}

fn read(state: &StateDir) -> Option<PaceFile> {
    let path = state.pace();
    let text = durable_fs::read_small(&path, MAX_BYTES).ok()?;
    let memory: PaceFile = serde_json::from_slice(&text).ok()?;
    (memory.version == VERSION).then_some(memory)
}

fn write(state: &StateDir, memory: &PaceFile) -> io::Result<()> {
    let text = serde_json::to_vec(memory)?;
    replace(&state.pace(), &text, Durability::Unsynced)
}

/// The name of a server and key in the file.
fn name(options: &ClientOptions) -> String {
    let mut hash = Sha256::new();
    hash.update(options.base_url.as_bytes());
    // A separator, so that the end of the URL cannot pass for the start of the key.
    hash.update([0]);
    hash.update(options.api_key.expose_secret().as_bytes());
    let hash = hash.finalize();
    hex::encode(hash.get(..NAME_BYTES).unwrap_or_default())
}

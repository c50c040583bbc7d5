//! What a run learned of a server's limit, for the next run with the same key against the same host: a starting point,
//! and no more. Kept in the state directory, as a convenience: a file that cannot be read or written costs nothing but
//! the few seconds of learning it again. Depends on `fetch` and `disk`.

use std::io;
use std::path::Path;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::durable_fs::Access;
use crate::fetch::options::{FetchOptions, Rate};
use crate::pacer::types::Learned;
use crate::state::paths::StateDir;
use crate::{durable_fs, hex};

/// Version of the file's format.
const VERSION: u32 = 1;

/// Servers that are remembered; of more, the oldest is forgotten.
const MAX_SERVERS: usize = 16;

/// Bytes of the file, at most: it has a few numbers for each server.
const MAX_BYTES: u64 = 1 << 20;

/// Bytes of a checksum that tell one server and key from another. As few as this do not give the key away.
const NAME_BYTES: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    version: u32,
    /// The latest last.
    servers: Vec<Server>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Server {
    server: String,
    #[serde(flatten)]
    learned: Learned,
}

/// What an earlier run into this directory learned.
pub(crate) fn recall(out: &Path, options: &FetchOptions) -> Option<Learned> {
    let name = name(options);
    let servers = read(out)?.servers.into_iter();
    let mut servers = servers.filter(|server| server.server == name);
    servers.next_back().map(|server| server.learned)
}

/// Keeps what was learned for later runs.
pub(crate) fn remember(out: &Path, options: &FetchOptions, learned: Option<Learned>) {
    let Some(learned) = learned.filter(|_| options.rate == Rate::Learned) else {
        return;
    };
    let name = name(options);
    let mut servers = read(out).map_or_else(Vec::new, |memory| memory.servers);
    servers.retain(|server| server.server != name);
    servers.push(Server {
        server: name,
        learned,
    });
    let too_many = servers.len().saturating_sub(MAX_SERVERS);
    servers.drain(..too_many);
    let memory = Memory {
        version: VERSION,
        servers,
    };
    // The next run learns it again.
    let _ = write(out, &memory);
}

fn read(out: &Path) -> Option<Memory> {
    let path = StateDir::of_output(out).pace();
    let text = durable_fs::read_small(&path, MAX_BYTES).ok()?;
    let memory: Memory = serde_json::from_slice(&text).ok()?;
    (memory.version == VERSION).then_some(memory)
}

fn write(out: &Path, memory: &Memory) -> io::Result<()> {
    let path = StateDir::of_output(out).pace();
    let new = path.with_extension("json.new");
    let file = durable_fs::create(&new, Access::Owner)?;
    durable_fs::write_all_at(&file, &new, &serde_json::to_vec(memory)?, 0)?;
    durable_fs::rename(&new, &path)
}

/// What a server and a key are called in the file.
fn name(options: &FetchOptions) -> String {
    let mut hash = Sha256::new();
    hash.update(options.base_url.as_bytes());
    hash.update([0]);
    hash.update(options.api_key.expose_secret().as_bytes());
    let hash = hash.finalize();
    hex::encode(hash.get(..NAME_BYTES).unwrap_or_default())
}

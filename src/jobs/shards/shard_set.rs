//! The shards of a list: all of them, each once, in order, made with the same options.

use std::path::{Path, PathBuf};

use crate::durable_fs;
use crate::ids::read::read_published;
use crate::ids::shard::{ListIdentity, Shard, ShardPlace};
use crate::ids::task_ids::TaskIds;
use crate::jobs::shards::shard_error::ShardError;
use crate::publish::commit::is_pending;
use crate::publish::manifest::{ENCODING_VERSION, Manifest, ManifestOptions, Tool};
use crate::publish::published_export::{UnreadableExport, readable_manifest};
use crate::state::lock::Lock;
use crate::state::paths::{IDS, JOURNAL, StateDir};

/// The number of missing shards that an error names.
const SHOWN_SHARDS: usize = 10;

/// The export of a shard. No run changes it meanwhile.
#[derive(Debug)]
pub(crate) struct ShardExport {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) shard: Shard,
    _lock: Option<Lock>,
}

impl ShardExport {
    /// Opens a shard for reading.
    fn open(path: &Path) -> Result<(Self, ShardPlace), ShardError> {
        let lock = if path.is_dir() {
            Lock::share(path, &StateDir::of_output(path))?
        } else {
            None
        };
        let manifest = readable_manifest(path)?;
        let path = path.to_owned();
        if is_pending(&path) {
            return Err(UnreadableExport::Unfinished { path }.into());
        }
        let Some(place) = manifest.shard.clone() else {
            return Err(ShardError::NoShard { path });
        };
        let shard = place.shard;
        if !manifest.is_of_this_version() {
            return Err(ShardError::Version {
                path,
                shard,
                theirs: version_text(&manifest.tool, manifest.encoding_version),
                ours: version_text(&Tool::this(), ENCODING_VERSION),
            });
        }
        let export = Self {
            path,
            manifest,
            shard,
            _lock: lock,
        };
        for name in [IDS, JOURNAL] {
            export.check_state(name)?;
        }
        Ok((export, place))
    }

    /// Fails if a file of the state is missing, or cannot be read.
    fn check_state(&self, name: &'static str) -> Result<(), ShardError> {
        let opened = durable_fs::open_to_read(&self.path.join(name));
        opened.map(drop).map_err(|cause| ShardError::State {
            path: self.path.clone(),
            shard: self.shard,
            name,
            cause,
        })
    }

    /// The state directory.
    pub(crate) fn state(&self) -> StateDir {
        StateDir::of_output(&self.path)
    }

    /// The IDs of the shard: those that it published.
    pub(crate) fn ids(&self) -> Result<TaskIds, ShardError> {
        let ids = read_published(&self.state().ids())?;
        let ListIdentity { requested, sha256 } = ListIdentity::of(&ids);
        let published = &self.manifest.ids;
        if requested != published.requested || sha256 != published.file.sha256 {
            return Err(self.unpublished("its list of IDs is not the one that it published"));
        }
        Ok(ids)
    }

    /// An error about its responses.
    pub(crate) fn unpublished(&self, cause: &'static str) -> ShardError {
        ShardError::Unpublished {
            path: self.path.clone(),
            shard: self.shard,
            cause,
        }
    }
}

fn version_text(tool: &Tool, encoding_version: u32) -> String {
    format!("{} (encoding {encoding_version})", tool.version)
}

/// All shards of a list, in order.
#[derive(Debug)]
pub(crate) struct ShardSet {
    pub(crate) shards: Vec<ShardExport>,
    /// The whole list.
    pub(crate) list: ListIdentity,
    pub(crate) options: ManifestOptions,
    /// Repeated lines of the list.
    pub(crate) duplicates: u64,
}

impl ShardSet {
    /// Opens the shards in these directories, which can have any order.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, ShardError> {
        let mut shards = Vec::new();
        let mut list = None;
        for path in paths {
            let (export, place) = ShardExport::open(path)?;
            let (first, list) = (shards.first(), list.get_or_insert(place.list.clone()));
            if let Some(first) = first {
                refuse_other(first, list, &export, &place)?;
            }
            shards.push(export);
        }
        shards.sort_by_key(|export| export.shard.index());
        for pair in shards.windows(2) {
            if let [one, other] = pair
                && one.shard == other.shard
            {
                return Err(ShardError::Twice {
                    shard: one.shard,
                    one: one.path.clone(),
                    other: other.path.clone(),
                });
            }
        }
        refuse_missing(&shards)?;
        let (Some(first), Some(list)) = (shards.first(), list) else {
            return Err(ShardError::Missing {
                missing: Vec::new(),
                more: 0,
            });
        };
        Ok(Self {
            options: first.manifest.options.clone(),
            duplicates: first.manifest.ids.duplicates,
            list,
            shards,
        })
    }

    /// The whole list.
    pub(crate) fn ids(&self) -> Result<TaskIds, ShardError> {
        let mut whole = TaskIds::default();
        for export in &self.shards {
            for task_id in export.ids()?.iter() {
                // Each was valid. One that another shard has too is found by the comparison below.
                let _ = whole.insert(task_id);
            }
        }
        whole.shrink();
        match self.shards.first() {
            Some(first) if ListIdentity::of(&whole) != self.list => {
                Err(first
                    .unpublished("the lists of IDs of the shards are not the list of the runs"))
            }
            _ => Ok(whole),
        }
    }
}

/// Refuses a shard that does not fit to the first one.
fn refuse_other(
    first: &ShardExport,
    list: &ListIdentity,
    export: &ShardExport,
    place: &ShardPlace,
) -> Result<(), ShardError> {
    let difference = if first.shard.count() != export.shard.count() {
        "numbers of shards"
    } else if *list != place.list {
        "lists of IDs"
    } else if first.manifest.options != export.manifest.options {
        "options"
    } else if first.manifest.ids.duplicates != export.manifest.ids.duplicates {
        "numbers of repeated IDs"
    } else {
        return Ok(());
    };
    Err(ShardError::Incompatible {
        path: export.path.clone(),
        shard: export.shard,
        first_path: first.path.clone(),
        first: first.shard,
        difference,
    })
}

/// Refuses shards, which are sorted and differ, if one is missing.
fn refuse_missing(shards: &[ShardExport]) -> Result<(), ShardError> {
    let count = shards.first().map_or(0, |export| export.shard.count());
    let mut found = shards.iter().map(|export| export.shard.index()).peekable();
    let missing = (0..count).filter(|index| found.next_if_eq(index).is_none());
    let missing = missing.filter_map(|index| Shard::new(index, count).ok());
    let missing: Vec<Shard> = missing.take(SHOWN_SHARDS).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = u64::from(count) - (shards.len() + missing.len()) as u64;
    Err(ShardError::Missing { missing, more })
}

//! Publishes an export in a store.
//!
//! ```text
//! upload what the store lacks    data/<table>-<digest>.parquet    nothing names it yet
//! replace manifest.json          only if it is still the one that was read at the start: the commit
//! copy to stable names           messages.parquet, one after the other
//! delete                         what no manifest has named for longer than the grace period
//! ```
//!
//! After an interruption at any point, the next run does what is missing: it uploads objects that are not there, compares
//! the manifests, and copies what its record does not have.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::UpdateVersion;
use sha2::{Digest as _, Sha256};

use crate::bucket::bucket_manifest::{BucketManifest, ExportObject};
use crate::bucket::bucket_record::BucketRecord;
use crate::bucket::condition_probe::probe_conditions;
use crate::bucket::error::BucketError;
use crate::bucket::object_name::{DATA, file_path, stable_name};
use crate::bucket::store::{ConditionalWrite, ExportStore, StoredObject, WriteCondition};
use crate::bucket::superseded::{KnownObjects, expired};
use crate::bucket::upload::upload_file;
use crate::event::{Event, Events};
use crate::hex;
use crate::publish::file_names::{DISPENSABLE, MANIFEST};
use crate::publish::guard::{Allowance, ResponseSource, Shrink, check_shrink};
use crate::publish::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::state::paths::StateDir;

/// The largest object that all stores copy with one request.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// What a store had when a run started.
#[derive(Debug)]
pub(crate) struct StoreBefore {
    manifest: Option<PublishedManifest>,
    /// Names outside of any folder.
    names: BTreeSet<String>,
    /// Stable names that an earlier publication has written.
    ours: BTreeSet<String>,
    /// Stable names of a user's own objects, which an export can do without.
    taken: Vec<&'static str>,
}

/// The manifest that a store had.
#[derive(Debug)]
struct PublishedManifest {
    content: BucketManifest,
    version: UpdateVersion,
    sha256: String,
}

/// A local export that is to be published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalExport<'e> {
    /// Its directory.
    pub(crate) directory: &'e Path,
    /// Its state.
    pub(crate) state: &'e StateDir,
    /// Its manifest.
    pub(crate) manifest: &'e Manifest,
}

/// The rules of a publication.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishRules {
    /// How long objects stay that the manifest no longer names.
    pub(crate) grace: Duration,
    /// Tasks of the export in the store that may disappear.
    pub(crate) max_shrink: Allowance,
    /// Where the responses come from.
    pub(crate) responses: ResponseSource,
}

/// What a run knows before it reads a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedExport<'p> {
    /// Its state.
    pub(crate) state: &'p StateDir,
    /// Names that it publishes and cannot do without.
    pub(crate) names: &'p [String],
    /// Whether objects that scale-export did not create are overwritten.
    pub(crate) force: bool,
}

/// Checks that a run may publish in a store, and reads what is published there.
pub(crate) async fn read_before(
    store: &ExportStore,
    planned: PlannedExport<'_>,
) -> Result<StoreBefore, BucketError> {
    let url = store.url().to_string();
    let manifest = read_manifest(store, planned.force).await?;
    let listed = store.list_top().await?.into_iter();
    let names: BTreeSet<String> = listed.map(|object| object.name).collect();
    let record = BucketRecord::read(planned.state, &url);
    let published = manifest
        .iter()
        .flat_map(|manifest| manifest.content.export_objects());
    let published = published.map(|object| object.path);
    let ours: BTreeSet<String> = published.chain(record.copies.into_keys()).collect();
    let is_taken = |name: &str| !planned.force && names.contains(name) && !ours.contains(name);
    if let Some(name) = planned.names.iter().find(|name| is_taken(name)) {
        let name = name.clone();
        return Err(BucketError::TakenObject { url, name });
    }
    let taken = DISPENSABLE.into_iter().filter(|name| is_taken(name));
    let taken = taken.collect();
    probe_conditions(store).await?;
    Ok(StoreBefore {
        manifest,
        names,
        ours,
        taken,
    })
}

/// The manifest in a store. One that scale-export did not write is an error, unless `force`.
async fn read_manifest(
    store: &ExportStore,
    force: bool,
) -> Result<Option<PublishedManifest>, BucketError> {
    let Some((bytes, version)) = store.read(MANIFEST, MAX_MANIFEST_BYTES).await? else {
        return Ok(None);
    };
    let sha256 = digest(&bytes);
    let fault = |cause: String| BucketError::Manifest {
        url: store.url().of_object(MANIFEST),
        cause,
    };
    match serde_json::from_slice::<BucketManifest>(&bytes) {
        Ok(content) if !content.manifest.is_known() => {
            Err(fault("its format version is newer".to_owned()))
        }
        Ok(content) => Ok(Some(PublishedManifest {
            content,
            version,
            sha256,
        })),
        Err(_) if force => Ok(None),
        Err(error) => Err(fault(error.to_string())),
    }
}

/// A publication that is under way.
struct StorePublication<'p> {
    store: &'p ExportStore,
    local: LocalExport<'p>,
    before: StoreBefore,
    next: BucketManifest,
    record: BucketRecord,
    events: &'p Events,
}

/// Publishes a local export. What is published already is left as it is.
pub(crate) async fn publish_in_store(
    store: &ExportStore,
    before: StoreBefore,
    local: LocalExport<'_>,
    rules: PublishRules,
    events: &Events,
) -> Result<(), BucketError> {
    let mut record = BucketRecord::read(local.state, &store.url().to_string());
    let published = before.manifest.as_ref();
    if published.is_none_or(|published| published.sha256 != record.manifest) {
        // Another run published there, or none did: nothing is known of the copies but their names.
        record.copies.values_mut().for_each(String::clear);
        let exported = published.map_or(0, |published| published.content.manifest.ids.exported);
        refuse_shrink(local.manifest, exported, rules)?;
    }
    let next = BucketManifest::of_directory(local.manifest, &before.taken);
    let mut publication = StorePublication {
        store,
        local,
        before,
        next,
        record,
        events,
    };
    publication.run(rules.grace).await
}

/// Applies the guard to an export that this state did not publish, by the numbers of tasks: it does not have their IDs.
fn refuse_shrink(next: &Manifest, before: u64, rules: PublishRules) -> Result<(), BucketError> {
    let shrink = Shrink {
        before,
        missing: before.saturating_sub(next.ids.exported),
    };
    let requested = next.ids.requested;
    Ok(check_shrink(
        rules.max_shrink,
        rules.responses,
        requested,
        shrink,
    )?)
}

impl StorePublication<'_> {
    async fn run(&mut self, grace: Duration) -> Result<(), BucketError> {
        let stored = self.store.list(DATA).await?;
        let relied_on_stored = self.upload(&stored).await?;
        let now = Timestamp::now();
        let published = self.before.manifest.as_ref();
        if published.is_none_or(|published| !published.content.is_same_export(&self.next)) {
            self.supersede(&stored, now);
            self.replace_manifest().await?;
            if relied_on_stored {
                // A run that published before can have deleted them meanwhile.
                self.upload(&self.store.list(DATA).await?).await?;
            }
        } else if let Some(published) = published {
            self.next
                .superseded
                .clone_from(&published.content.superseded);
            self.record.manifest.clone_from(&published.sha256);
        }
        self.copy_all().await?;
        self.delete_unneeded(grace, now).await
    }

    /// Uploads the files whose objects the store lacks. Returns whether it has others.
    async fn upload(&self, stored: &[StoredObject]) -> Result<bool, BucketError> {
        let mut has_others = false;
        for ExportObject { path, object } in self.next.export_objects() {
            let is_stored =
                |found: &StoredObject| found.name == object.path && found.bytes == object.bytes;
            if stored.iter().any(is_stored) {
                has_others = true;
                continue;
            }
            let local = self.local.directory.join(path);
            upload_file(self.store, &local, object.bytes, &object.path).await?;
            let text = format!("uploaded {}, {} bytes", object.path, object.bytes);
            self.events.send(Event::Detail(text));
        }
        Ok(has_others)
    }

    /// Lists in the new manifest the objects that it supersedes.
    fn supersede(&mut self, stored: &[StoredObject], now: Timestamp) {
        let named: BTreeSet<String> = self
            .next
            .objects()
            .map(|object| object.path.clone())
            .collect();
        let stored = stored.iter().map(|object| &object.name);
        let stored = stored.filter(|name| file_path(name).is_some()).cloned();
        let published = self.before.manifest.as_ref();
        let before = published.map(|published| published.content.superseded.clone());
        let known = KnownObjects {
            named: &named,
            stored: &stored.collect(),
            before: &before.unwrap_or_default(),
        };
        self.next.superseded = known.superseded(now);
    }

    /// The commit: replaces the manifest if it is still the one that was read.
    async fn replace_manifest(&mut self) -> Result<(), BucketError> {
        let text = Bytes::from(self.next.to_json());
        let published = self.before.manifest.as_ref();
        let condition = match published {
            None if self.before.names.contains(MANIFEST) => {
                // With --force, a manifest of others is replaced.
                return self.overwrite_manifest(text).await;
            }
            None => WriteCondition::Absent,
            Some(published) => WriteCondition::Unchanged(published.version.clone()),
        };
        let written = self
            .store
            .write_if(MANIFEST, text.clone(), condition)
            .await?;
        if written == ConditionalWrite::Refused {
            // A request is sent again if its response is lost, and then finds the manifest that it wrote.
            let found = self.store.read(MANIFEST, MAX_MANIFEST_BYTES).await?;
            if found.is_none_or(|(found, _)| found != text) {
                return Err(BucketError::Overtaken {
                    url: self.store.url().to_string(),
                });
            }
        }
        self.committed(&text)
    }

    async fn overwrite_manifest(&mut self, text: Bytes) -> Result<(), BucketError> {
        self.store.write(MANIFEST, text.clone()).await?;
        self.committed(&text)
    }

    fn committed(&mut self, text: &[u8]) -> Result<(), BucketError> {
        self.record.manifest = digest(text);
        self.record.write(self.local.state)?;
        Ok(())
    }

    /// Copies all objects to their stable names, and removes copies of files that the export does not have.
    async fn copy_all(&mut self) -> Result<(), BucketError> {
        let mut copies = self.record.copies.clone();
        self.forget_other_copies()?;
        let mut names = BTreeSet::new();
        for ExportObject { path, object } in self.next.export_objects() {
            let Some(stable) = stable_name(&path) else {
                continue;
            };
            names.insert(stable.to_owned());
            if copies.get(stable) == Some(&object.path) && self.before.names.contains(stable) {
                continue;
            }
            if object.bytes > MAX_COPY_BYTES {
                let local = self.local.directory.join(&path);
                upload_file(self.store, &local, object.bytes, stable).await?;
            } else {
                self.store.copy(&object.path, stable).await?;
            }
            copies.insert(stable.to_owned(), object.path.clone());
        }
        let is_old = |name: &&String| !names.contains(*name) && self.before.names.contains(*name);
        for name in self.before.ours.iter().filter(is_old) {
            if stable_name(name).is_some() {
                self.store.delete(name).await?;
            }
        }
        copies.retain(|name, _| names.contains(name));
        self.record.copies = copies;
        self.record.write(self.local.state)?;
        Ok(())
    }

    /// Removes from the record, before anything is copied, the copies that change. Otherwise a run after an interruption would
    /// rely on a copy that was replaced.
    fn forget_other_copies(&mut self) -> Result<(), BucketError> {
        let before = self.record.copies.len();
        let next: BTreeSet<String> = self
            .next
            .export_objects()
            .map(|named| named.object.path.clone())
            .collect();
        self.record.copies.retain(|_, object| next.contains(object));
        if self.record.copies.len() < before {
            self.record.write(self.local.state)?;
        }
        Ok(())
    }

    /// Whether the manifest is still the one that this run has published or found.
    async fn is_current(&self) -> Result<bool, BucketError> {
        let found = self.store.read(MANIFEST, MAX_MANIFEST_BYTES).await?;
        Ok(found.is_some_and(|(text, _)| digest(&text) == self.record.manifest))
    }

    /// Deletes objects after their grace period. The next run tries again, so an error is a warning only.
    async fn delete_unneeded(&self, grace: Duration, now: Timestamp) -> Result<(), BucketError> {
        let names = expired(&self.next.superseded, grace, now);
        // A manifest that another program wrote can name any object.
        let names = names.into_iter().filter(|name| file_path(name).is_some());
        for name in names {
            match self.is_current().await {
                Ok(true) => {}
                // Another state has published meanwhile, and its manifest can name the object.
                Ok(false) => break,
                Err(error) => {
                    self.events.send(Event::Warning(error.to_string()));
                    break;
                }
            }
            if let Err(error) = self.store.delete(name).await {
                self.events.send(Event::Warning(error.to_string()));
                break;
            }
        }
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

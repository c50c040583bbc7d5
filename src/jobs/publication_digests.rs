//! The digests of a new publication, beside those of the one that it replaces. `changes` compares the two.

use std::fs;

use crate::ids::task_ids::TaskIds;
use crate::jobs::earlier_digests::write_earlier;
use crate::jobs::failed_tasks::FailedTasks;
use crate::output_error::OutputError;
use crate::publish::digest_file::{
    DigestFile, DigestKind, PreviousPublication, ResponseDigest, TaskDigest,
};
use crate::publish::digest_writer::DigestWriter;
use crate::publish::manifest::Manifest;
use crate::publish::output_dir::OutputDirectory;
use crate::publish::publication_id::PublicationId;
use crate::publish::publication_shape::PublicationShape;
use crate::publish::staging::Staging;
use crate::state::paths::{NEW_DIGESTS, digests_id, digests_name};

/// The digests of the replaced publication while they are restored, as a path in the output directory.
const RESTORED_DIGESTS: &str = ".scale-export/digests-restored";

/// What is published, and what it replaces.
#[derive(Clone, Copy)]
pub(crate) struct DigestPublication<'p> {
    pub(crate) directory: &'p OutputDirectory,
    pub(crate) staging: &'p Staging,
    /// The list of the new publication.
    pub(crate) ids: &'p TaskIds,
    pub(crate) failures: &'p FailedTasks,
    pub(crate) drop_missing: bool,
}

/// Complete digests under temporary names.
#[derive(Debug)]
pub(crate) struct StagedDigests {
    /// The ID of the new publication.
    pub(crate) id: PublicationId,
    /// Files that are published with the tables.
    pub(crate) names: Vec<String>,
    /// Files that no publication needs any more.
    pub(crate) obsolete: Vec<String>,
}

/// The publication that a new one replaces.
struct ReplacedPublication {
    publication: PreviousPublication,
    /// What its own digests name as the publication before.
    before: PreviousPublication,
    /// Whether its file of digests is there and complete.
    is_sound: bool,
    /// A staged file that takes the place of a damaged one.
    restored: Option<String>,
    /// Its tasks that the new publication lacks only because a fetch failed, by position in the list.
    lost: Vec<(usize, ResponseDigest)>,
}

impl ReplacedPublication {
    fn unknown() -> Self {
        Self {
            publication: PreviousPublication::Unknown,
            before: PreviousPublication::Unknown,
            is_sound: false,
            restored: None,
            lost: Vec::new(),
        }
    }
}

impl DigestPublication<'_> {
    /// Completes the digests of the new publication, and decides which files of earlier ones stay.
    pub(crate) fn finish(
        self,
        mut digests: DigestWriter,
        shape: PublicationShape,
    ) -> Result<StagedDigests, OutputError> {
        let mut replaced = self.replaced()?;
        replaced
            .lost
            .sort_unstable_by_key(|(position, _)| *position);
        for (position, sha256) in replaced.lost {
            digests.push(TaskDigest {
                kind: DigestKind::Lost,
                task_id: self.ids.get(position).unwrap_or_default(),
                sha256,
            })?;
        }
        let id = digests.id(&shape);
        let is_same = replaced.publication == PreviousPublication::Id(id.clone());
        // The same publication again does not replace itself: its changes are those of the first time.
        let previous = if is_same {
            replaced.before
        } else {
            replaced.publication
        };
        digests.finish(shape, previous.clone())?;
        let mut names = Vec::new();
        if is_same && replaced.is_sound {
            self.staging.discard(NEW_DIGESTS)?;
        } else {
            names.push(digests_name(id.as_str()));
            for name in &names {
                self.staging.rename(NEW_DIGESTS, name)?;
            }
        }
        match replaced.restored {
            Some(_) if is_same => self.staging.discard(RESTORED_DIGESTS)?,
            Some(name) => {
                self.staging.rename(RESTORED_DIGESTS, &name)?;
                names.push(name);
            }
            None => {}
        }
        Ok(StagedDigests {
            obsolete: self.obsolete(&id, &previous)?,
            id,
            names,
        })
    }

    /// Reads the digests of the publication that is replaced.
    fn replaced(self) -> Result<ReplacedPublication, OutputError> {
        let Some(manifest) = self.directory.manifest() else {
            let is_first = self.directory.damage().is_none()
                && !self.directory.has_export()
                && !self.directory.state().ids().exists();
            return Ok(ReplacedPublication {
                publication: if is_first {
                    PreviousPublication::None
                } else {
                    PreviousPublication::Unknown
                },
                ..ReplacedPublication::unknown()
            });
        };
        let mut before = PreviousPublication::Unknown;
        if let Some(id) = &manifest.publication {
            // The state has the digests of two publications. If those of the last one are lost, the others name the one before.
            before = match self.stored(&[id])?.as_slice() {
                [only] => PreviousPublication::Id(only.clone()),
                _ => PreviousPublication::Unknown,
            };
            let path = self.directory.state().digests(id.as_str());
            if let Ok(file) = DigestFile::open(&path, id) {
                before = file.summary().previous.clone();
                let mut lost = Vec::new();
                if file.each(|task| lost.extend(self.lost(task))).is_ok() {
                    return Ok(ReplacedPublication {
                        publication: PreviousPublication::Id(id.clone()),
                        before,
                        is_sound: true,
                        restored: None,
                        lost,
                    });
                }
            }
        }
        self.restored(&manifest, before)
    }

    /// Restores the digests of the publication that is replaced, if they still follow from its responses.
    fn restored(
        self,
        manifest: &Manifest,
        before: PreviousPublication,
    ) -> Result<ReplacedPublication, OutputError> {
        let mut writer = DigestWriter::begin(self.staging.create(RESTORED_DIGESTS)?)?;
        let mut lost = Vec::new();
        let directory = self.directory.path();
        let see = |task: TaskDigest<'_>| lost.extend(self.lost(task));
        let is_known = write_earlier(directory, manifest, &mut writer, see)?;
        let shape = PublicationShape::new(&manifest.schema_version, &manifest.options);
        let id = writer.id(&shape);
        writer.finish(shape, before.clone())?;
        // An ID in the manifest shows whether the responses are the same.
        let is_other = |stated: &PublicationId| *stated != id;
        if !is_known || manifest.publication.as_ref().is_some_and(is_other) {
            self.staging.discard(RESTORED_DIGESTS)?;
            return Ok(ReplacedPublication::unknown());
        }
        Ok(ReplacedPublication {
            restored: Some(digests_name(id.as_str())),
            publication: PreviousPublication::Id(id),
            before,
            is_sound: false,
            lost,
        })
    }

    /// A task of the replaced publication that the new one lacks only because a fetch failed.
    fn lost(self, task: TaskDigest<'_>) -> Option<(usize, ResponseDigest)> {
        let position = self.ids.position(task.task_id)?;
        let is_failed = self.failures.is_failed_fetch(position, self.drop_missing);
        is_failed.then_some((position, task.sha256))
    }

    /// The digests in the state that belong neither to the new publication nor to the one before.
    fn obsolete(
        self,
        id: &PublicationId,
        previous: &PreviousPublication,
    ) -> Result<Vec<String>, OutputError> {
        let mut kept = vec![id];
        if let PreviousPublication::Id(previous) = previous {
            kept.push(previous);
        }
        let obsolete = self.stored(&kept)?;
        Ok(obsolete
            .iter()
            .map(|id| digests_name(id.as_str()))
            .collect())
    }

    /// The publications other than these whose digests are in the state, sorted.
    fn stored(self, except: &[&PublicationId]) -> Result<Vec<PublicationId>, OutputError> {
        let state = self.directory.state();
        let failed = |error| OutputError::io("list", state.path())(error);
        let mut stored = Vec::new();
        for entry in fs::read_dir(state.path()).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.strip_prefix(self.directory.path()).ok();
            let id = name.and_then(|name| digests_id(name.to_str()?));
            stored.extend(id.and_then(PublicationId::parse));
        }
        stored.retain(|id| !except.contains(&id));
        stored.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        Ok(stored)
    }
}

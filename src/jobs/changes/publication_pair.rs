//! The two publications that are compared.

use std::path::Path;

use crate::jobs::changes::error::ChangesError;
use crate::publish::digest_file::{DigestFile, PreviousPublication};
use crate::publish::manifest::Manifest;
use crate::publish::previous_export::failed_fetches;
use crate::publish::publication_id::PublicationId;
use crate::state::paths::StateDir;

/// The digests of two publications.
#[derive(Debug)]
pub(crate) struct PublicationPair {
    /// The publication before; `None` if the new one is the first.
    pub(crate) from: Option<DigestFile>,
    /// The new publication.
    pub(crate) to: DigestFile,
    /// Tasks that the new publication lacks because a fetch failed, if its digests do not name them.
    pub(crate) failed: Vec<String>,
}

impl PublicationPair {
    /// The last publication of an export, and the one before. A consumer that has the last one (`since`) gets it twice.
    pub(crate) fn of_export(
        directory: &Path,
        manifest: &Manifest,
        since: Option<&str>,
    ) -> Result<Self, ChangesError> {
        let to = last_publication(directory, manifest)?;
        let current = to.summary().id.clone();
        let before = match &to.summary().previous {
            _ if since == Some(current.as_str()) => Some(current.clone()),
            PreviousPublication::None => None,
            PreviousPublication::Id(id) => Some(id.clone()),
            PreviousPublication::Unknown => {
                let path = directory.to_owned();
                return Err(ChangesError::UnknownPrevious { path, current });
            }
        };
        if let Some(since) = since
            && before.as_ref().map(PublicationId::as_str) != Some(since)
        {
            return Err(ChangesError::NotPrevious {
                since: since.to_owned(),
                current,
                previous: before,
            });
        }
        let from = before.map(|id| open(directory, &id)).transpose()?;
        Self {
            from,
            to,
            failed: Vec::new(),
        }
        .of_one_shape()
    }

    /// The last publications of two exports.
    pub(crate) fn of_exports(
        (old, old_manifest): (&Path, &Manifest),
        (new, manifest): (&Path, &Manifest),
    ) -> Result<Self, ChangesError> {
        let failed = failed_fetches(new, manifest).map_err(|_| ChangesError::ChangedFailures {
            path: new.to_owned(),
        })?;
        Self {
            from: Some(last_publication(old, old_manifest)?),
            to: last_publication(new, manifest)?,
            failed,
        }
        .of_one_shape()
    }

    /// Refuses publications whose tables have different shapes: rows of unchanged tasks would differ.
    fn of_one_shape(self) -> Result<Self, ChangesError> {
        let to = self.to.summary();
        if let Some(from) = self.from.as_ref().map(DigestFile::summary)
            && let Some(what) = from.shape.difference(&to.shape)
        {
            return Err(ChangesError::OtherShape {
                from: from.id.clone(),
                to: to.id.clone(),
                what,
            });
        }
        Ok(self)
    }

    /// The ID of the publication before, and that of the new one.
    pub(crate) fn ids(&self) -> (Option<PublicationId>, PublicationId) {
        let id = |file: &DigestFile| file.summary().id.clone();
        (self.from.as_ref().map(id), id(&self.to))
    }
}

/// The digests of the last publication of an export.
fn last_publication(directory: &Path, manifest: &Manifest) -> Result<DigestFile, ChangesError> {
    match &manifest.publication {
        Some(id) => open(directory, id),
        None => Err(ChangesError::NotRecorded {
            path: directory.to_owned(),
        }),
    }
}

fn open(directory: &Path, id: &PublicationId) -> Result<DigestFile, ChangesError> {
    let path = StateDir::of_output(directory).digests(id.as_str());
    Ok(DigestFile::open(&path, id)?)
}

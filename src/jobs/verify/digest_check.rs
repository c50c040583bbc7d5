//! Checks the digests of the publication: they name the tasks in the tables, each with the SHA-256 of its raw response.

use crate::jobs::verify::findings::Finding;
use crate::jobs::verify::report::VerifyResults;
use crate::jobs::verify::verified_export::VerifiedExport;
use crate::plural::plural;
use crate::publish::digest_file::{
    DigestError, DigestFault, DigestFile, DigestKind, ResponseDigest,
};
use crate::publish::publication_shape::PublicationShape;
use crate::state::paths::digests_name;

/// The digests, compared one task after the other.
#[derive(Debug, Default)]
pub(crate) struct DigestCheck {
    /// `None` where they cannot be compared any more.
    file: Option<DigestFile>,
    name: String,
}

impl DigestCheck {
    /// Opens the digests. Exports of earlier versions have none, and only the owner can read the state.
    pub(crate) fn open(export: VerifiedExport<'_>, results: &mut VerifyResults) -> Self {
        let manifest = export.manifest;
        let Some(id) = &manifest.publication else {
            return Self::default();
        };
        if std::fs::read_dir(export.state.path()).is_err() {
            return Self::default();
        }
        let mut check = Self {
            file: None,
            name: digests_name(id.as_str()),
        };
        let file = match DigestFile::open(&export.state.digests(id.as_str()), id) {
            Ok(file) => file,
            // A copy of the published files alone, as in an object store: there is nothing that the digests belong to.
            Err(error)
                if matches!(error.fault(), DigestFault::Missing)
                    && !export.state.journal().exists() =>
            {
                results
                    .add_unverified("the digests of the tasks (the raw responses are missing too)");
                return check;
            }
            Err(error) => {
                check.add_error(&error, results);
                return check;
            }
        };
        let summary = file.summary();
        let exported = manifest.ids.exported;
        if summary.exported != exported {
            let expected = plural(exported, "exported task");
            check.differ(&expected, &summary.exported.to_string(), results);
        }
        let shape = PublicationShape::new(&manifest.schema_version, &manifest.options);
        if let Some(what) = shape.difference(&summary.shape) {
            let expected = format!("the {what} of the manifest");
            check.differ(&expected, "another", results);
        }
        check.file = Some(file);
        check
    }

    /// Compares the next task in the order of the list; `sha256` is the digest of its raw response, if it has one.
    pub(crate) fn task(
        &mut self,
        task_id: &str,
        sha256: Option<ResponseDigest>,
        results: &mut VerifyResults,
    ) {
        let Some(file) = &mut self.file else {
            return;
        };
        match file.next_task() {
            Ok(Some(found)) if found.task_id == task_id && found.kind == DigestKind::Exported => {
                if sha256.is_some_and(|sha256| sha256 != found.sha256) {
                    let expected = format!("the digest of the raw response of `{task_id}`");
                    self.differ(&expected, "another", results);
                }
            }
            Ok(found) => {
                let found = found.map_or("none", |found| found.task_id).to_owned();
                self.differ(&format!("task `{task_id}`"), &found, results);
                self.file = None;
            }
            Err(error) => self.fail(&error, results),
        }
    }

    /// Checks that no other exported task follows, and the checksum.
    pub(crate) fn finish(mut self, results: &mut VerifyResults) {
        while let Some(file) = &mut self.file {
            match file.next_task() {
                Ok(None) => return,
                Ok(Some(found)) if found.kind == DigestKind::Lost => {}
                Ok(Some(found)) => {
                    let found = found.task_id.to_owned();
                    self.differ("no other exported task", &found, results);
                    return;
                }
                Err(error) => self.fail(&error, results),
            }
        }
    }

    fn differ(&self, expected: &str, found: &str, results: &mut VerifyResults) {
        results.add(Finding::of_file(&self.name, expected, found));
    }

    fn fail(&mut self, error: &DigestError, results: &mut VerifyResults) {
        self.add_error(error, results);
        self.file = None;
    }

    fn add_error(&self, error: &DigestError, results: &mut VerifyResults) {
        let cause = error.fault();
        match cause {
            DigestFault::Missing => self.differ("a file", "none", results),
            DigestFault::Damaged(_) => {
                let cause = cause.to_string();
                results.add(Finding::of_unreadable(&self.name, "digests", &cause));
            }
            DigestFault::Newer(_) | DigestFault::Io(_) => {
                results.add_unverified(format!("the digests of the tasks ({cause})"));
            }
        }
    }
}

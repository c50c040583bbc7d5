//! Downloads an export into a directory, where it is read like any other.

use std::io::Write as _;
use std::path::Path;

use crate::bucket::bucket_manifest::{BucketManifest, ExportObject};
use crate::bucket::error::{BucketError, StoreFault};
use crate::bucket::store::ExportStore;
use crate::durable_fs;
use crate::durable_fs::{Access, StagedFile, temporary_path};
use crate::output_error::OutputError;
use crate::publish::file_names::MANIFEST;
use crate::publish::manifest::MAX_MANIFEST_BYTES;
use crate::publish::staging::access_of;
use crate::state::paths::StateDir;

/// Downloads the files that `wanted` selects by their paths, and the manifest. The directory is empty, or has files of an
/// earlier download of the same export.
pub(crate) async fn download_export(
    store: &ExportStore,
    directory: &Path,
    wanted: fn(&str) -> bool,
) -> Result<(), BucketError> {
    let Some((bytes, _)) = store.read(MANIFEST, MAX_MANIFEST_BYTES).await? else {
        return Err(BucketError::NoExport {
            url: store.url().to_string(),
        });
    };
    let fault = |cause: String| BucketError::Manifest {
        url: store.url().of_object(MANIFEST),
        cause,
    };
    let content: BucketManifest =
        serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    let manifest = content.to_directory().map_err(fault)?;
    let state = StateDir::of_output(directory);
    durable_fs::create_state_directory(state.path())
        .map_err(OutputError::io("create", state.path()))?;
    for object in content.export_objects() {
        if wanted(&object.path) {
            download_file(store, directory, &object).await?;
        }
    }
    let mut file = StagedFile::create(directory, MANIFEST, Access::Everyone)?;
    let path = file.path().to_owned();
    file.write_all(manifest.to_json().as_bytes())
        .map_err(OutputError::io("write", &path))?;
    file.finish()?;
    take_name(directory, MANIFEST)
}

async fn download_file(
    store: &ExportStore,
    directory: &Path,
    file: &ExportObject,
) -> Result<(), BucketError> {
    let ExportObject { path, object } = file;
    let mut target = StagedFile::create(directory, path, access_of(path))?;
    let place = target.path().to_owned();
    let taken = store.download(&object.path, |piece| {
        target
            .write_all(piece)
            .map_err(|error| OutputError::io("write", &place)(error).into())
    });
    taken.await.map_err(|error| match error {
        BucketError::Store {
            fault: StoreFault::NotFound,
            url,
            ..
        } => BucketError::MissingObject { url },
        error => error,
    })?;
    let written = target.finish()?;
    let different = |what| BucketError::OtherContent {
        url: store.url().of_object(&object.path),
        what,
    };
    if written.bytes != object.bytes {
        return Err(different("size"));
    }
    if written.sha256 != object.sha256 {
        return Err(different("checksum"));
    }
    take_name(directory, path)
}

/// Gives a complete file its name.
fn take_name(directory: &Path, name: &str) -> Result<(), BucketError> {
    let temporary = temporary_path(directory, name);
    durable_fs::rename(&temporary, &directory.join(name))
        .map_err(OutputError::io("rename", &temporary))?;
    Ok(())
}

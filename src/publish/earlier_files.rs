//! The files that an earlier export published in a directory, by its manifest.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::durable_fs;
use crate::output_error::OutputError;
use crate::publish::file_names::{MANIFEST, is_published_name};
use crate::publish::manifest::{FORMAT_VERSION, MAX_MANIFEST_BYTES, Manifest, Tool};
use crate::publish::manifest_fault::ManifestFault;

/// The part of an earlier manifest that a later run needs. Other versions of scale-export may have written it.
#[derive(Debug, Deserialize)]
struct EarlierManifest {
    format_version: u32,
    #[serde(default)]
    tool: Tool,
    #[serde(default)]
    tables: BTreeMap<String, EarlierFiles>,
    #[serde(default)]
    files: Vec<EarlierFile>,
}

#[derive(Debug, Deserialize)]
struct EarlierFiles {
    files: Vec<EarlierFile>,
}

#[derive(Debug, Deserialize)]
struct EarlierFile {
    path: String,
    #[serde(default)]
    sha256: String,
}

/// What the manifest says about an earlier export.
#[derive(Debug)]
pub(crate) enum EarlierExport {
    /// The manifest is missing.
    Nothing,
    /// The manifest names the published files.
    Files {
        /// Paths and checksums of published files.
        files: BTreeMap<String, String>,
        /// Why the rest of the manifest cannot be read, if so.
        damage: Option<ManifestFault>,
    },
    /// The manifest is damaged, for this reason.
    Damaged(ManifestFault),
}

/// The files that an earlier export in this directory published.
///
/// Other names than those of published files are left out: a damaged manifest, or one that another user prepared, must
/// not make scale-export remove other files.
pub(crate) fn earlier_files(directory: &Path) -> Result<EarlierExport, OutputError> {
    let path = directory.join(MANIFEST);
    let text = match durable_fs::read_small(&path, MAX_MANIFEST_BYTES) {
        Ok(text) => text,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => return Ok(EarlierExport::Nothing),
            io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput => {
                return Ok(EarlierExport::Damaged(ManifestFault::File(error)));
            }
            _ => return Err(OutputError::io("read", &path)(error)),
        },
    };
    let earlier: EarlierManifest = match serde_json::from_slice(&text) {
        Ok(earlier) => earlier,
        Err(error) => return Ok(EarlierExport::Damaged(ManifestFault::Json(error))),
    };
    // A manifest with this version's name and another format version is damaged, not newer.
    let this = Tool::this();
    let is_ours = earlier.tool == this;
    if earlier.format_version > FORMAT_VERSION && earlier.tool.name == this.name && !is_ours {
        let version = earlier.format_version;
        return Err(OutputError::NewerManifest { path, version });
    }
    // Another version may have other fields. The names of its files are known nevertheless.
    let whole = serde_json::from_slice::<Manifest>(&text);
    let damage = match whole {
        Ok(manifest) => manifest.fault(),
        Err(error) => Some(ManifestFault::Json(error)),
    };
    let damage = match damage {
        Some(fault) if is_ours => return Ok(EarlierExport::Damaged(fault)),
        damage => damage,
    };
    let tables = earlier.tables.into_values().flat_map(|table| table.files);
    let files = tables.chain(earlier.files);
    let files = files.map(|file| (file.path, file.sha256));
    // A manifest does not name itself.
    let files = files.filter(|(path, _)| path != MANIFEST && is_published_name(path));
    Ok(EarlierExport::Files {
        files: files.collect(),
        damage,
    })
}

/// Fails if a newer version of scale-export wrote the manifest of a directory.
pub(crate) fn refuse_newer(directory: &Path) -> Result<(), OutputError> {
    earlier_files(directory).map(drop)
}

//! The manifest of an export in an object store: that of the output directory with the names of objects, and the
//! objects that it supersedes.

use serde::{Deserialize, Serialize};

use crate::bucket::object_name::{file_path, object_name};
use crate::bucket::superseded::Superseded;
use crate::durable_fs::FileRef;
use crate::publish::manifest::Manifest;

/// The manifest in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketManifest {
    /// The paths of its files are the names of objects.
    #[serde(flatten)]
    pub(crate) manifest: Manifest,
    /// Objects that earlier manifests named, with the time of the publication that superseded them.
    #[serde(default)]
    pub(crate) superseded: Superseded,
}

/// A file of an export, and its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportObject {
    /// Its path in an output directory.
    pub(crate) path: String,
    /// The object; its path is the name.
    pub(crate) object: FileRef,
}

impl BucketManifest {
    /// The manifest of an export in an output directory. `taken` are stable names of a user's own objects: these files
    /// are left out.
    pub(crate) fn of_directory(manifest: &Manifest, taken: &[&str]) -> Self {
        let mut manifest = manifest.clone();
        manifest
            .files
            .retain(|file| !taken.contains(&file.path.as_str()));
        for file in files_of(&mut manifest) {
            file.path = object_name(file);
        }
        Self {
            manifest,
            superseded: Superseded::new(),
        }
    }

    /// The manifest of a copy in a directory. The reason if an object has a name that scale-export does not give.
    pub(crate) fn to_directory(&self) -> Result<Manifest, String> {
        let mut manifest = self.manifest.clone();
        for file in files_of(&mut manifest) {
            let path = file_path(&file.path).filter(|path| {
                let named = FileRef {
                    path: path.clone(),
                    ..file.clone()
                };
                object_name(&named) == file.path
            });
            file.path = path.ok_or("it names an object that scale-export does not name so")?;
        }
        match manifest.fault() {
            Some(fault) => Err(fault.to_string()),
            None => Ok(manifest),
        }
    }

    /// All objects that it names.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &FileRef> {
        self.manifest.all_files()
    }

    /// Objects with their files. An object with another name has none.
    pub(crate) fn export_objects(&self) -> impl Iterator<Item = ExportObject> {
        self.objects().filter_map(|object| {
            Some(ExportObject {
                path: file_path(&object.path)?,
                object: object.clone(),
            })
        })
    }

    /// Whether it names the same objects with the same figures.
    pub(crate) fn is_same_export(&self, other: &Self) -> bool {
        self.manifest == other.manifest
    }

    /// The text of the object.
    pub(crate) fn to_json(&self) -> String {
        // Every part is a plain value, so serialization cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn files_of(manifest: &mut Manifest) -> impl Iterator<Item = &mut FileRef> {
    let tables = manifest.tables.iter_mut();
    let tables = tables.flat_map(|(_, table)| &mut table.files);
    tables
        .map(|table| &mut table.file)
        .chain(&mut manifest.files)
        .chain([&mut manifest.ids.file])
}

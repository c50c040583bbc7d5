//! `manifest.json`: the published files, with the counts and checksums that verify them.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::durable_fs;
use crate::durable_fs::FileRef;
use crate::encode::format::Format;
use crate::encode::table_writers::WrittenTable;
use crate::ids::shard::ShardPlace;
#[cfg(feature = "buckets")]
use crate::output_error::OutputError;
use crate::publish::file_names::{FAILURES, LOAD_SQL, MANIFEST, README};
use crate::publish::manifest_fault::ManifestFault;
use crate::publish::publication_id::PublicationId;
use crate::state::paths::IDS;
use crate::tables::schema_drift::DriftEntry;
use crate::tables::selection::TableSelection;
use crate::tables::table::{SCHEMA_VERSION, Table};

/// Version of the format of the manifest.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Version of the bytes of published files. It is raised when the same rows result in other bytes: only then does a run
/// without new tasks rewrite the tables. A test compares the bytes with those of this version.
pub const ENCODING_VERSION: u32 = 6;

/// Maximum bytes of a manifest. It names about twenty tables, and the drift in their columns.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The tool that wrote the export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    pub(crate) fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The options that affect the published files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestOptions {
    /// The URL of the API, without credentials.
    pub base_url: String,
    /// Expanded entities.
    pub expand: Vec<String>,
    /// Requested details.
    pub opts: Vec<String>,
    /// File format.
    pub format: Format,
    /// The selected tables; empty for all.
    pub tables: Vec<String>,
    /// Whether credentials in responses are kept.
    pub keep_secrets: bool,
    /// Whether IDs that the API does not find are treated as deleted tasks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_missing: bool,
    /// The list endpoints that the tasks were fetched from, in words; empty if none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

impl ManifestOptions {
    /// The tables written.
    pub fn table_selection(&self) -> TableSelection {
        TableSelection::of_names(self.tables.iter().map(String::as_str))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Counts of IDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Distinct IDs.
    pub requested: u64,
    /// IDs whose task is in the tables.
    pub exported: u64,
    /// IDs without a task in the tables. Each has a line in `failures.jsonl`.
    pub failed: u64,
    /// Exported IDs whose last request failed: the tables have their last good response.
    #[serde(default)]
    pub stale: u64,
    /// Lines that repeated an ID.
    pub duplicates: u64,
    /// The file of the distinct IDs in their order, one per line.
    #[serde(flatten)]
    pub file: FileRef,
}

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TableFile {
    /// Rows in the file.
    pub rows: u64,
    /// The file.
    #[serde(flatten)]
    pub file: FileRef,
}

/// Serialized by hand: the number of rows comes after the path, for people who read the file.
impl Serialize for TableFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("TableFile", 4)?;
        fields.serialize_field("path", &self.file.path)?;
        fields.serialize_field("rows", &self.rows)?;
        fields.serialize_field("bytes", &self.file.bytes)?;
        fields.serialize_field("sha256", &self.file.sha256)?;
        fields.end()
    }
}

/// A table's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFiles {
    /// Rows in all files.
    pub rows: u64,
    /// In the order of their rows.
    pub files: Vec<TableFile>,
}

impl TableFiles {
    fn entry(written: &WrittenTable) -> (String, Self) {
        let file = TableFile {
            rows: written.rows,
            file: written.file.clone(),
        };
        let files = Self {
            rows: written.rows,
            files: vec![file],
        };
        (written.table.name.to_owned(), files)
    }
}

/// Figures of the run. No other part of an export depends on when and how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCounters {
    /// When the run started, in RFC 3339.
    pub started_at: String,
    /// When the run finished, in RFC 3339.
    pub finished_at: String,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests after the first for their ID.
    pub retries: u64,
    /// Responses with status 429.
    pub rate_limited: u64,
    /// Bytes of responses, decompressed.
    pub bytes_received: u64,
    /// Bytes of the journal at the time of publication. Later bytes belong to later runs.
    #[serde(default)]
    pub journal_bytes: Option<u64>,
}

/// What a new manifest says beside its tables and versions.
#[derive(Debug)]
pub struct ManifestContent {
    /// What the tables are made of.
    pub publication: PublicationId,
    /// The options.
    pub options: ManifestOptions,
    /// The IDs.
    pub ids: Ids,
    /// Which shard of a list they are, if they are one.
    pub shard: Option<ShardPlace>,
    /// The files that are not tables.
    pub files: Vec<FileRef>,
    /// Differences from the documented shape.
    pub drift: Vec<DriftEntry>,
    /// The run.
    pub run: RunCounters,
}

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format_version: u32,
    /// The tool.
    pub tool: Tool,
    /// Version of the tables.
    pub schema_version: String,
    /// Version of the bytes of files; 0 for exports without this field.
    #[serde(default)]
    pub encoding_version: u32,
    /// What the tables are made of; `None` for exports without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<PublicationId>,
    /// The options.
    pub options: ManifestOptions,
    /// The IDs.
    pub ids: Ids,
    /// Which shard of a list they are, if they are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardPlace>,
    /// The tables, in the order of their documentation.
    #[serde(serialize_with = "in_order", deserialize_with = "by_name")]
    pub tables: Vec<(String, TableFiles)>,
    /// The other files.
    pub files: Vec<FileRef>,
    /// Differences from the documented structure of tasks.
    pub drift: Vec<DriftEntry>,
    /// The run.
    pub run: RunCounters,
}

/// Reads the tables in the order of their names. A repeated name is kept, so that [`Manifest::fault`] reports it.
fn by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, TableFiles)>, D::Error> {
    struct Tables;

    impl<'de> Visitor<'de> for Tables {
        type Value = Vec<(String, TableFiles)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tables by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut tables = Vec::new();
            while let Some(table) = map.next_entry()? {
                tables.push(table);
            }
            Ok(tables)
        }
    }

    let mut tables = deserializer.deserialize_map(Tables)?;
    tables.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(tables)
}

fn in_order<S: Serializer>(
    tables: &[(String, TableFiles)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(tables.len()))?;
    for (name, files) in tables {
        map.serialize_entry(name, files)?;
    }
    map.end()
}

impl Manifest {
    /// A manifest of this version of scale-export.
    pub fn new(tables: &[WrittenTable], content: ManifestContent) -> Self {
        let ManifestContent {
            publication,
            options,
            ids,
            shard,
            files,
            drift,
            run,
        } = content;
        Self {
            format_version: FORMAT_VERSION,
            tool: Tool::this(),
            schema_version: SCHEMA_VERSION.to_owned(),
            encoding_version: ENCODING_VERSION,
            publication: Some(publication),
            options,
            ids,
            shard,
            tables: tables.iter().map(TableFiles::entry).collect(),
            files,
            drift,
            run,
        }
    }

    /// All files that it names, tables first and the list of IDs last.
    pub fn all_files(&self) -> impl Iterator<Item = &FileRef> {
        self.published_files().chain([&self.ids.file])
    }

    /// The published files except the manifest.
    pub fn published_files(&self) -> impl Iterator<Item = &FileRef> {
        let tables = self.tables.iter().flat_map(|(_, table)| &table.files);
        tables.map(|table| &table.file).chain(&self.files)
    }

    /// Paths of the published files except the manifest.
    pub fn paths(&self) -> BTreeSet<String> {
        self.published_files()
            .map(|file| file.path.clone())
            .collect()
    }

    /// Whether this version of scale-export wrote it, with the same versions of tables and bytes.
    pub fn is_of_this_version(&self) -> bool {
        self.format_version == FORMAT_VERSION
            && self.schema_version == SCHEMA_VERSION
            && self.encoding_version == ENCODING_VERSION
            && self.tool == Tool::this()
    }

    /// The manifest of an export: `None` if there is none, and the reason if it is damaged.
    pub fn read(directory: &Path) -> io::Result<Option<Result<Self, ManifestFault>>> {
        let text = match durable_fs::read_small(&directory.join(MANIFEST), MAX_MANIFEST_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(Some(Err(ManifestFault::File(error))));
            }
            Err(error) => return Err(error),
        };
        let manifest = serde_json::from_slice(&text);
        Ok(Some(manifest.map_err(ManifestFault::Json)))
    }

    /// The manifest of an export that the run has just published.
    #[cfg(feature = "buckets")]
    pub(crate) fn published(directory: &Path) -> Result<Self, OutputError> {
        Self::sound(directory).ok_or_else(|| {
            let source = io::ErrorKind::InvalidData.into();
            OutputError::io("read", &directory.join(MANIFEST))(source)
        })
    }

    /// The manifest of an export, if it is there and not damaged.
    pub fn sound(directory: &Path) -> Option<Self> {
        let read = Self::read(directory).ok()??.ok()?;
        read.fault().is_none().then_some(read)
    }

    /// Whether this version of scale-export knows its format.
    pub fn is_known(&self) -> bool {
        self.format_version <= FORMAT_VERSION
    }

    /// Why a manifest that this version wrote is damaged. `None` if it is not, or if another version wrote it.
    pub(crate) fn fault(&self) -> Option<ManifestFault> {
        // The rules below are those of this version only.
        if self.tool != Tool::this() {
            return None;
        }
        if self.format_version != FORMAT_VERSION {
            return Some(ManifestFault::FormatVersion);
        }
        let Ids {
            requested,
            exported,
            failed,
            stale,
            ref file,
            ..
        } = self.ids;
        if file.path != IDS || exported.checked_add(failed) != Some(requested) || stale > exported {
            return Some(ManifestFault::Counts);
        }
        let tables = self.options.table_selection().tables();
        let expected: BTreeSet<&str> = tables.map(|table| table.name).collect();
        let found: BTreeSet<&str> = self.tables.iter().map(|(name, _)| name.as_str()).collect();
        if found != expected || found.len() != self.tables.len() {
            return Some(ManifestFault::Tables);
        }
        for (name, table) in &self.tables {
            let TableFiles { rows, files } = table;
            // This version writes one file per table.
            let is_whole = matches!(
                files.as_slice(),
                [only] if only.file.path == self.options.format.file_name(name) && only.rows == *rows
            );
            // Each exported ID has one row in `tasks`.
            if !is_whole || (name == Table::Tasks.name() && *rows != exported) {
                return Some(ManifestFault::TableEntry(name.clone()));
            }
        }
        let names: BTreeSet<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let mut known = names.iter();
        if !known.all(|name| [FAILURES, LOAD_SQL, README].contains(name))
            || !names.contains(FAILURES)
            || names.len() != self.files.len()
        {
            return Some(ManifestFault::Files);
        }
        None
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        // Every part is a plain value, so serialization cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Whether a path in a manifest stays inside the output directory.
pub fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

//! What decides how the same responses look in the tables: a consumer of changes reloads when it changes.

use serde::{Deserialize, Serialize};

use crate::encode::format::Format;
use crate::journal::binding::distinct;
use crate::publish::manifest::ManifestOptions;

/// What decides how the same responses look in the tables. The list endpoints and `--drop-missing` are not part of it:
/// they decide which tasks there are, and the digests say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationShape {
    /// Version of the tables.
    pub schema_version: String,
    /// The URL of the API.
    pub base_url: String,
    /// Expanded entities, sorted.
    pub expand: Vec<String>,
    /// Requested details, sorted.
    pub opts: Vec<String>,
    /// File format.
    pub format: Format,
    /// The selected tables; empty for all.
    pub tables: Vec<String>,
    /// Whether credentials in responses are kept.
    pub keep_secrets: bool,
}

impl PublicationShape {
    /// The shape of tables with this version and these options.
    pub fn new(schema_version: &str, options: &ManifestOptions) -> Self {
        let sorted = |names: &[String]| distinct(names).into_iter().map(str::to_owned).collect();
        Self {
            schema_version: schema_version.to_owned(),
            base_url: options.base_url.clone(),
            expand: sorted(&options.expand),
            opts: sorted(&options.opts),
            format: options.format,
            tables: options.table_selection().names(),
            keep_secrets: options.keep_secrets,
        }
    }

    /// What differs between two shapes, in words; `None` if nothing does.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            (
                self.schema_version != other.schema_version,
                "schema version",
            ),
            (self.base_url != other.base_url, "--base-url"),
            (self.expand != other.expand, "--expand"),
            (self.opts != other.opts, "--opts"),
            (self.format != other.format, "--format"),
            (self.tables != other.tables, "--tables"),
            (self.keep_secrets != other.keep_secrets, "--keep-secrets"),
        ];
        let mut differs = differs.into_iter();
        differs.find(|(differs, _)| *differs).map(|(_, what)| what)
    }

    /// The bytes that enter the ID.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings and plain values: serialization cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ManifestOptions {
        ManifestOptions {
            base_url: "https://api.test".to_owned(),
            expand: vec!["project".to_owned(), "batch".to_owned()],
            opts: Vec::new(),
            format: Format::Parquet,
            tables: Vec::new(),
            keep_secrets: false,
            drop_missing: false,
            lists: Vec::new(),
        }
    }

    #[test]
    fn the_order_of_names_and_the_choice_of_tasks_do_not_shape_tables() {
        let shape = PublicationShape::new("2.0.0", &options());
        let other = ManifestOptions {
            expand: ["batch", "project", "batch"].map(str::to_owned).to_vec(),
            drop_missing: true,
            lists: vec!["batch 1".to_owned()],
            ..options()
        };
        assert_eq!(shape, PublicationShape::new("2.0.0", &other));
        let csv = ManifestOptions {
            format: Format::Csv,
            ..options()
        };
        let csv = PublicationShape::new("2.0.0", &csv);
        assert_eq!(shape.difference(&csv), Some("--format"));
        let newer = PublicationShape::new("2.1.0", &options());
        assert_eq!(shape.difference(&newer), Some("schema version"));
        assert_eq!(shape.difference(&shape.clone()), None);
    }
}

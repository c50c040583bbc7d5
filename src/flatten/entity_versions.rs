//! Distinct versions of projects and batches. Versions are compared by rule 2: keys in any order, null as absent,
//! numbers by value.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use crate::json::kind::JsonKind;
use crate::json::text::write_json_string;
use crate::json::value::Value;
use crate::tables::table::Table;

/// The versions that have a row, as digests, so that each takes 32 bytes.
#[derive(Debug, Default)]
pub(super) struct EntityVersions {
    /// Digests of texts as received, which decide nearly all cases.
    texts: HashSet<(Table, [u8; 32])>,
    /// Digests of canonical texts.
    versions: HashSet<(Table, [u8; 32])>,
}

impl EntityVersions {
    /// The digest of a version that was not seen before.
    pub(super) fn new_version(&mut self, object: Value<'_>, table: Table) -> Option<[u8; 32]> {
        // Nearly all tasks of a project carry the same text, and hashing it is cheaper than making it canonical.
        if !self
            .texts
            .insert((table, Sha256::digest(object.raw()).into()))
        {
            return None;
        }
        let mut canonical = String::new();
        write_canonical(object, &mut canonical);
        let digest = Sha256::digest(&canonical).into();
        self.versions.insert((table, digest)).then_some(digest)
    }
}

/// A version that is new in its range of tasks. Another range may have it too, so it becomes a row later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityVersion {
    /// `projects` or `batches`.
    pub(crate) table: Table,
    /// The digest of its canonical text.
    pub(crate) digest: [u8; 32],
    /// The object as received.
    pub(crate) json: String,
    /// The first task that carries it.
    pub(crate) task_id: String,
}

/// Writes a text that is the same for values that are equal by rule 2.
fn write_canonical(value: Value<'_>, out: &mut String) {
    /// The levels down to which keys are sorted. Projects and batches are nested less, and recursion stays bounded.
    const MAX_LEVELS: usize = 64;
    fn write(value: Value<'_>, levels: usize, out: &mut String) {
        match value.kind() {
            JsonKind::Object if levels > 0 => {
                let members: BTreeMap<String, Value<'_>> = value
                    .members()
                    .map(|(key, value)| {
                        let mut name = String::new();
                        match key.text() {
                            Some(text) => write_json_string(&text.decode(), &mut name),
                            None => name.push_str(key.raw()),
                        }
                        (name, value)
                    })
                    .collect();
                out.push('{');
                for (name, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
                    out.push_str(&name);
                    out.push(':');
                    write(value, levels - 1, out);
                    // A comma after every member too: the text is only hashed, and need not be JSON.
                    out.push(',');
                }
                out.push('}');
            }
            JsonKind::Array if levels > 0 => {
                out.push('[');
                for element in value.elements() {
                    write(element, levels - 1, out);
                    out.push(',');
                }
                out.push(']');
            }
            JsonKind::String {
                lone_surrogate: false,
                ..
            } => {
                let text = value.text().map(|text| text.decode()).unwrap_or_default();
                write_json_string(&text, out);
            }
            JsonKind::Number => {
                out.push_str(
                    &value
                        .number()
                        .map(|number| number.canonical())
                        .unwrap_or_default(),
                );
            }
            _ => out.push_str(value.raw()),
        }
    }
    write(value, MAX_LEVELS, out);
}

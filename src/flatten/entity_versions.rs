//! Distinct versions of projects and batches. Versions are equal under the contract's equality: keys in any order, null
//! as absent, numbers by value.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use crate::json::document::Kind;
use crate::json::text::write_json_string;
use crate::json::value::Value;

/// Versions that have a row, as digests: 32 bytes each, however large they are.
#[derive(Debug, Default)]
pub(super) struct EntityVersions {
    /// By the text as received, which settles nearly all of them.
    texts: HashSet<(&'static str, [u8; 32])>,
    /// By the canonical text.
    versions: HashSet<(&'static str, [u8; 32])>,
}

impl EntityVersions {
    /// Is this the first time?
    pub(super) fn is_new(&mut self, object: Value<'_>, table: &'static str) -> bool {
        if !self
            .texts
            .insert((table, Sha256::digest(object.raw()).into()))
        {
            return false;
        }
        let mut canonical = String::new();
        write_canonical(object, &mut canonical);
        self.versions
            .insert((table, Sha256::digest(&canonical).into()))
    }
}

/// Writes a text that is equal for values that are equal under the contract (rule 2).
fn write_canonical(value: Value<'_>, out: &mut String) {
    /// Levels down to which keys are sorted; a project nests no deeper, and the stack is safe.
    const MAX_LEVELS: usize = 64;
    fn write(value: Value<'_>, levels: usize, out: &mut String) {
        match value.kind() {
            Kind::Object if levels > 0 => {
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
                    out.push(',');
                }
                out.push('}');
            }
            Kind::Array if levels > 0 => {
                out.push('[');
                for element in value.elements() {
                    write(element, levels - 1, out);
                    out.push(',');
                }
                out.push(']');
            }
            Kind::String {
                lone_surrogate: false,
                ..
            } => {
                let text = value.text().map(|text| text.decode()).unwrap_or_default();
                write_json_string(&text, out);
            }
            Kind::Number => {
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

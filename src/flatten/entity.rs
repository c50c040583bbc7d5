//! Projects and batches: one row for each distinct version that some task carries.
//!
//! Versions are equal under the contract's equality: keys in any order, null as absent, numbers by
//! value. Depends on the files of this folder and `sha2`.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use super::fields::sort;
use super::{Flow, Walk, task_place};
use crate::json::{Kind, Text, Value, write_json_string};
use crate::tables::definition::{BatchRow, ProjectRow};

/// The table of projects.
pub(super) const PROJECT: &str = "projects";
/// The table of batches.
pub(super) const BATCH: &str = "batches";

/// Documented values of a batch's `status`.
const BATCH_STATUSES: [&str; 5] = ["staging", "in_progress", "completed", "paused", "cancelled"];

/// Versions that have a row, as digests: 32 bytes each, however large they are.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By the text as received, which settles nearly all of them.
    texts: HashSet<(&'static str, [u8; 32])>,
    /// By the canonical text.
    versions: HashSet<(&'static str, [u8; 32])>,
}

impl Seen {
    /// Is this the first time?
    fn is_new(&mut self, object: Value<'_>, table: &'static str) -> bool {
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

impl Walk<'_> {
    /// Adds a row when the version is new. An object without a string for `id` has none.
    pub(super) fn entity(&mut self, object: Value<'_>, table: &'static str) -> Flow {
        let Some(id) = object.get("id").and_then(|value| value.text()) else {
            return Ok(());
        };
        if !self.entities.is_new(object, table) {
            return Ok(());
        }
        if table == PROJECT {
            self.project(object, id)
        } else {
            self.batch(object, id)
        }
    }

    fn project(&mut self, object: Value<'_>, project_id: Text<'_>) -> Flow {
        let ([_, name, created_at, types, models], mut fit) = sort(
            object,
            PROJECT,
            &[
                ("id", "project_id"),
                ("name", "name"),
                ("created_at", "created_at"),
                ("types", "types"),
                ("models", "models"),
            ],
        );
        let row = ProjectRow {
            place: task_place(self.task_id),
            project_id,
            name: fit.text(name),
            created_at: fit.time(created_at),
            types: fit.text_list(types),
            models: fit.text_list(models),
            extra: None,
        };
        let extra = fit.finish(self.drift, self.task_id);
        self.buffers.projects.push(
            &ProjectRow {
                extra: extra.as_deref(),
                ..row
            },
            self.sink,
        )
    }

    fn batch(&mut self, object: Value<'_>, batch_id: Text<'_>) -> Flow {
        let (
            [
                _,
                name,
                project,
                status,
                created_at,
                completed_at,
                callback,
                metadata,
            ],
            mut fit,
        ) = sort(
            object,
            BATCH,
            &[
                ("id", "batch_id"),
                ("name", "name"),
                ("project", "project_id"),
                ("status", "status"),
                ("created_at", "created_at"),
                ("completed_at", "completed_at"),
                ("callback", "callback"),
                ("metadata", "metadata"),
            ],
        );
        let project_id = match project.value.filter(Value::is_object) {
            Some(expanded) => {
                fit.keep(project);
                expanded.get("id").and_then(|id| id.text())
            }
            None => fit.text(project),
        };
        fit.unless_known(status, &BATCH_STATUSES);
        let row = BatchRow {
            place: task_place(self.task_id),
            batch_id,
            name: fit.text(name),
            project_id,
            status: fit.text(status),
            created_at: fit.time(created_at),
            completed_at: fit.time(completed_at),
            callback: fit.text(callback),
            metadata: metadata.value.map(|value| value.raw()),
            extra: None,
        };
        let extra = fit.finish(self.drift, self.task_id);
        self.buffers.batches.push(
            &BatchRow {
                extra: extra.as_deref(),
                ..row
            },
            self.sink,
        )
    }
}

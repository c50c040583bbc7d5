//! Projects and batches: one row for each distinct version that some task carries.
//!
//! Versions are equal under the contract's equality: keys in any order, null as absent, numbers by
//! value. Depends on the files of this folder and `sha2`.

use crate::flatten::members::sort;
use crate::flatten::task_flattener::{Flow, TaskFlattener, task_place};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{BatchRow, ProjectRow};

/// The table of projects.
pub(crate) const PROJECT: &str = "projects";
/// The table of batches.
pub(crate) const BATCH: &str = "batches";

/// Documented values of a batch's `status`.
const BATCH_STATUSES: [&str; 5] = ["staging", "in_progress", "completed", "paused", "cancelled"];

impl TaskFlattener<'_> {
    /// Adds a row when the version is new. An object without a string for `id` has none.
    pub(crate) fn entity(&mut self, object: Value<'_>, table: &'static str) -> Flow {
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

//! Projects and batches: one row for each distinct version that a task carries.

use crate::flatten::entity_versions::EntityVersion;
use crate::flatten::members::bind_members;
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::text::Text;
use crate::json::value::Value;
use crate::tables::definition::{BatchRow, ProjectRow};
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

/// Documented values of a batch's `status`.
const BATCH_STATUSES: [&str; 5] = ["staging", "in_progress", "completed", "paused", "cancelled"];

impl TaskFlattener<'_> {
    /// Adds a row if the version is new, or keeps the version for the table of all ranges. An object whose `id` is not a string gets no row.
    pub(crate) fn entity(&mut self, object: Value<'_>, table: Table) -> FlattenResult {
        let Some(id) = object.get("id").and_then(|value| value.text()) else {
            return Ok(());
        };
        let Some(digest) = self.entities.new_version(object, table) else {
            return Ok(());
        };
        if let Some(versions) = &mut self.new_versions {
            versions.push(EntityVersion {
                table,
                digest,
                json: object.raw().to_owned(),
                task_id: self.task_id.to_owned(),
            });
            return Ok(());
        }
        self.entity_row(object, id, table)
    }

    /// Adds the row of a version.
    pub(super) fn entity_row(
        &mut self,
        object: Value<'_>,
        id: Text<'_>,
        table: Table,
    ) -> FlattenResult {
        if table == Table::Projects {
            self.project(object, id)
        } else {
            self.batch(object, id)
        }
    }

    fn project(&mut self, object: Value<'_>, project_id: Text<'_>) -> FlattenResult {
        bind_members!(object, Table::Projects, extra, {
            // Bound so that it does not count as unknown. The caller has read it already.
            _id: "id" => "project_id",
            name: "name",
            created_at: "created_at",
            types: "types",
            models: "models",
        });
        let row = ProjectRow {
            row_key: RowKey::of_task(self.task_id),
            project_id,
            name: extra.text(name),
            created_at: extra.time(created_at),
            types: extra.text_list(types),
            models: extra.text_list(models),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }

    fn batch(&mut self, object: Value<'_>, batch_id: Text<'_>) -> FlattenResult {
        bind_members!(object, Table::Batches, extra, {
            _id: "id" => "batch_id",
            name: "name",
            project: "project" => "project_id",
            status: "status",
            created_at: "created_at",
            completed_at: "completed_at",
            callback: "callback",
            metadata: "metadata",
        });
        // A batch may carry its whole project. `batches` has a column for the ID only, so `extra` keeps the object.
        let project_id = match project.value.filter(Value::is_object) {
            Some(expanded) => {
                extra.keep(project);
                expanded.get("id").and_then(|id| id.text())
            }
            None => extra.text(project),
        };
        extra.check_documented(status, &BATCH_STATUSES);
        let row = BatchRow {
            row_key: RowKey::of_task(self.task_id),
            batch_id,
            name: extra.text(name),
            project_id,
            status: extra.text(status),
            created_at: extra.time(created_at),
            completed_at: extra.time(completed_at),
            callback: extra.text(callback),
            metadata: metadata.value.map(|value| value.raw()),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.rows.push(&row)
    }
}

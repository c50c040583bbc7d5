//! Rebuilds the JSON of a task from its rows.
//!
//! Parents count their children, and the path of a child identifies it. Rows that are missing, out of their fixed
//! order, or unknown to any parent are reported as [`RowProblem`]s.

use crate::json::parser::Parser;
use crate::json::text::write_json_string;
use crate::json::value::Value;
use crate::rebuild::row_cursor::{RowCursor, RowMatch, RowRef, TaskRows};
use crate::rebuild::task_shape::{RebuildPlan, RebuildStep};
use crate::rebuild::value;
use crate::tables::column::push_index;
use crate::tables::definition::TABLES;
use crate::tables::table::Table;

/// A row that cannot be part of its task, or is missing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The table.
    pub table: &'static str,
    /// JSON Pointer to the row's object.
    pub path: String,
    /// What the other rows require.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// Rebuilds tasks, one after the other.
#[derive(Debug)]
pub struct Rebuilder {
    plan: RebuildPlan,
    path: String,
}

impl Default for Rebuilder {
    fn default() -> Self {
        Self {
            plan: RebuildPlan::task(),
            path: String::new(),
        }
    }
}

impl Rebuilder {
    /// Writes the JSON of the task that has these rows into `json`, and returns the problems. With problems, the JSON
    /// has everything that could be rebuilt.
    pub fn task(&mut self, rows: &TaskRows<'_>, json: &mut String) -> Vec<RowProblem> {
        json.clear();
        self.path.clear();
        let mut task = TaskRebuilder {
            cursors: rows.tables().iter().map(RowCursor::new).collect(),
            path: &mut self.path,
            json,
            problems: Vec::new(),
        };
        match task.take(self.plan.table) {
            Some(row) => task.object(&self.plan, row),
            // The result stays valid JSON, so that the rest can be compared.
            None => task.json.push_str("null"),
        }
        task.strays();
        task.problems
    }
}

/// Rebuilds one task.
struct TaskRebuilder<'w, 't> {
    /// The rows of each table, in the order of `TABLES`.
    cursors: Vec<RowCursor<'w, 't>>,
    path: &'w mut String,
    json: &'w mut String,
    problems: Vec<RowProblem>,
}

impl<'t> TaskRebuilder<'_, 't> {
    /// Takes the row at the current path.
    fn take(&mut self, table: Table) -> Option<RowRef<'t>> {
        let found = self
            .cursors
            .get_mut(table as usize)
            .map(|cursor| cursor.take(self.path));
        match found {
            Some(RowMatch::InOrder(row)) => Some(row),
            Some(RowMatch::Elsewhere(row)) => {
                self.problem(
                    table,
                    "the row after those of earlier objects",
                    "a row before them",
                );
                Some(row)
            }
            Some(RowMatch::Nothing) | None => {
                self.problem(table, "a row", "none");
                None
            }
        }
    }

    fn problem(&mut self, table: Table, expected: &str, found: &str) {
        self.problems.push(RowProblem {
            table: table.name(),
            path: self.path.clone(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    }

    /// Reports rows that were not taken.
    fn strays(&mut self) {
        for (table, cursor) in TABLES.iter().zip(&self.cursors) {
            for (path, is_double) in cursor.strays() {
                let (expected, found) = if is_double {
                    ("one row with this key", "a second row")
                } else {
                    ("no row: its parent is missing or does not count it", "one")
                };
                self.problems.push(RowProblem {
                    table: table.name,
                    path: path.to_owned(),
                    expected: expected.to_owned(),
                    found: found.to_owned(),
                });
            }
        }
    }

    /// Writes the object of a row: its columns, the rows below it, and the members of `extra`.
    fn object(&mut self, plan: &RebuildPlan, row: RowRef<'t>) {
        let mut parser = Parser::default();
        let extra = match plan.extra.and_then(|column| row.text(column)) {
            None => Value::default(),
            Some(text) => match parser.parse(text) {
                Ok(document) if document.root().is_object() && !document.root().is_empty() => {
                    document.root()
                }
                _ => {
                    self.problem(plan.table, "a JSON object in `extra`, or null", text);
                    Value::default()
                }
            },
        };
        self.json.push('{');
        let mark = self.json.len();
        self.members(&plan.steps, plan, row, extra);
        self.rest(&plan.steps, extra, mark);
        self.json.push('}');
    }

    /// Writes the members that have columns or rows. A member of `extra` with the same key comes first: the column is
    /// then null, or a time that does not give its text back.
    fn members(
        &mut self,
        steps: &[RebuildStep],
        plan: &RebuildPlan,
        row: RowRef<'t>,
        extra: Value<'_>,
    ) {
        let mark = self.json.len();
        for step in steps {
            let in_extra = extra.get(step.key());
            match step {
                RebuildStep::Field { key, columns } => {
                    let cell = columns
                        .iter()
                        .find_map(|column| Some((*column, row.cell(*column)?)));
                    if let Some((column, cell)) = cell.filter(|_| in_extra.is_none()) {
                        self.key(key, mark);
                        let written = value::write(plan.is_json(column), &cell, self.json);
                        if let Err(expected) = written {
                            self.problem(plan.table, expected, &cell.to_string());
                        }
                    }
                }
                RebuildStep::List { key, count, of } => {
                    if in_extra.is_none()
                        && let Some(count) = row.count(*count)
                    {
                        self.key(key, mark);
                        self.list(key, count, of);
                    }
                }
                RebuildStep::Part { key, steps } => {
                    let before = self.json.len();
                    let rest = in_extra.filter(Value::is_object);
                    if in_extra.is_some() && rest.is_none() {
                        // `extra` has another value for the part.
                        continue;
                    }
                    self.key(key, mark);
                    self.json.push('{');
                    let inside = self.json.len();
                    let path = self.path.len();
                    self.path.push('/');
                    self.path.push_str(key);
                    let rest_or_none = rest.unwrap_or_default();
                    self.members(steps, plan, row, rest_or_none);
                    self.rest(steps, rest_or_none, inside);
                    self.path.truncate(path);
                    // An absent part and an empty one have the same columns. `extra` has `{}` for the empty one (rule
                    // 12).
                    if self.json.len() == inside && rest.is_none() {
                        self.json.truncate(before);
                    } else {
                        self.json.push('}');
                    }
                }
            }
        }
    }

    /// Writes the rows of a list. The number of rows bounds the work, so that a wrong count cannot cost time.
    fn list(&mut self, key: &str, count: i32, of: &RebuildPlan) {
        let mark = self.path.len();
        self.path.push('/');
        self.path.push_str(key);
        let count = usize::try_from(count).unwrap_or_default();
        let there_are = self
            .cursors
            .get(of.table as usize)
            .map_or(0, RowCursor::len);
        self.json.push('[');
        let inside = self.json.len();
        let list = self.path.len();
        // Enough for every row, and for as many that are missing. Without rows, one missing row is reported.
        for index in 0..count.min(2 * there_are + 1) {
            push_index(self.path, index);
            if let Some(row) = self.take(of.table) {
                if self.json.len() > inside {
                    self.json.push(',');
                }
                self.object(of, row);
            }
            self.path.truncate(list);
        }
        self.path.truncate(mark);
        self.json.push(']');
    }

    /// Writes the rest of `extra`: all members except those that a part has taken.
    fn rest(&mut self, steps: &[RebuildStep], extra: Value<'_>, mark: usize) {
        for (key, member) in extra.members() {
            let is_part = |step: &RebuildStep| matches!(step, RebuildStep::Part { key: part, .. } if key.is(part));
            if member.is_object() && steps.iter().any(is_part) {
                continue;
            }
            if self.json.len() > mark {
                self.json.push(',');
            }
            self.json.push_str(key.raw());
            self.json.push(':');
            self.json.push_str(member.raw());
        }
    }

    fn key(&mut self, key: &str, mark: usize) {
        if self.json.len() > mark {
            self.json.push(',');
        }
        write_json_string(key, self.json);
        self.json.push(':');
    }
}

//! From a task's JSON to rows of all tables.
//!
//! Pure: the same responses in the same order give the same rows, whatever happened around them.
//! A task never fails here; what does not fit goes to `extra`. Depends on `json` and `tables`.

mod annotation;
mod entity;
mod fields;
mod file;
mod label;
mod message;
mod rubric;
mod task;
mod time;

pub use task::TASK_STATUSES;

use crate::json::{Document, Text};
use crate::tables::definition::Buffers;
use crate::tables::{BATCH_BYTES, BatchSink, Drift, Place, SinkError, TableSet};

use fields::{Objects, count};

/// Flattens tasks, one after the other.
#[derive(Debug)]
pub struct Flattener {
    tables: TableSet,
    drift: Drift,
    entities: entity::Seen,
    path: String,
}

impl Flattener {
    /// Begins with empty tables; rows of tables that `wanted` refuses by name are dropped.
    pub fn new(wanted: impl Fn(&str) -> bool) -> Self {
        Self::with_batches(wanted, BATCH_BYTES)
    }

    /// The same, with batches of so many bytes, about.
    pub fn with_batches(wanted: impl Fn(&str) -> bool, batch_bytes: usize) -> Self {
        Self {
            tables: TableSet::new(wanted, batch_bytes),
            drift: Drift::default(),
            entities: entity::Seen::default(),
            path: String::new(),
        }
    }

    /// Adds one task, the value of `document`, under the ID by which it was asked for.
    ///
    /// A document that is not an object gives a row of `tasks` without any values: bodies are
    /// checked before they come here.
    pub fn task(
        &mut self,
        task_id: &str,
        document: &Document<'_>,
        sink: &mut dyn BatchSink,
    ) -> Result<(), SinkError> {
        self.path.clear();
        let mut walk = Walk {
            buffers: &mut self.tables.buffers,
            drift: &mut self.drift,
            entities: &mut self.entities,
            sink,
            task_id,
            path: &mut self.path,
            counts: Counts::default(),
        };
        walk.task(document.root())
    }

    /// Hands over the rows that are left, and gives the drift report.
    pub fn finish(mut self, sink: &mut dyn BatchSink) -> Result<Drift, SinkError> {
        self.tables.finish(sink)?;
        Ok(self.drift)
    }
}

/// Rows of one task that its row in `tasks` counts.
#[derive(Debug, Default)]
struct Counts {
    turns: i32,
    messages: i32,
    annotations: i32,
    attachments: i32,
}

/// The way through one task.
struct Walk<'w> {
    buffers: &'w mut Buffers,
    drift: &'w mut Drift,
    entities: &'w mut entity::Seen,
    sink: &'w mut dyn BatchSink,
    task_id: &'w str,
    /// JSON Pointer to the object at hand.
    path: &'w mut String,
    counts: Counts,
}

type Flow = Result<(), SinkError>;

impl Walk<'_> {
    /// Visits the objects of a list, with the path set to each.
    fn each<'d>(
        &mut self,
        key: &str,
        objects: Objects<'d>,
        mut visit: impl FnMut(&mut Self, crate::json::Value<'d>, i32) -> Flow,
    ) -> Flow {
        for (index, object) in objects.iter().enumerate() {
            self.at(key, Some(index), |walk| visit(walk, object, count(index)))?;
        }
        Ok(())
    }

    /// Visits a part, with the path set to it.
    fn at(
        &mut self,
        key: &str,
        index: Option<usize>,
        visit: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let mark = self.path.len();
        self.path.push('/');
        self.path.push_str(key);
        if let Some(index) = index {
            crate::tables::column::push_index(self.path, index);
        }
        let flow = visit(self);
        self.path.truncate(mark);
        flow
    }
}

/// The place of a task itself: no path, no thread.
fn task_place(task_id: &str) -> Place<'_> {
    Place {
        task_id: Text::plain(task_id),
        path: "",
        thread_id: None,
        thread_index: None,
        turn_id: None,
        turn_index: None,
        message_id: None,
        message_index: None,
    }
}

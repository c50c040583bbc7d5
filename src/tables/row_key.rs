//! The key of a row: where the row is in its task, and the columns that most tables begin with.

use std::fmt::Debug;

use crate::json::text::Text;
use crate::tables::cell::Cell;
use crate::tables::column::{ColumnInfo, ColumnType};

/// What a row of a table stands for, which decides the columns that the table begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A task: the table has its own `task_id`.
    Task,
    /// A part of a task, whose key has columns down to this depth.
    Part(Depth),
    /// A project or batch, which tasks name: no common columns.
    Entity,
    /// A task that changed between two publications: no common columns, and no `extra`.
    Change,
}

/// How deep in a task the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The columns `task_id` and `path`.
    Task,
    /// The same, and the columns of the thread.
    Thread,
    /// The same, and the columns of the turn.
    Turn,
    /// The same, and the columns of the message.
    Message,
}

/// The common columns, outermost first.
const COLUMNS: [ColumnInfo; 8] = [
    ColumnInfo {
        name: "task_id",
        column_type: ColumnType::Str,
        required: true,
        doc: "ID of the task that the row belongs to",
    },
    ColumnInfo {
        name: "path",
        column_type: ColumnType::Path,
        required: true,
        doc: "JSON Pointer (RFC 6901) of the row's object in the task; with `task_id`, the primary key",
    },
    ColumnInfo {
        name: "thread_id",
        column_type: ColumnType::Str,
        required: false,
        doc: "The `id` of the thread",
    },
    ColumnInfo {
        name: "thread_index",
        column_type: ColumnType::Int32,
        required: false,
        doc: "Index of the thread in the task, from 0",
    },
    ColumnInfo {
        name: "turn_id",
        column_type: ColumnType::UniqueStr,
        required: false,
        doc: "The `id` of the turn",
    },
    ColumnInfo {
        name: "turn_index",
        column_type: ColumnType::Int32,
        required: false,
        doc: "Index of the turn in its thread, from 0",
    },
    ColumnInfo {
        name: "message_id",
        column_type: ColumnType::UniqueStr,
        required: false,
        doc: "ID of the message, as in `messages.message_id`",
    },
    ColumnInfo {
        name: "message_index",
        column_type: ColumnType::Int32,
        required: false,
        doc: "Index of the message in its turn, from 0",
    },
];

impl RowKind {
    /// The common columns that a table of such rows begins with.
    pub fn columns(self) -> &'static [ColumnInfo] {
        COLUMNS.get(..self.column_count()).unwrap_or(&COLUMNS)
    }

    /// The number of common columns.
    pub(crate) const fn column_count(self) -> usize {
        match self {
            Self::Task | Self::Entity | Self::Change => 0,
            Self::Part(Depth::Task) => 2,
            Self::Part(Depth::Thread) => 4,
            Self::Part(Depth::Turn) => 6,
            Self::Part(Depth::Message) => 8,
        }
    }
}

/// The values of the common columns. What is deeper than the row is `None`.
#[derive(Debug, Clone, Copy)]
pub struct RowKey<'a> {
    /// The ID of the task.
    pub task_id: Text<'a>,
    /// JSON Pointer to the row's object.
    pub path: &'a str,
    /// The thread's own ID.
    pub thread_id: Option<Text<'a>>,
    /// The index of the thread in the task.
    pub thread_index: Option<i32>,
    /// The turn's own ID.
    pub turn_id: Option<Text<'a>>,
    /// The index of the turn in the thread.
    pub turn_index: Option<i32>,
    /// The generated ID of the message.
    pub message_id: Option<Text<'a>>,
    /// The index of the message in the turn.
    pub message_index: Option<i32>,
}

impl<'a> RowKey<'a> {
    /// The key of a task, which has no path.
    pub(crate) fn of_task(task_id: &'a str) -> Self {
        Self {
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

    /// The cells of all common columns.
    pub(crate) fn cells(&self) -> [Option<Cell<'a>>; COLUMNS.len()] {
        [
            Some(Cell::Text(self.task_id)),
            Some(Cell::Text(Text::plain(self.path))),
            self.thread_id.map(Cell::Text),
            self.thread_index.map(Cell::Int32),
            self.turn_id.map(Cell::Text),
            self.turn_index.map(Cell::Int32),
            self.message_id.map(Cell::Text),
            self.message_index.map(Cell::Int32),
        ]
    }

    /// The same key with the path of a row's object.
    pub(crate) fn at(self, path: &'a str) -> Self {
        Self { path, ..self }
    }
}

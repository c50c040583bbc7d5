//! Where a row stands in its task: the columns that most tables begin with. Depends on `column`.

use std::fmt::Debug;

use arrow::array::ArrayRef;

use crate::json::text::Text;
use crate::tables::column::{
    Column, ColumnInfo, ColumnType, Int32, Optional, Path, Required, Str, UniqueStr,
};

/// How far down the rows of a table reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Not inside a task: no common columns.
    None,
    /// `task_id` and `path`.
    Task,
    /// Those and the thread.
    Thread,
    /// Those and the turn.
    Turn,
    /// Those and the message.
    Message,
}

/// The common columns, outermost first.
const COLUMNS: [ColumnInfo; 8] = [
    ColumnInfo {
        name: "task_id",
        column_type: ColumnType::Str,
        required: true,
        doc: "The task that the row belongs to",
    },
    ColumnInfo {
        name: "path",
        column_type: ColumnType::Path,
        required: true,
        doc: "JSON Pointer (RFC 6901) to the row's object in the task; with `task_id` the primary key",
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
        doc: "Place of the thread in the task, from 0",
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
        doc: "Place of the turn in its thread, from 0",
    },
    ColumnInfo {
        name: "message_id",
        column_type: ColumnType::UniqueStr,
        required: false,
        doc: "The message, as in `messages.message_id`",
    },
    ColumnInfo {
        name: "message_index",
        column_type: ColumnType::Int32,
        required: false,
        doc: "Place of the message in its turn, from 0",
    },
];

impl Depth {
    /// The common columns of a table of this depth.
    pub fn columns(self) -> &'static [ColumnInfo] {
        let count = match self {
            Self::None => 0,
            Self::Task => 2,
            Self::Thread => 4,
            Self::Turn => 6,
            Self::Message => 8,
        };
        COLUMNS.get(..count).unwrap_or(&COLUMNS)
    }
}

/// The values of the common columns; what lies below the row's place is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The task.
    pub task_id: Text<'a>,
    /// JSON Pointer to the row's object.
    pub path: &'a str,
    /// The thread's own ID.
    pub thread_id: Option<Text<'a>>,
    /// The thread's place in the task.
    pub thread_index: Option<i32>,
    /// The turn's own ID.
    pub turn_id: Option<Text<'a>>,
    /// The turn's place in the thread.
    pub turn_index: Option<i32>,
    /// The message's made-up ID.
    pub message_id: Option<Text<'a>>,
    /// The message's place in the turn.
    pub message_index: Option<i32>,
}

/// The common columns while rows are appended.
#[derive(Debug, Default)]
pub(crate) struct PlaceColumns {
    task_id: Required<Str>,
    path: Required<Path>,
    thread_id: Optional<Str>,
    thread_index: Optional<Int32>,
    turn_id: Optional<UniqueStr>,
    turn_index: Optional<Int32>,
    message_id: Optional<UniqueStr>,
    message_index: Optional<Int32>,
}

impl PlaceColumns {
    /// Appends the columns of a depth; gives the bytes they take, about.
    pub(crate) fn append(&mut self, depth: Depth, place: &Place<'_>) -> usize {
        let mut size = 0;
        if depth >= Depth::Task {
            size += self.task_id.append(place.task_id) + self.path.append(place.path);
        }
        if depth >= Depth::Thread {
            size += self.thread_id.append(place.thread_id);
            size += self.thread_index.append(place.thread_index);
        }
        if depth >= Depth::Turn {
            size += self.turn_id.append(place.turn_id);
            size += self.turn_index.append(place.turn_index);
        }
        if depth >= Depth::Message {
            size += self.message_id.append(place.message_id);
            size += self.message_index.append(place.message_index);
        }
        size
    }

    /// Takes out the columns of a depth.
    pub(crate) fn finish(&mut self, depth: Depth, arrays: &mut Vec<ArrayRef>) {
        let all: [&mut dyn FnMut() -> ArrayRef; 8] = [
            &mut || self.task_id.finish(),
            &mut || self.path.finish(),
            &mut || self.thread_id.finish(),
            &mut || self.thread_index.finish(),
            &mut || self.turn_id.finish(),
            &mut || self.turn_index.finish(),
            &mut || self.message_id.finish(),
            &mut || self.message_index.finish(),
        ];
        arrays.extend(
            all.into_iter()
                .take(depth.columns().len())
                .map(|finish| finish()),
        );
    }
}

//! Reads tasks from a file, to serve them byte for byte.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::json::parser::Parser;
use crate::json::value::Value;
use crate::sandbox::error::{SandboxError, TaskFileError, TaskLineError};

/// A project or batch that a task names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskGroup {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    /// The object, if the task has one.
    pub(crate) object: Option<String>,
}

impl TaskGroup {
    fn of(value: Value<'_>) -> Option<Self> {
        let text = |value: Option<Value<'_>>| Some(value?.text()?.to_string());
        if value.is_object() {
            return Some(Self {
                id: text(value.get("id"))?,
                name: text(value.get("name")),
                object: Some(value.raw().to_owned()),
            });
        }
        Some(Self {
            id: text(Some(value))?,
            name: None,
            object: None,
        })
    }

    /// Whether this is the ID or, if not `by_id`, the name.
    pub(crate) fn is(&self, by_id: bool, wanted: &str) -> bool {
        if by_id {
            self.id == wanted
        } else {
            self.name.as_deref() == Some(wanted)
        }
    }
}

/// A task of a file.
#[derive(Debug)]
pub(crate) struct FixtureTask {
    pub(crate) task_id: String,
    pub(crate) body: Bytes,
    pub(crate) project: Option<TaskGroup>,
    pub(crate) batch: Option<TaskGroup>,
}

/// The tasks of a file in order.
#[derive(Debug, Default)]
pub(crate) struct Fixture {
    pub(crate) tasks: Vec<FixtureTask>,
    places: HashMap<String, usize>,
}

impl Fixture {
    /// Returns a task by its ID.
    pub(crate) fn get(&self, task_id: &str) -> Option<&FixtureTask> {
        self.tasks.get(*self.places.get(task_id)?)
    }
}

/// Reads all tasks of a `.jsonl` or `.jsonl.gz` file. Of tasks with the same ID, the last one counts.
pub(crate) fn read(path: &Path) -> Result<Fixture, SandboxError> {
    let failed = |cause| SandboxError::Source {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(|error| failed(TaskFileError::Read(error)))?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut source = Fixture::default();
    let mut parser = Parser::default();
    for (index, line) in BufReader::new(reader).split(b'\n').enumerate() {
        let line = line.map_err(|error| failed(TaskFileError::Read(error)))?;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let bad = |cause| {
            let number = index + 1;
            failed(TaskFileError::Line { number, cause })
        };
        let json = std::str::from_utf8(text).map_err(|_| bad(TaskLineError::NotUtf8))?;
        let document = parser
            .parse(json)
            .map_err(|error| bad(TaskLineError::NotJson(error)))?;
        let root = document.root();
        let id = root.get("task_id").and_then(|id| id.text());
        let id = id.ok_or_else(|| bad(TaskLineError::NoTaskId))?;
        let given = FixtureTask {
            task_id: id.to_string(),
            body: Bytes::copy_from_slice(text),
            project: root.get("project").and_then(TaskGroup::of),
            batch: root.get("batch").and_then(TaskGroup::of),
        };
        let place = source.places.get(&given.task_id).copied();
        if let Some(before) = place.and_then(|place| source.tasks.get_mut(place)) {
            *before = given;
        } else {
            let place = source.tasks.len();
            source.places.insert(given.task_id.clone(), place);
            source.tasks.push(given);
        }
    }
    Ok(source)
}

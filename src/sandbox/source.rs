//! Tasks from a file, served byte for byte. Depends on `json`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::SandboxError;
use crate::json::Parser;

/// Reads all tasks of a `.jsonl` or `.jsonl.gz` file, by their ID.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Bytes>, SandboxError> {
    let failed = |cause: String| SandboxError::Source {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut tasks = HashMap::new();
    let mut parser = Parser::default();
    for (index, line) in BufReader::new(reader).split(b'\n').enumerate() {
        let line = line.map_err(|error| failed(error.to_string()))?;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let bad = |cause: &str| failed(format!("line {}: {cause}", index + 1));
        let json = std::str::from_utf8(text).map_err(|_| bad("it is not UTF-8"))?;
        let document = parser
            .parse(json)
            .map_err(|error| bad(&error.to_string()))?;
        let id = document.root().get("task_id").and_then(|id| id.text());
        let id = id.ok_or_else(|| bad("it has no `task_id`"))?;
        tasks.insert(id.to_string(), Bytes::copy_from_slice(text));
    }
    Ok(tasks)
}

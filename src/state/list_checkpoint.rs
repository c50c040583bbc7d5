//! The list checkpoint: the page that each list was read up to, so that an interrupted run resumes there.
//!
//! The file has a head, then one line of JSON for each page.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::lists::list_all::ListResume;
use crate::lists::page_cursor::CursorPosition;
use crate::output_error::OutputError;

/// Version of the file's format.
const VERSION: u32 = 1;

/// Bytes of the file, at most: it holds every ID once.
const MAX_BYTES: u64 = 1 << 30;

/// The first line: the lists and the export that the checkpoint belongs to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointHead {
    version: u32,
    lists: Vec<String>,
    /// When the export before was published: a checkpoint that is older than that is over.
    published: Option<String>,
}

impl CheckpointHead {
    /// For these lists, and an output directory with this export.
    pub(crate) fn new(lists: Vec<String>, published: Option<String>) -> Self {
        Self {
            version: VERSION,
            lists,
            published,
        }
    }
}

/// Any other line: a page.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckpointPage {
    list: usize,
    by_name: bool,
    pass: u32,
    token: Option<String>,
    is_unsettled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
    /// Tasks that had not come before.
    ids: Vec<String>,
}

impl CheckpointPage {
    /// A page of the list at an index, with the place behind it and its new tasks.
    pub(crate) fn new(
        list: usize,
        position: CursorPosition,
        done: Option<bool>,
        ids: Vec<String>,
    ) -> Self {
        Self {
            list,
            by_name: position.by_name,
            pass: position.pass,
            token: position.token,
            is_unsettled: position.is_unsettled,
            done,
            ids,
        }
    }
}

/// The file, open to be written.
#[derive(Debug)]
pub(crate) struct ListCheckpoint {
    path: PathBuf,
    file: File,
    end: u64,
}

impl ListCheckpoint {
    /// Opens what an earlier run left of the same lists, or starts a new file. Returns where each list resumes.
    pub(crate) fn open(
        path: PathBuf,
        head: &CheckpointHead,
    ) -> Result<(Self, Vec<ListResume>), OutputError> {
        let mut resume: Vec<ListResume> =
            head.lists.iter().map(|_| ListResume::default()).collect();
        // A file that cannot be read is replaced: it only saves requests.
        let text = durable_fs::read_small(&path, MAX_BYTES).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let end = read(&text, head, &mut resume).unwrap_or(0);
        let opened = durable_fs::open(&path, Access::Owner);
        let file = opened.map_err(OutputError::io("open", &path))?;
        let mut checkpoint = Self {
            path,
            file,
            end: end as u64,
        };
        // Drops an incomplete last line.
        durable_fs::set_length(&checkpoint.file, &checkpoint.path, checkpoint.end)
            .map_err(|error| checkpoint.failed("truncate", error))?;
        if end == 0 {
            checkpoint.write(head)?;
        }
        Ok((checkpoint, resume))
    }

    /// Appends a page.
    pub(crate) fn append(&mut self, page: &CheckpointPage) -> Result<(), OutputError> {
        self.write(page)
    }

    /// Makes all pages survive a power loss.
    pub(crate) fn sync(&self) -> Result<(), OutputError> {
        durable_fs::sync(&self.file, &self.path).map_err(|error| self.failed("sync", error))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), OutputError> {
        // Strings and numbers: serialization cannot fail.
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        durable_fs::write_all_at(&self.file, &self.path, &text, self.end)
            .map_err(|error| self.failed("write", error))?;
        self.end += text.len() as u64;
        Ok(())
    }

    fn failed(&self, operation: &'static str, error: io::Error) -> OutputError {
        OutputError::io(operation, &self.path)(error)
    }
}

/// Removes a checkpoint, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), OutputError> {
    durable_fs::remove(path).map_err(OutputError::io("remove", path))
}

/// Reads the whole lines of a file; returns where they end, or `None` when it has another head.
fn read(text: &str, head: &CheckpointHead, resume: &mut [ListResume]) -> Option<usize> {
    let mut lines = text
        .split_inclusive('\n')
        .take_while(|line| line.ends_with('\n'));
    let first = lines.next()?;
    // Pages of other lists, or from before the last publication, say nothing about these.
    if serde_json::from_str::<CheckpointHead>(first).ok()? != *head {
        return None;
    }
    let mut end = first.len();
    for text in lines {
        let Ok(page) = serde_json::from_str::<CheckpointPage>(text) else {
            break;
        };
        let Some(list) = resume.get_mut(page.list) else {
            break;
        };
        for task_id in &page.ids {
            // It was valid when it was written.
            let _ = list.ids.insert(task_id);
        }
        list.done = page.done;
        list.position = CursorPosition {
            by_name: page.by_name,
            pass: page.pass,
            token: page.token,
            is_unsettled: page.is_unsettled,
        };
        end += text.len();
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(list: usize, id: &str) -> CheckpointPage {
        CheckpointPage::new(list, CursorPosition::default(), None, vec![id.to_owned()])
    }

    #[test]
    fn a_checkpoint_resumes_the_same_lists_only_and_drops_a_torn_page() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("listing");
        let head = |name: &str| CheckpointHead::new(vec![name.to_owned()], None);
        let ids = |head: &CheckpointHead| {
            let (_, resume) = ListCheckpoint::open(path.clone(), head).unwrap();
            resume[0].ids.len()
        };
        let (mut checkpoint, _) = ListCheckpoint::open(path.clone(), &head("a")).unwrap();
        checkpoint.append(&page(0, "task_1")).unwrap();
        checkpoint.append(&page(0, "task_2")).unwrap();
        assert_eq!(ids(&head("a")), 2);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(ids(&head("a")), 1);
        assert_eq!(ids(&head("b")), 0);
        assert_eq!(ids(&head("a")), 0);
    }
}

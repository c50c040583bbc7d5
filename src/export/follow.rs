//! Follows the journal in the order of the IDs, while it is being written, and reads ahead of the tables.
//! Depends on `journal` and the files of this folder.

use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::ExportError;
use super::arrival::{Arrival, Feed, feed};
use super::build::Fed;
use super::index::{Index, Slot};
use super::recent::{Recent, Response};
use crate::ids::IdList;
use crate::journal::JournalReader;
use crate::response::KEPT_BYTES;

/// How long others may gather behind a response that has not come: waking a thread for each costs more than
/// flattening it.
const GATHER: Duration = Duration::from_millis(5);

/// Where the responses are that the tables are built from.
pub(super) struct Followed<'f> {
    pub(super) ids: &'f IdList,
    pub(super) index: &'f Index,
    pub(super) reader: JournalReader,
    pub(super) recent: &'f Recent,
}

impl Followed<'_> {
    /// Hands over what there is for every ID, one after the other. It is not whole when the run ended before every
    /// ID had come, or when nobody listens any more.
    pub(super) fn feed(self, mut to: Feed) -> Result<Fed<()>, ExportError> {
        let is_whole = self.all(&mut to)?;
        Ok(Fed { is_whole, left: () })
    }

    fn all(mut self, to: &mut Feed) -> Result<bool, ExportError> {
        for (position, task_id) in self.ids.iter().enumerate() {
            let slot = match self.index.look(position) {
                Slot::Waiting => {
                    if to.flush().is_err() {
                        return Ok(false);
                    }
                    thread::sleep(GATHER);
                    self.index.wait(position)
                }
                slot => slot,
            };
            let arrival = match slot {
                Slot::Waiting => return Ok(false),
                Slot::Response(location) => {
                    let response = if let Some(response) = self.recent.take(position) {
                        response
                    } else {
                        let mut body = Vec::new();
                        self.reader.read(task_id, location, &mut body)?;
                        if body.len() > KEPT_BYTES {
                            self.reader.shrink();
                        }
                        Response {
                            body: Bytes::from(body),
                            nodes: None,
                        }
                    };
                    Arrival::Response(response)
                }
                Slot::Failure(location) => {
                    let mut body = Vec::new();
                    Arrival::Failure(self.reader.read_failure(task_id, location, &mut body)?)
                }
                Slot::Missing => Arrival::Missing,
            };
            if feed(to, task_id.to_owned(), arrival).is_err() {
                return Ok(false);
            }
        }
        Ok(to.flush().is_ok())
    }
}

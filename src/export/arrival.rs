//! What comes for each ID, on its way to the tables: in the order of the rows, several at once, since waking a
//! thread for each would cost as much as flattening it. Depends on `journal` and `recent`.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::recent::Response;
use crate::journal::FailureNote;

/// Bytes of responses that are handed over at once, if none waits for them.
const BUNDLE_BYTES: usize = 256 << 10;

/// Bundles that may wait. With the one that is being made and the one that is being read, this bounds what is
/// in memory to four bundles, or to four responses that are larger than one.
const WAITING_BUNDLES: usize = 2;

/// What there is for an ID.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A response.
    Response(Response),
    /// A final failure.
    Failure(FailureNote),
    /// Nothing, and nothing will come.
    Missing,
}

/// An ID with what there is for it.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) task_id: String,
    pub(super) arrival: Arrival,
}

/// The way to the tables.
pub(super) fn channel() -> (Feed, Receiver<Vec<Arrived>>) {
    let (sender, receiver) = sync_channel(WAITING_BUNDLES);
    let feed = Feed {
        sender,
        bundle: Vec::new(),
        bytes: 0,
    };
    (feed, receiver)
}

/// The tables are not built any further; their side says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NobodyListens;

/// Hands over what comes, in order.
#[derive(Debug)]
pub(super) struct Feed {
    sender: SyncSender<Vec<Arrived>>,
    bundle: Vec<Arrived>,
    bytes: usize,
}

impl Feed {
    /// Hands one over, now or with the next ones.
    pub(super) fn push(&mut self, task_id: String, arrival: Arrival) -> Result<(), NobodyListens> {
        self.bytes += size_of::<Arrived>();
        if let Arrival::Response(response) = &arrival {
            self.bytes += response.size();
        }
        self.bundle.push(Arrived { task_id, arrival });
        if self.bytes >= BUNDLE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Hands over what waits: there is nothing else to do.
    pub(super) fn flush(&mut self) -> Result<(), NobodyListens> {
        if self.bundle.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let bundle = std::mem::take(&mut self.bundle);
        self.sender.send(bundle).map_err(|_| NobodyListens)
    }
}

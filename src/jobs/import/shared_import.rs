//! What the threads of an import share.

use tokio_util::sync::CancellationToken;

use crate::ids::range_cutter::RangeLengths;
use crate::ids::shared_ids::SharedIds;
use crate::jobs::journal_index::SharedIndex;
use crate::jobs::ranges::range_list::RangeList;
use crate::jobs::response_cache::ResponseCache;

/// What the threads of an import share.
#[derive(Debug)]
pub(crate) struct SharedImport {
    pub(crate) ids: SharedIds,
    pub(crate) ranges: RangeList,
    pub(crate) index: SharedIndex,
}

/// Marks the list as complete when the reading thread ends, however it ends: a thread that waits for more would wait
/// forever.
pub(crate) struct ListCloser<'i>(pub(crate) &'i SharedImport);

impl Drop for ListCloser<'_> {
    fn drop(&mut self) {
        self.0.ranges.close();
        self.0.index.close();
    }
}

impl SharedImport {
    /// Starts without IDs.
    pub(crate) fn new() -> Self {
        Self {
            ids: SharedIds::default(),
            ranges: RangeList::new(RangeLengths::of_program()),
            index: SharedIndex::growing(),
        }
    }
}

/// Says that all tasks were read, when the reading thread ends, however it ends. The journal may not have all records yet.
pub(crate) struct ReadEnd<'i> {
    pub(crate) shared: &'i SharedImport,
    pub(crate) feed: Option<Feed<'i>>,
}

impl Drop for ReadEnd<'_> {
    fn drop(&mut self) {
        self.shared.ranges.close();
        if let Some(feed) = self.feed {
            feed.cache.end();
        }
    }
}

/// Where the reading thread leaves responses for the tables, as long as no task comes twice: of several responses the
/// last counts.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'f> {
    pub(crate) cache: &'f ResponseCache,
    /// Cancelled when a task comes twice.
    pub(crate) build: &'f CancellationToken,
}

//! The network's runtime, on the thread that calls: it lives as long as its work, and ends when the user or another
//! part of the run says so. Depends on `fetch` and `learned`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::api::client::TaskClient;
use crate::api::error::FetchError;
use crate::event::Events;
use crate::fetch::options::{CheckBody, FetchOptions};
use crate::jobs::error::ExportError;
use crate::state::pace_memory;

/// Connections that hang are not worth waiting for.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// What everything that asks the API needs.
pub(crate) struct Network<'r> {
    pub(crate) client: &'r TaskClient,
    pub(crate) options: &'r FetchOptions,
    pub(crate) check: &'r Arc<dyn CheckBody>,
    pub(crate) events: &'r Events,
    pub(crate) cancel: &'r CancellationToken,
    /// The output directory, where what is learned of the server is kept.
    pub(crate) out: &'r Path,
}

impl Drop for Network<'_> {
    /// However the run ends, what it learned of the server is of use to the next one.
    fn drop(&mut self) {
        pace_memory::remember(self.out, self.options, self.client.learned());
    }
}

/// Runs asynchronous work on this thread. Work that watches a cancellation token ends by itself.
pub(crate) fn block_on<T>(
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, ExportError> {
    let runtime = crate::threads::runtime().map_err(ExportError::Runtime)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(done?)
}

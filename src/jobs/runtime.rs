//! What every part of a job that uses the network needs, and the runtime on the thread that calls.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::fetch::fetcher::{FetchContext, Fetcher};
use crate::jobs::error::ExportError;
use crate::pacer::types::{LearnedRate, Rate};
use crate::state::pace_memory;
use crate::state::paths::StateDir;

/// Connections that hang are not worth waiting for.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// What every part of a job that uses the network needs.
pub(crate) struct Network<'r> {
    pub(crate) context: FetchContext<'r>,
    pub(crate) cancel: &'r CancellationToken,
    /// The state directory, where what is learned of the rate is kept, if there is one.
    pub(crate) state: Option<&'r StateDir>,
}

impl<'r> Network<'r> {
    /// A fetcher that begins with what was learned of the rate before, by this run or an earlier one.
    pub(crate) fn fetcher(
        &self,
        learned: Option<LearnedRate>,
        good_ids: Vec<String>,
    ) -> Fetcher<'r> {
        let client = &self.context.options.client;
        let learned = learned.or_else(|| pace_memory::recall(self.state?, client));
        Fetcher::new(self.context, learned, good_ids)
    }

    /// Writes what a fetcher has learned of the rate, for later runs, and returns it. Nothing where the rate was given.
    pub(crate) fn remember(&self, fetcher: &Fetcher<'_>) -> Option<LearnedRate> {
        let options = self.context.options;
        let learned = fetcher
            .learned()
            .filter(|_| options.rate == Rate::Learned)?;
        if let Some(state) = self.state {
            pace_memory::remember(state, &options.client, learned);
        }
        Some(learned)
    }
}

/// Runs asynchronous work on this thread, until it is done or `cancel` is cancelled: then `None`, and what is in flight
/// is dropped.
pub(crate) fn block_on<T, E: Into<ExportError>>(
    work: impl Future<Output = Result<T, E>>,
    cancel: &CancellationToken,
) -> Result<Option<T>, ExportError> {
    let runtime = crate::threads::runtime().map_err(ExportError::Runtime)?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => done.map(Some),
            () = cancel.cancelled() => Ok(None),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN);
    done.map_err(Into::into)
}

//! The network's runtime, on the thread that calls: it lives as long as its work, and ends when the user or another
//! part of the run says so. Depends on `fetch` and `learned`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

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
    pub(crate) stop: &'r watch::Receiver<bool>,
    /// The output directory, where what is learned of the server is kept.
    pub(crate) out: &'r Path,
}

impl Drop for Network<'_> {
    /// However the run ends, what it learned of the server is of use to the next one.
    fn drop(&mut self) {
        pace_memory::remember(self.out, self.options, self.client.learned());
    }
}

/// Runs the work, which is told when to stop: by the user, or because `halt` says so.
pub(crate) fn block_on<T, F>(
    stop: &watch::Receiver<bool>,
    halt: Option<watch::Receiver<bool>>,
    work: impl FnOnce(watch::Receiver<bool>) -> F,
) -> Result<T, ExportError>
where
    F: Future<Output = Result<T, FetchError>>,
{
    let mut stop = stop.clone();
    let runtime = crate::threads::runtime().map_err(ExportError::Runtime)?;
    let (merged_sender, merged) = watch::channel(false);
    let merge = async move {
        let halted = async {
            match halt {
                Some(mut halt) => drop(halt.wait_for(|halted| *halted).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => {}
            () = halted => {}
        }
        let _ = merged_sender.send(true);
    };
    let done = runtime.block_on(async {
        let work = work(merged);
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = merge => {}
        }
        // It has been told, and ends by itself.
        work.await
    });
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(done?)
}

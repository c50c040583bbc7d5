//! The library of Delta tables, with a store of this program.

use std::sync::Arc;

use delta_kernel::KernelError;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::error::StoreFault;
use crate::bucket::store::{ExportStore, cause_text, fault_of};
use crate::delta::delta_error::DeltaError;

/// Threads that send requests. The library waits for one operation at a time.
const REQUEST_THREADS: usize = 1;

/// Threads for files of a local directory, and for encoding checkpoints.
const BLOCKING_THREADS: usize = 2;

/// The runtime of all requests, those of the library included: connections belong to a runtime.
pub(crate) type Executor = TokioMultiThreadExecutor;

/// What the library does its requests with.
pub(crate) type Engine = DefaultEngine<Executor>;

/// Starts the runtime for the tables at a place.
pub(crate) fn executor(url: &BucketUrl) -> Result<Arc<Executor>, DeltaError> {
    let started = Executor::new_owned_runtime(Some(REQUEST_THREADS), Some(BLOCKING_THREADS));
    let started =
        started.map_err(Operation::on("start the runtime for", &url.to_string()).failed());
    started.map(Arc::new)
}

/// An engine for the tables in a store.
pub(crate) fn engine(store: &ExportStore, executor: Arc<Executor>) -> Engine {
    let builder = DefaultEngineBuilder::new(store.shared());
    builder.with_task_executor(executor).build()
}

/// What is done with a table, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    verb: &'static str,
    url: String,
}

impl Operation {
    /// An operation on a table, or on all tables at a place.
    pub(crate) fn on(verb: &'static str, url: &str) -> Self {
        Self {
            verb,
            url: url.to_owned(),
        }
    }

    /// Turns an error of the library into one of this program.
    pub(crate) fn failed(self) -> impl FnOnce(KernelError) -> DeltaError {
        move |error| self.error(innermost(&error))
    }

    fn error(self, error: &KernelError) -> DeltaError {
        let Self {
            verb: operation,
            url,
        } = self;
        let (cause, fault) = match error {
            KernelError::ObjectStore(error) => (cause_text(error), fault_of(error)),
            KernelError::FileNotFound(path) => {
                (format!("`{path}` was not found"), StoreFault::NotFound)
            }
            error => {
                return DeltaError::Log {
                    operation,
                    url,
                    cause: error.to_string(),
                };
            }
        };
        DeltaError::Store {
            operation,
            url,
            cause,
            fault,
        }
    }
}

/// The error without its backtrace.
fn innermost(error: &KernelError) -> &KernelError {
    match error {
        KernelError::Backtraced { source, .. } => innermost(source),
        error => error,
    }
}

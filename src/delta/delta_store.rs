//! The requests of Delta tables: those of this program, and those of the library, which blocks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use delta_kernel_default_engine::executor::TaskExecutor as _;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::bucket::bucket_url::BucketUrl;
use crate::bucket::condition_probe::probe_conditions;
use crate::bucket::error::BucketError;
use crate::bucket::store::{ExportStore, StoredObject};
use crate::bucket::store_options::StoreOptions;
use crate::bucket::upload::upload_file;
use crate::delta::delta_error::DeltaError;
use crate::delta::delta_table::{TablePlace, TableVersion};
use crate::delta::kernel::{Engine, Executor, engine, executor};
use crate::tables::table::TableInfo;
use crate::threads;

/// How often a wait for the library looks whether the user stops the job.
const POLL: Duration = Duration::from_millis(50);

/// The scheme of locations. The library only joins paths to them; the store sees the path alone.
const LOCATION_SCHEME: &str = "store";

/// The host in the location of a local directory. The library sorts what it lists for hosts with this ending, which are
/// stores that list in any order, as a directory does.
const UNORDERED_HOST: &str = "directory--x-s3";

/// The store of Delta tables, and the library that reads and writes their logs.
#[derive(Debug)]
pub(crate) struct DeltaStore {
    store: Arc<ExportStore>,
    executor: Arc<Executor>,
    engine: Arc<Engine>,
    cancel: CancellationToken,
}

impl DeltaStore {
    /// The store at a URL. Sends no request.
    pub(crate) fn open(
        url: &BucketUrl,
        options: &StoreOptions,
        cancel: &CancellationToken,
    ) -> Result<Self, DeltaError> {
        let store = Arc::new(ExportStore::open(url, options)?);
        let executor = executor(url)?;
        Ok(Self {
            engine: Arc::new(engine(&store, Arc::clone(&executor))),
            store,
            executor,
            cancel: cancel.clone(),
        })
    }

    /// Runs an operation of the store on the runtime of the requests.
    fn run<T, F>(&self, operation: impl FnOnce(Arc<ExportStore>) -> F) -> Result<T, DeltaError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BucketError>> + Send + 'static,
    {
        let operation = operation(Arc::clone(&self.store));
        let cancel = self.cancel.clone();
        self.executor.block_on(async move {
            tokio::select! {
                done = operation => done.map_err(DeltaError::from),
                () = cancel.cancelled() => Err(DeltaError::Interrupted),
            }
        })
    }

    /// Runs an operation of the library, which waits for the store. It goes on in its thread if the user stops the job.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Engine) -> Result<T, DeltaError> + Send + 'static,
    ) -> Result<T, DeltaError> {
        let engine = Arc::clone(&self.engine);
        let (sender, receiver) = mpsc::channel();
        let spawned = threads::builder().spawn(move || {
            // Without a receiver, the job was stopped.
            let _ = sender.send(operation(&engine));
        });
        let failed = |cause: String| DeltaError::Log {
            operation: "use the Delta tables in",
            url: self.store.url().to_string(),
            cause,
        };
        spawned.map_err(|error| failed(error.to_string()))?;
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed("the library of Delta tables failed".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                    return Err(DeltaError::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Fails if the store ignores conditions, so that two runs could commit the same version.
    pub(crate) fn probe(&self) -> Result<(), DeltaError> {
        if self.store.url().local_directory().is_some() {
            // The file system creates a file once.
            return Ok(());
        }
        self.run(|store| async move { probe_conditions(&store).await })
    }

    /// The objects in the folder of a table.
    pub(crate) fn objects(
        &self,
        table: &'static TableInfo,
    ) -> Result<Vec<StoredObject>, DeltaError> {
        let folder = folder_of(table);
        let listed = self.run(|store| async move { store.list(&folder_of(table)).await })?;
        let objects = listed.into_iter().filter_map(|object| {
            let name = object.name.strip_prefix(&folder)?.to_owned();
            Some(StoredObject { name, ..object })
        });
        Ok(objects.collect())
    }

    /// Reads the current version of a table that exists.
    pub(crate) fn read(&self, place: &TablePlace) -> Result<TableVersion, DeltaError> {
        let place = place.clone();
        self.wait_for(move |engine| TableVersion::read(engine, &place))
    }

    /// Uploads the file of a table.
    pub(crate) fn upload(
        &self,
        local: PathBuf,
        bytes: u64,
        object: String,
    ) -> Result<(), DeltaError> {
        self.run(|store| async move { upload_file(&store, &local, bytes, &object).await })
    }

    /// The place of a table.
    pub(crate) fn place(&self, table: &'static TableInfo) -> Result<TablePlace, DeltaError> {
        let url = self.store.url();
        let parts = [url.prefix.as_str(), table.name];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let host = match url.local_directory() {
            Some(_) => UNORDERED_HOST,
            None => &url.bucket,
        };
        let location = format!("{LOCATION_SCHEME}://{host}/{}/", parts.join("/"));
        let location = Url::parse(&location).map_err(|_| BucketError::Prefix)?;
        Ok(TablePlace {
            table,
            url: url.of_object(table.name),
            location,
        })
    }
}

/// The folder of a table at its place.
pub(crate) fn folder_of(table: &TableInfo) -> String {
    format!("{}/", table.name)
}

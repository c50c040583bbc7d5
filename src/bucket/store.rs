//! One place in an object store: its operations, with their errors.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error as LibraryError, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode,
    PutMultipartOptions, PutOptions, RetryConfig, UpdateVersion,
};

use crate::bucket::aws_profile::AwsSettings;
use crate::bucket::bucket_url::{BucketUrl, StoreProtocol};
use crate::bucket::error::{BucketError, StoreFault};
use crate::bucket::store_options::StoreOptions;
use crate::bucket::transport::{RequestFailure, Transport, count_attempts};

/// Characters of a store's response that are shown.
const SHOWN_CHARS: usize = 300;

/// An export in a store. It is used within one runtime.
#[derive(Debug)]
pub(crate) struct ExportStore {
    url: BucketUrl,
    store: Arc<dyn ObjectStore>,
}

/// An object in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredObject {
    /// Its name below the URL of the export.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    /// The object does not exist.
    Absent,
    /// The object is still the one that was read.
    Unchanged(UpdateVersion),
}

/// The result of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConditionalWrite {
    /// The object is written. Its version is that of the next condition.
    Done(UpdateVersion),
    /// The condition does not hold.
    Refused,
}

impl ExportStore {
    /// Reads the credentials. Sends no request.
    pub(crate) fn open(url: &BucketUrl, options: &StoreOptions) -> Result<Self, BucketError> {
        let transport = Transport::new(options.clone());
        let retry = RetryConfig {
            max_retries: usize::try_from(options.max_retries).unwrap_or(usize::MAX),
            retry_timeout: options.retry_timeout,
            ..RetryConfig::default()
        };
        let unusable = |error: LibraryError| BucketError::Configuration {
            url: url.to_string(),
            cause: cause_text(&error),
            hint: "check the variables of the store; docs/buckets.md lists them",
        };
        let store: Arc<dyn ObjectStore> = match url.protocol {
            StoreProtocol::S3 => {
                let builder = AwsSettings::read(url)?.apply(AmazonS3Builder::from_env());
                Arc::new(
                    builder
                        .with_bucket_name(&url.bucket)
                        .with_conditional_put(S3ConditionalPut::ETagMatch)
                        // Some stores lack the request that deletes several objects.
                        .with_disable_bulk_delete(true)
                        .with_http_connector(transport)
                        .with_retry(retry)
                        .build()
                        .map_err(unusable)?,
                )
            }
            StoreProtocol::Gcs => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(&url.bucket)
                    .with_http_connector(transport)
                    .with_retry(retry)
                    .build()
                    .map_err(unusable)?,
            ),
            StoreProtocol::Azure => Arc::new(
                azure_builder()
                    .with_container_name(&url.bucket)
                    .with_http_connector(transport)
                    .with_retry(retry)
                    .build()
                    .map_err(unusable)?,
            ),
            #[cfg(feature = "delta")]
            StoreProtocol::Directory => {
                let files = object_store::local::LocalFileSystem::new_with_prefix(&url.bucket);
                Arc::new(files.map_err(unusable)?.with_fsync(true))
            }
        };
        Ok(Self {
            url: url.clone(),
            store,
        })
    }

    /// The store, for a library that uses it. Names of objects in it begin with the path of the URL.
    #[cfg(feature = "delta")]
    pub(crate) fn shared(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// A store in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(url: &BucketUrl) -> Self {
        Self {
            url: url.clone(),
            store: Arc::new(object_store::memory::InMemory::new()),
        }
    }

    /// The URL of the export.
    pub(crate) fn url(&self) -> &BucketUrl {
        &self.url
    }

    /// Reads an object of at most `most` bytes, and its version. `None` if it does not exist.
    pub(crate) async fn read(
        &self,
        name: &str,
        most: u64,
    ) -> Result<Option<(Bytes, UpdateVersion)>, BucketError> {
        let path = self.path(name);
        let read = async {
            let object = self.store.get(&path).await?;
            let version = UpdateVersion {
                e_tag: object.meta.e_tag.clone(),
                version: object.meta.version.clone(),
            };
            if object.meta.size > most {
                return Ok((None, version));
            }
            Ok((Some(object.bytes().await?), version))
        };
        match count_attempts(read).await {
            (Ok((Some(bytes), version)), _) => Ok(Some((bytes, version))),
            (Ok((None, _)), _) => Err(BucketError::Manifest {
                url: self.url.of_object(name),
                cause: "it is too large".to_owned(),
            }),
            (Err(LibraryError::NotFound { .. }), _) => Ok(None),
            (Err(error), attempts) => Err(self.failed("read", name, &error, attempts)),
        }
    }

    /// The pieces of an object are passed to `take` in order.
    pub(crate) async fn download(
        &self,
        name: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), BucketError>,
    ) -> Result<(), BucketError> {
        let path = self.path(name);
        let got = self.attempt("read", name, self.store.get(&path)).await?;
        let mut pieces = got.into_stream();
        loop {
            match self.attempt("read", name, pieces.try_next()).await? {
                None => return Ok(()),
                Some(piece) => take(&piece)?,
            }
        }
    }

    /// Writes a small object, and replaces an existing one.
    pub(crate) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), BucketError> {
        let path = self.path(name);
        let put = self.store.put(&path, bytes.into());
        self.attempt("write", name, put).await.map(drop)
    }

    /// Writes an object if a condition holds.
    pub(crate) async fn write_if(
        &self,
        name: &str,
        bytes: Bytes,
        condition: WriteCondition,
    ) -> Result<ConditionalWrite, BucketError> {
        let path = self.path(name);
        let mode = match condition {
            WriteCondition::Absent => PutMode::Create,
            WriteCondition::Unchanged(version) => PutMode::Update(version),
        };
        let options = PutOptions::from(mode);
        let put = self.store.put_opts(&path, bytes.into(), options);
        match count_attempts(put).await {
            (Ok(done), _) => Ok(ConditionalWrite::Done(done.into())),
            (Err(LibraryError::AlreadyExists { .. } | LibraryError::Precondition { .. }), _) => {
                Ok(ConditionalWrite::Refused)
            }
            (Err(error), attempts) => Err(self.failed("write", name, &error, attempts)),
        }
    }

    /// Starts the upload of an object in parts.
    pub(crate) async fn start_parts(
        &self,
        name: &str,
    ) -> Result<Box<dyn MultipartUpload>, BucketError> {
        let path = self.path(name);
        let options = PutMultipartOptions::default();
        let started = self.store.put_multipart_opts(&path, options);
        self.attempt("write", name, started).await
    }

    /// The objects below a folder, those of folders in it included. An empty folder is that of the export.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<StoredObject>, BucketError> {
        let path = self.path(folder);
        let listed = self.store.list(Some(&path));
        let listed = listed.map_ok(|meta| (meta.location.to_string(), meta.size));
        let listed = self.attempt("list", folder, listed.try_collect::<Vec<_>>());
        Ok(self.stored(listed.await?))
    }

    /// The objects of the export outside of any folder.
    pub(crate) async fn list_top(&self) -> Result<Vec<StoredObject>, BucketError> {
        let path = self.path("");
        let path = Some(&path).filter(|path| !path.as_ref().is_empty());
        let listed = self.store.list_with_delimiter(path);
        let listed = self.attempt("list", "", listed).await?.objects;
        let listed = listed.into_iter();
        Ok(self.stored(
            listed
                .map(|meta| (meta.location.to_string(), meta.size))
                .collect(),
        ))
    }

    fn stored(&self, listed: Vec<(String, u64)>) -> Vec<StoredObject> {
        let objects = listed.into_iter().filter_map(|(location, bytes)| {
            let name = if self.url.prefix.is_empty() {
                location
            } else {
                let below = location.strip_prefix(&self.url.prefix)?;
                below.strip_prefix('/')?.to_owned()
            };
            Some(StoredObject { name, bytes })
        });
        objects.collect()
    }

    /// Copies an object within the store, and replaces an existing one.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<(), BucketError> {
        let (source, target) = (self.path(from), self.path(to));
        let copied = self.store.copy(&source, &target);
        self.attempt("copy an object to", to, copied).await
    }

    /// Deletes an object, if it exists.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let path = self.path(name);
        match count_attempts(self.store.delete(&path)).await {
            (Ok(()) | Err(LibraryError::NotFound { .. }), _) => Ok(()),
            (Err(error), attempts) => Err(self.failed("delete", name, &error, attempts)),
        }
    }

    /// Runs an operation on an object.
    pub(crate) async fn attempt<T>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BucketError> {
        let (done, attempts) = count_attempts(work).await;
        done.map_err(|error| self.failed(operation, name, &error, attempts))
    }

    fn path(&self, name: &str) -> ObjectPath {
        // The parts of the URL and the names of objects have no characters that need an encoding, and empty parts are
        // left out.
        ObjectPath::from(format!("{}/{name}", self.url.prefix))
    }

    fn failed(
        &self,
        operation: &'static str,
        name: &str,
        error: &LibraryError,
        attempts: u32,
    ) -> BucketError {
        let url = if name.is_empty() {
            self.url.to_string()
        } else {
            self.url.of_object(name)
        };
        BucketError::Store {
            operation,
            url,
            // The rest of a body that breaks off counts with the request for it.
            attempts: attempts.max(1),
            cause: cause_text(error),
            fault: fault_of(error),
        }
    }
}

/// A builder with the variables of Azure's own tools, in addition to those that the library reads.
fn azure_builder() -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (variable, key) in [
        ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
        ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
    ] {
        let value = std::env::var(variable).ok();
        if let Some(value) = value.filter(|value| !value.is_empty())
            && builder.get_config_value(&key).is_none()
        {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error| (*error).source())
}

fn request_failure(error: &LibraryError) -> Option<&RequestFailure> {
    causes(error).find_map(<dyn Error>::downcast_ref)
}

/// What decides the hint for an error of the library.
pub(crate) fn fault_of(error: &LibraryError) -> StoreFault {
    match error {
        LibraryError::PermissionDenied { .. } | LibraryError::Unauthenticated { .. } => {
            StoreFault::Credentials
        }
        LibraryError::NotFound { .. } => StoreFault::NotFound,
        _ => match request_failure(error) {
            Some(RequestFailure::Metadata(_)) => StoreFault::NoCredentials,
            Some(_) => StoreFault::Network,
            None => StoreFault::Response,
        },
    }
}

/// The innermost cause, without the URLs of the layers around it: they can have signatures.
pub(crate) fn cause_text(error: &LibraryError) -> String {
    let text = match request_failure(error) {
        Some(failure) => failure.to_string(),
        None => match causes(error).last() {
            Some(last) => last.to_string(),
            None => error.to_string(),
        },
    };
    shown_response(&text)
}

/// A response without its markup: the status, and the code and message of an error in XML.
fn shown_response(text: &str) -> String {
    let head = text.split('<').next().unwrap_or_default();
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.trim())
    };
    let parts = [tag("Code"), tag("Message")].into_iter().flatten();
    let details: Vec<&str> = parts.collect();
    let head = head.trim().trim_end_matches(':');
    let shown = if details.is_empty() {
        head.to_owned()
    } else {
        format!("{head}: {}", details.join(", "))
    };
    let plain = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_shown_with_its_status_code_and_message() {
        let text = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code><Message>The token has\nexpired</Message><Token>secret</Token></Error>";
        assert_eq!(
            shown_response(text),
            "Server returned non-2xx status code: 403 Forbidden: ExpiredToken, The token has expired"
        );
        assert_eq!(shown_response("no markup"), "no markup");
    }
}

//! Sends the requests of the object store library with the HTTP client of this program: its proxies, CA certificates and
//! rules for plain HTTP apply.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient as StoreClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpRequestBody, HttpResponse as StoreResponse, HttpResponseBody, HttpService,
};
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use crate::api::connections::{proxy_of, trusted_roots};
use crate::api::http::body_client::BodyClient;
use crate::api::http::http_client::HttpSettings;
use crate::api::http::transport_error::{TransportError, cause};
use crate::api::proxy::{Proxy, is_loopback};
use crate::bucket::store_options::StoreOptions;
use crate::threads;

/// The timeout of a request until its response begins. It includes the upload of a part.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);

/// The maximum time between two pieces of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout for a connection to a service that has credentials for this machine, which is near.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Services that have credentials for this machine: of EC2 and other clouds, of ECS, and of Google Cloud. They speak plain
/// HTTP on the network of the machine.
const METADATA_HOSTS: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "metadata.google.internal",
    "metadata",
];

tokio::task_local! {
    /// Requests that the operation in progress has sent.
    static ATTEMPTS: AtomicU32;
}

/// Counts the requests of an operation.
pub(crate) async fn count_attempts<T>(operation: impl Future<Output = T>) -> (T, u32) {
    let counted = async {
        let done = operation.await;
        (done, ATTEMPTS.with(|count| count.load(Ordering::Relaxed)))
    };
    ATTEMPTS.scope(AtomicU32::new(0), counted).await
}

/// Why a request to a store has no response.
#[derive(Debug, Error)]
pub(crate) enum RequestFailure {
    /// The connection failed.
    #[error("{}", .0.last_cause())]
    Transport(#[source] TransportError),
    /// A service that has credentials for this machine was not reached.
    #[error("there are no credentials, and the service for them at {0} cannot be reached")]
    Metadata(String),
    /// Plain HTTP to a host other than this machine.
    #[error(
        "the endpoint `http://{0}` is not encrypted; use https, or allow it with --allow-http or SCALE_EXPORT_ALLOW_HTTP=1"
    )]
    PlainHttp(String),
    /// A proxy or a certificate cannot be used, or the URL is not valid.
    #[error("{0}")]
    Settings(String),
}

/// The requests of one store. It has a client for each server, since each can have another proxy.
#[derive(Debug, Clone)]
pub(crate) struct Transport(Arc<TransportParts>);

#[derive(Debug)]
struct TransportParts {
    options: StoreOptions,
    clients: Mutex<HashMap<String, Arc<BodyClient<HttpRequestBody>>>>,
}

impl Transport {
    pub(crate) fn new(options: StoreOptions) -> Self {
        Self(Arc::new(TransportParts {
            options,
            clients: Mutex::new(HashMap::new()),
        }))
    }

    /// The client for the server of a URL.
    fn client(&self, url: &Url) -> Result<Arc<BodyClient<HttpRequestBody>>, RequestFailure> {
        let origin = url.origin().ascii_serialization();
        if let Some(client) = threads::lock(&self.0.clients).get(&origin) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(new_client(url, &self.0.options)?);
        threads::lock(&self.0.clients).insert(origin, Arc::clone(&client));
        Ok(client)
    }

    async fn send(&self, request: HttpRequest) -> Result<hyper::Response<Incoming>, HttpError> {
        // Outside of an operation nothing is counted.
        let _ = ATTEMPTS.try_with(|count| count.fetch_add(1, Ordering::Relaxed));
        let unusable = |failure| HttpError::new(HttpErrorKind::Unknown, failure);
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| unusable(RequestFailure::Settings(error.to_string())))?;
        let client = self.client(&url).map_err(unusable)?;
        let host = url.host_str().unwrap_or_default();
        client.send(request).await.map_err(|error| {
            if METADATA_HOSTS.contains(&host) {
                return unusable(RequestFailure::Metadata(host.to_owned()));
            }
            http_error(error)
        })
    }
}

fn new_client(
    url: &Url,
    options: &StoreOptions,
) -> Result<BodyClient<HttpRequestBody>, RequestFailure> {
    let unusable = |error: &dyn std::error::Error| RequestFailure::Settings(error.to_string());
    let host = url.host_str().unwrap_or_default();
    let is_metadata = METADATA_HOSTS.contains(&host);
    let is_plain = url.scheme() == "http";
    if is_plain && !is_metadata && !options.allow_http && !is_loopback(host) {
        return Err(RequestFailure::PlainHttp(host.to_owned()));
    }
    let proxy = if is_metadata {
        None
    } else {
        proxy_of(url).map_err(|error| unusable(&error))?
    };
    let is_tls = !is_plain || proxy.as_ref().is_some_and(|proxy| proxy.scheme == "https");
    let roots = trusted_roots(is_tls, options.ca_file.as_ref(), &options.authorities)
        .map_err(|error| unusable(&error))?;
    let authorization = proxy.as_ref().filter(|_| is_plain);
    let authorization = authorization.map(Proxy::authorization);
    let authorization = authorization
        .transpose()
        .map_err(|error| unusable(&error))?
        .flatten();
    let settings = HttpSettings {
        headers: HeaderMap::new(),
        timeout: RESPONSE_TIMEOUT,
        connect_timeout: if is_metadata {
            METADATA_TIMEOUT
        } else {
            options.connect_timeout
        },
        read_timeout: READ_TIMEOUT,
        concurrency: usize::MAX,
        roots,
        proxy,
    };
    BodyClient::new(&settings, authorization).map_err(|error| unusable(&error))
}

/// The error with its kind, which decides whether the library sends the request again.
fn http_error(error: TransportError) -> HttpError {
    let is_unsent = cause::<hyper::Error>(&error).is_some_and(|error| {
        error.is_closed() || error.is_incomplete_message() || error.is_body_write_aborted()
    });
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if is_unsent {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, RequestFailure::Transport(error))
}

/// The next piece of a body, and the rest of it.
async fn next_piece(mut body: Incoming) -> Option<(Result<Frame<Bytes>, HttpError>, Incoming)> {
    let frame = match timeout(READ_TIMEOUT, body.frame()).await {
        Err(_) => Err(TransportError::TimedOut),
        Ok(frame) => frame?.map_err(TransportError::Body),
    };
    Some((frame.map_err(http_error), body))
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<StoreResponse, HttpError> {
        let (parts, body) = self.send(request).await?.into_parts();
        let body = HttpResponseBody::new(StreamBody::new(unfold(body, next_piece)));
        Ok(StoreResponse::from_parts(parts, body))
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<StoreClient> {
        Ok(StoreClient::new(self.clone()))
    }
}

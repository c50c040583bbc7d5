//! What one attempt returns: the response, or the reason why there is none.

use std::time::Duration;

use bytes::Bytes;

use crate::pacer::types::ServerQuota;

/// Why a server's certificate is not trusted. Each reason has its own hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// No trusted CA has signed it.
    Authority,
    /// It has expired, or is not valid yet.
    Time,
    /// It is for other hosts.
    Name,
    /// Anything else: revoked, malformed, missing.
    Other,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptFault {
    /// A status other than 200.
    Status(u16),
    /// A redirect that is not followed.
    Redirect,
    /// No connection, a broken connection, or a body that cannot be decompressed.
    Network,
    /// The server cannot be reached: its host does not exist, or the proxy does not connect to it.
    NoRoute,
    /// A timeout.
    Timeout,
    /// The server's certificate is not trusted.
    Certificate(Distrust),
    /// The body is larger than the limit.
    TooLarge,
    /// Status 200, but the body is not a task.
    BadBody,
    /// Status 200, but the body is another task.
    WrongTask,
    /// There is not enough memory for the body.
    NoMemory,
}

/// A failed attempt: why, and what to report about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptError {
    pub(crate) fault: AttemptFault,
    /// What went wrong, printable and without secrets.
    pub(crate) message: String,
    /// The body, if the body is what was wrong and it may be kept.
    pub(crate) body: Option<Bytes>,
}

impl AttemptError {
    /// An error without a body to keep.
    pub(crate) fn new(fault: AttemptFault, message: String) -> Self {
        Self {
            fault,
            message,
            body: None,
        }
    }
}

/// What one attempt returns. `T` is what the body is read as: bytes first, a task or a page after its check.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    /// The HTTP status; `None` if no response came.
    pub(crate) status: Option<u16>,
    /// What the rate-limit headers say.
    pub(crate) quotas: Vec<ServerQuota>,
    /// Seconds that the server's clock is ahead of this machine's, if the response has a date.
    pub(crate) clock_lead: Option<i64>,
    /// The `Retry-After` of a response that is not a success.
    pub(crate) retry_after: Option<Duration>,
    /// Bytes of body that were received, after decompression.
    pub(crate) bytes: u64,
    pub(crate) body: Result<T, AttemptError>,
}

impl<T> Reply<T> {
    /// The reply of an attempt that received no response.
    pub(crate) fn without_response(status: Option<u16>, error: AttemptError) -> Self {
        Self {
            status,
            quotas: Vec::new(),
            clock_lead: None,
            retry_after: None,
            bytes: 0,
            body: Err(error),
        }
    }

    /// The same reply with its body read as something else.
    pub(crate) async fn and_then<U>(
        self,
        read: impl AsyncFnOnce(T) -> Result<U, AttemptError>,
    ) -> Reply<U> {
        Reply {
            status: self.status,
            quotas: self.quotas,
            clock_lead: self.clock_lead,
            retry_after: self.retry_after,
            bytes: self.bytes,
            body: match self.body {
                Ok(body) => read(body).await,
                Err(error) => Err(error),
            },
        }
    }
}

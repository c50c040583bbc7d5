//! Why a response was not received, as the layers of the HTTP client report it.

use std::error::Error;
use std::io;
use std::iter::successors;

use hyper_util::client::legacy;
use thiserror::Error;

/// What the layers of the HTTP client pass on.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A host name that cannot be resolved.
#[derive(Debug, Error)]
#[error("could not resolve the host name")]
pub(crate) struct DnsError(#[source] pub(crate) io::Error);

/// A connection that was not opened in time.
#[derive(Debug, Error)]
#[error("timed out while connecting")]
pub(crate) struct ConnectTimedOut;

/// Why a response was not received. The texts name no URL and no header.
#[derive(Debug, Error)]
pub(crate) enum TransportError {
    /// The response, or its next piece, took too long.
    #[error("timed out")]
    TimedOut,
    /// The request could not be sent, or its response did not begin.
    #[error("the request failed")]
    Request(#[from] legacy::Error),
    /// The body broke off.
    #[error("the body broke off")]
    Body(#[from] hyper::Error),
}

impl TransportError {
    /// Whether no connection was opened.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Request(error) if error.is_connect())
    }

    /// Whether a host name could not be resolved.
    pub(crate) fn is_dns(&self) -> bool {
        cause::<DnsError>(self).is_some()
    }

    /// Whether something took too long: a connection, a response, or a ping.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut) || causes(self).any(is_timeout)
    }

    /// The innermost cause.
    pub(crate) fn last_cause(&self) -> String {
        let last = causes(self).skip(1).last();
        last.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
    }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref().map(io::Error::kind);
    error.is::<ConnectTimedOut>()
        || kind == Some(io::ErrorKind::TimedOut)
        || error.downcast_ref().is_some_and(hyper::Error::is_timeout)
}

/// The error of one type among an error and its causes.
pub(crate) fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(<dyn Error>::downcast_ref)
}

/// An error and its causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error| next_cause(*error))
}

/// The direct cause of an error. Some layers wrap errors in I/O errors, whose `source` leaves out what they wrap.
fn next_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of a layer between.
    #[derive(Debug, Error)]
    #[error("a layer")]
    struct Layer(#[source] io::Error);

    #[test]
    fn causes_are_found_through_io_errors() {
        let dns = DnsError(io::Error::other("no such host"));
        let error = Layer(io::Error::other(Layer(io::Error::other(dns))));
        assert!(cause::<DnsError>(&error).is_some());
        let texts: Vec<String> = causes(&error).map(ToString::to_string).collect();
        let resolve = "could not resolve the host name";
        // An I/O error has the text of what it wraps.
        assert_eq!(
            texts,
            [
                "a layer",
                "a layer",
                "a layer",
                resolve,
                resolve,
                "no such host",
                "no such host"
            ]
        );
        assert!(cause::<ConnectTimedOut>(&error).is_none());
    }

    #[test]
    fn a_timeout_below_another_io_error_is_a_timeout() {
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        let error = Layer(io::Error::other(Layer(timed_out)));
        assert!(causes(&error).any(is_timeout));
        let error = Layer(io::Error::other(ConnectTimedOut));
        assert!(causes(&error).any(is_timeout));
        let error = Layer(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(!causes(&error).any(is_timeout));
        assert!(TransportError::TimedOut.is_timeout() && !TransportError::TimedOut.is_connect());
        assert_eq!(
            TransportError::TimedOut.last_cause(),
            "the connection failed"
        );
    }
}

//! What the end of an attempt means: success, retry, slow down, fail the ID or stop the run. One pure table.

use std::time::Duration;

use crate::api::reply::{AttemptFault, Distrust, Reply};
use crate::failure_kind::FailureKind;
use crate::pacer::types::RequestEnd;

/// What the end of an attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The response can be used.
    Success,
    /// Retry the request.
    Retry {
        /// The kind to report if no retry helps.
        kind: FailureKind,
        /// How long the server wants this request to wait.
        wait: Option<Duration>,
    },
    /// The server is unavailable. Retry the request.
    Unavailable {
        /// How long the server wants all requests to wait.
        wait: Option<Duration>,
    },
    /// The server limits the rate. Retry, and do not count this against the ID.
    RateLimited {
        /// How long the server wants all requests to wait.
        wait: Option<Duration>,
    },
    /// The ID fails for good. The server has responded about this ID, so the server works.
    Fail(FailureKind),
    /// The ID is forbidden if the key can read other tasks; otherwise the key is refused.
    Forbidden,
    /// The key is refused: the run stops.
    KeyRefused,
    /// The server cannot be trusted: the run stops.
    Untrusted(Distrust),
    /// This machine has no memory for the body: the run stops.
    NoMemory,
}

/// What a reply means.
pub(crate) fn classify<T>(reply: &Reply<T>) -> Verdict {
    match &reply.body {
        Ok(_) => Verdict::Success,
        Err(error) => classify_fault(error.fault, reply.retry_after),
    }
}

fn classify_fault(fault: AttemptFault, wait: Option<Duration>) -> Verdict {
    use FailureKind::{
        BadBody, HttpError, Network, NotFound, Redirect, Timeout, TooLarge, WrongTask,
    };
    let retry = |kind| Verdict::Retry { kind, wait };
    match fault {
        AttemptFault::Status(401 | 402) => Verdict::KeyRefused,
        AttemptFault::Status(403) => Verdict::Forbidden,
        AttemptFault::Status(404) => Verdict::Fail(NotFound),
        AttemptFault::Status(429) => Verdict::RateLimited { wait },
        AttemptFault::Status(503) => Verdict::Unavailable { wait },
        // No request is for a part: 206 comes from a misconfigured cache. 408 and 425 mean that the client should retry.
        // 520 to 530 are what edge proxies send when the server behind them fails.
        AttemptFault::Status(206 | 408 | 425 | 500 | 502 | 504 | 520..=530) => retry(HttpError),
        AttemptFault::Status(_) => Verdict::Fail(HttpError),
        AttemptFault::Redirect => Verdict::Fail(Redirect),
        AttemptFault::Network | AttemptFault::NoRoute => retry(Network),
        AttemptFault::Timeout => retry(Timeout),
        AttemptFault::Certificate(why) => Verdict::Untrusted(why),
        AttemptFault::TooLarge => Verdict::Fail(TooLarge),
        // A proxy may cut off or replace a single response.
        AttemptFault::BadBody => retry(BadBody),
        AttemptFault::WrongTask => retry(WrongTask),
        AttemptFault::NoMemory => Verdict::NoMemory,
    }
}

impl Verdict {
    /// What the attempt is to the pacer.
    pub(crate) fn request_end(self) -> RequestEnd {
        match self {
            Self::RateLimited { wait } => RequestEnd::RateLimited(wait),
            // A server that states a wait limits its load, as with a 429.
            Self::Unavailable { wait: Some(wait) } => RequestEnd::RateLimited(Some(wait)),
            Self::Retry { .. } | Self::Unavailable { wait: None } => RequestEnd::Failed,
            Self::Success
            | Self::Fail(_)
            | Self::Forbidden
            | Self::KeyRefused
            | Self::Untrusted(_)
            | Self::NoMemory => RequestEnd::Accepted,
        }
    }

    /// The kind of failure to report if no retry helps; `None` if the attempt does not count against the ID.
    pub(crate) fn retry_kind(self) -> Option<FailureKind> {
        match self {
            Self::Retry { kind, .. } => Some(kind),
            Self::Unavailable { .. } => Some(FailureKind::HttpError),
            _ => None,
        }
    }

    /// How long the server wants this one request to wait. Where all requests wait, the pacer sees to it.
    pub(crate) fn own_wait(self) -> Duration {
        match self {
            Self::Retry { wait, .. } => wait.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// Whether the server has responded about the ID itself.
    pub(crate) fn is_about_the_id(self) -> bool {
        matches!(self, Self::Fail(_) | Self::Forbidden)
    }

    /// Whether the server says that it is unavailable.
    pub(crate) fn is_unavailable(self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// What a failed page means to the list that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageVerdict {
    /// A page of fewer tasks may succeed.
    TooLarge,
    /// The server does not know the list, or refuses the page token.
    Rejected,
    /// The page token has expired.
    Gone,
    /// Another request for the same list would fail too.
    Failed,
}

/// What the last failure of a page means.
pub(crate) fn classify_page(fault: AttemptFault) -> PageVerdict {
    match fault {
        AttemptFault::TooLarge | AttemptFault::Timeout => PageVerdict::TooLarge,
        AttemptFault::Status(400 | 404 | 422) => PageVerdict::Rejected,
        AttemptFault::Status(410) => PageVerdict::Gone,
        _ => PageVerdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let mut groups: Vec<(Verdict, Vec<u16>)> = Vec::new();
        for status in 100..=599 {
            let verdict = classify_fault(AttemptFault::Status(status), None);
            match groups.iter_mut().find(|(known, _)| *known == verdict) {
                Some((_, statuses)) => statuses.push(status),
                None => groups.push((verdict, vec![status])),
            }
        }
        let show = |statuses: &[u16]| match statuses.len() {
            0..=20 => format!("{statuses:?}"),
            count => format!("{count} others"),
        };
        let table: Vec<String> = groups
            .iter()
            .map(|(verdict, statuses)| format!("{verdict:?}: {}", show(statuses)))
            .collect();
        assert_eq!(
            table,
            [
                "Fail(HttpError): 477 others",
                "Retry { kind: HttpError, wait: None }: [206, 408, 425, 500, 502, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530]",
                "KeyRefused: [401, 402]",
                "Forbidden: [403]",
                "Fail(NotFound): [404]",
                "RateLimited { wait: None }: [429]",
                "Unavailable { wait: None }: [503]",
            ]
        );
    }

    #[test]
    fn every_other_fault_has_its_verdict() {
        use FailureKind::{BadBody, Network, Redirect, Timeout, TooLarge, WrongTask};
        let retry = |kind| Verdict::Retry { kind, wait: None };
        for (fault, verdict) in [
            (AttemptFault::Redirect, Verdict::Fail(Redirect)),
            (AttemptFault::Network, retry(Network)),
            (AttemptFault::NoRoute, retry(Network)),
            (AttemptFault::Timeout, retry(Timeout)),
            (
                AttemptFault::Certificate(Distrust::Time),
                Verdict::Untrusted(Distrust::Time),
            ),
            (AttemptFault::TooLarge, Verdict::Fail(TooLarge)),
            (AttemptFault::BadBody, retry(BadBody)),
            (AttemptFault::WrongTask, retry(WrongTask)),
            (AttemptFault::NoMemory, Verdict::NoMemory),
        ] {
            assert_eq!(classify_fault(fault, None), verdict);
        }
    }

    #[test]
    fn a_retry_after_is_for_all_requests_with_429_and_503_and_for_one_otherwise() {
        let second = Some(Duration::from_secs(1));
        for (status, wait, end, own_wait) in [
            (429, second, RequestEnd::RateLimited(second), None),
            (429, None, RequestEnd::RateLimited(None), None),
            (503, second, RequestEnd::RateLimited(second), None),
            (503, None, RequestEnd::Failed, None),
            (500, second, RequestEnd::Failed, second),
            (500, None, RequestEnd::Failed, None),
            (404, second, RequestEnd::Accepted, None),
            (403, second, RequestEnd::Accepted, None),
            (401, None, RequestEnd::Accepted, None),
        ] {
            let verdict = classify_fault(AttemptFault::Status(status), wait);
            assert_eq!(verdict.request_end(), end, "{status}");
            assert_eq!(verdict.own_wait(), own_wait.unwrap_or_default(), "{status}");
        }
    }
}

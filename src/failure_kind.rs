//! Why an ID failed.

/// Why an ID failed, as `failures.jsonl` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// 404.
    NotFound,
    /// 403, while other tasks can be had.
    Forbidden,
    /// Any other status that is no success.
    HttpError,
    /// A redirect to another origin.
    Redirect,
    /// No answer: refused, reset, cut off.
    Network,
    /// No answer in time.
    Timeout,
    /// The body is larger than the limit.
    TooLarge,
    /// 200, but the body is no task.
    BadBody,
    /// 200, but another task.
    WrongTask,
}

impl FailureKind {
    /// The word in `failures.jsonl`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::HttpError => "http_error",
            Self::Redirect => "redirect",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::BadBody => "bad_body",
            Self::WrongTask => "wrong_task",
        }
    }
}

//! The kinds of failure in `failures.jsonl`, in the summary and in hints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why an ID failed. The order is that of the words, which is the order in the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// Status 200, but the body is not a task.
    BadBody,
    /// Status 403, while other tasks can be fetched.
    Forbidden,
    /// Any other status that is not a success.
    HttpError,
    /// The sources have no response for the ID.
    Missing,
    /// No response: the connection was refused, reset or cut off.
    Network,
    /// Status 404.
    NotFound,
    /// A redirect to another origin.
    Redirect,
    /// No response in time.
    Timeout,
    /// The body is larger than the limit.
    TooLarge,
    /// Status 200, but the body is another task.
    WrongTask,
}

/// A word that is not a kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of failure")]
pub struct UnknownFailureKind(String);

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::BadBody,
        Self::Forbidden,
        Self::HttpError,
        Self::Missing,
        Self::Network,
        Self::NotFound,
        Self::Redirect,
        Self::Timeout,
        Self::TooLarge,
        Self::WrongTask,
    ];

    /// The word in `failures.jsonl` and in the journal.
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
            Self::Missing => "missing",
        }
    }
}

impl FromStr for FailureKind {
    type Err = UnknownFailureKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| UnknownFailureKind(word.to_owned()))
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FailureKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FailureKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether the API reports a task as deleted with this status.
pub fn is_gone(http_status: Option<u16>) -> bool {
    matches!(http_status, Some(404 | 410))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_and_sorted_by_its_word() {
        assert!(FailureKind::ALL.is_sorted());
        assert!(FailureKind::ALL.map(FailureKind::as_str).is_sorted());
        for kind in FailureKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("other".parse::<FailureKind>().is_err());
    }
}

//! Why an ID failed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines the kinds with their words: one line adds a kind.
macro_rules! failure_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $word:literal,)+) => {
        /// Why an ID failed, as `failures.jsonl` says it. The variants are in the order of their words, which is the
        /// order of counts by kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FailureKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl FailureKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The word in `failures.jsonl`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }
        }
    };
}

failure_kinds! {
    /// Status 200, but the body is not a valid task.
    BadBody = "bad_body",
    /// Status 403, while other tasks can be read.
    Forbidden = "forbidden",
    /// Any other status that is not a success.
    HttpError = "http_error",
    /// `flatten` has no response for the ID in its sources.
    Missing = "missing",
    /// No response: refused, reset, cut off.
    Network = "network",
    /// Status 404.
    NotFound = "not_found",
    /// A redirect to another origin.
    Redirect = "redirect",
    /// No response in time.
    Timeout = "timeout",
    /// The body is larger than the limit.
    TooLarge = "too_large",
    /// A kind that this version does not know, in a journal or an export of another version.
    Unknown = "unknown",
    /// Status 200, but the body is another task.
    WrongTask = "wrong_task",
}

impl FailureKind {
    /// The kind with this word. An unknown word must not end a run: the ID failed all the same.
    fn of_word(word: &str) -> Self {
        let mut kinds = Self::ALL.iter().copied();
        let kind = kinds.find(|kind| kind.as_str() == word);
        kind.unwrap_or(Self::Unknown)
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
        Ok(Self::of_word(&word))
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
    fn every_kind_has_its_name_and_counts_are_in_the_order_of_names() {
        for &kind in FailureKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<FailureKind>(&json).unwrap(), kind);
        }
        let other = serde_json::from_str::<FailureKind>("\"other\"").unwrap();
        assert_eq!(other, FailureKind::Unknown);
    }
}

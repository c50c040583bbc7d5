//! The ID of a publication: it follows from the tasks in the tables and the options that shape them. Two publications with
//! the same content have the same ID, whenever they were made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hex;
use crate::state::paths::{ID_DIGITS, is_publication_id};

/// An ID of [`ID_DIGITS`] hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicationId(String);

impl PublicationId {
    /// The ID of a publication whose content has this SHA-256.
    pub(crate) fn of_sha256(sha256: &[u8]) -> Self {
        let mut digits = hex::encode(sha256);
        digits.truncate(ID_DIGITS);
        Self(digits)
    }

    /// Reads an ID; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        is_publication_id(text).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PublicationId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a valid ID of a publication")
    }
}

impl From<PublicationId> for String {
    fn from(id: PublicationId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_sixteen_digits() {
        let id = PublicationId::of_sha256(&[0xab; 32]);
        assert_eq!(id.as_str(), "abababababababab");
        assert_eq!(PublicationId::parse(id.as_str()), Some(id));
        for text in ["", "abc", "ABABABABABABABAB", "../../../../../../"] {
            assert_eq!(PublicationId::parse(text), None);
        }
    }
}

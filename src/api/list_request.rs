//! List endpoints, which return whole tasks page by page, and how a page is requested.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a query keeps as it is: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The maximum number of tasks of a page, which is the limit of the API.
pub const PAGE_TASKS: u32 = 100;

/// What a list is a list of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// The tasks of a project.
    Project,
    /// The tasks of a batch.
    Batch,
    /// The tasks of a delivery.
    Delivery,
}

impl ListKind {
    /// Its name, as in the options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Batch => "batch",
            Self::Delivery => "delivery",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Project | Self::Batch => "/v2/tasks",
            Self::Delivery => "/v2/delivery",
        }
    }
}

/// Which tasks of a list are wanted. The values are sent to the API as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ListFilter {
    /// Only tasks with this status.
    pub status: Option<String>,
    /// Only tasks that were completed after this time.
    pub completed_after: Option<String>,
    /// Only tasks that were completed before this time.
    pub completed_before: Option<String>,
}

impl ListFilter {
    /// Its parts with their names in a query.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("status", &self.status),
            ("completed_after", &self.completed_after),
            ("completed_before", &self.completed_before),
        ];
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Whether every task passes.
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListSource {
    /// What it is a list of.
    pub kind: ListKind,
    /// Its ID, or its name.
    pub name: String,
    /// Which of its tasks are wanted.
    pub filter: ListFilter,
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_str(), self.name)
    }
}

/// A request for one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub(crate) source: ListSource,
    /// Whether the name of the list is its ID.
    pub(crate) by_id: bool,
    /// The maximum number of tasks of the page.
    pub(crate) limit: u32,
    /// The page token; `None` for the first page.
    pub(crate) token: Option<String>,
    /// How many pages were received before, for messages.
    pub(crate) page: u64,
}

impl PageRequest {
    /// The first page of a list that is given by its ID.
    pub(crate) fn first(source: ListSource) -> Self {
        Self {
            source,
            by_id: true,
            limit: PAGE_TASKS,
            token: None,
            page: 0,
        }
    }

    /// The path below the base URL.
    pub(crate) fn path(&self) -> &'static str {
        self.source.kind.path()
    }

    /// The query, without what all requests have.
    pub(crate) fn query(&self) -> String {
        let kind = self.source.kind.as_str();
        let by = if self.by_id { "id" } else { "name" };
        let mut query = format!(
            "{kind}_{by}={}&limit={}",
            encode(&self.source.name),
            self.limit
        );
        for (name, value) in self.source.filter.parts() {
            query += &format!("&{name}={}", encode(value));
        }
        if let Some(token) = &self.token {
            query += &format!("&next_token={}", encode(token));
        }
        query
    }
}

impl fmt::Display for PageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} of {}", self.page + 1, self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded_whole() {
        assert_eq!(encode("a/b c&d=é~1"), "a%2Fb%20c%26d%3D%C3%A9~1");
    }

    #[test]
    fn the_url_of_a_page_has_the_documented_parameters() {
        let mut request = PageRequest::first(ListSource {
            kind: ListKind::Batch,
            name: "Week 7 & 8".into(),
            filter: ListFilter {
                status: Some("completed".into()),
                completed_after: None,
                completed_before: Some("2024-01-01T00:00:00Z".into()),
            },
        });
        assert_eq!(request.path(), "/v2/tasks");
        let filter = "&status=completed&completed_before=2024-01-01T00%3A00%3A00Z";
        let by_id = format!("batch_id=Week%207%20%26%208&limit=100{filter}");
        assert_eq!(request.query(), by_id);
        request.by_id = false;
        request.token = Some("a=/".into());
        let by_name = format!("batch_name=Week%207%20%26%208&limit=100{filter}&next_token=a%3D%2F");
        assert_eq!(request.query(), by_name);
        assert_eq!(request.to_string(), "page 1 of batch `Week 7 & 8`");
        request.source.kind = ListKind::Delivery;
        assert_eq!(request.path(), "/v2/delivery");
    }
}

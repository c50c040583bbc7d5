//! What comes for each ID, on its way to the tables: in the order of the rows. Depends on `bundle`, `journal` and
//! `recent`.

use crate::jobs::batch_channel::{Bundler, NobodyListens};
use crate::jobs::response_cache::Response;
use crate::journal::reader::FailureNote;

/// What there is for an ID.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A response.
    Response(Response),
    /// The last response, and why it could not be refreshed.
    Stale(Response, FailureNote),
    /// A final failure, and no response.
    Failure(FailureNote),
    /// Nothing, and nothing will come.
    Missing,
}

/// An ID with what there is for it.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) task_id: String,
    pub(crate) arrival: Arrival,
}

/// Hands over what comes, in order.
pub(crate) type Feed = Bundler<Arrived>;

/// Hands one over, now or with the next ones.
pub(crate) fn feed(
    feed: &mut Feed,
    task_id: String,
    arrival: Arrival,
) -> Result<(), NobodyListens> {
    let bytes = match &arrival {
        Arrival::Response(response) | Arrival::Stale(response, _) => response.size(),
        Arrival::Failure(_) | Arrival::Missing => 0,
    };
    feed.push(Arrived { task_id, arrival }, bytes)
}

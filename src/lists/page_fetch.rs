//! One page of a list, with as many attempts as it takes.

use crate::api::body_check::{BodyCheck, TaskPage};
use crate::api::error::FetchError;
use crate::api::list_request::PageRequest;
use crate::api::memory_budget::MemoryShare;
use crate::event::RequestTarget;
use crate::fetch::attempts::{Attempts, FailedAttempt};
use crate::fetch::fetcher::Fetcher;

/// Requests a page until there is one, or no attempt will give one. Gives the share of memory that the page takes as
/// well.
pub(crate) async fn fetch_page<'f>(
    fetcher: &'f Fetcher<'_>,
    request: &PageRequest,
) -> Result<Result<(TaskPage, MemoryShare<'f>), FailedAttempt>, FetchError> {
    // A page of one task cannot be requested in smaller pieces, so it gets all its retries.
    let mut attempts = Attempts::new(match request.limit {
        1 => RequestTarget::Page(request.to_string()),
        _ => RequestTarget::LargePage(request.to_string()),
    });
    let attempt = async |share: &mut MemoryShare<'_>| {
        let reply = fetcher.counted(fetcher.client.page(request, share)).await;
        let read = async |body| {
            let check = |check: &BodyCheck, body| check.page(body);
            let page = fetcher.checked(body, share, check).await?;
            let bytes: usize = page.tasks.iter().map(|task| task.response.size()).sum();
            share.settle(bytes as u64);
            Ok(page)
        };
        reply.and_then(read).await
    };
    Ok(match fetcher.request(&mut attempts, attempt).await? {
        Ok((page, share)) => {
            if let Some(task) = page.tasks.first() {
                fetcher.liveness().add_good_id(&task.response.task_id);
            }
            if let Some(note) = &page.note {
                fetcher.note(format!("{request}: {note}"));
            }
            Ok((page, share))
        }
        Err(failed) => Err(failed.last),
    })
}

//! One page of a list, however many attempts it takes. Depends on `engine` and `list`.

use crate::api::body_check::Page;
use crate::api::client::Failure;
use crate::api::error::FetchError;
use crate::api::list_request::PageRequest;
use crate::api::memory_budget::Share;
use crate::event::Asked;
use crate::fetch::attempts::{Got, Trials};
use crate::fetch::fetcher::Engine;
use crate::fetch::options::CheckBody;

impl Engine<'_> {
    /// Asks for a page until it has come, or no attempt will give it; with its share of memory.
    pub(crate) async fn page(
        &self,
        request: &PageRequest,
    ) -> Result<Result<(Page, Share<'_>), Failure>, FetchError> {
        let asked = match request.limit {
            1 => Asked::Page(request.to_string()),
            _ => Asked::LargePage(request.to_string()),
        };
        let attempt = async |share: &mut Share<'_>| {
            let body = self.counted(self.client.page(request, share)).await?;
            let split = |check: &dyn CheckBody, body| check.split(body);
            let page = self.checked(body, share, split).await?;
            let bytes: usize = page.tasks.iter().map(|task| task.body.len()).sum();
            share.settle(bytes as u64);
            Ok(page)
        };
        let got = self.ask(&asked, &mut Trials::default(), attempt).await?;
        Ok(match got {
            Got::Answer(page, sent, share) => {
                let task_id = page.tasks.first().map(|task| task.task_id.as_str());
                self.success(task_id, sent);
                if let Some(note) = &page.note {
                    self.note(&format!("{request}: {note}"));
                }
                Ok((page, share))
            }
            Got::Nothing(failure, _) => Err(failure),
        })
    }
}

//! One page of a list, however many attempts it takes. Depends on `engine` and `list`.

use super::FetchError;
use super::attempt::{Got, Trials};
use super::client::Failure;
use super::engine::Engine;
use super::list::PageRequest;
use crate::event::Asked;
use crate::response::Page;

impl Engine<'_> {
    /// Asks for a page until it has come, or no attempt will give it.
    pub(super) async fn page(
        &self,
        request: &PageRequest,
    ) -> Result<Result<Page, Failure>, FetchError> {
        let asked = match request.limit {
            1 => Asked::Page(request.to_string()),
            _ => Asked::LargePage(request.to_string()),
        };
        let attempt = async || {
            let body = self.counted(self.client.page(request)).await?;
            self.checked(body, |check, body| check.split(body)).await
        };
        let got = self.ask(&asked, &mut Trials::default(), attempt).await?;
        Ok(match got {
            Got::Answer(page, sent) => {
                let task_id = page.tasks.first().map(|task| task.task_id.as_str());
                self.success(task_id, sent);
                if let Some(note) = &page.note {
                    self.note(&format!("{request}: {note}"));
                }
                Ok(page)
            }
            Got::Nothing(failure, _) => Err(failure),
        })
    }
}

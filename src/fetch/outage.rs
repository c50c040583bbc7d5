//! Distinguishes an ID that fails from a server that fails, by requesting a known good ID, and ends the run when
//! nothing has succeeded for long enough.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::error::{FetchError, OutageFault};
use crate::api::memory_budget::ResponseClass;
use crate::api::reply::{AttemptError, AttemptFault};
use crate::event::Event;
use crate::fetch::attempts::Attempts;
use crate::fetch::classify::Verdict;
use crate::fetch::fetcher::Fetcher;
use crate::fetch::stats::get;
use crate::plural::time_text;

/// How long nothing must succeed before an outage is reported, so that short ones are not.
const REPORTED_AFTER: Duration = Duration::from_secs(2);

/// How long a run waits to reach a server that it has never reached. A host that does not exist, or a proxy that does
/// not connect, is more likely a mistake than an outage.
const NO_ROUTE: Duration = Duration::from_secs(10);

impl Fetcher<'_> {
    /// How long the run goes on without a success, if this is the last error.
    pub(crate) fn patience(&self, error: &AttemptError) -> Duration {
        let limit = self.options.retry_timeout;
        if error.fault == AttemptFault::NoRoute && self.liveness().successes() == 0 {
            limit.min(NO_ROUTE)
        } else {
            limit
        }
    }

    /// Takes note of a response that shows that the server works, to a request that was sent at `sent`.
    pub(crate) fn note_success(&self, sent: Duration) {
        self.liveness().add_success(sent, self.throttle.now());
        if self.is_outage.swap(false, Ordering::Relaxed) {
            let text = "the API responds again".to_owned();
            self.events.send(Event::Warning(text));
            self.events.send(Event::OutageOver);
        }
    }

    /// Reports once that nothing succeeds.
    pub(crate) fn report_outage(&self, verdict: Verdict, error: &AttemptError) {
        let silence = self.liveness().since_success(self.throttle.now());
        let is_outage = self.throttle.is_outage();
        // A server that requests a wait may be unavailable for as long as one that does not respond.
        let is_away = is_outage || verdict.is_unavailable();
        if is_away && silence >= REPORTED_AFTER && !self.is_outage.swap(true, Ordering::Relaxed) {
            self.events.send(Event::Warning(format!(
                "the API at `{}` {} ({}); {}giving up after {}",
                self.client.host(),
                match error.fault.into() {
                    OutageFault::NoResponse => "does not respond",
                    OutageFault::RateLimited => "rate-limits the requests",
                    OutageFault::ErrorStatus => "is unavailable",
                    OutageFault::NotTheApi => "does not respond like the Scale API",
                },
                error.message,
                if is_outage {
                    "retrying once per second, "
                } else {
                    ""
                },
                time_text(self.patience(error))
            )));
            self.events.send(Event::Outage {
                silence,
                give_up_after: self.patience(error),
            });
        }
    }

    /// Whether a known good ID can be fetched. It is requested ahead of all requests that wait, and once for all
    /// callers that want to know.
    pub(crate) async fn good_id_succeeds(&self) -> bool {
        let wanted = self.throttle.now();
        let good_ids = self.liveness().good_ids();
        if good_ids.is_empty() {
            return false;
        }
        // Callers that waited for their turn use the result of the one before them.
        let _turn = self.probing.lock().await;
        let is_known = self.liveness().works_after(wanted);
        if let Some(is_well) = is_known {
            return is_well;
        }
        for good_id in good_ids {
            let mut share = self.budget.enter(ResponseClass::Task).await;
            let permit = self.throttle.priority_permit().await;
            let sent = permit.sent_at();
            let reply = self.attempt_task(&good_id, &mut share).await;
            let verdict = permit.end(&reply);
            match reply.body {
                Ok(_) => {
                    self.note_success(sent);
                    self.liveness().add_good_id(&good_id);
                    return true;
                }
                Err(error) => self.report_outage(verdict, &error),
            }
            self.liveness().good_id_failed(sent, self.throttle.now());
            // The task may have been deleted: another ID shows that. In an outage no ID would, and each takes its time.
            if !verdict.is_about_the_id() {
                return false;
            }
        }
        false
    }

    /// Whether this ID fails, and not the server.
    pub(crate) async fn fails_alone(&self, attempts: &Attempts) -> bool {
        // A success before the last attempt says nothing if nothing has succeeded since, and the only attempt has none
        // before it.
        if self.throttle.is_outage() || attempts.count == 1 {
            self.good_id_succeeds().await
        } else {
            attempts.follows_success
        }
    }

    /// Ends the run when nothing has succeeded for too long, and a known good ID fails too. Without that test, the only
    /// requests in all that time may have been for an ID that fails whatever the state of the server.
    pub(crate) async fn give_up_in_an_outage(
        &self,
        error: &AttemptError,
    ) -> Result<(), FetchError> {
        let limit = self.patience(error);
        let elapsed = || self.liveness().since_success(self.throttle.now());
        if elapsed() < limit {
            return Ok(());
        }
        let is_known = self.liveness().has_good_id_failed_after(limit);
        if !is_known && self.good_id_succeeds().await {
            return Ok(());
        }
        // Another request may have succeeded meanwhile.
        let elapsed = elapsed();
        if elapsed < limit {
            return Ok(());
        }
        Err(FetchError::GaveUp {
            base_url: self.client.base_url(),
            fault: error.fault.into(),
            elapsed,
            requests: get(&self.counters.requests),
            has_succeeded: self.liveness().successes() > 0,
            message: error.message.clone(),
        })
    }
}

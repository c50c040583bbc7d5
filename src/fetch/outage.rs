//! Is it one ID that fails, or does nothing succeed any more? An ID whose task could be had before tells; and when
//! nothing has succeeded for long enough, the run ends. Depends on `engine`, `gate` and `health`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::client::Failure;
use crate::api::error::FetchError;
use crate::api::memory_budget::Size;
use crate::event::Event;
use crate::fetch::attempts::Trials;
use crate::fetch::fetcher::Engine;
use crate::fetch::retry::{Trouble, Verdict, decide};
use crate::fetch::stats::get;

/// How long nothing must have succeeded before that is told: what is over at once is no news.
const TOLD: Duration = Duration::from_secs(2);

/// How long a run waits for the way to a server that it has never reached: a name that cannot be found, or a proxy
/// that gives no connection, is rather a mistake than an outage.
const NO_ROUTE: Duration = Duration::from_secs(10);

impl Engine<'_> {
    /// How long nothing may succeed, with this failure as the last one.
    pub(crate) fn patience(&self, failure: &Failure) -> Duration {
        let limit = self.options.retry_timeout;
        if failure.trouble == Trouble::NoRoute && self.health().successes() == 0 {
            limit.min(NO_ROUTE)
        } else {
            limit
        }
    }

    /// The server works; `task_id` has come, if one has.
    pub(crate) fn success(&self, task_id: Option<&str>, sent: Duration) {
        self.health().success(task_id, sent, self.gate.now());
        if self.is_outage.swap(false, Ordering::Relaxed) {
            let text = "the API answers again".to_owned();
            self.events.send(Event::Warning(text));
            self.events.send(Event::OutageOver);
        }
    }

    /// Tells once that nothing succeeds.
    pub(crate) fn tell_outage(&self, failure: &Failure) {
        let silence = self.health().since_success(self.gate.now());
        let is_outage = self.gate.is_outage();
        // One that asks to wait may be away for as long as one that says nothing.
        let is_away = is_outage || failure.status == Some(503);
        if is_away && silence >= TOLD && !self.is_outage.swap(true, Ordering::Relaxed) {
            self.events.send(Event::Warning(format!(
                "the API at `{}` does not answer ({}); {}giving up when nothing succeeds for {:.0} s",
                self.client.host(),
                failure.message,
                if is_outage { "asking once a second, " } else { "" },
                self.patience(failure).as_secs_f64()
            )));
            self.events.send(Event::Outage {
                silence,
                give_up_after: self.patience(failure),
            });
        }
    }

    /// Can an ID be had that could be had before? Asked ahead of all that wait, and once for all who want to know.
    pub(crate) async fn good_id_succeeds(&self) -> bool {
        let wanted = self.gate.now();
        let good_ids = self.health().good_ids();
        if good_ids.is_empty() {
            return false;
        }
        let _turn = self.probing.lock().await;
        let told = self.health().told_after(wanted);
        if let Some(is_well) = told {
            return is_well;
        }
        for good_id in good_ids {
            let mut share = self.budget.enter(Size::Task).await;
            let pass = self.gate.pass_ahead().await;
            let sent = pass.at();
            let answer = self.task(&good_id, &mut share).await;
            self.end(pass, &answer);
            match answer {
                Ok(_) => {
                    self.success(Some(&good_id), sent);
                    return true;
                }
                Err(failure) => {
                    self.health().good_id_failed(sent, self.gate.now());
                    // The task may be deleted: another one tells. In an outage none would, and each takes its time.
                    if !matches!(decide(failure.trouble, true), Verdict::Fail(_)) {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Is it this ID that fails, and not the server?
    pub(crate) async fn fails_alone(&self, trials: &Trials) -> bool {
        // What succeeded before its last attempt says nothing when nothing has since; and before the only attempt
        // nothing can have.
        if self.gate.is_outage() || trials.attempts == 1 {
            self.good_id_succeeds().await
        } else {
            trials.follows_success
        }
    }

    /// Ends the run when nothing has succeeded for too long, and an ID that could be had before cannot be had
    /// either: in all that time, nothing else may have been asked for but an ID that fails by itself.
    pub(crate) async fn give_up_in_an_outage(&self, failure: &Failure) -> Result<(), FetchError> {
        let limit = self.patience(failure);
        let elapsed = || self.health().since_success(self.gate.now());
        if elapsed() < limit {
            return Ok(());
        }
        let is_known = self.health().has_good_id_failed_after(limit);
        if !is_known && self.good_id_succeeds().await {
            return Ok(());
        }
        // Something else may have succeeded meanwhile.
        let elapsed = elapsed();
        if elapsed < limit {
            return Ok(());
        }
        Err(FetchError::GaveUp {
            host: self.client.host(),
            elapsed,
            requests: get(&self.counters.requests),
            has_succeeded: self.health().successes() > 0,
            message: failure.message.clone(),
        })
    }
}

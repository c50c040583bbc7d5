//! Is it the server, or is it the ID? Remembers what succeeded when. Pure: time passes in.
//! Depends on nothing.

use std::time::Duration;

/// IDs that are tried to find out whether the server works: one of them may be deleted meanwhile.
pub const GOOD_IDS: usize = 3;

/// What is known of the server's health.
#[derive(Debug, Default)]
pub(crate) struct Health {
    successes: u64,
    /// Of these, with a task.
    tasks: u64,
    last_success: Option<Duration>,
    /// When the youngest of the requests that succeeded was sent.
    last_sent: Option<Duration>,
    /// The latest first.
    good_ids: Vec<String>,
    /// When an ID that could be had before was asked for last without success, and when that was known.
    good_id_failed: Option<(Duration, Duration)>,
}

impl Health {
    /// Begins, with IDs whose tasks an earlier run received.
    pub(crate) fn new(good_ids: Vec<String>) -> Self {
        Self {
            good_ids,
            ..Self::default()
        }
    }

    /// What was asked for at `sent` was answered in a way that shows a working server; `task_id`: with this
    /// task.
    pub(crate) fn success(&mut self, task_id: Option<&str>, sent: Duration, now: Duration) {
        self.successes += 1;
        self.last_success = Some(now);
        self.last_sent = self.last_sent.max(Some(sent));
        if let Some(task_id) = task_id {
            self.tasks += 1;
            if self.good_ids.first().is_none_or(|first| first != task_id) {
                self.good_ids.insert(0, task_id.to_owned());
                self.good_ids.truncate(GOOD_IDS);
            }
        }
    }

    /// Successes so far.
    pub(crate) fn successes(&self) -> u64 {
        self.successes
    }

    /// Has a request succeeded that was sent after this time? One that was under way by then proves
    /// nothing about later.
    pub(crate) fn was_well_after(&self, time: Duration) -> bool {
        self.last_sent.is_some_and(|sent| sent > time)
    }

    /// Has there been any task? A 404 shows that the server works, but not that the key does.
    pub(crate) fn has_task(&self) -> bool {
        self.tasks > 0
    }

    /// How long nothing has succeeded.
    pub(crate) fn since_success(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_success.unwrap_or_default())
    }

    /// An ID that could be had before, asked for at `sent`, cannot be had any more.
    pub(crate) fn good_id_failed(&mut self, sent: Duration, now: Duration) {
        self.good_id_failed = Some((sent, now));
    }

    /// What requests that were sent after this time tell of the server, if they tell anything.
    pub(crate) fn told_after(&self, time: Duration) -> Option<bool> {
        let has_failed = self.good_id_failed.is_some_and(|(sent, _)| sent > time);
        if self.was_well_after(time) {
            Some(true)
        } else {
            has_failed.then_some(false)
        }
    }

    /// Could an ID that could be had before not be had when nothing had succeeded for so long?
    pub(crate) fn has_good_id_failed_after(&self, silence: Duration) -> bool {
        let due = self.last_success.unwrap_or_default() + silence;
        self.good_id_failed.is_some_and(|(_, known)| known >= due)
    }

    /// IDs whose tasks were received, the latest first.
    pub(crate) fn good_ids(&self) -> Vec<String> {
        self.good_ids.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_an_outage_does_not_show_that_it_is_over() {
        let second = Duration::from_secs(1);
        let mut health = Health::new(Vec::new());
        assert!(!health.was_well_after(Duration::ZERO));
        // Sent first, failed first; and one that was under way meanwhile succeeds.
        health.success(Some("task_1"), second, second * 4);
        assert!(!health.was_well_after(second * 2));
        health.success(Some("task_2"), second * 3, second * 4);
        assert!(health.was_well_after(second * 2));
        // An older one that comes late takes nothing back.
        health.success(Some("task_3"), second, second * 5);
        assert!(health.was_well_after(second * 2));
    }

    #[test]
    fn a_good_id_tells_of_what_was_asked_before_it_and_of_a_long_silence() {
        let second = Duration::from_secs(1);
        let mut health = Health::new(vec!["task_1".to_owned()]);
        health.success(None, second, second * 2);
        health.good_id_failed(second * 4, second * 5);
        // Who wanted to know when it was under way already asks anew.
        assert_eq!(health.told_after(second * 4), None);
        assert_eq!(health.told_after(second * 3), Some(false));
        assert!(health.has_good_id_failed_after(second * 3));
        assert!(!health.has_good_id_failed_after(second * 4));
        // Of two answers the good one counts.
        health.success(None, second * 4, second * 6);
        assert_eq!(health.told_after(second * 3), Some(true));
        assert!(!health.has_good_id_failed_after(second));
    }
}

//! Distinguishes a server that fails from an ID that fails, by what succeeded when. Pure: time is passed in.

use std::time::Duration;

/// The number of known good IDs that are kept to test the server: one of the tasks may have been deleted.
pub const GOOD_IDS: usize = 3;

/// What is known of the server's liveness.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    successes: u64,
    /// Whether a task was received.
    has_task: bool,
    last_success: Option<Duration>,
    /// When the latest of the requests that succeeded was sent.
    last_sent: Option<Duration>,
    /// The latest first.
    good_ids: Vec<String>,
    /// When a known good ID was last requested without success, and when that was known.
    good_id_failed: Option<(Duration, Duration)>,
}

impl Liveness {
    /// `good_ids` are IDs whose tasks an earlier run received.
    pub(crate) fn new(good_ids: Vec<String>) -> Self {
        Self {
            good_ids,
            ..Self::default()
        }
    }

    /// Takes note of a response that shows that the server works. Its request was sent at `sent`.
    pub(crate) fn add_success(&mut self, sent: Duration, now: Duration) {
        self.successes += 1;
        self.last_success = Some(now);
        self.last_sent = self.last_sent.max(Some(sent));
    }

    /// Takes note of an ID whose task was received.
    pub(crate) fn add_good_id(&mut self, task_id: &str) {
        self.has_task = true;
        if self.good_ids.first().is_none_or(|first| first != task_id) {
            self.good_ids.insert(0, task_id.to_owned());
            self.good_ids.truncate(GOOD_IDS);
        }
    }

    /// The number of successes so far.
    pub(crate) fn successes(&self) -> u64 {
        self.successes
    }

    /// Whether a request that was sent after this time has succeeded. The success of an earlier request says nothing
    /// about later ones.
    pub(crate) fn was_well_after(&self, time: Duration) -> bool {
        self.last_sent.is_some_and(|sent| sent > time)
    }

    /// Whether a task was received. A 404 shows that the server works, but not that the key does.
    pub(crate) fn has_task(&self) -> bool {
        self.has_task
    }

    /// How long nothing has succeeded.
    pub(crate) fn since_success(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_success.unwrap_or_default())
    }

    /// A known good ID, requested at `sent`, failed.
    pub(crate) fn good_id_failed(&mut self, sent: Duration, now: Duration) {
        self.good_id_failed = Some((sent, now));
    }

    /// Whether the server works, from requests that were sent after this time; `None` if there is no such request.
    pub(crate) fn works_after(&self, time: Duration) -> Option<bool> {
        let has_failed = self.good_id_failed.is_some_and(|(sent, _)| sent > time);
        if self.was_well_after(time) {
            Some(true)
        } else {
            has_failed.then_some(false)
        }
    }

    /// Whether a known good ID failed after nothing had succeeded for this long.
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
    fn the_success_of_an_earlier_request_does_not_end_an_outage() {
        let second = Duration::from_secs(1);
        let mut liveness = Liveness::new(Vec::new());
        assert!(!liveness.was_well_after(Duration::ZERO));
        // It was sent and failed first, while an earlier request succeeds later.
        liveness.add_success(second, second * 4);
        assert!(!liveness.was_well_after(second * 2));
        liveness.add_success(second * 3, second * 4);
        assert!(liveness.was_well_after(second * 2));
        // An earlier request that ends late changes nothing.
        liveness.add_success(second, second * 5);
        assert!(liveness.was_well_after(second * 2));
    }

    #[test]
    fn a_good_id_covers_earlier_requests_and_a_long_silence() {
        let second = Duration::from_secs(1);
        let mut liveness = Liveness::new(vec!["task_1".to_owned()]);
        liveness.add_success(second, second * 2);
        liveness.good_id_failed(second * 4, second * 5);
        // A caller that comes after that request was sent needs a new one.
        assert_eq!(liveness.works_after(second * 4), None);
        assert_eq!(liveness.works_after(second * 3), Some(false));
        assert!(liveness.has_good_id_failed_after(second * 3));
        assert!(!liveness.has_good_id_failed_after(second * 4));
        // Of two responses, the success counts.
        liveness.add_success(second * 4, second * 6);
        assert_eq!(liveness.works_after(second * 3), Some(true));
        assert!(!liveness.has_good_id_failed_after(second));
    }
}

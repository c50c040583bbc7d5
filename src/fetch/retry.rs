//! How long a request waits before its next attempt.

use std::time::Duration;

/// The maximum of the first wait. It doubles with each failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// The maximum of every wait, unless the server requests a longer one.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The wait before the next attempt, with full jitter, so that requests that failed together are not retried together.
/// `random` is uniform in 0..1.
fn backoff(failures: u32, random: f64) -> Duration {
    // Sixteen doublings exceed the maximum, and more would overflow the shift.
    let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF).mul_f64(random.clamp(0.0, 1.0))
}

/// The wait before the next attempt: at least the wait that the server `requested`. Otherwise it grows, but the last
/// attempt is made when the run is due to give up, which is `left` from now, and not up to half a minute later.
pub(crate) fn wait(failures: u32, random: f64, requested: Duration, left: Duration) -> Duration {
    backoff(failures, random).min(left).max(requested)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_capped() {
        assert_eq!(backoff(1, 1.0), FIRST_BACKOFF);
        assert_eq!(backoff(3, 0.5), FIRST_BACKOFF * 2);
        assert_eq!(backoff(u32::MAX, 1.0), MAX_BACKOFF);
        assert_eq!(backoff(5, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_wait_ends_when_the_run_gives_up_unless_the_server_requests_more() {
        let second = Duration::from_secs(1);
        let none = Duration::ZERO;
        assert_eq!(wait(9, 1.0, none, second * 60), MAX_BACKOFF);
        assert_eq!(wait(9, 1.0, none, second), second);
        assert_eq!(wait(1, 1.0, second * 2, second), second * 2);
        assert_eq!(wait(1, 0.0, none, second), none);
    }
}

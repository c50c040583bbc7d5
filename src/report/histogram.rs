//! Counts of whole numbers by fixed ranges. Exact.

use crate::report::merge::Merge;

/// Counts by `N` ranges. The ranges are those of the caller, who passes the same limits each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram<const N: usize>([u64; N]);

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts a number: range `n` begins at the `n`-th of the ascending `starts`.
    pub fn see(&mut self, starts: &[u64; N], number: u64) {
        let at = starts.partition_point(|start| *start <= number);
        if let Some(count) = self.0.get_mut(at.saturating_sub(1)) {
            *count += 1;
        }
    }

    /// Counts one in a range.
    pub fn see_at(&mut self, range: usize) {
        if let Some(count) = self.0.get_mut(range) {
            *count += 1;
        }
    }

    /// The counts in order.
    pub fn counts(&self) -> [u64; N] {
        self.0
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl<const N: usize> Merge for Histogram<N> {
    fn merge(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            count.merge(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_with_its_start() {
        let mut counts = Histogram::<3>::default();
        for number in [0, 9, 10, 99, 100, u64::MAX] {
            counts.see(&[0, 10, 100], number);
        }
        assert_eq!(counts.counts(), [2, 2, 2]);
    }
}

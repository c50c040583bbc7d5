//! Count, mean, lowest and highest of scores.

use crate::report::merge::Merge;

/// Scores are added as whole millionths: sums of float64 depend on the order of the numbers.
const UNITS: f64 = 1e6;

/// Larger scores count as this one, so that the sum of any number of scores fits.
const MAX_SCORE: f64 = 1e15;

/// What is known of some scores.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScoreSummary {
    count: u64,
    /// In millionths.
    sum: i128,
    /// The lowest and the highest, in millionths.
    range: Option<(i128, i128)>,
}

impl ScoreSummary {
    /// A single score.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the score is bounded, and NaN becomes 0"
    )]
    pub fn of(score: f64) -> Self {
        let units = (score.clamp(-MAX_SCORE, MAX_SCORE) * UNITS).round() as i128;
        Self {
            count: 1,
            sum: units,
            range: Some((units, units)),
        }
    }

    /// How many scores there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean in hundredths, halves rounded away from zero; `None` without a score.
    pub fn mean_hundredths(&self) -> Option<i128> {
        hundredths(self.sum, self.count)
    }

    /// The lowest and the highest score in hundredths.
    pub fn range_hundredths(&self) -> Option<(i128, i128)> {
        let (lowest, highest) = self.range?;
        Some((hundredths(lowest, 1)?, hundredths(highest, 1)?))
    }
}

/// Millionths divided by a count, in hundredths.
fn hundredths(units: i128, count: u64) -> Option<i128> {
    let divisor = i128::from(count).checked_mul(10_000).filter(|it| *it > 0)?;
    let half = divisor / 2 * units.signum();
    Some((units + half) / divisor)
}

impl Merge for ScoreSummary {
    fn merge(&mut self, other: Self) {
        self.count.merge(other.count);
        self.sum += other.sum;
        self.range = match (self.range, other.range) {
            (Some((low, high)), Some((lower, higher))) => Some((low.min(lower), high.max(higher))),
            (one, another) => one.or(another),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(scores: &[f64]) -> ScoreSummary {
        let mut summary = ScoreSummary::default();
        for &score in scores {
            summary.merge(ScoreSummary::of(score));
        }
        summary
    }

    #[test]
    fn means_are_rounded_to_hundredths() {
        assert_eq!(all(&[]).mean_hundredths(), None);
        assert_eq!(all(&[1.0, 2.0]).mean_hundredths(), Some(150));
        assert_eq!(all(&[0.125]).mean_hundredths(), Some(13));
        assert_eq!(all(&[-0.125]).mean_hundredths(), Some(-13));
        assert_eq!(all(&[1.0, 2.0, 2.0]).range_hundredths(), Some((100, 200)));
        // Larger scores do not overflow.
        assert!(all(&[f64::MAX, f64::MAX, f64::NAN]).mean_hundredths() > Some(1));
    }

    proptest! {
        #[test]
        fn the_order_of_scores_does_not_matter(mut scores: Vec<f64>) {
            let forwards = all(&scores);
            scores.reverse();
            prop_assert_eq!(all(&scores), forwards);
        }
    }
}

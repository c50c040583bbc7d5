//! Quantiles of whole numbers in bounded memory: exact below 8,192, above at most 0.025% below the exact value.

use std::collections::BTreeMap;

use crate::report::merge::{Merge, merge_fields};

/// Numbers below two to this power are counted one by one; of larger ones, this many leading bits distinguish them.
const EXACT_BITS: u32 = 13;

/// The first number whose bucket has more numbers.
const FIRST_WIDE: u64 = 1 << EXACT_BITS;

/// Buckets of each power of two above.
const BUCKETS_PER_POWER: u64 = FIRST_WIDE / 2;

/// Counts of numbers by bucket. There are at most 217,000 buckets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantiles {
    buckets: BTreeMap<u64, u64>,
    largest: Largest,
}

/// The largest of some numbers; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Largest(u64);

impl Merge for Largest {
    fn merge(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

merge_fields!(Quantiles { buckets, largest });

/// The smallest number of the bucket that a number belongs to.
fn bucket(number: u64) -> u64 {
    let bits = u64::BITS - number.leading_zeros();
    let dropped = bits.saturating_sub(EXACT_BITS);
    debug_assert!(number < FIRST_WIDE || number >> dropped >= BUCKETS_PER_POWER);
    number >> dropped << dropped
}

impl Quantiles {
    /// Counts a number.
    pub fn see(&mut self, number: u64) {
        *self.buckets.entry(bucket(number)).or_default() += 1;
        self.largest.merge(Largest(number));
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// The largest number, exactly; 0 if there is none.
    pub fn largest(&self) -> u64 {
        self.largest.0
    }

    /// The number at a rank, as the smallest number of its bucket: the first at which `percent` of all numbers are
    /// reached in ascending order, as `quantile_disc` of SQL. `None` without any number.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let count = u128::from(self.count());
        let rank = (count * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let mut buckets = self.buckets.iter();
        let (number, _) = buckets.find(|(_, count)| {
            seen += u128::from(**count);
            seen >= rank
        })?;
        Some(*number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(numbers: &[u64]) -> Quantiles {
        let mut quantiles = Quantiles::default();
        for &number in numbers {
            quantiles.see(number);
        }
        quantiles
    }

    #[test]
    fn small_numbers_are_exact() {
        let quantiles = all(&[5, 1, 8_191, 3]);
        assert_eq!(quantiles.percentile(50), Some(3));
        assert_eq!(quantiles.percentile(90), Some(8_191));
        assert_eq!(all(&[]).percentile(50), None);
        assert_eq!(all(&[0]).percentile(50), Some(0));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_their_bound(mut numbers in prop::collection::vec(any::<u64>(), 1..50), percent in 0..=100_u64) {
            let found = all(&numbers).percentile(percent).unwrap();
            numbers.sort_unstable();
            let rank = (numbers.len() * usize::try_from(percent).unwrap()).div_ceil(100).max(1);
            let exact = numbers[rank - 1];
            prop_assert_eq!(found, bucket(exact));
            prop_assert!(found <= exact && exact - found <= exact / 4_000);
        }

        #[test]
        fn parts_give_the_whole(left: Vec<u64>, right: Vec<u64>) {
            let mut merged = all(&left);
            merged.merge(all(&right));
            prop_assert_eq!(merged, all(&[left, right].concat()));
        }
    }
}

//! Puts the results of ranges, which are complete in any order, into the order of the list.

use std::collections::BTreeMap;

/// Results that wait for those of earlier ranges.
#[derive(Debug)]
pub(crate) struct RangeOrder<T> {
    waiting: BTreeMap<usize, T>,
    next: usize,
}

impl<T> RangeOrder<T> {
    /// Starts with the first range.
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds the result of a range.
    pub(crate) fn add(&mut self, number: usize, result: T) {
        self.waiting.insert(number, result);
    }

    /// Takes the next result in order, if it was added.
    pub(crate) fn take(&mut self) -> Option<T> {
        let result = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_waits_for_those_of_earlier_ranges() {
        let mut order = RangeOrder::new();
        order.add(1, "b");
        assert_eq!(order.take(), None);
        order.add(0, "a");
        let taken: Vec<&str> = std::iter::from_fn(|| order.take()).collect();
        assert_eq!(taken, ["a", "b"]);
        order.add(2, "c");
        assert_eq!(order.take(), Some("c"));
    }
}

//! The order of the minima and maxima of pages, by which readers search pages.

use std::cmp::Ordering;

use parquet::basic::BoundaryOrder;

use crate::encode::parquet::write::value_range::{ValueOrder, ValueRange};

/// Follows the ranges of the pages of a column chunk.
#[derive(Debug)]
pub(crate) struct BoundaryTracker {
    order: ValueOrder,
    last: Option<ValueRange>,
    is_ascending: bool,
    is_descending: bool,
}

impl BoundaryTracker {
    pub(crate) fn new(order: ValueOrder) -> Self {
        Self {
            order,
            last: None,
            is_ascending: true,
            is_descending: true,
        }
    }

    /// Adds the range of the next page that has values.
    pub(crate) fn add(&mut self, range: &ValueRange) {
        if let Some(last) = &self.last {
            for (before, after) in [(&last.min, &range.min), (&last.max, &range.max)] {
                match self.order.compare(before, after) {
                    Ordering::Less => self.is_descending = false,
                    Ordering::Greater => self.is_ascending = false,
                    Ordering::Equal => {}
                }
            }
        }
        self.last = Some(range.clone());
    }

    /// The order of all pages. Ascending if all ranges are equal.
    pub(crate) fn boundary_order(&self) -> BoundaryOrder {
        match (self.is_ascending, self.is_descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

//! Statistics of two parts of the rows become those of both.

use std::collections::BTreeMap;

/// Statistics that can be merged. Merging is associative and commutative, and the default value changes nothing, so the
/// result does not depend on how the rows were divided.
pub trait Merge: Default {
    /// Adds the statistics of other rows.
    fn merge(&mut self, other: Self);
}

impl Merge for u64 {
    fn merge(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

impl<K: Ord, V: Merge> Merge for BTreeMap<K, V> {
    fn merge(&mut self, other: Self) {
        for (key, value) in other {
            self.entry(key).or_default().merge(value);
        }
    }
}

/// Implements [`Merge`] field by field.
macro_rules! merge_fields {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl crate::report::merge::Merge for $type {
            fn merge(&mut self, other: Self) {
                let Self { $($field),+ } = other;
                $(crate::report::merge::Merge::merge(&mut self.$field, $field);)+
            }
        }
    };
}

pub(super) use merge_fields;

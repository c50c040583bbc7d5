//! Where tables are built.

use crate::encode::format::Selection;
use crate::event::Events;
use crate::jobs::ranges::saved_tables::SavedTables;
use crate::publish::staging::Staging;

/// Which tables are built, and where.
#[derive(Clone, Copy)]
pub(crate) struct TableTarget<'s> {
    pub(crate) selection: Selection,
    pub(crate) staging: &'s Staging,
    pub(crate) events: &'s Events,
    /// The number of workers.
    pub(crate) workers: usize,
    /// Published tables from which ranges can be copied.
    pub(crate) saved: Option<&'s SavedTables>,
}

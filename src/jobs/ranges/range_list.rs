//! The ranges of a list of IDs, as far as they are known. A list that is still being read has more later.

use std::ops::Range;
use std::sync::Mutex;

use crate::ids::range_cutter::{RangeCutter, RangeLengths};
use crate::ids::task_ids::TaskIds;
use crate::threads::{self, ChangeNotifier};

/// The ranges of a list.
#[derive(Debug)]
pub(crate) struct RangeList {
    state: Mutex<KnownRanges>,
    changed: ChangeNotifier,
}

#[derive(Debug)]
struct KnownRanges {
    cutter: RangeCutter,
    /// The ends of complete ranges.
    ends: Vec<usize>,
    /// IDs so far.
    ids: usize,
    is_complete: bool,
}

impl KnownRanges {
    fn start(&self, range: usize) -> Option<usize> {
        match range.checked_sub(1) {
            Some(before) => self.ends.get(before).copied(),
            None => Some(0),
        }
        .filter(|start| *start < self.ids)
    }
}

impl RangeList {
    /// The ranges of a list that is still being read.
    pub(crate) fn new(lengths: RangeLengths) -> Self {
        Self {
            state: Mutex::new(KnownRanges {
                cutter: RangeCutter::new(lengths),
                ends: Vec::new(),
                ids: 0,
                is_complete: false,
            }),
            changed: ChangeNotifier::default(),
        }
    }

    /// The ranges of a complete list.
    pub(crate) fn of(ids: &TaskIds, lengths: RangeLengths) -> Self {
        let list = Self::new(lengths);
        ids.iter().for_each(|task_id| list.push(task_id));
        list.close();
        list
    }

    /// The ranges of a complete list of `ids` IDs, which end before these positions and at the end of the list.
    #[cfg(test)]
    pub(crate) fn of_ends(ends: Vec<usize>, ids: usize) -> Self {
        let list = Self::new(RangeLengths::DEFAULT);
        {
            let mut state = threads::lock(&list.state);
            (state.ends, state.ids) = (ends, ids);
        }
        list.close();
        list
    }

    /// Adds the next ID.
    pub(crate) fn push(&self, task_id: &str) {
        let mut state = threads::lock(&self.state);
        state.ids += 1;
        if state.cutter.ends_with(task_id) {
            let end = state.ids;
            state.ends.push(end);
        }
        drop(state);
        self.changed.notify();
    }

    /// Marks the list as complete.
    pub(crate) fn close(&self) {
        threads::lock(&self.state).is_complete = true;
        self.changed.notify();
    }

    /// The first position of a range. Waits until the range begins; `None` if the list ends before.
    pub(crate) fn start(&self, range: usize) -> Option<usize> {
        let mut state = threads::lock(&self.state);
        loop {
            let start = state.start(range);
            if start.is_some() || state.is_complete {
                return start;
            }
            state = self.changed.wait(state);
        }
    }

    /// Whether a position belongs to a range, of which it is the first or follows one that does. `None` while that is not
    /// known.
    pub(crate) fn has(&self, range: usize, position: usize) -> Option<bool> {
        let state = threads::lock(&self.state);
        match state.ends.get(range) {
            Some(end) => Some(position < *end),
            None if position < state.ids => Some(true),
            None => state.is_complete.then_some(false),
        }
    }

    /// Waits until the list has a position, or is complete.
    pub(crate) fn wait(&self, position: usize) {
        let mut state = threads::lock(&self.state);
        while position >= state.ids && !state.is_complete {
            state = self.changed.wait(state);
        }
    }

    /// All ranges of a complete list.
    pub(crate) fn all(&self) -> Vec<Range<usize>> {
        let state = threads::lock(&self.state);
        let starts = [0].into_iter().chain(state.ends.iter().copied());
        let ends = state.ends.iter().copied().chain([state.ids]);
        let ranges = starts.zip(ends).map(|(start, end)| start..end);
        ranges.filter(|range| !range.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::range_cutter::ranges;

    const LENGTHS: RangeLengths = RangeLengths { min: 2, max: 4 };

    #[test]
    fn the_ranges_of_a_growing_list_are_those_of_the_whole_list() {
        let ids: Vec<String> = (0..50).map(|number| format!("task_{number}")).collect();
        let expected = ranges(ids.iter().map(String::as_str), LENGTHS);
        let list = RangeList::new(LENGTHS);
        assert_eq!(list.has(0, 0), None);
        for task_id in &ids {
            list.push(task_id);
        }
        list.close();
        assert_eq!(list.all(), expected);
        for (number, range) in expected.iter().enumerate() {
            assert_eq!(list.start(number), Some(range.start));
            assert_eq!(list.has(number, range.end - 1), Some(true));
            assert_eq!(list.has(number, range.end), Some(false));
        }
        assert_eq!(list.start(expected.len()), None);
    }

    #[test]
    fn an_empty_list_has_no_range() {
        let list = RangeList::of(&TaskIds::default(), LENGTHS);
        assert_eq!((list.start(0), list.all()), (None, Vec::new()));
    }
}

//! Reports the records that damage of a journal cost, by ID.

use std::collections::HashSet;

use crate::event::{Event, Events};
use crate::journal::format::RecordKind;
use crate::journal::scan::LostRecord;

/// The number of IDs in a warning.
const SHOWN_IDS: usize = 10;

/// The IDs of lost records, each once, in the order of the journal.
#[derive(Debug)]
pub(crate) struct LostIds<'l>(Vec<&'l str>);

impl<'l> LostIds<'l> {
    /// Those of the records that a scan did not find.
    pub(crate) fn new(lost: &'l [LostRecord]) -> Self {
        let of_task = lost.iter().filter(|lost| is_of_task(lost.kind));
        // A kept response and the failure after it have the same ID.
        let mut seen = HashSet::new();
        let ids = of_task.map(|lost| lost.task_id.as_str());
        Self(ids.filter(|task_id| seen.insert(*task_id)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first IDs, for the end of a message; nothing if there are none.
    pub(crate) fn suffix(&self) -> String {
        let shown = self.0.get(..SHOWN_IDS).unwrap_or(&self.0);
        if shown.is_empty() {
            return String::new();
        }
        let more = match self.0.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(": {}{more}", shown.join(", "))
    }

    /// Reports the IDs that a warning leaves out, for `-v`.
    pub(crate) fn report_others(&self, events: &Events) {
        let others = self.0.get(SHOWN_IDS..).unwrap_or_default();
        for ids in others.chunks(SHOWN_IDS) {
            events.send(Event::Detail(format!(
                "lost with the damage of the journal: {}",
                ids.join(", ")
            )));
        }
    }
}

/// Whether records of this kind belong to a task.
fn is_of_task(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Response | RecordKind::Failure | RecordKind::Refused => true,
        RecordKind::Refresh | RecordKind::End => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_first_ids_and_the_details_the_others() {
        let lost = |count: usize| -> Vec<LostRecord> {
            (0..count)
                .map(|number| LostRecord {
                    kind: RecordKind::Response,
                    task_id: format!("t{number}"),
                    offset: number as u64,
                })
                .collect()
        };
        assert_eq!(LostIds::new(&[]).suffix(), "");
        assert_eq!(LostIds::new(&lost(2)).suffix(), ": t0, t1");
        let many = lost(25);
        let ids = LostIds::new(&many);
        assert!(ids.suffix().ends_with("t8, t9 and 15 more"));
        let (events, receiver) = crate::event::Events::channel();
        ids.report_others(&events);
        drop(events);
        let details: Vec<String> = receiver
            .iter()
            .map(|event| match event {
                Event::Detail(text) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(details.len(), 2);
        assert!(details[1].ends_with("t20, t21, t22, t23, t24"));
    }
}

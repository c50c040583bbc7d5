//! A journal that lost records before a run that lists the tasks.

use std::fs;

use crate::lists::api::Api;
use crate::support::published;

#[test]
fn what_the_journal_has_lost_is_reported_before_listing_lengthens_it() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[120], |_, _| None);
    let batch = ["--batch", "b1", "-v"];
    let (out, _) = api.export(base.path(), "out", &batch, 0);
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();

    // The last record is lost. Its task is listed again, and its new record is as long.
    fs::write(&journal, &whole[..whole.len() - 5]).unwrap();
    let (_, said) = api.export(base.path(), "out", &batch, 0);
    let lost = said
        .lines()
        .find(|line| line.contains("the journal lacks "));
    let lost = lost.unwrap_or_else(|| panic!("{said}"));
    let bytes = lost.split("the journal lacks ").nth(1).unwrap();
    let bytes: usize = bytes.split(' ').next().unwrap().parse().unwrap();
    assert!((5..500).contains(&bytes), "{said}");
    assert_eq!(said.matches("the journal lacks").count(), 1);
    assert!(!said.starts_with("Nothing to do"), "{said}");
    assert!(published(&out) == before);

    // A run that ended in the middle of a record.
    let mut torn = fs::read(&journal).unwrap();
    torn.extend([1; 7]);
    fs::write(&journal, torn).unwrap();
    let (_, said) = api.export(base.path(), "out", &batch, 0);
    assert!(
        said.contains("removed 7 bytes from the end of the journal"),
        "{said}"
    );

    fs::remove_file(&journal).unwrap();
    let (_, said) = api.export(base.path(), "out", &batch, 0);
    assert!(said.contains("are missing from `.scale-export`"), "{said}");
    assert!(published(&out) == before);

    // Damage is reported once, though the journal is read twice.
    let mut damaged = fs::read(&journal).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&journal, damaged).unwrap();
    let (_, said) = api.export(base.path(), "out", &batch, 0);
    assert_eq!(
        said.matches("damaged place in the journal").count(),
        1,
        "{said}"
    );
    assert!(published(&out) == before);
}

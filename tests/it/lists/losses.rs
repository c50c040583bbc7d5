//! A journal that lost records before a run that lists the tasks.

use std::fs;

use crate::lists::api::Api;
use crate::support::published;

#[test]
fn journal_damage_is_reported_before_a_list_run_appends() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[120], |_, _| None);
    let batch = ["--batch", "b1", "-v"];
    let (out, _) = api.export(base.path(), "out", &batch, 0);
    let before = published(&out);
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();

    // The last record is lost. Its task is listed again, and its new record is as long.
    fs::write(&journal, &whole[..whole.len() - 5]).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    let lost = printed
        .lines()
        .find(|line| line.contains("the journal lacks "));
    let lost = lost.unwrap_or_else(|| panic!("{printed}"));
    let bytes = lost.split("the journal lacks ").nth(1).unwrap();
    let bytes: usize = bytes.split(' ').next().unwrap().parse().unwrap();
    assert!((5..500).contains(&bytes), "{printed}");
    assert_eq!(printed.matches("the journal lacks").count(), 1);
    assert!(!printed.starts_with("Nothing to do"), "{printed}");
    assert!(published(&out) == before);

    // A run that ended in the middle of a record.
    let mut torn = fs::read(&journal).unwrap();
    torn.extend([1; 7]);
    fs::write(&journal, torn).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert!(
        printed.contains("removed 7 bytes from the end of the journal"),
        "{printed}"
    );

    fs::remove_file(&journal).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert!(
        printed.contains("are missing from `.scale-export`"),
        "{printed}"
    );
    assert!(published(&out) == before);

    // Damage is reported once, though the journal is read twice.
    let mut damaged = fs::read(&journal).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    fs::write(&journal, damaged).unwrap();
    let (_, printed) = api.export(base.path(), "out", &batch, 0);
    assert_eq!(
        printed.matches("damaged place in the journal").count(),
        1,
        "{printed}"
    );
    assert!(published(&out) == before);
}

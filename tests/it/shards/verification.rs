//! `verify` compares a combined export with the raw responses in its shards.

use std::fs;

use super::{Shards, verify};
use crate::flatten::stderr;
use crate::support::task_ids;

#[test]
fn a_changed_row_of_a_combined_export_is_found_with_the_shards() {
    let list = Shards::new(&["--format", "csv"]);
    let shards = list.export_all(2);
    list.combine(&shards, "out", &[]);
    let out = list.path("out");
    let table = out.join("messages.csv");
    let text = fs::read_to_string(&table).unwrap();
    let changed = text.replacen("user", "usem", 1);
    assert_ne!(text, changed);
    fs::write(&table, changed).unwrap();
    let output = verify(&[&out, &shards[1], &shards[0]]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(stderr(&output).contains(
        "hint: if the raw responses are intact, rebuild the tables: scale-export combine"
    ));
    // Shards of another list tell nothing about this export.
    list.write_list(&task_ids(50));
    let other = list.export("other", &["--shard", "0/1"]);
    assert_eq!(other.status.code(), Some(0), "{}", stderr(&other));
    let output = verify(&[&out, &list.path("other")]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("their IDs are others"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn verify_refuses_shards_that_cannot_tell_anything_about_the_export() {
    let list = Shards::new(&[]);
    let shards = list.export_all(2);
    list.combine(&shards, "out", &[]);
    let out = list.path("out");
    let others = ["0/2", "1/2"].map(|shard| {
        let name = format!("other_{}", &shard[..1]);
        list.export(&name, &["--shard", shard, "--expand", "project"]);
        list.path(&name)
    });
    let output = verify(&[&out, &others[0], &others[1]]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("their options are others"),
        "{}",
        stderr(&output)
    );
    fs::remove_file(shards[1].join(".scale-export/journal")).unwrap();
    let output = verify(&[&out, &shards[0], &shards[1]]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

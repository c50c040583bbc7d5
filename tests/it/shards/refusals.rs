//! Shards and options that are refused, and which shard an error names.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use scale_export::journal::format::RecordKind;
use scale_export::journal::reader::JournalReader;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{RANGE_LENGTH, Shards, verify};
use crate::flatten::{run, stderr};
use crate::ranges::RANGE_TASKS;
use crate::support::{KEY, manifest, program, published, task_ids};

#[test]
fn shards_that_do_not_fit_together_are_refused_by_their_numbers() {
    let list = Shards::new(&[]);
    let shards = list.export_all(3);
    let one_without = list.refused(&[shards[2].clone(), shards[0].clone()]);
    insta::assert_snapshot!("a_missing_shard", one_without);
    let twice = [shards.as_slice(), &[shards[1].clone()]].concat();
    insta::assert_snapshot!("a_shard_twice", list.refused(&twice));
    let of_two = list.export_all(2);
    let mixed = [of_two[0].clone(), shards[1].clone()];
    insta::assert_snapshot!("other_number_of_shards", list.refused(&mixed));
    list.export("whole", &[]);
    insta::assert_snapshot!("not_a_shard", list.refused(&[list.path("whole")]));
    insta::assert_snapshot!("not_an_export", list.refused(&[list.path("nothing")]));
    let output = list.export("csv", &["--shard", "1/3", "--format", "csv"]);
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        stderr(&output)
    );
    let other_options = [shards[0].clone(), list.path("csv"), shards[2].clone()];
    insta::assert_snapshot!("other_options", list.refused(&other_options));
    let mut ids = task_ids(100);
    ids.swap(3, 4);
    list.write_list(&ids);
    let output = list.export("other", &["--shard", "2/3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let other_list = [shards[0].clone(), shards[1].clone(), list.path("other")];
    insta::assert_snapshot!("other_list", list.refused(&other_list));
    let journal = shards[1].join(".scale-export/journal");
    fs::remove_file(journal).unwrap();
    insta::assert_snapshot!("without_raw_responses", {
        let output = list.combine(&shards, "refused", &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(!list.path("refused/manifest.json").exists());
        stderr(&output).replace(&format!("{}/", list.base.path().display()), "")
    });
}

#[test]
fn a_check_counts_the_ids_of_the_shard() {
    let list = Shards::new(&[]);
    let lines = |shard: &str| {
        let mut command = program();
        command.env(RANGE_TASKS, RANGE_LENGTH).arg("check");
        command.env("SCALE_API_KEY", KEY).arg("--json");
        command.args(["--base-url", &list.server.base_url(), "--shard", shard]);
        command.arg("--ids").arg(list.path("ids.txt"));
        let output = command.arg("--out").arg(list.path("out")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let lines = found["checks"].as_array().unwrap().clone();
        move |name: &str| {
            let line = lines.iter().find(|line| line["name"] == name).unwrap();
            line["detail"].as_str().unwrap().to_owned()
        }
    };
    let first = lines("0/2");
    assert!(first("tasks").starts_with("101 IDs in `"));
    let list_and_own = first("tasks");
    let (_, own) = list_and_own.split_once("; ").unwrap();
    let own: usize = own
        .strip_prefix("shard 0/2 has ")
        .unwrap()
        .strip_suffix(" IDs")
        .unwrap()
        .parse()
        .unwrap();
    assert!((40..60).contains(&own), "{own}");
    // More shards than ranges: this one has no IDs, and its run ends well.
    let empty = lines("0/64");
    assert!(empty("tasks").ends_with("; shard 0/64 has 0 IDs"));
    assert_eq!(empty("first_task"), "no task is known");
}

#[test]
fn a_directory_keeps_its_shard() {
    let list = Shards::new(&[]);
    list.export_all(3);
    let refused = |name: &str, options: &[&str]| {
        let before = manifest(&list.path(name));
        for more in [&[][..], &["--dry-run"]] {
            let output = list.export(name, &[options, more].concat());
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        }
        let output = list.export(name, options);
        assert_eq!(manifest(&list.path(name)), before);
        stderr(&output).replace(&format!("{}/", list.base.path().display()), "")
    };
    insta::assert_snapshot!(
        "another_shard",
        refused("shard_1_of_3", &["--shard", "2/3"])
    );
    insta::assert_snapshot!("no_shard", refused("shard_1_of_3", &[]));
    list.export("whole", &[]);
    insta::assert_snapshot!(
        "a_shard_in_place_of_all",
        refused("whole", &["--shard", "0/3"])
    );
    // `check` says what the run would say.
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args([
            "check",
            "--base-url",
            &list.server.base_url(),
            "--shard",
            "0/3",
            "--ids",
        ])
        .arg(list.path("ids.txt"))
        .arg("--out")
        .arg(list.path("whole"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn mistakes_with_shards_are_explained() {
    let list = Shards::new(&[]);
    let mistake = |options: &[&str]| {
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let ids = list.path("ids.txt");
    let ids = ids.to_str().unwrap();
    insta::assert_snapshot!(
        "a_shard_too_many",
        mistake(&["--ids", ids, "--shard", "4/4", "--out", "out"])
    );
    insta::assert_snapshot!(
        "shards_of_a_batch",
        mistake(&["--batch", "Week 7", "--shard", "0/4", "--out", "out"])
    );
    insta::assert_snapshot!("nothing_to_combine", mistake(&["combine", "--out", "out"]));
    let shards = list.export_all(1);
    let inside = shards[0].join("out");
    let shard = shards[0].to_str().unwrap();
    for out in [shard, inside.to_str().unwrap()] {
        let output = mistake(&["combine", shard, "--out", out]);
        assert!(
            output.contains("it is the directory of a shard, or inside one"),
            "{output}"
        );
    }
}

#[test]
fn damaged_or_unpublished_responses_of_a_shard_are_refused() {
    let list = Shards::new(&[]);
    let shards = list.export_all(2);
    let output = list.export(
        "shard_0_of_2",
        &["--shard", "0/2", "--refresh", "all", "--max-failures", "0"],
    );
    assert!(output.status.code().is_some(), "{}", stderr(&output));
    let output = list.export(
        "shard_1_of_2",
        &["--shard", "1/2", "--refresh", "all", "--max-failures", "0"],
    );
    let codes: Vec<bool> = [0, 1]
        .map(|number| {
            let status = run(&["status", "--json"], &[&shards[number]]);
            status.status.success()
        })
        .to_vec();
    assert_eq!(codes, [true, true], "{}", stderr(&output));
    let refused = list.combine(&shards, "out", &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("did not publish all responses"),
        "{}",
        stderr(&refused)
    );
    assert!(!list.path("out/manifest.json").exists());
    for (shard, number) in shards.iter().zip(["0/2", "1/2"]) {
        let name = shard.file_name().unwrap().to_str().unwrap();
        list.export(name, &["--shard", number]);
    }
    assert_eq!(list.combine(&shards, "out", &[]).status.code(), Some(3));
    let before = published(&list.path("out"));
    let mut again = list.export_command("shard_0_of_2", &["--shard", "0/2"]);
    // So that a short journal has an index too.
    let again = again.env("SCALE_EXPORT_INDEX_BYTES", "1").output();
    assert!(again.unwrap().status.code().is_some());
    let journal = shards[0].join(".scale-export/journal");
    let mut bytes = fs::read(&journal).unwrap();
    // The first response that counts.
    let mut places = BTreeMap::new();
    JournalReader::open(&journal, None, |entry| {
        if entry.kind == RecordKind::Response {
            places.insert(entry.task_id.to_owned(), entry.location.offset());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let head = usize::try_from(*places.values().min().unwrap()).unwrap();
    bytes[head..head + 40].fill(0);
    fs::write(&journal, bytes).unwrap();
    // The index hides the damage until a range has to be built. Without it, the whole journal is read.
    fs::remove_file(shards[0].join(".scale-export/ranges")).unwrap();
    let index = shards[0].join(".scale-export/journal.index");
    assert!(index.exists());
    for _ in ["with the index", "without it"] {
        let refused = list.combine(&shards, "out", &[]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        let printed = stderr(&refused);
        assert!(printed.contains("raw responses are damaged"), "{printed}");
        assert!(published(&list.path("out")) == before);
        assert!(!index.exists());
    }
    // `verify` with the shards names the journal.
    let out = list.path("out");
    let output = verify(&[&out, &shards[0], &shards[1]]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("shard_0_of_2/.scale-export/journal"),
        "{}",
        stderr(&output)
    );
}

/// Changes the manifest of an export.
fn edit_manifest(out: &Path, edit: impl FnOnce(&mut Value)) {
    let mut edited = manifest(out);
    edit(&mut edited);
    fs::write(out.join("manifest.json"), edited.to_string()).unwrap();
}

#[test]
fn an_error_names_the_shard_that_is_damaged() {
    let list = Shards::new(&[]);
    let shards = list.export_all(3);
    list.combine(&shards, "out", &[]);
    let before = published(&list.path("out"));
    let damage = |file: &str, content: Option<&[u8]>, expected: &str| {
        let path = shards[1].join(file);
        let intact = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let output = list.combine(&shards, "out", &[]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("shard 1/3") && text.contains(expected),
            "{text}"
        );
        fs::write(&path, intact).unwrap();
    };
    let copied = "copy the whole directory";
    damage(".scale-export/ids.txt", None, copied);
    damage(".scale-export/journal", None, copied);
    let other = b"task_1\ntask_2\n";
    damage(
        ".scale-export/ids.txt",
        Some(other),
        "is not the one that it published",
    );
    // Numbers that no export has.
    let intact = manifest(&shards[1]);
    for edit in [
        |manifest: &mut Value| manifest["run"]["requests"] = u64::MAX.into(),
        |manifest: &mut Value| {
            let exported = manifest["ids"]["exported"].as_u64().unwrap();
            manifest["ids"]["requested"] = (1_u64 << 40).into();
            manifest["ids"]["failed"] = ((1_u64 << 40) - exported).into();
        },
    ] {
        edit_manifest(&shards[1], edit);
        let output = list.combine(&shards, "out", &[]);
        assert!(
            matches!(output.status.code(), Some(2 | 3)),
            "{}",
            stderr(&output)
        );
        let output = verify(&[&list.path("out"), &shards[0], &shards[1], &shards[2]]);
        assert!(
            matches!(output.status.code(), Some(0 | 7)),
            "{}",
            stderr(&output)
        );
        fs::write(shards[1].join("manifest.json"), intact.to_string()).unwrap();
    }
    assert!(published(&list.path("out")) == before);
    // Rows that the state does not have would be lost.
    let ranges = shards[1].join(".scale-export/ranges");
    let text = fs::read_to_string(&ranges).unwrap();
    let (_, json) = text.split_once('\n').unwrap();
    let mut json: Value = serde_json::from_str(json).unwrap();
    json["ranges"][0]["tables"] = Value::Array(Vec::new());
    let json = json.to_string();
    let sha256 = scale_export::hex::encode(&Sha256::digest(&json));
    fs::write(&ranges, format!("{sha256}\n{json}")).unwrap();
    let output = list.combine(&shards, "out", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("rows, and in the shards"),
        "{}",
        stderr(&output)
    );
    assert!(published(&list.path("out")) == before);
}

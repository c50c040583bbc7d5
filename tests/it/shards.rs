//! Shards of a list, each exported on its own, are combined into the export that one run would have published.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::flatten::{run, stderr};
use crate::ranges::RANGE_TASKS;
use crate::support::{KEY, manifest, program, published, sandbox, task_ids};

/// The minimum length of ranges in these tests: a list of 100 IDs has about ten.
const RANGE_LENGTH: &str = "7";

/// A server, and a list with a failed ID and a repeated one.
struct Shards {
    base: tempfile::TempDir,
    server: Sandbox,
    options: Vec<&'static str>,
}

impl Shards {
    fn new(options: &[&'static str]) -> Self {
        let server = sandbox(SandboxConfig {
            drift: true,
            tasks: Some(100),
            ..SandboxConfig::default()
        });
        let shards = Self {
            base: tempfile::tempdir().unwrap(),
            server,
            options: options.to_vec(),
        };
        let mut ids = task_ids(100);
        ids.reverse();
        ids.insert(60, "no_such_task".to_owned());
        ids.push("task_9".to_owned());
        shards.write_list(&ids);
        shards
    }

    fn write_list(&self, ids: &[String]) {
        fs::write(self.path("ids.txt"), ids.join("\n")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Exports the list into a directory of this name.
    fn export(&self, name: &str, options: &[&str]) -> Output {
        program()
            .env(RANGE_TASKS, RANGE_LENGTH)
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &self.server.base_url(), "--rate", "max"])
            .arg("--ids")
            .arg(self.path("ids.txt"))
            .arg("--out")
            .arg(self.path(name))
            .args(&self.options)
            .args(options)
            .output()
            .unwrap()
    }

    /// Exports all shards, and returns their directories.
    fn export_all(&self, count: usize) -> Vec<PathBuf> {
        let shards = (0..count).map(|index| {
            let name = format!("shard_{index}_of_{count}");
            let output = self.export(&name, &["--shard", &format!("{index}/{count}")]);
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 3)), "{}", stderr(&output));
            self.path(&name)
        });
        shards.collect()
    }

    fn combine(&self, shards: &[PathBuf], name: &str, options: &[&str]) -> Output {
        let mut command = program();
        command.env(RANGE_TASKS, RANGE_LENGTH).arg("combine");
        command.args(shards).arg("--out").arg(self.path(name));
        command.args(options).output().unwrap()
    }

    /// The error of a combination that is refused.
    fn refused(&self, shards: &[PathBuf]) -> String {
        let output = self.combine(shards, "refused", &[]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(!self.path("refused").exists());
        let place = format!("{}/", self.base.path().display());
        stderr(&output).replace(&place, "")
    }
}

/// Everything that a run publishes, without its counters.
fn all_published(out: &Path) -> (BTreeMap<String, Vec<u8>>, Value, Vec<u8>) {
    let mut manifest = manifest(out);
    manifest["run"] = Value::Null;
    let ids = fs::read(out.join(".scale-export/ids.txt")).unwrap();
    (published(out), manifest, ids)
}

/// How many ranges were copied, and of how many.
fn copied(output: &Output) -> (String, String) {
    let text = stderr(output);
    let mut lines = text.lines();
    let line = lines.find(|line| line.contains("from the tables of the shards"));
    let words: Vec<&str> = line.unwrap().split(' ').collect();
    (words[2].to_owned(), words[4].to_owned())
}

/// What `verify` says without the raw responses.
const UNCOMPARED: &str = "not verified: the equality of tasks and their raw responses";

fn verify(directories: &[&Path]) -> Output {
    let mut command = program();
    command.env(RANGE_TASKS, RANGE_LENGTH).arg("verify");
    command.args(directories).output().unwrap()
}

#[test]
fn combined_shards_have_the_bytes_of_one_run() {
    for options in [
        &["--expand", "project,batch"][..],
        &["--format", "csv", "--drop-missing"],
        &["--tables", "tasks,annotations,batches"],
    ] {
        let list = Shards::new(options);
        let code = list.export("whole", &[]).status.code();
        let whole = all_published(&list.path("whole"));
        for count in [1, 2, 7] {
            let mut shards = list.export_all(count);
            shards.reverse();
            shards.rotate_left(count / 3);
            let name = format!("combined_{count}");
            let output = list.combine(&shards, &name, &["-v", "--threads", "3"]);
            assert_eq!(output.status.code(), code, "{}", stderr(&output));
            let combined = list.path(&name);
            assert!(
                all_published(&combined) == whole,
                "{count} shards, {options:?}"
            );
            let (copied, ranges) = copied(&output);
            assert_eq!(copied, ranges);
            let verified: Vec<&Path> = [&combined]
                .into_iter()
                .chain(&shards)
                .map(PathBuf::as_path)
                .collect();
            let output = verify(&verified);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let text = stderr(&output);
            assert!(
                text.contains("raw response") && !text.contains(UNCOMPARED),
                "{text}"
            );
            // Without the shards, the tables are compared with each other.
            let output = verify(&[&combined]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(stderr(&output).contains(UNCOMPARED), "{}", stderr(&output));
        }
    }
}

#[test]
fn shards_that_are_combined_twice_leave_every_file_alone() {
    let list = Shards::new(&[]);
    let shards = list.export_all(3);
    list.combine(&shards, "out", &[]);
    let out = list.path("out");
    let inode = |name: &str| fs::metadata(out.join(name)).unwrap().ino();
    let before = (published(&out), manifest(&out), inode("messages.parquet"));
    let output = list.combine(&shards, "out", &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing changed"),
        "{}",
        stderr(&output)
    );
    assert!((published(&out), manifest(&out), inode("messages.parquet")) == before);
}

#[test]
fn more_shards_than_ranges_leave_some_empty_and_combine_all_the_same() {
    let list = Shards::new(&[]);
    list.write_list(&task_ids(20));
    list.export("whole", &[]);
    let shards = list.export_all(9);
    let requested = shards
        .iter()
        .map(|shard| manifest(shard)["ids"]["requested"].as_u64().unwrap());
    let requested: Vec<u64> = requested.collect();
    assert!(requested.contains(&0), "{requested:?}");
    assert_eq!(requested.iter().sum::<u64>(), 20);
    let output = list.combine(&shards, "out", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(all_published(&list.path("out")) == all_published(&list.path("whole")));
}

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
fn a_damaged_table_of_a_shard_is_built_from_its_raw_responses() {
    let list = Shards::new(&[]);
    list.export("whole", &[]);
    let shards = list.export_all(2);
    let table = shards[1].join("messages.parquet");
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).unwrap();
    let output = list.combine(&shards, "out", &["-v"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(all_published(&list.path("out")) == all_published(&list.path("whole")));
    let (copied, ranges) = copied(&output);
    assert_ne!(copied, ranges);
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
    let journal = shards[0].join(".scale-export/journal");
    let mut bytes = fs::read(&journal).unwrap();
    let end = bytes.len() * 2 / 3;
    bytes[end..end + 40].fill(0);
    fs::write(&journal, bytes).unwrap();
    // Without the index, the whole journal is read.
    let _ = fs::remove_file(shards[0].join(".scale-export/journal.index"));
    let refused = list.combine(&shards, "out", &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(published(&list.path("out")) == before);
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

#[test]
fn the_guards_of_a_publication_apply_to_a_combination() {
    let list = Shards::new(&[]);
    let shards = list.export_all(2);
    let output = list.combine(&shards, "out", &["--max-failures", "0"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!list.path("out/manifest.json").exists());
    let output = list.combine(&shards, "out", &["--tolerate", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    list.write_list(&task_ids(40));
    for (index, shard) in shards.iter().enumerate() {
        let name = shard.file_name().unwrap().to_str().unwrap();
        let number = format!("{index}/2");
        let output = list.export(name, &["--shard", &number, "--max-shrink", "100%"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let before = published(&list.path("out"));
    let output = list.combine(&shards, "out", &[]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert!(published(&list.path("out")) == before);
    let output = list.combine(&shards, "out", &["--max-shrink", "100%"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

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
fn a_combined_export_is_an_export_for_the_other_commands() {
    let list = Shards::new(&[]);
    let shards = list.export_all(2);
    list.combine(&shards, "out", &[]);
    let out = list.path("out");
    for command in ["status", "changes"] {
        let output = run(&[command], &[&out]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{command}: {}",
            stderr(&output)
        );
    }
    let status = run(&["status"], &[&out]);
    assert!(!String::from_utf8_lossy(&status.stdout).contains("problem"));
    let status = run(&["status"], &[&shards[1]]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("shard 1/2"));
    // A shard that is flattened in place stays one.
    let output = run(&["flatten"], &[&shards[0], Path::new("--out"), &shards[0]]);
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        stderr(&output)
    );
    assert_eq!(manifest(&shards[0])["shard"]["count"], 2);
    let ids = list.path("ids.txt");
    let options = [
        &shards[0],
        Path::new("--out"),
        &shards[0],
        Path::new("--ids"),
        &ids,
    ];
    let output = run(&["flatten"], &options);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(manifest(&shards[0])["shard"]["count"], 2);
}

#[test]
fn a_shard_in_which_every_id_fails_is_combined_with_the_others() {
    let list = Shards::new(&[]);
    let mut ids = task_ids(30);
    ids.extend((0..40).map(|number| format!("gone_{number}")));
    list.write_list(&ids);
    let whole = list.export("whole", &[]);
    assert_eq!(whole.status.code(), Some(3), "{}", stderr(&whole));
    let shards = list.export_all(4);
    assert_eq!(manifest(&shards[3])["ids"]["exported"], 0);
    let output = list.combine(&shards, "out", &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(all_published(&list.path("out")) == all_published(&list.path("whole")));
    // A list of which nothing is exported is not published.
    list.write_list(&ids[30..]);
    let shards = ["0/2", "1/2"].map(|shard| {
        let name = format!("gone_{}", &shard[..1]);
        list.export(&name, &["--shard", shard]);
        list.path(&name)
    });
    let output = list.combine(&shards, "nothing", &[]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
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

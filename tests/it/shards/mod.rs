//! Shards of a list, each exported on its own, are combined into the export that one run would have published.

mod refusals;
mod verification;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

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
        self.export_command(name, options).output().unwrap()
    }

    fn export_command(&self, name: &str, options: &[&str]) -> Command {
        let mut command = program();
        command
            .env(RANGE_TASKS, RANGE_LENGTH)
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &self.server.base_url(), "--rate", "max"])
            .arg("--ids")
            .arg(self.path("ids.txt"))
            .arg("--out")
            .arg(self.path(name))
            .args(&self.options)
            .args(options);
        command
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

//! Exports in an object store, against a store in this process.

mod faults;
mod interruptions;
#[cfg(feature = "delta")]
mod lake;
mod offline;
mod publications;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::fake_s3::{FakeS3, StoreAction, StoreRequest};
use crate::support::program;

/// The export in the tests.
const URL: &str = "s3://bucket/exports/a";

/// The tables of the export.
const TABLES: &str = "tasks,messages";

/// The folder of the export in the bucket.
const FOLDER: &str = "exports/a/";

/// A store, and a directory for states.
struct Bucket {
    base: tempfile::TempDir,
    store: FakeS3,
}

impl Bucket {
    fn new() -> Self {
        Self::with_rule(|_| StoreAction::Execute)
    }

    fn with_rule(rule: impl Fn(&StoreRequest) -> StoreAction + Send + Sync + 'static) -> Self {
        Self {
            base: tempfile::tempdir().unwrap(),
            store: FakeS3::start(rule),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// The program with the credentials of the store.
    fn program(&self) -> Command {
        let mut command = program();
        command.envs(self.store.variables());
        command
    }

    /// An export of the first `tasks` tasks of the sandbox with a state of this name.
    fn command(&self, state: &str, tasks: usize, options: &[&str]) -> Command {
        let list = self.path(&format!("ids-{tasks}.txt"));
        let ids: Vec<String> = (1..=tasks).map(|id| format!("task_{id}")).collect();
        fs::write(&list, ids.join("\n")).unwrap();
        let mut command = self.program();
        command.args(["--sandbox", "--out", URL, "--tables", TABLES]);
        command.arg("--ids").arg(list);
        command.arg("--state").arg(self.path(state));
        command.args(options);
        command
    }

    fn export(&self, state: &str, tasks: usize, options: &[&str]) -> Output {
        self.command(state, tasks, options).output().unwrap()
    }

    /// A command that reads the export.
    fn read(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).arg(URL).output().unwrap()
    }

    fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.store.object(&format!("{FOLDER}{name}"))
    }

    /// Names below the folder of the export.
    fn names(&self) -> Vec<String> {
        let names = self.store.names().into_iter();
        names
            .filter_map(|name| Some(name.strip_prefix(FOLDER)?.to_owned()))
            .collect()
    }

    fn manifest(&self) -> Option<Value> {
        let text = self.object("manifest.json")?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Reads the export as a reader does: through its manifest. Fails if an object is not the one that the manifest names.
    fn read_through_manifest(&self) -> Option<Vec<(String, Vec<u8>)>> {
        let manifest = self.manifest()?;
        let objects = named_objects(&manifest).into_iter();
        let read = objects.map(|(name, sha256)| {
            let bytes = self.object(&name);
            let bytes = bytes.unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(digest(&bytes), sha256, "{name}");
            (name, bytes)
        });
        Some(read.collect())
    }

    /// Checks that the stable names have what the manifest names.
    fn assert_stable_names(&self) {
        for (name, bytes) in self.read_through_manifest().unwrap() {
            let stable = stable_name(&name);
            if stable != "ids.txt" {
                assert_eq!(self.object(&stable).as_ref(), Some(&bytes), "{stable}");
            }
        }
    }
}

/// `data/tasks-….parquet` → `tasks.parquet`.
fn stable_name(object: &str) -> String {
    let name = object.strip_prefix("data/").unwrap();
    let (stem, extension) = name.rsplit_once('.').unwrap();
    format!("{}.{extension}", stem.rsplit_once('-').unwrap().0)
}

/// Names and checksums of the objects of a manifest.
fn named_objects(manifest: &Value) -> Vec<(String, String)> {
    let tables = manifest["tables"].as_object().unwrap().values();
    let files = tables.flat_map(|table| table["files"].as_array().unwrap());
    let files = files.chain(manifest["files"].as_array().unwrap());
    let text = |file: &Value, member: &str| file[member].as_str().unwrap().to_owned();
    files
        .chain([&manifest["ids"]])
        .map(|file| (text(file, "path"), text(file, "sha256")))
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The tables of the local export of a state.
fn local(state: &Path, name: &str) -> Vec<u8> {
    fs::read(state.join("out").join(name)).unwrap()
}

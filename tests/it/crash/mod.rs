//! Crashes at every step that changes the file system, by a kill, an error or a power loss. Afterwards the previous
//! export is intact, and the same command completes with the same bytes.
//!
//! Steps have numbers (`src/durable_fs/failpoint.rs`). The order within each of the two lanes is the same in every run,
//! since one request is in flight at a time.

mod combined;
mod copies;
mod disk_full;
mod kills;
mod power;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::Duration;

use scale_export::encode::format::{Format, Selection};
use scale_export::event::Events;
use scale_export::jobs::report::JobEnd;
use scale_export::jobs::verify::verification::{VerifyOptions, verify};
use scale_export::publish::commit::is_pending;
use scale_export::publish::output_dir::OutputDirectory;
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use scale_export::{CancellationToken, ChangesError, ChangesOptions, ChangesReport, list_changes};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ranges::RANGE_TASKS;
use crate::support::table::copy;
use crate::support::{KEY, print_note, program, published, sandbox};

/// Error numbers of Linux.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const FAILPOINT: &str = "SCALE_EXPORT_FAILPOINT";
const TRACE: &str = "SCALE_EXPORT_TRACE";

/// A command, its initial directory, and its result.
struct Scenario {
    name: &'static str,
    /// Has `before/`, if the command starts with an export, and `after/`.
    base: tempfile::TempDir,
    arguments: Vec<String>,
    expected: BTreeMap<String, Vec<u8>>,
    expected_state: Vec<String>,
    /// The changes before the command and after it; `None` without an export.
    expected_changes: [Option<Result<ChangesReport, String>>; 2],
    /// Keeps the server running.
    _server: Option<Sandbox>,
}

impl Scenario {
    fn new(
        name: &'static str,
        server: Option<Sandbox>,
        before: Option<Vec<String>>,
        arguments: Vec<String>,
        base: tempfile::TempDir,
    ) -> Self {
        if let Some(before) = before {
            let made = command(&before, &base.path().join("before"))
                .output()
                .unwrap();
            assert_success(&made, name);
        }
        let mut scenario = Self {
            name,
            base,
            arguments,
            expected: BTreeMap::new(),
            expected_state: Vec::new(),
            expected_changes: [None, None],
            _server: server,
        };
        let after = scenario.copy_of_before("after");
        assert_success(&scenario.command(&after).output().unwrap(), name);
        scenario.expected = published(&after);
        scenario.expected_state = state(&after);
        let before = scenario.base.path().join("before");
        scenario.expected_changes = [&before, &after].map(|out| changes(out));
        assert!(scenario.expected_changes[1].is_some(), "{name}");
        assert!(is_verified(&after), "{name}");
        scenario
    }

    fn copy_of_before(&self, name: &str) -> PathBuf {
        let out = self.base.path().join(name);
        let before = self.base.path().join("before");
        if before.exists() {
            copy(&before, &out);
        }
        out
    }

    fn command(&self, out: &Path) -> Command {
        command(&self.arguments, out)
    }

    /// All steps of a successful run, in order.
    fn trace(&self) -> Vec<Value> {
        let out = self.copy_of_before("traced");
        let (output, steps) = self.traced(&out, "");
        assert_success(&output, self.name);
        steps
    }

    /// Runs the command with failpoints. Returns its output and its steps.
    fn traced(&self, out: &Path, failpoints: &str) -> (Output, Vec<Value>) {
        let trace = out.with_extension("trace");
        let mut command = self.command(out);
        command.env(TRACE, &trace).env(FAILPOINT, failpoints);
        let output = command.output().unwrap();
        let text = fs::read_to_string(&trace).unwrap();
        fs::remove_file(&trace).unwrap();
        let steps = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (output, steps.collect())
    }

    /// Runs the command until it exits, and checks all files.
    fn assert_resumes(&self, out: &Path, what: &str) {
        let output = run_unlocked(&mut self.command(out));
        assert_success(&output, what);
        assert!(published(out) == self.expected, "{what}: other bytes");
        assert_eq!(state(out), self.expected_state, "{what}");
        assert!(is_verified(out), "{what}");
        assert_eq!(changes(out), self.expected_changes[1], "{what}");
    }

    /// The previous export or the new one is intact. During a publication, the next run must first be able to recover
    /// it, and a manifest that has its name already must be right about all files.
    fn assert_is_readable(&self, out: &Path, what: &str) {
        let before = self.base.path().join("before");
        let manifest = |out: &Path| fs::read_to_string(out.join("manifest.json")).ok();
        let found = manifest(out);
        if is_pending(out) {
            if let Some(new) = found.filter(|found| Some(found) != manifest(&before).as_ref()) {
                assert!(is_right(&new, out), "{what}: the manifest came too early");
            }
            // Recovers a copy, so that the next run of the program still has to recover the original.
            let copied = out.with_extension("recovered");
            copy(out, &copied);
            let all = Selection {
                format: Format::Parquet,
                tables: scale_export::tables::selection::TableSelection::all(),
            };
            let recovered = OutputDirectory::open(&copied, all, false);
            assert!(recovered.unwrap().recovered().is_some(), "{what}");
            self.assert_is_whole(&copied, what);
            fs::remove_dir_all(&copied).unwrap();
        } else {
            self.assert_is_whole(out, what);
        }
    }

    fn assert_is_whole(&self, out: &Path, what: &str) {
        let is_there = out.join("manifest.json").exists();
        let was_there = self.base.path().join("before").exists();
        assert!(is_there || !was_there, "{what}: the export before is gone");
        assert!(
            !is_there || is_verified(out),
            "{what}: the export is harmed"
        );
        // The changes are those of the publication that is there.
        let found = changes(out);
        let expected = self.expected_changes.iter();
        assert!(
            expected.into_iter().any(|expected| *expected == found),
            "{what}: {found:?}"
        );
        assert_eq!(found.is_some(), is_there, "{what}");
        if let Some(found) = found {
            let publication = crate::support::manifest(out)["publication"].clone();
            let publication = publication.as_str().unwrap();
            let is_of_manifest = match found {
                Ok(report) => report.to.as_str() == publication,
                // Two scenarios change the format, which needs a reload.
                Err(error) => error.contains(&format!(" to {publication}: ")),
            };
            assert!(is_of_manifest, "{what}");
        }
    }
}

/// Whether the manifest is right about every file.
fn is_right(manifest: &str, out: &Path) -> bool {
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    let tables = manifest["tables"].as_object().unwrap().values();
    let tables = tables.flat_map(|table| table["files"].as_array().unwrap());
    let mut files = tables.chain(manifest["files"].as_array().unwrap());
    files.all(|file| {
        let found = fs::read(out.join(file["path"].as_str().unwrap()));
        found.is_ok_and(|found| {
            let sha256 = scale_export::hex::encode(&Sha256::digest(&found));
            file["sha256"] == sha256.as_str()
        })
    })
}

fn command(arguments: &[String], out: &Path) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .env(RANGE_TASKS, "4")
        // The order of steps is the same in every run.
        .env("SCALE_EXPORT_THREADS", "1")
        .args(arguments)
        .args(["--progress", "never", "--out"])
        .arg(out);
    command
}

/// Runs a command in a directory that no other process uses. This process may have locked it before.
fn run_unlocked(command: &mut Command) -> Output {
    loop {
        let output = command.output().unwrap();
        if !String::from_utf8_lossy(&output.stderr).contains(LOCKED) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn assert_success(output: &Output, what: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{what}: {stderr}");
}

/// The changes of the last publication, or why they are not known; `None` without an export.
fn changes(out: &Path) -> Option<Result<ChangesReport, String>> {
    let options = ChangesOptions {
        new: out.to_owned(),
        ..ChangesOptions::default()
    };
    let listed = list_changes(&options, &Events::none(), &CancellationToken::new());
    out.join("manifest.json").exists().then(|| match listed {
        Ok(JobEnd::Done(report)) => Ok(report),
        Ok(JobEnd::Stopped(_)) => panic!("nothing stopped it"),
        Err(error @ ChangesError::OtherShape { .. }) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    })
}

/// Names in the state directory.
fn state(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out.join(".scale-export")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether `verify` finds no problem.
fn is_verified(out: &Path) -> bool {
    let cancel = tokio_util::sync::CancellationToken::new();
    loop {
        match verify(&VerifyOptions::of(out), &Events::none(), &cancel) {
            Ok(JobEnd::Done(report)) => return report.findings == 0,
            Ok(JobEnd::Stopped(_)) => return false,
            Err(error) if error.to_string().contains(LOCKED) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The beginning of the error about a lock. Only one test uses each directory. But a child process that another test
/// starts has a copy of every open file, and so of this process's lock, until it executes another program.
const LOCKED: &str = "another run holds the lock (";

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// A first export; one that replaces another, with another format, other tasks, and a journal to be compacted; and a
/// `flatten` that replaces an export.
fn scenarios() -> Vec<Scenario> {
    let fetching = |server: &Sandbox, more: &str| {
        let url = server.base_url();
        words(&format!(
            "--base-url {url} --rate max --concurrency 1 {more}"
        ))
    };
    let first = {
        let server = sandbox(SandboxConfig::default());
        let arguments = fetching(&server, "--id task_1 --id task_2 --id task_3");
        let base = tempfile::tempdir().unwrap();
        Scenario::new("a first export", Some(server), None, arguments, base)
    };
    let again = {
        let server = sandbox(SandboxConfig::default());
        let before = fetching(&server, "--id task_1 --id task_2 --id task_3 --format csv");
        let after = "--id task_4 --id task_3 --id task_2 --refresh all --prune";
        let arguments = fetching(&server, after);
        let base = tempfile::tempdir().unwrap();
        Scenario::new(
            "another export",
            Some(server),
            Some(before),
            arguments,
            base,
        )
    };
    let flattened = {
        let base = tempfile::tempdir().unwrap();
        let lines = |name: &str, ids: &[&str]| {
            let tasks = ids
                .iter()
                .map(|id| format!("{{\"task_id\":\"{id}\",\"status\":\"completed\"}}\n"));
            let path = base.path().join(name);
            fs::write(&path, tasks.collect::<String>()).unwrap();
            vec!["flatten".to_owned(), path.display().to_string()]
        };
        let mut before = lines("before.jsonl", &["a", "b"]);
        // Files that do not change are not renamed, so the format changes.
        before.extend(words("--format csv"));
        let arguments = lines("after.jsonl", &["c", "a"]);
        Scenario::new("a flattening", None, Some(before), arguments, base)
    };
    vec![first, again, flattened]
}

/// An accident at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PossibleFault {
    Kill,
    /// A kill in the middle of a write.
    Torn,
    Error(i32),
}

/// All faults that are possible at a step.
fn possible_faults(step: &Value) -> Vec<PossibleFault> {
    let mut possible_faults = vec![PossibleFault::Kill, PossibleFault::Error(EIO)];
    if step["step"] == "write" {
        possible_faults.extend([PossibleFault::Torn, PossibleFault::Error(ENOSPC)]);
    }
    possible_faults
}

/// Runs jobs on all cores, until one panics.
fn in_parallel<J: Send>(jobs: Vec<J>, run: impl Fn(J) + Sync) {
    let jobs = Mutex::new(jobs.into_iter());
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(job) = jobs.lock().unwrap().next() else {
                        break;
                    };
                    run(job);
                }
            });
        }
    });
}

#[test]
fn a_kill_or_an_error_at_any_step_loses_nothing() {
    for scenario in scenarios() {
        assert_survives_any_fault(&scenario);
    }
}

/// Runs a command with every fault at every step.
fn assert_survives_any_fault(scenario: &Scenario) {
    let mut numbers = BTreeMap::new();
    let mut cases = Vec::new();
    let trace = scenario.trace();
    for step in &trace {
        let lane = step["lane"].as_str().unwrap();
        let number = numbers.entry(lane).or_insert(0);
        *number += 1;
        let possible_faults = possible_faults(step).into_iter();
        cases.extend(possible_faults.map(|accident| (lane, *number, accident, step.clone())));
    }
    print_note(&format!(
        "{}: {} steps, {} faults",
        scenario.name,
        trace.len(),
        cases.len()
    ));
    in_parallel(cases, |(lane, number, accident, step)| {
        let what = format!(
            "{}: {accident:?} at {lane} {number} ({} {})",
            scenario.name,
            step["step"],
            path(&step)
        );
        let out = scenario.copy_of_before(&format!("{lane}_{number}_{accident:?}"));
        let action = match accident {
            PossibleFault::Kill => "kill".to_owned(),
            PossibleFault::Torn => "torn".to_owned(),
            PossibleFault::Error(error) => error.to_string(),
        };
        let output = scenario
            .command(&out)
            .env(FAILPOINT, format!("{lane}:{number}:{action}"))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_error = matches!(accident, PossibleFault::Error(_));
        // An error of writing the record of the last run does not change the result of the run.
        if is_error && path(&step).contains(".scale-export/last_") {
            assert_success(&output, &what);
            assert!(stderr.contains("warning: could not "), "{what}: {stderr}");
        } else if is_error {
            assert_eq!(output.status.code(), Some(6), "{what}: {stderr}");
            let mut lines = stderr.lines();
            let error = lines.find(|line| line.starts_with("error: could not "));
            assert!(error.is_some(), "{what}: {stderr}");
            let hint = lines.find(|line| line.starts_with("hint: "));
            assert!(hint.is_some(), "{what}: {stderr}");
            if scenario.base.path().join("before").exists() {
                assert!(is_verified(&out), "{what}: the export before is harmed");
            }
        } else {
            assert_eq!(output.status.signal(), Some(9), "{what}: {stderr}");
            scenario.assert_is_readable(&out, &what);
        }
        scenario.assert_resumes(&out, &what);
        fs::remove_dir_all(&out).unwrap();
    });
}

/// The number of a step in the output lane, from 1: the last step for which `is_it` is true.
fn last_step(trace: &[Value], is_it: impl Fn(&Value) -> bool) -> usize {
    let output = trace.iter().filter(|step| step["lane"] == "output");
    let numbered = output.enumerate().filter(|(_, step)| is_it(step));
    numbered.last().unwrap().0 + 1
}

fn path(step: &Value) -> &str {
    step["path"].as_str().unwrap()
}

#[test]
fn a_kill_or_an_error_in_a_rollback_or_recovery_loses_nothing() {
    for scenario in scenarios() {
        let trace = scenario.trace();
        // The last step from which the previous export can be restored, and one in the middle of the renames.
        let manifest = last_step(&trace, |step| {
            step["step"] == "rename" && path(step).ends_with("manifest.json")
        });
        let last = manifest + 1;
        let middle = manifest - 12;
        let out = scenario.copy_of_before("back");
        let (output, back) = scenario.traced(&out, &format!("output:{last}:{EIO}"));
        assert_eq!(output.status.code(), Some(6), "{}", scenario.name);
        fs::remove_dir_all(&out).unwrap();
        let all = back.iter().filter(|step| step["lane"] == "output").count();
        // The first accident, and the steps of the same run at which another one follows.
        let mut cases = Vec::new();
        for number in last + 1..=all {
            for action in ["kill".to_owned(), EIO.to_string()] {
                cases.push((
                    format!("output:{last}:{EIO},output:{number}:{action}"),
                    None,
                ));
            }
        }
        // The steps of the next run before it begins tables, and an accident in those.
        let left = format!("output:{last}:{EIO},output:{}:kill", last + 10);
        for begins in [format!("output:{middle}:kill"), left] {
            let out = scenario.copy_of_before("left");
            scenario.traced(&out, &begins);
            assert!(is_pending(&out), "{}: {begins}", scenario.name);
            if scenario.base.path().join("before").exists() {
                let output = program().arg("verify").arg(&out).output().unwrap();
                let printed = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(7), "{begins}: {printed}");
                assert!(
                    printed.contains("the next run in this directory"),
                    "{printed}"
                );
            }
            let (output, recovery) = scenario.traced(&out, "");
            assert_success(&output, scenario.name);
            fs::remove_dir_all(&out).unwrap();
            let output = recovery.iter().filter(|step| step["lane"] == "output");
            // If there is nothing to do, no tables follow.
            let before_tables = output
                .take_while(|step| step["step"] != "create" || !path(step).contains("tmp-tasks."));
            for number in 1..=before_tables.count() {
                for action in ["kill".to_owned(), EIO.to_string()] {
                    let again = format!("output:{number}:{action}");
                    cases.push((begins.clone(), Some(again)));
                }
            }
        }
        print_note(&format!(
            "{}: {} faults on the way back and in the recovery",
            scenario.name,
            cases.len()
        ));
        in_parallel(cases, |(begins, again)| {
            let what = format!("{}: {begins}, then {again:?}", scenario.name);
            let name = format!("{begins}_{}", again.as_deref().unwrap_or_default());
            let out = scenario.copy_of_before(&name);
            for failpoints in [Some(&begins), again.as_ref()].into_iter().flatten() {
                let mut command = scenario.command(&out);
                let output = run_unlocked(command.env(FAILPOINT, failpoints));
                // A recovery that cannot complete the publication undoes it, and the run continues.
                let may_end_well = failpoints.ends_with(&format!(":{EIO}"));
                assert!(!output.status.success() || may_end_well, "{what}");
            }
            scenario.assert_is_readable(&out, &what);
            scenario.assert_resumes(&out, &what);
            fs::remove_dir_all(&out).unwrap();
        });
    }
}

#[test]
fn temporary_files_of_a_killed_run_are_removed() {
    let server = sandbox(SandboxConfig::default());
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let url = server.base_url();
    let arguments = |format: &str| {
        words(&format!(
            "--base-url {url} --rate max --concurrency 1 --id task_1 --format {format}"
        ))
    };
    assert_success(
        &command(&arguments("parquet"), &out).output().unwrap(),
        "parquet",
    );
    let before: Vec<String> = published(&out).into_keys().collect();
    // A kill while tables of another format are written, which the next run does not have.
    let killed = command(&arguments("csv"), &out)
        .env(FAILPOINT, "output:30:kill")
        .status()
        .unwrap();
    assert_eq!(killed.signal(), Some(9));
    assert!(published(&out).len() > before.len());
    let output = command(&arguments("parquet"), &out)
        .args(["--summary", "-"])
        .output();
    let output = output.unwrap();
    assert_success(&output, "parquet again");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("\"unchanged\": true")
    );
    assert_eq!(published(&out).into_keys().collect::<Vec<_>>(), before);
}

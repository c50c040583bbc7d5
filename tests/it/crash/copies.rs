//! Crashes of a run that copies ranges, and of one whose rows wait in temporary files.

use std::fs;
use std::path::Path;

use super::{
    ENOSPC, FAILPOINT, Scenario, assert_success, assert_survives_any_fault, command, in_parallel,
    is_verified, path, words,
};
use crate::support::{assert_disk_full, print_note, published, random_text};

/// A task with a text of this many characters that hardly compress, on a line.
fn line(number: usize, characters: usize, seed: u64) -> String {
    let text = random_text(characters, seed);
    format!(
        r#"{{"task_id":"task_{number}","status":"completed","project":{{"id":"p","name":"{}"}},"threads":[{{"id":"thread","turns":[{{"id":"turn","messages":[{{"role":"user","content":{{"text":"{text}"}}}}]}}]}}]}}"#,
        number / 5
    ) + "\n"
}

/// The rows of a range with a task of this size exceed their memory bound.
const HUGE: usize = 3 << 20;

/// A `flatten` of an export that copies most ranges, and builds one whose rows exceed their memory bound.
fn scenario() -> Scenario {
    let base = tempfile::tempdir().unwrap();
    let source = |name: &str, lines: String| {
        let path = base.path().join(name).with_extension("jsonl");
        fs::write(&path, lines).unwrap();
        let out = base.path().join(name);
        let arguments = ["flatten".to_owned(), path.display().to_string()];
        assert_success(&command(&arguments, &out).output().unwrap(), name);
        let mut arguments = vec!["flatten".to_owned(), out.display().to_string()];
        arguments.extend(words("--tables tasks,messages,projects -v"));
        arguments
    };
    let few: String = (0..30)
        .map(|number| line(number, 100, number as u64))
        .collect();
    let before = source("first", few.clone() + &line(30, HUGE, 1));
    let inserted = line(99, HUGE, 2);
    let at = few.len() / 2;
    let at = at + few[at..].find('\n').unwrap() + 1;
    let (start, end) = few.split_at(at);
    let after = source(
        "second",
        [start, &inserted, end, &line(30, HUGE, 1)].concat(),
    );
    let name = "a run that copies ranges";
    Scenario::new(name, None, Some(before), after, base)
}

/// How many ranges there are, and how many were copied.
fn copied(printed: &str) -> (usize, usize) {
    let text = printed.split("copied ").nth(1).unwrap();
    let mut numbers = text.split(' ').filter_map(|word| word.parse().ok());
    let copied = numbers.next().unwrap();
    (numbers.next().unwrap(), copied)
}

fn names(out: &Path) -> Vec<String> {
    published(out).into_keys().collect()
}

#[test]
fn a_kill_or_an_error_at_any_step_of_a_copy_loses_nothing() {
    assert_survives_any_fault(&scenario());
}

#[test]
fn a_full_disk_at_any_write_of_a_copy_keeps_the_export_and_no_temporary_file() {
    let scenario = scenario();
    let out = scenario.copy_of_before("copied");
    let (output, trace) = scenario.traced(&out, "");
    let (ranges, copied) = copied(&String::from_utf8_lossy(&output.stderr));
    assert!(copied > 2 && copied < ranges, "{copied} of {ranges}");
    let output_lane: Vec<_> = trace
        .iter()
        .filter(|step| step["lane"] == "output")
        .collect();
    let writes = |name: &str| {
        let of_file =
            |step: &&&serde_json::Value| step["step"] == "write" && path(step).contains(name);
        output_lane.iter().filter(of_file).count()
    };
    // Rows wait in a file, and those of several ranges are written.
    assert!(writes("tmp-range-") > 0 && writes("tmp-messages") > 3);
    let before = scenario.base.path().join("before");
    // Locks come before, and renames after.
    let is_write = |step: &&serde_json::Value| {
        matches!(step["step"].as_str(), Some("create" | "write")) && path(step).contains("tmp-")
    };
    let first = output_lane.iter().position(&is_write).unwrap() + 1;
    let last = output_lane.iter().rposition(is_write).unwrap() + 1;
    // With several threads, steps with the same number differ from run to run.
    let cases: Vec<_> = ["1", "3", "8"]
        .into_iter()
        .flat_map(|threads| (first..=last).map(move |number| (threads, number)))
        .collect();
    print_note(&format!(
        "{} full disks in a run that copies ranges",
        cases.len()
    ));
    in_parallel(cases, |(threads, number)| {
        let what = format!("step {number} with {threads} threads");
        let out = scenario.copy_of_before(&format!("full_{threads}_{number}"));
        let mut run = scenario.command(&out);
        run.env("SCALE_EXPORT_THREADS", threads);
        let output = run
            .env(FAILPOINT, format!("output:{number}:{ENOSPC}"))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => assert!(printed.contains("warning: could not "), "{what}: {printed}"),
            Some(6) => {
                assert_disk_full(&printed, &what);
                assert!(published(&out) == published(&before), "{what}");
            }
            code => panic!("{what}: {code:?}: {printed}"),
        }
        assert_eq!(names(&out), names(&before), "{what}");
        assert!(is_verified(&out), "{what}");
        fs::remove_dir_all(&out).unwrap();
    });
}

//! Tables are built in ranges of tasks. Neither the number of threads nor the source changes a byte, and ranges change
//! only where row groups end.

mod copies;
mod nights;
mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use scale_export::sandbox::config::SandboxConfig;

use crate::flatten::{assert_verified, exported, flatten, stderr};
use crate::support::{
    KEY, manifest, program, published, raw_responses, sandbox, task_ids, to_lines,
};

/// Lowers the length of ranges in debug builds.
pub(crate) const RANGE_TASKS: &str = "SCALE_EXPORT_RANGE_TASKS";

/// More threads than cores, so that ranges are complete in any order.
const THREADS: [&str; 4] = ["1", "2", "3", "8"];

/// Runs `flatten SOURCE --out OUT` in short ranges.
fn flatten_in_ranges(source: &Path, out: &Path, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    flatten_in_ranges_of("7", source, out, options)
}

fn flatten_in_ranges_of(
    length: &str,
    source: &Path,
    out: &Path,
    options: &[&str],
) -> BTreeMap<String, Vec<u8>> {
    let mut command = program();
    command.env(RANGE_TASKS, length).arg("flatten");
    command.arg(source).arg("--out").arg(out).args(options);
    let output = command.output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 3)), "{}", stderr(&output));
    published(out)
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let base = tempfile::tempdir().unwrap();
    let source = exported(base.path(), &["--expand", "project,batch"]);
    for format in ["parquet", "csv"] {
        let built = THREADS.map(|threads| {
            let out = base.path().join(format!("{format}_{threads}"));
            let options = ["--threads", threads, "--format", format];
            let files = flatten_in_ranges(&source, &out, &options);
            assert_verified(&out);
            (files, manifest(&out)["drift"].clone())
        });
        assert!(built.iter().all(|other| *other == built[0]), "{format}");
        // Ranges are not visible in CSV, nor in what the manifest says.
        let whole = base.path().join(format!("{format}_whole"));
        let output = flatten(&source, &whole, &["--format", format]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(built[0].1, manifest(&whole)["drift"]);
        assert_eq!(published(&whole) == built[0].0, format == "csv");
    }
}

/// The raw responses of an export as a file of lines, in the order of their IDs.
fn lines_of(out: &Path, path: &Path, repeated: usize) -> PathBuf {
    let raw = raw_responses(out);
    let bodies = raw.values().chain(raw.values().take(repeated));
    fs::write(path, to_lines(bodies)).unwrap();
    path.to_owned()
}

#[test]
fn files_give_the_bytes_of_the_journal_that_they_are_imported_into() {
    let base = tempfile::tempdir().unwrap();
    let source = exported(base.path(), &[]);
    // The second file has tasks twice, so its tables are built after the import.
    for (name, repeated) in [("once", 0), ("twice", 9)] {
        let lines = lines_of(&source, &base.path().join(name), repeated);
        let built = THREADS.map(|threads| {
            let out = base.path().join(format!("{name}_{threads}"));
            let imported = flatten_in_ranges(&lines, &out, &["--threads", threads]);
            assert_verified(&out);
            assert!(flatten_in_ranges(&out, &out, &[]) == imported, "{name}");
            imported
        });
        assert!(built.iter().all(|other| *other == built[0]), "{name}");
    }
}

#[test]
fn an_export_has_the_bytes_of_its_journal_at_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let ids = base.path().join("ids.txt");
    let mut list = task_ids(100);
    list.reverse();
    list.insert(50, "no_such_task".to_owned());
    fs::write(&ids, list.join("\n")).unwrap();
    let built = THREADS.map(|threads| {
        let out = base.path().join(threads);
        let output = program()
            .env(RANGE_TASKS, "7")
            .env("SCALE_API_KEY", KEY)
            .args([
                "--threads",
                threads,
                "--base-url",
                &server.base_url(),
                "--ids",
            ])
            .arg(&ids)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let files = published(&out);
        assert!(flatten_in_ranges(&out, &out, &[]) == files);
        files
    });
    assert!(built.iter().all(|other| *other == built[0]));
}

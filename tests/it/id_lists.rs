//! Lists of IDs as other programs write them, and lists with errors.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{manifest, program, python, root};

/// Exports lists from a sandbox.
fn export(base: &Path, lists: &[&str], options: &[&str]) -> Output {
    let mut command = program();
    command.current_dir(base);
    for list in lists {
        command.args(["--ids", list]);
    }
    let options = ["--sandbox", "--out", "out", "--progress", "never"]
        .iter()
        .chain(options);
    command.args(options).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The IDs of a finished export, in order.
fn exported_ids(base: &Path) -> Vec<String> {
    let text = fs::read_to_string(base.join("out/.scale-export/ids.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn lists_written_by_every_program_are_read() {
    let base = tempfile::tempdir().unwrap();
    let written = python()
        .arg(root().join("tests/consumers/write_id_lists.py"))
        .arg(base.path())
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", stderr(&written));
    let lists: Vec<Value> = String::from_utf8_lossy(&written.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lists.len() > 60, "{}", lists.len());
    let files: Vec<&str> = lists
        .iter()
        .map(|list| list["file"].as_str().unwrap())
        .collect();
    let expected: Vec<&str> = lists
        .iter()
        .flat_map(|list| list["ids"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();

    let output = export(base.path(), &files, &[]);
    let printed = stderr(&output);
    // The sandbox has no tasks whose IDs are integers.
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert_eq!(exported_ids(base.path()), expected, "{printed}");
    let found = manifest(&base.path().join("out"));
    assert_eq!(found["ids"]["requested"], expected.len());
    assert_eq!(found["ids"]["duplicates"], 0);
    for list in &lists {
        let file = list["file"].as_str().unwrap();
        let warning = format!("skipped 1 null or empty cell in `{file}`");
        assert_eq!(
            printed.contains(&warning),
            list["skipped"] == 1,
            "{file}: {printed}"
        );
    }

    let refused = BTreeMap::from([
        (
            "refused-float.parquet",
            ("its column `task_id` holds floating-point numbers", "Int64"),
        ),
        (
            "refused-time.parquet",
            ("its column `task_id` holds dates or times", "as text"),
        ),
        (
            "refused-list.parquet",
            ("its column `task_id` holds lists or structs", "as text"),
        ),
        (
            "refused-uuid.parquet",
            (
                "its column `task_id` holds bytes that are not text",
                "as text",
            ),
        ),
        (
            "refused-column.parquet",
            ("no column `task_id`, only `id`, `name`", "--id-column"),
        ),
        ("refused-bytes.parquet", ("row 1: it is not UTF-8", "UTF-8")),
        (
            "refused-columns.json",
            ("line 1: the ID is an object", "orient=\"records\""),
        ),
        (
            "refused-utf16.csv",
            ("it is UTF-16, not UTF-8", "save the file as UTF-8"),
        ),
        (
            "refused.txt.bz2",
            ("it is compressed with xz or bzip2", "decompress it first"),
        ),
    ]);
    for (file, (cause, hint)) in refused {
        let output = export(base.path(), &[file], &[]);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{file}: {printed}");
        let (error, advice) = printed.split_once("\nhint: ").unwrap();
        assert!(error.contains(file) && error.contains(cause), "{printed}");
        assert!(advice.contains(hint), "{printed}");
    }
}

#[test]
fn a_list_with_mistakes_is_refused_before_any_request() {
    let base = tempfile::tempdir().unwrap();
    for (text, cause, hint) in [
        (
            "task_id\ntask_1\n",
            "line 1: `task_id` is a header, not an ID",
            "remove the line",
        ),
        (
            "# x\n\nTask ID\n",
            "line 3: `Task ID` is a header",
            "remove the line",
        ),
        (
            "\"task_1\"\n",
            "line 1: `\"task_1\"` has quotation marks",
            "remove the quotation marks",
        ),
        (
            "task_1,task_2\n",
            "line 1: `task_1,task_2` contains a comma",
            "on a separate line",
        ),
        (
            "task_1;\n",
            "line 1: `task_1;` contains a semicolon",
            "on a separate line",
        ),
        (
            "task_1\ttask_2\n",
            "line 1: `task_1\\ttask_2` contains a tab",
            "on a separate line",
        ),
        (
            "https://x.y/task_1\n",
            "line 1: `https://x.y/task_1` is a URL",
            "give only the task ID",
        ),
        (
            "[\"task_1\"]\n",
            "line 1: `[\"task_1\"]` is JSON",
            "save the list as .json",
        ),
        (
            "<task_1>\n",
            "line 1: `<task_1>` contains `<`",
            "without brackets",
        ),
        (
            "task_1\ntask_\u{200b}2\n",
            "line 2: `task_\\u{200b}2` contains the invisible character U+200B (zero-width space)",
            "remove the character",
        ),
        (
            "task_1\n\u{feff}task_2\n",
            "line 2: `\\u{feff}task_2` contains the invisible character U+FEFF (byte order mark)",
            "where files were joined",
        ),
        (
            "NaN\n",
            "line 1: `NaN` means a missing value",
            "remove the line",
        ),
        (
            "\u{1b}[31mx\n",
            "line 1: `\\u{1b}[31mx` contains `[`",
            "without brackets",
        ),
    ] {
        fs::write(base.path().join("ids.txt"), text).unwrap();
        // A server that does not exist: no request is sent.
        let output = program()
            .current_dir(base.path())
            .env("SCALE_API_KEY", "live_x")
            .args([
                "--ids",
                "ids.txt",
                "--out",
                "out",
                "--base-url",
                "http://127.0.0.1:1",
            ])
            .output()
            .unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert_eq!(printed.lines().count(), 2, "{printed}");
        let expected = format!("error: could not read IDs from `ids.txt`, {cause}");
        assert!(
            printed.starts_with(&expected),
            "{printed} does not begin with {expected}"
        );
        assert!(
            printed.lines().nth(1).unwrap().starts_with("hint: "),
            "{printed}"
        );
        assert!(printed.contains(hint), "{printed}");
        assert!(!base.path().join("out").exists(), "{text}");
    }
}

#[test]
fn the_column_of_ids_can_be_named() {
    let base = tempfile::tempdir().unwrap();
    let list = "name,Scale Task\na,task_2\nb,task_1\n";
    fs::write(base.path().join("ids.csv"), list).unwrap();
    let output = export(base.path(), &["ids.csv"], &[]);
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    let expected = "error: could not read IDs from `ids.csv`: it has no column `task_id`, only `name`, `Scale Task`\nhint: choose the column of IDs with --id-column\n";
    assert_eq!(printed, expected);
    let output = export(base.path(), &["ids.csv"], &["--id-column", "scale_task"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(exported_ids(base.path()), ["task_2", "task_1"]);

    // The same with an environment variable, and without network access.
    let output = program()
        .current_dir(base.path())
        .env("SCALE_EXPORT_ID_COLUMN", "SCALE-TASK")
        .args(["flatten", "out", "--ids", "ids.csv", "--out", "other"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let ids = fs::read_to_string(base.path().join("other/.scale-export/ids.txt")).unwrap();
    assert_eq!(ids, "task_2\ntask_1\n");

    fs::write(base.path().join("two.csv"), "taskId,Task ID\n1,2\n").unwrap();
    let printed = stderr(&export(base.path(), &["two.csv"], &[]));
    let expected = "error: could not read IDs from `two.csv`: the columns `taskId` and `Task ID` both match `task_id`\nhint: choose one of them with --id-column\n";
    assert_eq!(printed, expected);
}

#[test]
fn standard_input_is_plain_text() {
    use std::io::Write as _;
    use std::process::Stdio;
    let base = tempfile::tempdir().unwrap();
    let run = |input: &[u8]| {
        let mut child = program()
            .current_dir(base.path())
            .args(["--ids", "-", "--out", "out", "--sandbox"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(b"\x1f\x8b\x08\0\0\0\0\0");
    assert_eq!(output.status.code(), Some(2));
    let printed = stderr(&output);
    assert!(
        printed.contains("its content is compressed with gzip"),
        "{printed}"
    );
    assert!(printed.contains("gunzip -c"), "{printed}");
    let output = run(b"\xef\xbb\xbf# list\r\ntask_1\r\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(exported_ids(base.path()), ["task_1"]);
}

#[test]
fn a_parquet_list_comes_through_a_pipe() {
    let base = tempfile::tempdir().unwrap();
    let fifo = base.path().join("list.parquet");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let seed = fs::read(root().join("fuzz/corpus/ids/parquet-zstd")).unwrap();
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::write(fifo, &seed[1..]).unwrap()
    });
    let output = export(base.path(), &["list.parquet"], &["--dry-run"]);
    // A writer to a pipe without a reader would wait forever.
    assert!(output.status.success(), "{}", stderr(&output));
    writer.join().unwrap();
}

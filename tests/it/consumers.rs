//! The readers that users have: DuckDB, pandas, polars and pyarrow on real files, and the examples.

use std::fs;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::{export, program, python, raw_responses, root, sandbox, task_ids, to_lines};

#[test]
fn every_reader_takes_every_table_of_both_formats() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let mut outs = Vec::new();
    for format in ["parquet", "csv"] {
        let options = ["--format", format, "--expand", "project,batch"];
        let (out, output) = export(&server, base.path(), format, &task_ids(400), &options);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        outs.push(out);
    }
    let output = python()
        .arg(root().join("tests/consumers/read_all.py"))
        .args(&outs)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&printed)
    );
}

/// Pages with queries, and the languages of these.
const PAGES_WITH_QUERIES: &[(&str, &str)] = &[
    ("README.md", "sql"),
    ("docs/get_started.md", "sql,sql,python"),
];

#[test]
fn documented_queries_print_the_documented_output() {
    let base = tempfile::tempdir().unwrap();
    // The first command of the README, except for the directory.
    let output = program()
        .current_dir(base.path())
        .arg("--ids")
        .arg(root().join("examples/ids.txt"))
        .args(["--out", "demo/", "--sandbox"])
        .output()
        .unwrap();
    assert!(output.status.success());
    for (page, languages) in PAGES_WITH_QUERIES {
        let mut check = python();
        check
            .arg(root().join("tests/consumers/documented_queries.py"))
            .arg(root().join(page))
            .arg(base.path())
            .arg(languages);
        if std::env::var_os("BLESS").is_some() {
            check.arg("bless");
        }
        let output = check.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {stderr}");
    }
    let verified = program()
        .current_dir(base.path())
        .args(["verify", "demo/"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&verified.stderr);
    let line = stderr.lines().last().unwrap();
    // Everything except the time.
    let (line, _) = line.rsplit_once(", ").unwrap();
    let page = fs::read_to_string(root().join("docs/get_started.md")).unwrap();
    assert!(page.contains(line), "docs/get_started.md: {line}");
}

#[test]
fn the_examples_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(&server, base.path(), "out", &task_ids(200), &[]);
    assert!(output.status.success());
    for example in ["with_duckdb.py", "with_pandas.py", "with_polars.py"] {
        let output = python()
            .arg(root().join("examples").join(example))
            .arg(&out)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {stderr}");
        for part in ["north-1-large", "good", "assistant: "] {
            assert!(
                stdout.contains(part),
                "{example} does not show {part}: {stdout}"
            );
        }
    }
}

#[test]
fn an_independent_flattener_gives_the_same_rows() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let options = ["--expand", "project,batch"];
    let (out, output) = export(&server, base.path(), "out", &task_ids(300), &options);
    assert!(output.status.success());
    let tasks = base.path().join("tasks.jsonl");
    fs::write(&tasks, to_lines(raw_responses(&out).values())).unwrap();
    let output = python()
        .arg(root().join("tests/consumers/oracle.py"))
        .args([&tasks, &out])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for table in ["tasks: 300", "messages: ", "annotations: ", "attachments: "] {
        assert!(printed.contains(table), "{printed}");
    }
}

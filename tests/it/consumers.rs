//! The readers that users have: DuckDB, pandas, polars and pyarrow on real files, and the examples.

use std::process::Command;

use scale_export::sandbox::SandboxConfig;

use crate::support::{export, root, sandbox, task_ids};

/// The Python with the readers installed; `make test` sets it.
fn python() -> Command {
    let python = std::env::var("SCALE_EXPORT_TEST_PYTHON")
        .expect("the readers' Python is not known: run the tests with `make test`");
    Command::new(python)
}

#[test]
fn every_reader_takes_every_table_of_both_formats() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        drift: true,
        // DuckDB refuses JSON columns in which they stand.
        lone_surrogates: false,
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
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
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

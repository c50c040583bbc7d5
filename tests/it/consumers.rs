//! The readers that users have: DuckDB, pandas, polars and pyarrow on real files, and the examples.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use scale_export::sandbox::{Sandbox, SandboxConfig};

use crate::support::{
    KEY, export, program, python, raw_responses, root, sandbox, task_ids, to_lines,
};

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
fn the_queries_of_the_readme_give_what_stands_under_them() {
    let base = tempfile::tempdir().unwrap();
    // The README's first command, but for the directory.
    let output = program()
        .current_dir(base.path())
        .arg("--ids")
        .arg(root().join("examples/ids.txt"))
        .args(["--out", "demo/", "--sandbox"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let mut check = python();
    check
        .arg(root().join("tests/consumers/readme.py"))
        .arg(root().join("README.md"))
        .arg(base.path());
    if std::env::var_os("BLESS").is_some() {
        check.arg("bless");
    }
    let output = check.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a command line of an example as a scheduler would, with its paths moved below `base`.
fn run_as_scheduler(base: &Path, command: &str, server: &Sandbox) -> Output {
    let command = command
        .replace("/srv/scale", &base.display().to_string())
        .replace(
            "/usr/local/bin/scale-export",
            env!("CARGO_BIN_EXE_scale-export"),
        )
        // systemd's directory of credentials.
        .replace("%d/scale-key", &base.join("key").display().to_string());
    Command::new("/bin/sh")
        .args(["-c", &command])
        .env_clear()
        // As cron has it.
        .env("PATH", "/usr/bin:/bin")
        .env("SCALE_API_URL", server.base_url())
        .env("SCALE_EXPORT_RATE", "max")
        .output()
        .unwrap()
}

#[test]
fn the_schedulers_examples_run() {
    let example = |name: &str| fs::read_to_string(root().join("examples").join(name)).unwrap();
    let service = example("scale-export.service");
    let from_service = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let crontab = example("crontab");
    let entry = crontab
        .lines()
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap();
    // Five fields of time, then the command; cron itself reads a bare % as the end of the line.
    let from_crontab = entry.splitn(6, ' ').last().unwrap();
    let variable = crontab
        .lines()
        .find_map(|line| line.strip_prefix("EXPORT="))
        .unwrap();
    let from_crontab = from_crontab.replace("$EXPORT", variable.trim_matches('"'));
    let from_crontab = from_crontab.as_str();
    assert!(!from_crontab.contains('%'));
    assert!(example("scale-export.timer").contains("OnCalendar="));
    let server = sandbox(SandboxConfig::default());
    for command in [from_service, from_crontab] {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("ids.txt"), "task_1\ntask_2\n").unwrap();
        fs::write(base.path().join("key"), format!("{KEY}\n")).unwrap();
        let output = run_as_scheduler(base.path(), command, &server);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
        assert!(base.path().join("export/manifest.json").exists());
    }
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
fn another_way_to_rows_gives_the_same_rows() {
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
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for table in ["tasks: 300", "messages: ", "annotations: ", "attachments: "] {
        assert!(said.contains(table), "{said}");
    }
}

//! The commands in the `README.md` of an export work.

use std::path::PathBuf;

use scale_export::sandbox::config::SandboxConfig;

use crate::corpus::shared_tasks;
use crate::support::{export, print_note, program, python, root, sandbox, task_ids};

#[test]
fn the_queries_in_the_readme_of_an_export_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let mut exports: Vec<PathBuf> = Vec::new();
    for format in ["parquet", "csv"] {
        let options = ["--format", format];
        let (out, output) = export(&server, base.path(), format, &task_ids(60), &options);
        assert!(output.status.success());
        exports.push(out);
        match shared_tasks() {
            None => print_note(
                "left out: the README.md of an export of tasks with real text, which are not on this machine",
            ),
            Some((corpus, _)) => {
                let out = base.path().join(format!("corpus_{format}"));
                let mut flatten = program();
                flatten.arg("flatten").arg(&corpus).arg("--out").arg(&out);
                flatten.args(options);
                assert!(flatten.output().unwrap().status.success());
                exports.push(out);
            }
        }
    }
    let output = python()
        .arg(root().join("tests/consumers/export_readme.py"))
        .args(&exports)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&printed)
    );
}

#[test]
fn the_readme_of_an_export_names_only_existing_tables() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let options = ["--tables", "tasks,turns"];
    let (out, output) = export(&server, base.path(), "out", &task_ids(3), &options);
    assert!(output.status.success());
    let readme = std::fs::read_to_string(out.join("README.md")).unwrap();
    let load_sql = std::fs::read_to_string(out.join("load.sql")).unwrap();
    for absent in ["FROM messages", "FROM annotations", "annotated_messages"] {
        assert!(!readme.contains(absent), "{absent}: {readme}");
        assert!(!load_sql.contains(absent), "{absent}: {load_sql}");
    }
    assert!(readme.contains("FROM tasks") && readme.contains("pd.read_parquet(\"tasks.parquet\""));
    assert!(
        readme.starts_with("---\nconfigs:\n- config_name: tasks\n  data_files: tasks.parquet\n")
    );
}

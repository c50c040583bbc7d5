//! A user's own files in the output directory: which ones stay, and which ones stop a run.

use std::fs;
use std::path::Path;
use std::process::Output;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::table::edit_manifest;
use crate::support::{export, manifest, program, published, sandbox, task_ids};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn listed_files(out: &Path) -> Vec<String> {
    let files = manifest(out)["files"].clone();
    let files = files.as_array().unwrap().iter();
    files
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect()
}

fn assert_verified(out: &Path) {
    let output = program().arg("verify").arg(out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn files_of_a_user_are_kept_and_do_not_stop_a_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let run = |options: &[&str]| {
        let (_, output) = export(&server, base.path(), "out", &task_ids(5), options);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_verified(&out);
        stderr(&output)
    };
    fs::create_dir_all(out.join("lost+found")).unwrap();
    let theirs = [
        ("analysis.ipynb", "notebook"),
        ("my.duckdb", "database"),
        ("README.md", "mine"),
    ];
    for (name, text) in theirs {
        fs::write(out.join(name), text).unwrap();
    }
    let notice = "kept the existing `README.md`";
    assert!(run(&[]).contains(notice));
    assert_eq!(listed_files(&out), ["failures.jsonl", "load.sql"]);
    // A later run with other tables, so that there is something to publish.
    assert!(run(&["--tables", "tasks,messages"]).contains(notice));
    for (name, text) in theirs {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), text);
    }
    assert!(out.join("lost+found").is_dir());

    // After the user's file is removed, the export publishes one and recognizes it later.
    fs::remove_file(out.join("README.md")).unwrap();
    assert!(!run(&[]).contains(notice));
    assert_eq!(
        listed_files(&out),
        ["failures.jsonl", "load.sql", "README.md"]
    );
    assert!(!run(&["--tables", "tasks"]).contains(notice));
    assert!(
        fs::read_to_string(out.join("README.md"))
            .unwrap()
            .contains("| `tasks` | 5 |")
    );
}

#[test]
fn a_file_that_scale_export_did_not_create_is_not_overwritten() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    for name in ["messages.parquet", "failures.jsonl", "manifest.json"] {
        let out = base.path().join(name);
        fs::create_dir(&out).unwrap();
        fs::write(out.join(name), "theirs").unwrap();
        let (_, output) = export(&server, base.path(), name, &task_ids(2), &[]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("it has a `{name}` that scale-export did not create\nhint: move");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), "theirs");
        assert!(!out.join(".scale-export").exists());
    }
    // A file under a name that this run does not publish is left alone.
    let out = base.path().join("messages.parquet");
    let run = |options: &[&str]| {
        export(
            &server,
            base.path(),
            "messages.parquet",
            &task_ids(2),
            options,
        )
        .1
    };
    assert!(run(&["--tables", "tasks"]).status.success());
    assert_eq!(
        fs::read_to_string(out.join("messages.parquet")).unwrap(),
        "theirs"
    );
    assert_eq!(run(&[]).status.code(), Some(2));
    assert!(run(&["--force"]).status.success());
    assert_verified(&out);
}

#[test]
fn an_edited_readme_is_kept() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let run = |options: &[&str]| {
        // The sandbox makes all of these tasks final, by their number modulo 20.
        let (_, output) = export(&server, base.path(), "out", &task_ids(12), options);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    run(&[]);
    for name in ["README.md", "load.sql"] {
        let theirs = fs::read_to_string(out.join(name)).unwrap() + "more\n";
        fs::write(out.join(name), &theirs).unwrap();
        assert!(run(&[]).contains(&format!("kept the existing `{name}`")));
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), theirs);
        assert_verified(&out);
        assert!(run(&[]).contains("Nothing to do"));
        // After the user's file is removed, the export publishes one, though no task has changed.
        fs::remove_file(out.join(name)).unwrap();
        assert!(!run(&[]).contains("Nothing to do"));
        assert!(listed_files(&out).iter().any(|file| file == name));
    }
}

#[test]
fn without_state_a_changed_file_is_not_overwritten() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert!(output.status.success());
    fs::remove_dir_all(out.join(".scale-export")).unwrap();
    fs::write(out.join("tasks.parquet"), "theirs").unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("it has a `tasks.parquet` that scale-export did not create"));
    assert_eq!(
        fs::read_to_string(out.join("tasks.parquet")).unwrap(),
        "theirs"
    );
}

#[test]
fn an_export_without_state_is_recognized_by_its_manifest() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert!(output.status.success());
    let before = published(&out);
    fs::remove_dir_all(out.join(".scale-export")).unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("are missing from `.scale-export`"));
    assert!(published(&out) == before);
    assert_verified(&out);
}

#[test]
fn an_export_without_manifest_is_recognized_by_its_state() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert!(output.status.success());
    let before = published(&out);
    fs::remove_file(out.join("manifest.json")).unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(5), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    // `load.sql` and `README.md` are recognized by their content.
    assert!(!stderr(&output).contains("alone"), "{}", stderr(&output));
    assert!(published(&out) == before);
    assert_verified(&out);
}

#[test]
fn an_upgrade_rebuilds_the_tables_without_a_request() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    // The sandbox makes all of these tasks final, by their number modulo 20.
    let ids = task_ids(12);
    let run = || {
        let (out, output) = export(&server, base.path(), "out", &ids, &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        out
    };
    let out = run();
    let (before, requests) = (published(&out), server.requests());
    for (key, older) in [
        ("encoding_version", serde_json::json!(0)),
        ("encoding_version", serde_json::Value::Null),
        ("schema_version", serde_json::json!("1.0.0")),
    ] {
        edit_manifest(&out, |manifest| {
            if older.is_null() {
                manifest.as_object_mut().unwrap().remove(key);
            } else {
                manifest[key] = older;
            }
        });
        fs::write(
            out.join("tasks.parquet"),
            vec![0; before["tasks.parquet"].len()],
        )
        .unwrap();
        run();
        assert!(published(&out) == before, "{key}");
        assert_verified(&out);
    }
    assert_eq!(server.requests(), requests);
}

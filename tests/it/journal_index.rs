//! The index of the journal: runs read it instead of the journal, and damage that it hides is found and mended.

use std::fs;
use std::path::Path;
use std::process::Command;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use crate::flatten::stderr;
use crate::support::{KEY, program, sandbox, task_ids};

const TASKS: usize = 40;

/// Exports with an index of every journal. Returns the exit code and what was printed.
fn export(server: &Sandbox, out: &Path, options: &[&str]) -> (Option<i32>, String) {
    let ids = out.with_extension("ids");
    fs::write(&ids, task_ids(TASKS).join("\n")).unwrap();
    let output = program()
        .env("SCALE_EXPORT_INDEX_BYTES", "1")
        .env("SCALE_API_KEY", KEY)
        .args(["--rate", "max", "--base-url", &server.base_url()])
        .arg("--ids")
        .arg(&ids)
        .arg("--out")
        .arg(out)
        .args(options)
        .output()
        .unwrap();
    (output.status.code(), stderr(&output))
}

fn verify(out: &Path) -> (Option<i32>, String) {
    let output = program().arg("verify").arg(out).output().unwrap();
    (output.status.code(), stderr(&output))
}

/// An export whose journal has an index and a damaged body in its middle.
fn damaged(server: &Sandbox, out: &Path) {
    assert_eq!(export(server, out, &[]).0, Some(0));
    // The second run reads the journal of the first one.
    assert_eq!(export(server, out, &[]).0, Some(0));
    assert!(out.join(".scale-export/journal.index").exists());
    let journal = out.join(".scale-export/journal");
    let mut bytes = fs::read(&journal).unwrap();
    // Bodies take most of a journal, so the middle of one is in a body. A test below fails if it is not.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&journal, bytes).unwrap();
}

#[test]
fn damage_behind_an_index_is_found_by_verify_and_mended_by_the_next_export() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    damaged(&server, &out);
    let (code, printed) = export(&server, &out, &["--refresh", "none"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("Nothing to do"), "{printed}");
    let (code, printed) = verify(&out);
    assert_eq!(code, Some(7), "{printed}");
    assert!(!out.join(".scale-export/journal.index").exists());
    let (code, printed) = export(&server, &out, &["--refresh", "none"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("fetching the lost responses again"),
        "{printed}"
    );
    assert_eq!(verify(&out).0, Some(0));
}

#[test]
fn a_run_that_cannot_read_a_record_behind_an_index_reads_the_whole_journal() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    damaged(&server, &out);
    // Other tables are built from all responses.
    let options = ["--refresh", "none", "--format", "csv"];
    let (code, printed) = export(&server, &out, &options);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("; reading the whole journal\n"),
        "{printed}"
    );
    assert!(printed.contains("skipped 1 damaged place"), "{printed}");
    assert_eq!(verify(&out).0, Some(0));
}

#[test]
fn a_pipe_in_place_of_the_index_or_of_the_ranges_is_not_read() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let server = sandbox(SandboxConfig::default());
    assert_eq!(export(&server, &out, &[]).0, Some(0));
    for name in ["journal.index", "ranges"] {
        let path = out.join(".scale-export").join(name);
        let _ = fs::remove_file(&path);
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        // A job that reads from the pipe waits for a writer, and does not end.
        let output = Command::new("timeout")
            .arg("60")
            .arg(program().get_program())
            .args(["status", "--json"])
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let output = Command::new("timeout")
            .arg("60")
            .arg(program().get_program())
            .arg("flatten")
            .arg(&out)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        // A run refuses the state of others.
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        fs::remove_file(&path).unwrap();
        assert_eq!(verify(&out).0, Some(0));
    }
}

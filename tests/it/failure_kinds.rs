//! Failures of kinds that another version names.

use std::fs;
use std::ops::ControlFlow;

use scale_export::journal::format::{FLAG_FINAL, JournalRecord, RecordKind};
use scale_export::journal::reader::JournalReader;
use scale_export::journal::writer::Journal;
use scale_export::sandbox::config::SandboxConfig;
use serde_json::json;

use crate::support::table::{edit_manifest, refresh};
use crate::support::{export, program, sandbox, task_ids};

#[test]
fn a_kind_of_a_newer_version_fails_its_id_and_ends_no_run() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let run = || export(&server, base.path(), "out", &task_ids(3), &[]);
    let (out, output) = run();
    assert!(output.status.success());
    // A newer version recorded a failure after the publication.
    let path = out.join(".scale-export/journal");
    let options = JournalReader::options(&path).unwrap();
    let (mut journal, _) = Journal::open(&path, &options, |_| ControlFlow::Continue(())).unwrap();
    let note = json!({"kind": "quota", "http_status": 402, "attempts": 1, "message": "used up"});
    journal.append(&JournalRecord {
        kind: RecordKind::Failure,
        flags: FLAG_FINAL,
        attempts: 1,
        time: 0,
        task_id: "task_2",
        body: note.to_string().as_bytes(),
        digest: None,
    });
    journal.sync().unwrap();
    drop(journal);
    let (_, output) = run();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("1 unknown"), "{stderr}");
    let failures = out.join("failures.jsonl");
    let line = fs::read_to_string(&failures).unwrap();
    assert!(
        line.contains(r#""kind":"unknown","http_status":402"#),
        "{line}"
    );
    assert!(line.contains("used up"), "{line}");
    let verify = || {
        let output = program().arg("verify").arg(&out).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    assert_eq!(verify().0, Some(0));

    // This version never writes such a word, another one may.
    fs::write(&failures, line.replace("unknown", "quota")).unwrap();
    refresh(&out, "failures.jsonl");
    assert_eq!(verify().0, Some(7));
    edit_manifest(&out, |manifest| {
        manifest["tool"]["version"] = json!("99.0.0");
    });
    let (code, stderr) = verify();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("version 99.0.0 uses kinds"), "{stderr}");
}

#[test]
fn messages_of_another_version_are_not_compared() {
    let base = tempfile::tempdir().unwrap();
    let (ids, source) = (base.path().join("ids.txt"), base.path().join("tasks.jsonl"));
    fs::write(&ids, "task_1\ntask_2\n").unwrap();
    fs::write(&source, "{\"task_id\":\"task_1\"}\n").unwrap();
    let out = base.path().join("out");
    let mut flatten = program();
    flatten.arg("flatten").arg(&source).arg("--ids").arg(&ids);
    let output = flatten.arg("--out").arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let verify = || {
        let output = program().arg("verify").arg(&out).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    assert_eq!(verify().0, Some(0));
    let failures = out.join("failures.jsonl");
    let line = fs::read_to_string(&failures).unwrap();
    let message = "the sources have no response for this ID";
    assert!(line.contains(message), "{line}");
    let change = |line: &str| {
        fs::write(&failures, line).unwrap();
        refresh(&out, "failures.jsonl");
    };
    change(&line.replace(message, "no response"));
    assert_eq!(verify().0, Some(7));
    edit_manifest(&out, |manifest| manifest["encoding_version"] = json!(1));
    let (code, stderr) = verify();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("not verified: the message of every failure"),
        "{stderr}"
    );
    change(&line.replace("\"attempts\":0", "\"attempts\":1"));
    assert_eq!(verify().0, Some(7));
}

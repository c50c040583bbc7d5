//! `verify` as users run it: without the state, with a selection of tables, during a run; its messages, and that it
//! writes nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::sandbox::config::SandboxConfig;

use crate::flatten::{TASKS, assert_verified, exported, flatten, run, stderr};
use crate::support::server::{Server, requested_id};
use crate::support::table::{Table, copy};
use crate::support::{KEY, export, manifest, program, published, sandbox, task_ids};

#[test]
fn verify_without_state_reports_what_it_does_not_verify() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let moved = base.path().join("elsewhere/moved");
    copy(&out, &moved);
    assert_verified(&moved);
    fs::remove_dir_all(moved.join(".scale-export")).unwrap();
    let output = run(&["verify", "--summary", "-"], &[&moved]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stderr(&output);
    assert!(
        printed.contains("not verified: the equality of tasks and their raw responses (.scale-export/journal is missing)"),
        "{printed}"
    );
    assert!(
        printed.contains("not verified: the order and completeness of the IDs, and their failures (.scale-export/ids.txt is missing)"),
        "{printed}"
    );
    assert!(
        printed.contains("the tables agree with each other"),
        "{printed}"
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["unproven"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&summary["findings"], &summary["rebuilt"]),
        (&0.into(), &0.into())
    );
    // Values that the tables state twice are still compared.
    let format = scale_export::encode::format::Format::Parquet;
    let mut table = Table::load(&moved, format, "annotations");
    table.change("value_label", |cell| {
        cell.map(|_| Some("another".to_owned()))
    });
    table.save(&moved);
    let output = run(&["verify"], &[&moved]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("(annotations.value_label): expected"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn selected_tables_without_state_are_checked_for_keys() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(
        base.path(),
        &["--format", "csv", "--tables", "messages,turns"],
    );
    let format = scale_export::encode::format::Format::Csv;
    let kept = base.path().join("kept");
    copy(&out, &kept);
    fs::remove_file(kept.join(".scale-export/journal")).unwrap();
    let output = run(&["verify"], &[&kept]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (name, change, printed) in [
        (
            "a turn lost",
            (|table| drop(table.rows.remove(0))) as fn(&mut Table),
            "a parent row in `turns`",
        ),
        (
            "a turn twice",
            |table| table.rows.insert(1, table.rows[0].clone()),
            "one row with this key",
        ),
        (
            "turns swapped",
            |table| {
                let last = table.rows.len() - 1;
                table.rows.swap(0, last);
            },
            "no row here",
        ),
    ] {
        let bad = base.path().join(name);
        copy(&kept, &bad);
        let mut table = Table::load(&bad, format, "turns");
        change(&mut table);
        table.save(&bad);
        let output = run(&["verify"], &[&bad]);
        assert_eq!(output.status.code(), Some(7), "{name}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(printed),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn verify_prints_twenty_findings_and_counts_all() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &["--format", "csv"]);
    let format = scale_export::encode::format::Format::Csv;
    let mut table = Table::load(&out, format, "tasks");
    for row in 0..table.rows.len() {
        table.set(row, "status", Some("damaged".to_owned()));
    }
    table.save(&out);
    let output = run(
        &["verify", "--summary", "-", "--log-format", "json"],
        &[&out],
    );
    assert_eq!(output.status.code(), Some(7));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["findings"].as_u64().unwrap() >= TASKS as u64);
    assert_eq!(summary["first_findings"].as_array().unwrap().len(), 20);
    let first = &summary["first_findings"][0];
    assert_eq!(
        (&first["pointer"], &first["found"]),
        (&"/status".into(), &"\"damaged\"".into())
    );
    let output = run(&["verify"], &[&out]);
    let printed = stderr(&output);
    assert_eq!(
        printed
            .lines()
            .filter(|line| line.contains("/status: expected"))
            .count(),
        20
    );
    assert!(
        printed.contains("\nand ") && printed.contains(" more\n"),
        "{printed}"
    );
    let output = run(&["verify"], &[base.path()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("it has no manifest.json"));
}

#[test]
fn responses_of_an_unpublished_run_are_not_verified() {
    let is_later = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&is_later);
    let server = Server::start(move |request| {
        let task_id = requested_id(request);
        let is_later = later.load(Ordering::Relaxed);
        let status = if is_later && task_id == "c" { 401 } else { 200 };
        let body = format!(r#"{{"task_id":"{task_id}","status":"pending","later":{is_later}}}"#);
        let response = Response::builder().status(status);
        response.body(Full::new(Bytes::from(body))).unwrap()
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let run_export = || {
        program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args(["--rate", "max", "--concurrency", "1"])
            .args(["--id", "a", "--id", "b", "--id", "c", "--out"])
            .arg(&out)
            .output()
            .unwrap()
    };
    assert!(run_export().status.success());
    is_later.store(true, Ordering::Relaxed);
    assert_eq!(run_export().status.code(), Some(4));
    let journal = fs::read(out.join(".scale-export/journal")).unwrap();
    assert!(journal.len() as u64 > manifest(&out)["run"]["journal_bytes"].as_u64().unwrap());
    assert_verified(&out);
    // `flatten` includes all responses of the journal.
    assert!(flatten(&out, &out, &["--format", "csv"]).status.success());
    let tasks = fs::read_to_string(out.join("tasks.csv")).unwrap();
    assert!(tasks.contains(r#"{""later"":true}"#) && tasks.contains(r#"{""later"":false}"#));
    assert_verified(&out);
}

#[test]
fn verify_and_flatten_refuse_a_locked_export() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let lock = fs::File::open(out.join(".scale-export/lock")).unwrap();
    lock.lock().unwrap();
    let new = base.path().join("new");
    for output in [
        run(&["verify"], &[&out]),
        flatten(&out, &new, &[]),
        flatten(&out, &out, &[]),
    ] {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("another run holds the lock"),
            "{}",
            stderr(&output)
        );
    }
    drop(lock);
    // Several readers may hold the lock.
    let lock = fs::File::open(out.join(".scale-export/lock")).unwrap();
    lock.lock_shared().unwrap();
    assert_verified(&out);
}

#[test]
fn a_summary_overwrites_no_input_and_no_file_of_the_export() {
    let base = tempfile::tempdir().unwrap();
    let out = exported(base.path(), &[]);
    let raw = base.path().join("raw.jsonl");
    fs::write(&raw, "{\"task_id\":\"a\"}\n").unwrap();
    let before = (published(&out), fs::read(&raw).unwrap());
    let journal = fs::read(out.join(".scale-export/journal")).unwrap();
    let new = base.path().join("new");
    for (job, summary) in [
        (
            vec!["verify".as_ref(), out.as_os_str()],
            out.join("tasks.parquet"),
        ),
        (
            vec!["verify".as_ref(), out.as_os_str()],
            out.join("verify.json"),
        ),
        (
            vec!["verify".as_ref(), out.as_os_str()],
            out.join(".scale-export/journal"),
        ),
        (
            vec![
                "flatten".as_ref(),
                raw.as_os_str(),
                "--out".as_ref(),
                new.as_os_str(),
            ],
            raw.clone(),
        ),
        (
            vec![
                "flatten".as_ref(),
                out.as_os_str(),
                "--out".as_ref(),
                out.as_os_str(),
            ],
            out.join("manifest.json"),
        ),
        (
            vec![
                "--sandbox".as_ref(),
                "--id".as_ref(),
                "task_1".as_ref(),
                "--out".as_ref(),
                out.as_os_str(),
            ],
            out.join("load.sql"),
        ),
    ] {
        let output = program()
            .args(&job)
            .arg("--summary")
            .arg(&summary)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(6),
            "{job:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("could not write the summary"),
            "{}",
            stderr(&output)
        );
        assert_eq!(
            stderr(&output).matches("error: ").count(),
            1,
            "{}",
            stderr(&output)
        );
    }
    // The same through symbolic and hard links, and through a broken link.
    let link = base.path().join("link");
    for (target, is_hard) in [
        (out.join("tasks.parquet"), false),
        (out.join("manifest.json"), true),
        (out.join(".scale-export/journal"), true),
        (out.join("not_there"), false),
    ] {
        if is_hard {
            fs::hard_link(&target, &link).unwrap();
        } else {
            std::os::unix::fs::symlink(&target, &link).unwrap();
        }
        for job in [
            vec!["verify".as_ref(), out.as_os_str()],
            vec![
                "flatten".as_ref(),
                out.as_os_str(),
                "--out".as_ref(),
                new.as_os_str(),
            ],
        ] {
            let output = program()
                .args(&job)
                .arg("--summary")
                .arg(&link)
                .output()
                .unwrap();
            assert_eq!(
                output.status.code(),
                Some(6),
                "{job:?}: {}",
                stderr(&output)
            );
        }
        fs::remove_file(&link).unwrap();
    }
    assert!(!out.join("not_there").exists());
    assert!((published(&out), fs::read(&raw).unwrap()) == before);
    assert!(fs::read(out.join(".scale-export/journal")).unwrap() == journal);
}

#[test]
fn tables_without_tasks_and_state_have_no_findings() {
    let base = tempfile::tempdir().unwrap();
    for tables in ["messages", "projects", "attachments,annotations"] {
        let server = sandbox(SandboxConfig::default());
        let options = ["--tables", tables, "--expand", "project", "--format", "csv"];
        let (out, output) = export(&server, base.path(), tables, &task_ids(20), &options);
        assert!(output.status.success());
        for lost in ["journal", "ids.txt"] {
            fs::remove_file(out.join(".scale-export").join(lost)).unwrap();
            if lost == "ids.txt" {
                fs::remove_dir_all(out.join(".scale-export")).unwrap();
            }
            let output = run(&["verify"], &[&out]);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{tables}: {}",
                stderr(&output)
            );
            assert!(
                stderr(&output).contains("not verified: "),
                "{}",
                stderr(&output)
            );
        }
    }
}

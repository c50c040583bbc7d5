//! A damaged state, and a state that another user of the machine prepared.

use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use scale_export::journal::format::{FLAG_FINAL, JournalRecord, RecordKind};
use scale_export::journal::reader::JournalReader;
use scale_export::journal::writer::Journal;
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;
use serde_json::{Value, json};

use crate::support::table::{copy, edit_manifest};
use crate::support::{KEY, export, print_note, program, published, sandbox, task_ids};

const TASKS: usize = 5;

/// A change of the state directory, and its name.
type Attack = (&'static str, fn(&Path, &Path));

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn good(server: &Sandbox, base: &Path) -> PathBuf {
    let (out, output) = export(server, base, "good", &task_ids(TASKS), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    out
}

fn offline(command: &str, out: &Path) -> Command {
    let mut program = program();
    program.arg(command).arg(out);
    if command == "flatten" {
        program.arg("--out").arg(out);
    }
    program
}

/// Runs a command that must exit soon, without waiting for a pipe or a lock.
fn within_seconds(mut command: Command) -> Output {
    const LIMIT: Duration = Duration::from_secs(20);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_damaged_manifest_is_rebuilt() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let before = published(&out);
    let manifest = out.join("manifest.json");
    let whole = fs::read(&manifest).unwrap();
    let place = |text: &str| {
        let mut windows = whole.windows(text.len());
        windows.position(|found| found == text.as_bytes()).unwrap()
    };
    let flipped = |at: usize, bit: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        bytes
    };
    let damages = [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        vec![0; whole.len()],
        flipped(0, 3),
        flipped(place("format_version") + 2, 0),
        // A newer format version, and other names.
        flipped(place(": 1,") + 2, 1),
        flipped(place("\"tables\": {") + 3, 0),
        flipped(place("messages.parquet") + 1, 2),
        flipped(place("failures.jsonl") + 1, 2),
        flipped(place("\"rows\""), 4),
    ];
    for (number, damage) in damages.iter().enumerate() {
        for way in ["run", "--force", "flatten"] {
            fs::write(&manifest, damage).unwrap();
            let output = match way {
                "run" => export(&server, base.path(), "good", &task_ids(TASKS), &[]).1,
                "--force" => export(&server, base.path(), "good", &task_ids(TASKS), &[way]).1,
                _ => offline("flatten", &out).output().unwrap(),
            };
            let printed = stderr(&output);
            assert!(output.status.success(), "{number}, {way}: {printed}");
            assert!(published(&out) == before, "{number}, {way}");
            let verified = offline("verify", &out).output().unwrap();
            assert!(
                verified.status.success(),
                "{number}, {way}: {}",
                stderr(&verified)
            );
            if number == 0 {
                assert!(printed.contains("manifest.json is damaged"), "{printed}");
            }
        }
    }
    // A manifest of a newer version is not damaged.
    edit_manifest(&out, |manifest| {
        manifest["format_version"] = json!(99);
        manifest["tool"]["version"] = json!("99.0.0");
    });
    for options in [&[][..], &["--force"]] {
        let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), options);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(
            "is newer than this version of scale-export supports\nhint: use the version"
        ));
    }
}

/// Checks that a run, a run with `--force` and `flatten` in place repair the damage, with `warning` if it is not empty.
fn assert_repaired_by_all(base: &Path, server: &Sandbox, damage: &dyn Fn(&Path), warning: &str) {
    let out = base.join("good");
    let before = published(&out);
    for way in ["run", "--force", "flatten"] {
        damage(&out);
        let output = match way {
            "run" => export(server, base, "good", &task_ids(TASKS), &[]).1,
            "--force" => export(server, base, "good", &task_ids(TASKS), &[way]).1,
            _ => offline("flatten", &out).output().unwrap(),
        };
        let printed = stderr(&output);
        assert!(output.status.success(), "{way}: {printed}");
        assert!(printed.contains(warning), "{way}: {printed}");
        assert!(published(&out) == before, "{way}");
        let verified = offline("verify", &out).output().unwrap();
        assert!(verified.status.success(), "{way}: {}", stderr(&verified));
    }
}

#[test]
fn a_damaged_manifest_that_parses_is_rebuilt() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let damages: [fn(&mut Value); 15] = [
        |manifest| manifest["tables"]["tasks"]["files"] = json!([]),
        |manifest| manifest["tables"]["tasks"]["files"][0]["path"] = json!("manifest.json"),
        |manifest| manifest["tables"]["tasks"]["files"][0]["path"] = json!("tasks.csv"),
        |manifest| {
            manifest["ids"]["requested"] = json!(10_u64.pow(18));
            manifest["ids"]["exported"] = json!(0);
        },
        |manifest| {
            manifest["ids"]["exported"] = json!(0);
            manifest["ids"]["failed"] = json!(TASKS);
        },
        |manifest| manifest["ids"]["stale"] = json!(TASKS + 1),
        |manifest| manifest["tables"]["bogus"] = manifest["tables"]["tasks"].clone(),
        |manifest| {
            let files = &mut manifest["tables"]["messages"]["files"];
            *files = json!([files[0], files[0]]);
        },
        |manifest| {
            let file = manifest["files"][0].clone();
            manifest["files"].as_array_mut().unwrap().push(file);
        },
        |manifest| {
            manifest["tables"].as_object_mut().unwrap().remove("turns");
        },
        // These manifests do not parse.
        |manifest| manifest["tables"]["tasks"]["rows"] = json!(-1),
        |manifest| manifest["options"]["format"] = json!("xml"),
        |manifest| manifest["run"] = json!(null),
        |manifest| manifest["drift"] = json!("x"),
        |manifest| manifest["format_version"] = json!(99),
    ];
    for damage in damages {
        let damage = |out: &Path| edit_manifest(out, damage);
        assert_repaired_by_all(base.path(), &server, &damage, "manifest.json is damaged");
    }
    let twice = |out: &Path| {
        let path = out.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        let tables = "\"tables\": {";
        let doubled = format!("{tables}\"tasks\": {{\"rows\": 0, \"files\": []}},");
        fs::write(&path, text.replacen(tables, &doubled, 1)).unwrap();
    };
    assert_repaired_by_all(base.path(), &server, &twice, "manifest.json is damaged");
    let requests = server.requests();
    assert_eq!(requests, TASKS as u64, "{}", out.display());
}

#[test]
fn a_damaged_list_of_ids_is_rewritten_by_a_run_without_requests() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let list = out.join(".scale-export/ids.txt");
    let whole = fs::read(&list).unwrap();
    for options in [&[][..], &["--force"]] {
        let mut damaged = whole.clone();
        damaged[2] ^= 1;
        fs::write(&list, damaged).unwrap();
        let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), options);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(fs::read(&list).unwrap() == whole);
        let verified = offline("verify", &out).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
    assert_eq!(server.requests(), TASKS as u64);
}

#[test]
fn a_damaged_journal_header_is_repaired_and_responses_are_kept() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();
    // Damage in the magic bytes, the version (in two ways), the length, the checksum and the options.
    for (at, byte) in [
        (0, 0),
        (8, 0),
        (8, 1),
        (9, 4),
        (12, 0),
        (16, 0),
        (17, 0),
        (25, 0),
    ] {
        for way in ["run", "flatten"] {
            let mut damaged = whole.clone();
            damaged[at] = if damaged[at] == byte { 255 } else { byte };
            fs::write(&journal, damaged).unwrap();
            let output = match way {
                "run" => export(&server, base.path(), "good", &task_ids(TASKS), &[]).1,
                _ => offline("flatten", &out).output().unwrap(),
            };
            let printed = stderr(&output);
            assert!(output.status.success(), "{at}, {way}: {printed}");
            assert!(
                printed.contains("repaired the damaged header of the journal"),
                "{printed}"
            );
            assert!(fs::read(&journal).unwrap() == whole, "{at}, {way}");
        }
    }
    let verified = offline("verify", &out).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert_eq!(server.requests(), TASKS as u64);
    // The cause is unknown here, and the hint still says what to do.
    let mut damaged = whole;
    damaged[25] = 0;
    fs::write(&journal, damaged).unwrap();
    fs::remove_file(out.join("manifest.json")).unwrap();
    let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), &[]);
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains("move it away and run the export again"),
        "{printed}"
    );
    fs::remove_file(&journal).unwrap();
    let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.requests(), 2 * TASKS as u64);
}

#[test]
fn a_journal_that_is_not_a_file_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let journal = out.join(".scale-export/journal");
    let whole = fs::read(&journal).unwrap();
    let prepare: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("nowhere", path).unwrap(),
        |path| drop(UnixListener::bind(path).unwrap()),
        |path| {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        },
    ];
    for prepare in prepare {
        fs::remove_file(&journal)
            .or_else(|_| fs::remove_dir(&journal))
            .unwrap();
        prepare(&journal);
        for command in ["verify", "flatten"] {
            let mut program = program();
            program.arg(command).arg(&out);
            if command == "flatten" {
                program.arg("--out").arg(base.path().join("other"));
            }
            let output = within_seconds(program);
            let printed = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{command}: {printed}");
            assert!(
                printed.contains("it is not a regular file"),
                "{command}: {printed}"
            );
        }
    }
    fs::remove_file(&journal).unwrap();
    let verified = offline("verify", &out).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
    fs::write(&journal, whole).unwrap();
}

#[test]
fn a_forged_manifest_or_commit_record_deletes_no_file() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let thesis = out.join("thesis.doc");
    fs::write(&thesis, "ten years").unwrap();
    edit_manifest(&out, |manifest| {
        manifest["tool"]["version"] = json!("0.0.1");
        manifest["tables"]["messages"]["files"][0]["path"] = json!("thesis.doc");
    });
    let (_, output) = export(&server, base.path(), "good", &task_ids(3), &["--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(thesis.exists());
    for record in [
        json!({"files": [{"name": "thesis.doc", "before": "nothing"}], "obsolete": []}),
        json!({"files": [{"name": "manifest.json", "before": "linked"}], "obsolete": ["thesis.doc"]}),
    ] {
        for name in ["publication", "publication.undo"] {
            let path = out.join(".scale-export").join(name);
            fs::write(path, record.to_string()).unwrap();
            let (_, output) = export(&server, base.path(), "good", &task_ids(4), &[]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(thesis.exists(), "{name}");
        }
    }
}

#[test]
fn links_and_files_of_others_in_the_state_are_refused_and_kept() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let good = good(&server, base.path());
    let attacks: [Attack; 5] = [
        ("the state as a link", |state, victim| {
            fs::rename(state, victim.join("state")).unwrap();
            symlink(victim.join("state"), state).unwrap();
        }),
        ("the lock as a link", |state, victim| {
            fs::remove_file(state.join("lock")).unwrap();
            symlink(victim.join("file"), state.join("lock")).unwrap();
        }),
        ("the next journal as a link", |state, victim| {
            symlink(victim.join("file"), state.join("journal.new")).unwrap();
        }),
        ("kept files in a link to a directory", |state, victim| {
            symlink(victim, state.join("previous")).unwrap();
        }),
        ("a link to nothing", |state, victim| {
            symlink(victim.join("none"), state.join("pace.json.new")).unwrap();
        }),
    ];
    for (name, attack) in attacks {
        let (out, victim) = (base.path().join("bad"), base.path().join("victim"));
        copy(&good, &out);
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "theirs").unwrap();
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(&victim, open.clone()).unwrap();
        fs::set_permissions(victim.join("file"), open).unwrap();
        attack(&out.join(".scale-export"), &victim);
        let (_, output) = export(&server, base.path(), "bad", &task_ids(2), &[]);
        assert_eq!(output.status.code(), Some(6), "{name}: {}", stderr(&output));
        let printed = stderr(&output);
        assert!(
            printed.contains("it is a symbolic link\nhint: check"),
            "{name}: {printed}"
        );
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "theirs");
        for path in [victim.clone(), victim.join("file")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o755, "{name}");
        }
        assert!(!victim.join("none").exists(), "{name}");
        fs::remove_dir_all(&out).unwrap();
        fs::remove_dir_all(&victim).unwrap();
    }
}

#[test]
fn state_of_another_user_is_refused() {
    const OTHER: u32 = 12_345;
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let good = good(&server, base.path());
    for name in ["", "lock", "journal"] {
        let out = base.path().join("bad");
        copy(&good, &out);
        let path = out.join(".scale-export").join(name);
        if chown(&path, Some(OTHER), None).is_err() {
            print_note("skipped: only root can give a file to another user");
            return;
        }
        let (_, output) = export(&server, base.path(), "bad", &task_ids(2), &[]);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(6), "{name}: {printed}");
        assert!(printed.contains("it belongs to another user"), "{printed}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_copy_made_of_hard_links_does_not_change_the_original() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let good = good(&server, base.path());
    let journal = good.join(".scale-export/journal");
    let before = (published(&good), fs::read(&journal).unwrap());
    let linked = base.path().join("linked");
    let done = Command::new("cp")
        .arg("-al")
        .arg(&good)
        .arg(&linked)
        .status();
    assert!(done.unwrap().success());
    let (_, output) = export(&server, base.path(), "linked", &task_ids(TASKS + 4), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!((published(&good), fs::read(&journal).unwrap()) == before);
    for out in [&good, &linked] {
        let verified = offline("verify", out).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

#[test]
fn pipes_in_the_state_do_not_block() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let good = good(&server, base.path());
    let list = base.path().join("good.ids");
    let names = [
        ".scale-export/lock",
        ".scale-export/ids.txt",
        ".scale-export/pace.json",
        ".scale-export/journal",
        ".scale-export/publication",
        "manifest.json",
    ];
    for name in names {
        let out = base.path().join("bad");
        copy(&good, &out);
        let _ = fs::remove_file(out.join(name));
        let made = Command::new("mkfifo").arg(out.join(name)).status();
        assert!(made.unwrap().success());
        let mut run = program();
        run.env("SCALE_API_KEY", KEY)
            .args(["--base-url", &server.base_url(), "--ids"])
            .arg(&list)
            .arg("--out")
            .arg(&out);
        let output = within_seconds(run);
        if name.starts_with(".scale-export") {
            let printed = stderr(&output);
            assert_eq!(output.status.code(), Some(6), "{name}: {printed}");
            assert!(printed.contains("it is a pipe"), "{name}: {printed}");
        }
        for command in ["verify", "flatten"] {
            within_seconds(offline(command, &out));
        }
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_large_lock_file_is_neither_read_nor_printed_whole() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let good = good(&server, base.path());
    let path = good.join(".scale-export/lock");
    fs::write(&path, "\u{1b}[31msome\u{202e}one ".repeat(100_000)).unwrap();
    let held = fs::File::open(&path).unwrap();
    held.lock().unwrap();
    let output = offline("verify", &good).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let printed = stderr(&output);
    assert!(printed.len() < 500, "{} bytes", printed.len());
    assert!(printed.contains("holds the lock ([31msomeone"), "{printed}");
}

#[test]
fn a_run_whose_lock_file_is_removed_does_not_publish() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        latency: Duration::from_millis(400),
        ..SandboxConfig::default()
    });
    let good = good(&server, base.path());
    let before = published(&good);
    let list = base.path().join("more.ids");
    fs::write(&list, task_ids(20).join("\n")).unwrap();
    let run = || {
        let mut run = program();
        run.env("SCALE_API_KEY", KEY)
            .args(["--base-url", &server.base_url(), "--rate", "max"])
            .args(["--concurrency", "2", "--ids"])
            .arg(&list)
            .arg("--out")
            .arg(&good)
            .stderr(Stdio::piped());
        run
    };
    let requests = server.requests();
    let first = run().spawn().unwrap();
    while server.requests() == requests {
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_file(good.join(".scale-export/lock")).unwrap();
    let second = run().output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
    let first = first.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(6), "{}", stderr(&first));
    let expected = "the lock file was removed or replaced during the run";
    assert!(stderr(&first).contains(expected), "{}", stderr(&first));
    let mut after = published(&good);
    // Its temporary files may belong to another run that started in between. The next run removes them.
    after.retain(|name, _| !name.starts_with(".scale-export-tmp-"));
    assert!(after == before);
    let third = run().output().unwrap();
    assert!(third.status.success(), "{}", stderr(&third));
    let verified = offline("verify", &good).output().unwrap();
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn a_journal_record_that_is_not_a_task_fails_only_its_id() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = good(&server, base.path());
    let path = out.join(".scale-export/journal");
    let options = JournalReader::options(&path).unwrap();
    let (mut journal, _) = Journal::open(&path, &options, |_| ControlFlow::Continue(())).unwrap();
    let bodies = [
        ("task_2", "not json"),
        ("task_3", r#"{"task_id":"task_1"}"#),
        ("task_4", "[]"),
    ];
    for (task_id, body) in bodies {
        journal.append(&JournalRecord {
            kind: RecordKind::Response,
            flags: FLAG_FINAL,
            attempts: 1,
            time: 0,
            task_id,
            body: body.as_bytes(),
            digest: None,
        });
    }
    journal.sync().unwrap();
    drop(journal);
    let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let failures = || fs::read_to_string(out.join("failures.jsonl")).unwrap();
    let listed = failures();
    let kinds = listed.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!(
            "{} {}",
            line["task_id"].as_str().unwrap(),
            line["kind"].as_str().unwrap()
        )
    });
    let expected = ["task_2 bad_body", "task_3 wrong_task", "task_4 bad_body"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let verify = || {
        let verified = offline("verify", &out).output().unwrap();
        assert!(verified.status.success(), "{}", stderr(&verified));
    };
    verify();
    let flattened = offline("flatten", &out).output().unwrap();
    assert_eq!(flattened.status.code(), Some(3), "{}", stderr(&flattened));
    // They are failed IDs, which the next run requests again.
    let (_, output) = export(&server, base.path(), "good", &task_ids(TASKS), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(failures(), "");
    verify();
}

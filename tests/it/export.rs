//! Exports from start to end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::limit_models::{Limit, LimitPlan};
use scale_export::sandbox::responses::RetryAfter;

use crate::support::{
    KEY, export, export_at, files_below, manifest, program, published, sandbox, task_ids,
};

fn assert_exit(output: &std::process::Output, code: i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
}

#[test]
fn the_same_bytes_at_any_concurrency_and_with_faults() {
    let base = tempfile::tempdir().unwrap();
    let ids = task_ids(200);
    let drifting = || SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    };
    for format in ["parquet", "csv"] {
        let calm = sandbox(drifting());
        let (one, output) = export(
            &calm,
            base.path(),
            &format!("one_{format}"),
            &ids,
            &["--concurrency", "1", "--format", format],
        );
        assert_exit(&output, 0);
        let (many, output) = export(
            &calm,
            base.path(),
            &format!("many_{format}"),
            &ids,
            &["--concurrency", "64", "--format", format],
        );
        assert_exit(&output, 0);
        let faults = [
            "reset=0.03",
            "truncate=0.03",
            "slow=0.02",
            "hang=0.01",
            "500=0.03",
            "503=0.02",
            "521=0.02",
            "html=0.02",
            "wrong_task=0.02",
            "bad_gzip=0.02",
            "bad_json=0.02",
            "429=0.02",
        ];
        let shaky = sandbox(SandboxConfig {
            faults: faults.map(|fault| fault.parse().unwrap()).to_vec(),
            ..drifting()
        });
        let (shaken, output) = export(
            &shaky,
            base.path(),
            &format!("shaken_{format}"),
            &ids,
            &["--timeout", "2s", "--format", format],
        );
        assert_exit(&output, 0);
        assert!(
            shaky.requests() > 220,
            "{} requests: there were no faults",
            shaky.requests()
        );
        let expected = published(&one);
        assert_eq!(expected.len(), 21);
        assert!(
            expected == published(&many),
            "concurrency changed the bytes"
        );
        assert!(expected == published(&shaken), "faults changed the bytes");
    }
}

#[test]
fn ids_that_fail_for_good_are_listed_and_the_rest_is_published() {
    let base = tempfile::tempdir().unwrap();
    let failing = ["not_found=task_2", "500=task_5", "html=task_9"];
    let server = sandbox(SandboxConfig {
        failed_ids: failing.map(|failed| failed.parse().unwrap()).to_vec(),
        ..SandboxConfig::default()
    });
    let (out, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(40),
        &["--max-retries", "2"],
    );
    assert_exit(&output, 3);
    let failures = fs::read_to_string(out.join("failures.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = failures
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let short: Vec<_> = lines
        .iter()
        .map(|line| {
            format!(
                "{} {} {} {}",
                line["task_id"], line["kind"], line["http_status"], line["attempts"]
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "\"task_2\" \"not_found\" 404 1",
            "\"task_5\" \"http_error\" 500 3",
            "\"task_9\" \"bad_body\" 200 3",
        ]
    );
    let ids = &manifest(&out)["ids"];
    assert_eq!(
        (&ids["requested"], &ids["exported"], &ids["failed"]),
        (&40.into(), &37.into(), &3.into())
    );

    // The tables have the tasks of the IDs that did not fail.
    let others: Vec<String> = task_ids(40)
        .into_iter()
        .filter(|id| !["task_2", "task_5", "task_9"].contains(&id.as_str()))
        .collect();
    let well = sandbox(SandboxConfig::default());
    let (rest, output) = export(&well, base.path(), "rest", &others, &[]);
    assert_exit(&output, 0);
    let tables = |out| {
        let mut files = published(out);
        files.remove("failures.jsonl");
        files
    };
    assert!(
        tables(&out) == tables(&rest),
        "failed IDs changed the bytes of the others"
    );

    // Another port is another base URL, and responses of two URLs do not mix.
    let (_, output) = export(&well, base.path(), "out", &task_ids(40), &[]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--base-url"));
}

#[test]
fn a_second_run_requests_only_missing_tasks() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (_, output) = export(&server, base.path(), "out", &task_ids(20), &[]);
    assert_exit(&output, 0);
    let before = server.requests();
    let (out, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(30),
        &["--refresh", "none"],
    );
    assert_exit(&output, 0);
    assert_eq!(server.requests() - before, 10);
    let (fresh, output) = export(&server, base.path(), "fresh", &task_ids(30), &[]);
    assert_exit(&output, 0);
    assert!(
        published(&out) == published(&fresh),
        "continuing changed the bytes"
    );
    let before = server.requests();
    let (_, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(30),
        &["--refresh", "pending"],
    );
    assert_exit(&output, 0);
    // The sandbox reports 14 and 15 as pending, by their number modulo 20.
    assert_eq!(server.requests() - before, 2);
}

#[test]
fn a_refused_key_stops_the_run() {
    let base = tempfile::tempdir().unwrap();
    let server = scale_export::sandbox::server::Sandbox::start(SandboxConfig::default()).unwrap();
    let (out, output) = export(&server, base.path(), "out", &task_ids(50), &[]);
    assert_exit(&output, 4);
    assert!(!out.join("manifest.json").exists());
    assert!(published(&out).is_empty(), "temporary files were left");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("error: could not fetch task"),
        "{stderr}"
    );
    assert!(stderr.contains("\nhint: check SCALE_API_KEY"), "{stderr}");
}

#[test]
fn an_id_that_failed_before_fails_alone_when_no_other_is_left() {
    let base = tempfile::tempdir().unwrap();
    for fault in ["403=task_3", "500=task_3"] {
        let server = sandbox(SandboxConfig {
            failed_ids: vec![fault.parse().unwrap()],
            ..SandboxConfig::default()
        });
        let options = ["--max-retries", "1", "--refresh", "none"];
        for _ in 0..2 {
            let (_, output) = export(&server, base.path(), fault, &task_ids(9), &options);
            assert_exit(&output, 3);
        }
    }
}

#[test]
fn a_key_with_only_404_and_403_responses_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        failed_ids: vec!["404=task_1".parse().unwrap()],
        faults: vec!["403=1:always".parse().unwrap()],
        ..SandboxConfig::default()
    });
    let options = ["--concurrency", "1"];
    let (out, output) = export(&server, base.path(), "out", &task_ids(9), &options);
    assert_exit(&output, 4);
    assert!(!out.join("manifest.json").exists());
}

fn bucket(rate: f64, burst: f64) -> LimitPlan {
    LimitPlan {
        limits: vec![Limit::TokenBucket { rate, burst }],
        ..LimitPlan::default()
    }
}

#[test]
fn a_rate_limit_does_not_fail_ids() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        limits: bucket(4.0, 2.0),
        retry_after: Some(RetryAfter::Seconds(1)),
        ..SandboxConfig::default()
    });
    // Every ID is rate-limited for longer than `--retry-timeout` allows.
    let options = ["--retry-timeout", "2.5s"];
    let (_, output) = export(&server, base.path(), "out", &task_ids(12), &options);
    assert_exit(&output, 0);
    assert!(server.rejected() > 0);
}

#[test]
fn invalid_options_create_no_files() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let run = |base_url: &str| {
        program()
            .env("SCALE_API_KEY", KEY)
            .args(["--id", "task_1", "--retry-timeout", "100ms"])
            .args(["--base-url", base_url, "--out"])
            .arg(&out)
            .output()
            .unwrap()
    };
    for slip in [
        "localhost:1",
        "http://a?api_key=hunter2",
        "http://u:hunter2@a",
    ] {
        let output = run(slip);
        assert_exit(&output, 2);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
        assert!(!out.exists(), "{slip}");
    }
    // No server listens there, so nothing is fetched and the directory is not bound to this URL.
    assert_exit(&run("http://127.0.0.1:1"), 5);
    assert_exit(&run(&server.base_url()), 0);
    assert_exit(&run("http://127.0.0.1:1"), 2);

    let mut command = program();
    command.args(["--id", "task_1", "--sandbox", "--out", "s3://bucket/x"]);
    let output = command.current_dir(base.path()).output().unwrap();
    assert_exit(&output, 2);
    assert!(!base.path().join("s3:").exists());
}

#[test]
fn an_outage_ends_with_its_own_code_and_few_requests() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        faults: vec!["503=1:always".parse().unwrap()],
        ..SandboxConfig::default()
    });
    let (_, output) = export(
        &server,
        base.path(),
        "out",
        &task_ids(500),
        &["--retry-timeout", "3s"],
    );
    assert_exit(&output, 5);
    assert!(
        server.requests() <= 32 + 16,
        "{} requests",
        server.requests()
    );
}

#[test]
fn a_rate_is_kept_and_never_exceeded() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (_, output) = export_at("50", &server, base.path(), "out", &task_ids(250), &[]);
    assert_exit(&output, 0);
    let arrivals = server.arrivals();
    let second = Duration::from_secs(1);
    for (index, start) in arrivals.iter().enumerate() {
        let in_window = arrivals[index..]
            .iter()
            .take_while(|arrival| arrival.at < start.at + second)
            .count();
        assert!(in_window <= 51, "{in_window} requests in a second");
    }
}

#[test]
fn a_hidden_rate_limit_is_learned_and_respected() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        limits: bucket(100.0, 5.0),
        retry_after: Some(RetryAfter::Seconds(0)),
        ..SandboxConfig::default()
    });
    let (_, output) = export_at("", &server, base.path(), "out", &task_ids(300), &[]);
    assert_exit(&output, 0);
    assert!(
        server.rejected() <= 20,
        "{} of {}",
        server.rejected(),
        server.requests()
    );
}

#[test]
fn the_key_and_workspace_tokens_are_not_written() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        faults: vec!["500=0.2".parse().unwrap()],
        ..SandboxConfig::default()
    });
    for format in ["parquet", "csv"] {
        let (out, output) = export(
            &server,
            base.path(),
            format,
            &task_ids(100),
            &[
                "-v",
                "--log-format",
                "json",
                "--summary",
                "-",
                "--format",
                format,
            ],
        );
        assert_exit(&output, 0);
        let printed = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&printed).contains(KEY));
        for file in files_below(&out) {
            let content = fs::read(&file).unwrap();
            assert!(
                memchr::memmem::find(&content, KEY.as_bytes()).is_none(),
                "{}",
                file.display()
            );
        }
        let state = out.join(".scale-export");
        assert_eq!(
            fs::metadata(&state).unwrap().permissions().mode() & 0o777,
            0o700
        );
        for file in files_below(&state) {
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                file.display()
            );
        }
    }
    // CSV is plain text, where a token that is not redacted is visible.
    let annotations = fs::read_to_string(base.path().join("csv/annotations.csv")).unwrap();
    assert!(annotations.contains("[redacted]"));
    assert!(!annotations.contains("sandbox-token-"));
    let (out, output) = export(
        &server,
        base.path(),
        "kept",
        &task_ids(100),
        &["--keep-secrets", "--format", "csv"],
    );
    assert_exit(&output, 0);
    assert!(
        fs::read_to_string(out.join("annotations.csv"))
            .unwrap()
            .contains("sandbox-token-")
    );
}

#[test]
fn mistakes_are_explained() {
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name).display().to_string();
    fs::write(base.path().join("ids.txt"), "task_1\ntask 2\n").unwrap();
    fs::write(base.path().join("empty.txt"), "# none\n").unwrap();
    fs::create_dir(base.path().join("foreign")).unwrap();
    fs::write(base.path().join("foreign/tasks.parquet"), "").unwrap();
    let (ids, empty, foreign, out) = (
        path("ids.txt"),
        path("empty.txt"),
        path("foreign"),
        path("out"),
    );
    for (arguments, expected) in [
        (
            vec!["--ids", &ids, "--out", &out, "--sandbox"],
            "line 2: `task 2` contains white space",
        ),
        (
            vec!["--ids", &empty, "--out", &out, "--sandbox"],
            "could not find any task ID",
        ),
        (
            vec!["--id", "task_1", "--out", &foreign, "--sandbox"],
            "it has a `tasks.parquet` that scale-export did not create",
        ),
        (
            vec!["--id", "task_1", "--out", &out],
            "hint: set SCALE_API_KEY or use --api-key-file",
        ),
        (
            vec!["--id", "task_1", "--out", &out, "--api-key", "x"],
            "must not be on the command line",
        ),
        (vec!["--id", "task_1"], "--out is missing"),
        (vec!["--out", &out], "--ids is missing"),
        (
            vec![
                "--id",
                "task_1",
                "--out",
                &out,
                "--sandbox",
                "--tables",
                "mesages",
            ],
            "could not find table `mesages`",
        ),
        (
            vec!["--id", "task_1", "--out", &out, "--rate", "fast"],
            "expected requests per second",
        ),
    ] {
        let output = program().args(&arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(
            !stderr.contains('\u{1b}'),
            "colour off a terminal: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let (out, output) = export(&server, base.path(), "out", &task_ids(1), &[]);
    assert_exit(&output, 0);
    let lock = fs::File::open(out.join(".scale-export/lock")).unwrap();
    lock.lock().unwrap();
    let (_, output) = export(&server, base.path(), "out", &task_ids(1), &[]);
    assert_exit(&output, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("pid "));
}

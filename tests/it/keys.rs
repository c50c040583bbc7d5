//! The API key: where it is sent and where it must not appear; and escaping of text for terminals.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::server::{Server, task_response};
use crate::support::{KEY, files_below, program, raw_responses};

fn command(base: &Path, base_url: &str) -> Command {
    let mut command = program();
    command
        .args(["--id", "task_1", "--rate", "max", "--progress", "never"])
        .args(["--base-url", base_url, "--out"])
        .arg(base.join("out"));
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails if a text has control characters of a terminal, or characters that change the direction of text.
fn assert_printable(printed: &str) {
    let is_bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!printed.chars().any(is_bad), "{printed:?}");
}

#[test]
fn the_key_is_not_sent_in_the_clear_without_permission() {
    let base = tempfile::tempdir().unwrap();
    let proxy = Server::start(task_response);
    let proxy_url = format!("http://{}", proxy.address);
    let run = |base_url: &str, options: &[&str]| {
        command(base.path(), base_url)
            .env("SCALE_API_KEY", KEY)
            .env("http_proxy", &proxy_url)
            .args(options)
            .output()
            .unwrap()
    };
    for url in [
        "http://api.scale.com",
        "http://10.0.0.1:8080/a",
        "http://localhost.example",
        "http://foo.localhost./",
        "http://api.localhost",
    ] {
        for options in [&[][..], &["--dry-run"]] {
            let output = run(url, options);
            let printed = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{printed}");
            assert!(
                printed.contains("without encryption\nhint: ") && printed.contains("--allow-http"),
                "{printed}"
            );
        }
    }
    assert!(proxy.seen().is_empty());
    assert!(!base.path().join("out").exists());
    let output = run("http://api.scale.com", &["--allow-http"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(proxy.seen().len(), 1);
}

/// Such a value must not count as unset: the key would be sent to the default server, or without the proxy.
#[test]
fn a_variable_that_is_not_utf8_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let value = OsStr::from_bytes(b"http://127.0.0.1:1/\xff");
    for variable in [
        "SCALE_API_URL",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "no_proxy",
        "SCALE_API_KEY",
        "SCALE_EXPORT_PROJECT",
        "SCALE_EXPORT_TIMEOUT",
    ] {
        let mut command = program();
        command.env("SCALE_API_KEY", KEY).args(["--id", "task_1"]);
        if variable != "SCALE_API_URL" {
            command.args(["--base-url", "https://api.invalid"]);
        }
        if variable == "no_proxy" {
            command.env("ALL_PROXY", "http://127.0.0.1:1");
        }
        command.env(variable, value);
        command.arg("--out").arg(base.path().join("out"));
        let output = command.args(["--retry-timeout", "1s"]).output().unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{variable}: {printed}");
        let expected = format!("{variable} is not UTF-8\nhint: ");
        assert!(printed.contains(&expected), "{variable}: {printed}");
    }
    // Variables that are not used need not be UTF-8, and neither do paths.
    let server = Server::start(task_response);
    let output = command(base.path(), &format!("http://{}", server.address))
        .env("SCALE_API_KEY", KEY)
        .env("SCALE_API_URL", value)
        .env("https_proxy", value)
        .env(
            "SCALE_EXPORT_SUMMARY",
            base.path().join(OsStr::from_bytes(b"\xff")),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_loopback_server_is_reached_without_a_proxy() {
    let base = tempfile::tempdir().unwrap();
    let (proxy, server) = (Server::start(task_response), Server::start(task_response));
    let output = command(base.path(), &format!("http://{}", server.address))
        .env("SCALE_API_KEY", KEY)
        .env("http_proxy", format!("http://{}", proxy.address))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((proxy.seen().len(), server.seen().len()), (0, 1));
}

#[test]
fn a_mistake_in_a_key_file_is_named_without_the_key_and_before_any_request() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(task_response);
    let url = format!("http://{}", server.address);
    let file = base.path().join("key");
    for (text, cause) in [
        (format!("\"{KEY}\"\n"), "has quotes around the key"),
        (
            format!("Bearer {KEY}"),
            "has `Bearer` or `Authorization` before the key",
        ),
        (
            format!("SCALE_API_KEY={KEY}\n"),
            "has the name of a variable and `=` before the key",
        ),
        (
            format!("export SCALE_API_KEY='{KEY}'"),
            "has the name of a variable",
        ),
        (format!("{KEY}\nother"), "has several lines"),
        (String::new(), "is empty"),
    ] {
        fs::write(&file, &text).unwrap();
        let in_file = command(base.path(), &url)
            .arg("--api-key-file")
            .arg(&file)
            .output()
            .unwrap();
        let in_variable = command(base.path(), &url)
            .env("SCALE_API_KEY", &text)
            .output()
            .unwrap();
        for output in [in_file, in_variable] {
            let printed = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{printed}");
            assert!(
                printed.contains(cause) && printed.contains("\nhint: ") && !printed.contains(KEY),
                "{printed}"
            );
        }
    }
    assert!(server.seen().is_empty());
    // A byte order mark is not part of the key.
    fs::write(&file, format!("\u{feff}{KEY}\r\n")).unwrap();
    let output = command(base.path(), &url)
        .arg("--api-key-file")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        server.seen()[0].headers["authorization"],
        format!("Bearer {KEY}")
    );
}

#[test]
fn a_key_in_place_of_the_name_of_its_file_is_not_printed() {
    let base = tempfile::tempdir().unwrap();
    let option = format!("--api-key-file={KEY}");
    for (arguments, hint) in [
        (
            vec![option.as_str()],
            "hint: --api-key-file takes the name of a file",
        ),
        (vec![KEY], "unexpected argument `[redacted]`"),
        (
            vec!["--status", "x", "--timeout", KEY],
            "invalid value `[redacted]` for --timeout",
        ),
    ] {
        let output = command(base.path(), "https://api.invalid")
            .args(arguments)
            .output()
            .unwrap();
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(
            printed.contains("[redacted]") && !printed.contains(KEY),
            "{printed}"
        );
        assert!(printed.contains(hint), "{printed}");
    }
}

/// None of these may print the key.
#[test]
fn a_key_in_place_of_the_value_of_any_option_is_not_printed() {
    const TYPED: &str = "live_sekret0123456789abcdef";
    let base = tempfile::tempdir().unwrap();
    let with = |text: &str| text.replace('K', TYPED);
    for arguments in [
        &["--base-url", "K"][..],
        &["--ids", "K"],
        &["--ids", "K.parquet"],
        &["--ca-file", "K"],
        &["--summary", "K/x"],
        &["--out", "/dev/null/K"],
        &["--tables", "K"],
        &["--opts", "K", "--dry-run"],
        &["--expand", "K", "--dry-run"],
        &["--status", "K", "--dry-run", "--project", "p"],
        &["--api-key-file", "./K"],
        &["--api-key-file", "K.txt"],
        &["schema", "K"],
        &["verify", "K"],
        &["flatten", "K", "--out", "d"],
    ] {
        for format in ["text", "json"] {
            let mut command = program();
            command
                .current_dir(base.path())
                .env("SCALE_API_KEY", KEY)
                .env("SCALE_EXPORT_LOG_FORMAT", format)
                .args(arguments.iter().map(|argument| with(argument)));
            if arguments[0].starts_with("--") {
                let has = |option: &str| arguments.contains(&option);
                if !has("--project") && !has("--ids") {
                    command.args(["--id", "task_1"]);
                }
                if !has("--out") {
                    command.args(["--out", "out"]);
                }
                if !has("--base-url") && !has("--api-key-file") {
                    command.arg("--sandbox");
                }
                if !has("--summary") {
                    command.args(["--summary", "-"]);
                }
            }
            let output = command.output().unwrap();
            let printed = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
            assert!(printed.contains("[redacted]"), "{arguments:?}: {printed}");
            assert!(!printed.contains("sekret"), "{arguments:?}: {printed}");
        }
    }
}

#[test]
fn a_key_file_that_others_can_read_gives_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(task_response);
    let file = base.path().join("the key");
    fs::write(&file, KEY).unwrap();
    let advice = format!("run: chmod 600 '{}'\n", file.display());
    for (mode, warns) in [(0o644, true), (0o604, true), (0o600, false), (0o640, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let output = command(base.path(), &format!("http://{}", server.address))
            .arg("--api-key-file")
            .arg(&file)
            .output()
            .unwrap();
        let printed = stderr(&output);
        assert!(output.status.success(), "{printed}");
        assert_eq!(
            printed.contains("warning: every user of this machine can read"),
            warns,
            "{printed}"
        );
        assert_eq!(printed.contains(&advice), warns, "{printed}");
    }
}

#[test]
fn a_key_that_a_server_echoes_in_any_spelling_is_not_kept() {
    let key = "live_ab/cd_12345";
    for spelling in [
        r"live_ab\/cd_12345",
        r"live\u005fab/cd\u005F12345",
        r"\u006Cive_ab\u002fcd_12345",
    ] {
        let base = tempfile::tempdir().unwrap();
        let body = format!(
            r#"{{"task_id":"task_1","status":"completed","threads":[],"metadata":{{"a":"is {spelling}."}}}}"#
        );
        let server = Server::start(move |_| Response::new(Full::new(Bytes::from(body.clone()))));
        let output = command(base.path(), &format!("http://{}", server.address))
            .env("SCALE_API_KEY", key)
            .args(["--format", "csv"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let out = base.path().join("out");
        let body = String::from_utf8(raw_responses(&out)["task_1"].clone()).unwrap();
        assert!(body.contains(r#"{"a":"is [redacted]."}"#), "{body}");
        for file in files_below(&out) {
            let content = fs::read(&file).unwrap();
            for part in [key, spelling] {
                assert!(
                    memchr::memmem::find(&content, part.as_bytes()).is_none(),
                    "{}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn text_from_outside_is_made_printable() {
    const EVIL: &str = "a\u{1b}[31m\n\u{202e}b\r\u{9b}";
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    let evil_directory = path(EVIL);
    fs::create_dir(&evil_directory).unwrap();
    let list = path("ids.csv");
    fs::write(&list, "\u{1b}[2J\u{202e},x\n1,2\n").unwrap();
    let foreign = path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(
        format!("{foreign}/manifest.json"),
        "{\"tool\":{\"name\":\"\\u001b[31m\"}}",
    )
    .unwrap();
    for arguments in [
        vec!["--ids", &evil_directory, "--out", "x"],
        vec!["--ids", &list, "--out", "x"],
        vec![
            "--id",
            "a",
            "--sandbox",
            "--ca-file",
            &evil_directory,
            "--out",
            "x",
        ],
        vec!["--id", "a", "--api-key-file", &evil_directory, "--out", "x"],
        vec!["--id", "a", "--out", "x", "--tables", EVIL],
        vec!["--id", "a", "--out", "x", "--timeout", EVIL],
        vec![EVIL],
        vec!["--id", "a", "--out", "x", EVIL],
        vec!["--id", "a", "--out", "x", "--summary", &evil_directory],
        vec!["--id", "a", "--out", "x", "--base-url", EVIL],
        vec!["flatten", EVIL, "--out", "x"],
        vec!["verify", &evil_directory],
        vec!["schema", EVIL],
        vec!["schema", "--dir", &evil_directory],
        vec!["sandbox", "--from", EVIL],
        vec!["--sandbox", "--id", "a", "--out", &foreign],
    ] {
        let run = |json: bool| {
            let mut command = program();
            let format = if json { "json" } else { "text" };
            command
                .env("SCALE_EXPORT_LOG_FORMAT", format)
                .env("SCALE_API_KEY", KEY);
            command
                .current_dir(base.path())
                .args(&arguments)
                .output()
                .unwrap()
        };
        let output = run(false);
        let printed = stderr(&output);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert_printable(&printed);
        let is_line = |line: &str| line.starts_with("error: ") || line.starts_with("hint: ");
        assert!(
            printed.lines().all(is_line) && printed.starts_with("error: "),
            "{printed}"
        );
        // In JSON, the text is exact.
        for line in stderr(&run(true)).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["message"].is_string());
        }
    }
}

#[test]
fn what_a_run_reports_is_printable_and_exact_as_json() {
    const ID: &str = "t\u{202e}x";
    let base = tempfile::tempdir().unwrap();
    let list = base.path().join("ids.json");
    fs::write(&list, serde_json::json!([ID, "task_2"]).to_string()).unwrap();
    let server = Server::start(|_| {
        let mut response = Response::new(Full::new(Bytes::from_static(
            b"{\"error\":\"\\u001b[2Jgone\"}",
        )));
        *response.status_mut() = hyper::StatusCode::NOT_FOUND;
        response
    });
    let out = base.path().join("o\u{1b}\nerror: x");
    let run = |format: &str| {
        program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address), "-v"])
            .args(["--log-format", format, "--ids"])
            .arg(&list)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap()
    };
    let printed = stderr(&run("text"));
    assert_printable(&printed);
    assert!(printed.contains("task `t\\u{202e}x` failed"), "{printed}");
    assert!(
        !printed.lines().any(|line| line.starts_with("error: x")),
        "{printed}"
    );
    let json = stderr(&run("json"));
    let lines: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().any(|line| line["task_id"] == ID), "{json}");
}

#[test]
fn a_crash_leaves_no_core_dump_and_inputs_may_be_pipes() {
    let base = tempfile::tempdir().unwrap();
    let arrived = std::sync::Arc::new(std::sync::Barrier::new(2));
    let signal = std::sync::Arc::clone(&arrived);
    let server = Server::start(move |request| {
        signal.wait();
        signal.wait();
        task_response(request)
    });
    let script = format!(
        "ulimit -c unlimited 2>/dev/null; exec \"$0\" --ids <(echo task_1) --api-key-file <(echo {KEY}) \
         --base-url http://{} --out out --summary >(cat >summary.json)",
        server.address
    );
    let mut child = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_scale-export")])
        .current_dir(base.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    arrived.wait();
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id()));
    arrived.wait();
    let status = child.wait().unwrap();
    assert!(status.success());
    // Only Linux has limits in `/proc`.
    if let Ok(limits) = limits {
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let values: Vec<&str> = core.unwrap().split_whitespace().skip(4).take(2).collect();
        // A limit that was 0 before cannot be raised to 1.
        assert!(values == ["1", "1"] || values == ["0", "0"], "{core:?}");
    }
    let mut child = command(base.path(), &format!("http://{}", server.address))
        .env("SCALE_API_KEY", KEY)
        .args(["--refresh", "all"])
        .spawn()
        .unwrap();
    arrived.wait();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    arrived.wait();
    assert!(status.signal() == Some(Signal::ABORT.as_raw()) && !status.core_dumped());
}

//! `check`: its lines, and that `check`, `--dry-run` and the run itself end with the same exit code. `dry_run.rs` has the
//! cases of an output directory with an export.

mod first_task;
mod warnings;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use scale_export::jobs::check::check_line::CheckName;
use scale_export::sandbox::config::SandboxConfig;
use serde_json::Value;

use crate::support::raw_server::{JSON, RawServer, Step, response, task};
use crate::support::server::{Server, task_response};
use crate::support::{KEY, files_below, print_note, program, root, sandbox, task_ids};

/// How long a run goes on without a success. A check waits as long, and up to 10 s.
const PATIENCE: &str = "1s";

/// The ways to find out whether a run would fail, and the run itself: the first arguments.
const WAYS: [&[&str]; 3] = [&["check"], &["--dry-run"], &[]];

/// What a run starts from. The defaults are those of a run that succeeds.
struct Setup {
    url: String,
    key: Option<&'static str>,
    /// The content of the list.
    list: &'static str,
    options: Vec<String>,
    /// Environment variables.
    variables: Vec<(&'static str, String)>,
    /// The output directory; below the directory of the case unless it is absolute.
    out: &'static str,
}

impl Setup {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: Some(KEY),
            list: "task_1\ntask_2\n",
            options: Vec::new(),
            variables: Vec::new(),
            out: "out",
        }
    }

    fn command(&self, base: &Path, first: &[&str]) -> Command {
        let list = base.join("ids.txt");
        fs::write(&list, self.list).unwrap();
        let mut command = program();
        command
            .args(first)
            .arg("--ids")
            .arg(list)
            .args(["--rate", "max", "--base-url", &self.url])
            .args(["--retry-timeout", PATIENCE, "--out"])
            .arg(base.join(self.out))
            .args(&self.options)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(key) = self.key {
            command.env("SCALE_API_KEY", key);
        }
        command
    }
}

/// A server that responds with one status to every request.
fn refusing(status: &'static str) -> RawServer {
    RawServer::start(move |_| vec![Step::Send(response(status, JSON, b"{}"))])
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The line of a check with this name.
fn line<'l>(report: &'l Value, name: &str) -> &'l Value {
    let lines = report["checks"].as_array().unwrap();
    lines.iter().find(|line| line["name"] == name).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// Runs `check --json` with a setup; returns the exit code and the report.
fn check(setup: &Setup, base: &Path) -> (Option<i32>, Value) {
    let output = setup.command(base, &["check", "--json"]).output().unwrap();
    (output.status.code(), json(&output))
}

/// Runs the check, the dry run and the run; each must end with this code, and the check must name this line.
fn assert_same_code(name: &str, setup: &Setup, code: i32, failed: &str) {
    let base = tempfile::tempdir().unwrap();
    for way in WAYS {
        let output = setup.command(base.path(), way).output().unwrap();
        let printed = text(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}, {way:?}: {printed}"
        );
        assert!(!printed.contains(KEY), "{name}, {way:?}: {printed}");
        if way != WAYS[2] {
            let files = files_below(base.path());
            assert_eq!(files.len(), 1, "{name}, {way:?} left files: {files:?}");
        }
    }
    let base = tempfile::tempdir().unwrap();
    let (found, report) = check(setup, base.path());
    assert_eq!(found, Some(code), "{name}");
    assert_eq!(report["exit_code"], code, "{name}");
    let mut lines = report["checks"].as_array().unwrap().iter();
    let first = lines.find(|line| line["ok"] == false);
    let first = first.map_or("", |line| line["name"].as_str().unwrap());
    assert_eq!(first, failed, "{name}: {report:#}");
    for line in report["checks"].as_array().unwrap() {
        let has_code = line["exit_code"] != 0;
        assert_eq!(has_code, line["ok"] == false, "{name}: {line}");
    }
}

#[test]
fn a_check_a_dry_run_and_a_run_end_with_the_same_code() {
    let server = sandbox(SandboxConfig::default());
    let well = || Setup::new(&server.base_url());
    let with_key = |key| Setup { key, ..well() };
    let with_list = |list| Setup { list, ..well() };
    let with_options = |options: &[&str]| Setup {
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..well()
    };
    let cases = [
        ("nothing is wrong", well(), 0, ""),
        ("no key", with_key(None), 2, "key"),
        ("an empty key", with_key(Some("")), 2, "key"),
        ("a key in quotes", with_key(Some("\"live_x\"")), 2, "key"),
        (
            "a wrong key",
            with_key(Some("live_wrong")),
            4,
            "key_accepted",
        ),
        ("no URL", Setup::new("api.scale.com"), 2, "url"),
        ("an empty URL", Setup::new(" "), 2, "url"),
        ("another scheme", Setup::new("ftp://localhost"), 2, "url"),
        (
            "http to another machine",
            Setup::new("http://10.1.1.1"),
            2,
            "url",
        ),
        (
            "a password in the URL",
            Setup::new("https://u:p@localhost"),
            2,
            "url",
        ),
        (
            "a list with a header",
            with_list("task_id\ntask_1\n"),
            2,
            "tasks",
        ),
        (
            "a list with commas",
            with_list("task_1,task_2\n"),
            2,
            "tasks",
        ),
        ("an empty list", with_list("\n"), 2, "tasks"),
        (
            "an only ID that does not exist",
            with_list("no_such_task\n"),
            8,
            "first_task",
        ),
        (
            "an only ID that does not exist, with --drop-missing",
            Setup {
                list: "no_such_task\n",
                ..with_options(&["--drop-missing"])
            },
            8,
            "first_task",
        ),
        (
            "a first ID that does not exist, with --fail-fast",
            Setup {
                list: "no_such_task\ntask_1\n",
                ..with_options(&["--fail-fast"])
            },
            1,
            "first_task",
        ),
        (
            "a missing list",
            with_options(&["--ids", "missing.txt"]),
            2,
            "tasks",
        ),
        (
            "no certificates",
            with_options(&["--ca-file", "missing.pem"]),
            2,
            "certificates",
        ),
        (
            "an unknown table",
            with_options(&["--tables", "taskz"]),
            2,
            "output",
        ),
        (
            "an object store",
            Setup {
                out: "s3://bucket",
                ..well()
            },
            2,
            "output",
        ),
        (
            "a file as output",
            Setup {
                out: "ids.txt",
                ..well()
            },
            6,
            "output",
        ),
        (
            "a file above the output",
            Setup {
                out: "ids.txt/out",
                ..well()
            },
            6,
            "output",
        ),
        (
            "an output that is not writable",
            Setup {
                out: "/proc/out",
                ..well()
            },
            6,
            "output",
        ),
    ];
    for (name, setup, code, failed) in cases {
        assert_same_code(name, &setup, code, failed);
    }
}

#[test]
fn network_faults_end_a_check_a_dry_run_and_a_run_with_the_same_code() {
    for (status, code, failed) in [
        ("401 Unauthorized", 4, "key_accepted"),
        ("402 Payment Required", 4, "key_accepted"),
        ("403 Forbidden", 4, "key_accepted"),
        ("500 Internal Server Error", 5, "first_task"),
        ("429 Too Many Requests", 5, "first_task"),
    ] {
        let server = refusing(status);
        assert_same_code(status, &Setup::new(&server.url()), code, failed);
    }
    let login = RawServer::start(|_| vec![Step::Send(response("200 OK", &[], b"<html>"))]);
    let setup = Setup::new(&login.url());
    assert_same_code("a login page", &setup, 5, "first_task");
    let setup = Setup::new("https://api.invalid");
    assert_same_code("a host without an address", &setup, 5, "dns");
    // The port of a server that has stopped.
    let stopped = refusing("200 OK").url();
    assert_same_code(
        "a refused connection",
        &Setup::new(&stopped),
        5,
        "connection",
    );
    let (server, certificate) = Server::start_tls(task_response);
    let url = format!("https://localhost:{}", server.address.port());
    let setup = Setup::new(&url);
    assert_same_code("a certificate of another CA", &setup, 5, "connection");
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("ca.pem");
    fs::write(&file, certificate).unwrap();
    let trusted = |options: [&str; 2]| Setup {
        options: options.map(str::to_owned).to_vec(),
        ..Setup::new(&url)
    };
    let setup = trusted(["--ca-file", file.to_str().unwrap()]);
    assert_same_code("a CA of one's own", &setup, 0, "");
    fs::write(&file, "no certificate").unwrap();
    let setup = trusted(["--ca-file", file.to_str().unwrap()]);
    assert_same_code("a file without certificates", &setup, 2, "certificates");
    let setup = Setup {
        variables: vec![("SSL_CERT_FILE", file.display().to_string())],
        ..Setup::new(&url)
    };
    assert_same_code("a variable without certificates", &setup, 2, "certificates");
}

#[test]
fn proxies_end_a_check_a_dry_run_and_a_run_with_the_same_code_and_show_no_password() {
    let proxy = refusing("407 Proxy Authentication Required");
    let url = proxy.url().replace("http://", "http://user:sekret@");
    for (name, proxy, code, failed) in [
        (
            "a proxy that wants a password",
            url.as_str(),
            5,
            "connection",
        ),
        (
            "a proxy of an unknown kind",
            "quic://user:sekret@proxy",
            2,
            "proxy",
        ),
        (
            "a proxy without an address",
            "http://user:sekret@proxy.invalid",
            5,
            "dns",
        ),
    ] {
        let setup = Setup {
            variables: vec![("HTTPS_PROXY", proxy.to_owned())],
            ..Setup::new("https://api.invalid")
        };
        assert_same_code(name, &setup, code, failed);
        let base = tempfile::tempdir().unwrap();
        let (_, report) = check(&setup, base.path());
        assert!(!report.to_string().contains("sekret"), "{report:#}");
        let detail = line(&report, "proxy")["detail"].as_str().unwrap();
        assert!(detail.contains("HTTPS_PROXY"), "{detail}");
    }
}

#[test]
fn a_full_disk_ends_a_check_a_dry_run_and_a_run_with_the_same_code() {
    let base = tempfile::tempdir().unwrap();
    let small = base.path().join("small");
    fs::create_dir(&small).unwrap();
    // In a user namespace this needs no privileges. Some machines do not allow it.
    let script = format!(
        "mount -t tmpfs -o size=64k none {small} && dd if=/dev/zero of={small}/rest bs=4k 2>/dev/null; test -s {small}/rest",
        small = small.display()
    );
    let enter = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script]);
        command
    };
    let can_mount = enter(&script)
        .output()
        .is_ok_and(|output| output.status.success());
    if !can_mount {
        print_note("left out: this machine does not allow mounts in a user namespace");
        return;
    }
    let server = sandbox(SandboxConfig::default());
    let program = env!("CARGO_BIN_EXE_scale-export");
    for way in ["check", "--dry-run", ""] {
        let script = format!(
            "{script} && exec {program} {way} --id task_1 --base-url {} --rate max --out {}/out",
            server.base_url(),
            small.display()
        );
        let output = enter(&script).env("SCALE_API_KEY", KEY).output().unwrap();
        let printed = text(&output);
        assert_eq!(output.status.code(), Some(6), "{way}: {printed}");
        assert!(printed.contains("No space left"), "{way}: {printed}");
    }
    // Enough to begin, and too little for the tables: a run only warns, since this is an estimate.
    let ids: String = task_ids(1_000)
        .iter()
        .map(|id| format!(" --id {id}"))
        .collect();
    let script = format!(
        "mount -t tmpfs -o size=512k none {small} && exec {program} check --json --base-url {} --out {small}/out {ids}",
        server.base_url(),
        small = small.display()
    );
    let output = enter(&script).env("SCALE_API_KEY", KEY).output().unwrap();
    let report = json(&output);
    let space = line(&report, "space");
    assert_eq!(
        (&space["ok"], output.status.code()),
        (&true.into(), Some(0))
    );
    let detail = space["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("the export needs about 6.0 MB more space"),
        "{detail}"
    );
    assert!(space["hint"].is_string(), "{space}");
}

#[test]
fn a_check_sends_one_request_and_writes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let server = RawServer::start(|request| {
        vec![Step::Send(response(
            "200 OK",
            JSON,
            &task(&request.task_id),
        ))]
    });
    let setup = Setup {
        list: "task_1\ntask_2\ntask_1\n",
        ..Setup::new(&server.url())
    };
    let (code, report) = check(&setup, base.path());
    assert_eq!((code, &report["requests"]), (Some(0), &1.into()));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].task_id.as_str(), requests[0].key.as_str()),
        ("task_1", KEY)
    );
    assert!(!base.path().join("out").exists());
    let detail = |name: &str| line(&report, name)["detail"].as_str().unwrap().to_owned();
    assert!(detail("tasks").starts_with("2 IDs in `"), "{report:#}");
    assert!(detail("tasks").ends_with(", 1 duplicate"), "{report:#}");
    assert_eq!(detail("key"), "SCALE_API_KEY, begins with live_");
    assert_eq!(detail("url"), format!("{} (--base-url)", server.url()));
    // The server sends no `Date`.
    assert_eq!(line(&report, "clock")["ok"], Value::Null);
    assert_eq!(report["version"], 1);
}

#[test]
fn without_a_key_or_a_list_the_rest_is_checked_all_the_same() {
    let base = tempfile::tempdir().unwrap();
    let server = refusing("401 Unauthorized");
    let setup = Setup {
        key: None,
        list: "no ID\n",
        out: "ids.txt",
        ..Setup::new(&server.url())
    };
    let (code, report) = check(&setup, base.path());
    assert_eq!(code, Some(2));
    let states: Vec<(&str, &Value)> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["name"].as_str().unwrap(), &line["ok"]))
        .collect();
    let (yes, no, skipped) = (&Value::Bool(true), &Value::Bool(false), &Value::Null);
    assert_eq!(
        states,
        [
            ("tasks", no),
            ("key", no),
            ("open_files", yes),
            ("url", yes),
            ("proxy", yes),
            ("certificates", yes),
            ("output", no),
            ("lock", skipped),
            ("saved_responses", skipped),
            ("space", skipped),
            ("dns", yes),
            ("connection", yes),
            ("clock", skipped),
            ("key_accepted", skipped),
            ("first_task", skipped),
            ("shrink", skipped),
        ]
    );
    // The request has no key and names no task.
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].key, "");
}

/// What differs between machines and runs, replaced.
fn recorded(output: &Output, base: &Path, url: &str) -> String {
    let text = text(output);
    let text = text.replace(&base.display().to_string(), "BASE");
    let text = text.replace(url, "URL");
    let host = url.trim_start_matches("http://");
    let text = text.replace(host, "HOST");
    let lines = text.lines().map(|line| match line.split_once(" needed, ") {
        Some((needed, _)) => format!("{needed} needed, … free"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_lines_are_as_recorded_in_unicode_ascii_and_color() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let url = server.base_url();
    let well = Setup::new(&url);
    let run = |setup: &Setup, variables: &[(&str, &str)], options: &[&str]| {
        let mut command = setup.command(base.path(), &["check"]);
        let variables = variables.iter().copied();
        let output = command.envs(variables).args(options).output().unwrap();
        recorded(&output, base.path(), &url)
    };
    let unicode = [("LANG", "C.UTF-8")];
    insta::assert_snapshot!("check_passed", run(&well, &unicode, &[]));
    let wrong = Setup {
        key: Some("live_wrong"),
        ..Setup::new(&url)
    };
    insta::assert_snapshot!("check_key_refused", run(&wrong, &unicode, &[]));
    insta::assert_snapshot!("check_ascii", run(&wrong, &[], &[]));
    let colored = run(&wrong, &unicode, &["--color", "always"]);
    insta::assert_snapshot!("check_color", colored.replace('\u{1b}', "ESC"));
    assert_eq!(run(&well, &unicode, &["-q"]), "");
    let quiet = run(&wrong, &unicode, &["-q"]);
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    assert!(
        quiet.contains("error: could not fetch task `task_1`: the API refused the key"),
        "{quiet}"
    );
}

#[test]
fn every_line_is_documented() {
    let page = fs::read_to_string(root().join("docs/check.md")).unwrap();
    for name in CheckName::ALL {
        let row = format!("| `{}` | {} | ", name.as_str(), name.label());
        assert!(page.contains(&row), "docs/check.md does not have {row}");
    }
}

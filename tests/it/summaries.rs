//! The summary has one shape however a run ends, and the metrics follow it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use rustix::process::{Pid, Signal, kill_process};
use scale_export::sandbox::config::SandboxConfig;
use serde_json::Value;

use crate::support::server::{Server, task_response};
use crate::support::{KEY, program, python, root, sandbox};

/// A run with its summary and metrics in `base`, named by `name`.
fn run(base: &Path, name: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(arguments)
        .args(["--progress", "never", "--summary"])
        .arg(base.join(format!("{name}.json")))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn summary(base: &Path, name: &str) -> Value {
    let text = fs::read_to_string(base.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A server that has one response for every request.
fn server_with_status(status: u16) -> Server {
    Server::start(move |_| {
        let response = Response::builder().status(status);
        response.body(Full::new(Bytes::from("{}"))).unwrap()
    })
}

/// Fails unless every file is valid by the published schema, as a validator that is not ours reads it.
fn assert_valid(files: &[std::path::PathBuf]) {
    let script = "
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
jsonschema.Draft202012Validator.check_schema(schema)
known = set(schema['properties']) | set(schema['else']['properties'])
for path in sys.argv[2:]:
    summary = json.load(open(path))
    for error in validator.iter_errors(summary):
        print(path, list(error.path), error.message)
    if summary['command'] not in ('verify', 'report') and set(summary) - known:
        print(path, 'not in the schema:', set(summary) - known)
";
    let output = python()
        .args(["-c", script])
        .arg(root().join("schemas/json-schema/summary.schema.json"))
        .args(files)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(text.is_empty(), "{text}");
}

#[test]
fn the_summary_has_one_shape_for_every_exit_code() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path();
    let server = sandbox(SandboxConfig::default());
    let url = server.base_url();
    let servers = [404, 401, 500].map(server_with_status);
    let [missing, refusing, broken] = servers
        .each_ref()
        .map(|server| format!("http://{}", server.address));
    let out = base.join("out").display().to_string();
    let other = base.join("other").display().to_string();
    let file = base.join("file").display().to_string();
    let page = base.join("report.html").display().to_string();
    fs::write(&file, "").unwrap();
    let one = ["--id", "task_1", "--rate", "max"];
    let with = |rest: &[&str]| -> Vec<String> {
        let words = one.iter().chain(rest);
        words.map(|&word| word.to_owned()).collect()
    };
    let retries = ["--max-retries", "0", "--retry-timeout", "1s"];
    let cases: Vec<(&str, Vec<String>, i32)> = vec![
        ("0", with(&["--out", &out, "--base-url", &url]), 0),
        ("idle", with(&["--out", &out, "--base-url", &url]), 0),
        (
            "1",
            with(&[
                "--id",
                "task_absent",
                "--out",
                &other,
                "--base-url",
                &url,
                "--fail-fast",
            ]),
            1,
        ),
        ("2", with(&["--base-url", &url]), 2),
        (
            "3",
            with(&["--id", "task_absent", "--out", &other, "--base-url", &url]),
            3,
        ),
        (
            "4",
            with(&["--out", &format!("{other}4"), "--base-url", &refusing]),
            4,
        ),
        (
            "5",
            [
                with(&["--out", &format!("{other}5"), "--base-url", &broken]),
                retries.map(str::to_owned).to_vec(),
            ]
            .concat(),
            5,
        ),
        ("6", with(&["--out", &file, "--base-url", &url]), 6),
        (
            "8",
            with(&["--out", &format!("{other}8"), "--base-url", &missing]),
            8,
        ),
        (
            "flatten",
            ["flatten", &out, "--out", &out].map(str::to_owned).to_vec(),
            0,
        ),
        (
            "flatten2",
            ["flatten", "nowhere", "--out", &out]
                .map(str::to_owned)
                .to_vec(),
            2,
        ),
        ("verify", ["verify", &out].map(str::to_owned).to_vec(), 0),
        (
            "verify2",
            ["verify", "nowhere"].map(str::to_owned).to_vec(),
            2,
        ),
        (
            "report",
            ["report", &out, "--out", &page].map(str::to_owned).to_vec(),
            0,
        ),
        (
            "report2",
            ["report", "nowhere", "--out", &page]
                .map(str::to_owned)
                .to_vec(),
            2,
        ),
    ];
    let mut files = Vec::new();
    for (name, arguments, code) in &cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let status = run(base, name, &arguments).status().unwrap();
        let found = summary(base, name);
        assert_eq!(status.code(), Some(*code), "{name}: {found:#}");
        assert_eq!(found["exit_code"], *code, "{name}");
        assert_eq!(
            found["error"].is_null(),
            *code == 0 || *code == 3,
            "{name}: {found:#}"
        );
        files.push(base.join(format!("{name}.json")));
    }
    // A mismatch.
    fs::remove_file(base.join("out/messages.parquet")).unwrap();
    run(base, "7", &["verify", &out]).status().unwrap();
    assert_eq!(summary(base, "7")["exit_code"], 7);
    files.push(base.join("7.json"));
    files.push(base.join("out/.scale-export/last_run.json"));
    files.push(base.join("other8/.scale-export/last_run.json"));
    assert_valid(&files);
    assert_eq!(summary(base, "0")["tasks"]["before"], Value::Null);
    assert_eq!(summary(base, "0")["tasks"]["after"], 1);
    assert_eq!(summary(base, "idle")["tasks"]["before"], 1);
    assert_eq!(summary(base, "8")["failures"]["not_found"], 1);
    assert_eq!(summary(base, "3")["failures"]["not_found"], 1);
    assert_eq!(summary(base, "8")["published"], false);
}

#[test]
fn the_summary_of_an_interrupted_run_has_the_same_shape() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path();
    let slow = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(300));
        task_response(request)
    });
    let url = format!("http://{}", slow.address);
    let ids: Vec<String> = (0..200).map(|id| format!("task_{id}")).collect();
    fs::write(base.join("ids.txt"), ids.join("\n")).unwrap();
    let mut child = run(base, "stopped", &["--base-url", &url, "--rate", "max"])
        .arg("--ids")
        .arg(base.join("ids.txt"))
        .arg("--out")
        .arg(base.join("out"))
        .spawn()
        .unwrap();
    while slow.seen().len() < 40 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let found = summary(base, "stopped");
    assert_eq!(found["exit_code"], 143);
    assert_eq!(found["requested"], 200);
    assert!(
        found["hint"]
            .as_str()
            .unwrap()
            .starts_with("run the same command")
    );
    assert_valid(&[
        base.join("stopped.json"),
        base.join("out/.scale-export/last_run.json"),
    ]);
}

/// The samples of a file of metrics, as a reader that is not ours reads it.
fn samples(path: &Path) -> Value {
    let script = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
samples = {}
for family in families(open(sys.argv[1]).read()):
    assert family.type == 'gauge' and family.documentation, family
    for sample in family.samples:
        labels = {key: value for key, value in sample.labels.items() if key != 'out'}
        samples[' '.join([sample.name, *labels.values()])] = sample.value
print(json.dumps(samples))
";
    let output = python().args(["-c", script]).arg(path).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn metrics_are_replaced_by_every_run_and_keep_the_time_of_the_last_success() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path();
    let server = sandbox(SandboxConfig::default());
    let url = server.base_url();
    let out = base.join("out \"a\"").display().to_string();
    let metrics = base.join("scale.prom");
    let go = |arguments: &[&str]| {
        let mut command = run(base, "summary", arguments);
        command.arg("--metrics").arg(&metrics);
        command.status().unwrap().code()
    };
    let arguments = [
        "--id",
        "task_1",
        "--rate",
        "max",
        "--out",
        &out,
        "--base-url",
        &url,
    ];
    assert_eq!(go(&arguments), Some(0));
    let first = samples(&metrics);
    assert_eq!(first["scale_export_last_run_exit_code"], 0.0);
    assert_eq!(first["scale_export_tasks"], 1.0);
    assert_eq!(first["scale_export_table_rows tasks"], 1.0);
    let success = first["scale_export_last_success_timestamp_seconds"].clone();
    assert_eq!(
        success,
        first["scale_export_last_run_end_timestamp_seconds"]
    );
    // A failure that is known only after the options are read.
    assert_eq!(go(&["--ids", "nowhere", "--out", &out]), Some(2));
    let summary_of_mistake = |options: &[&str]| {
        let code = go(&[&["--ids", "nowhere", "--out", &out], options].concat());
        assert_eq!(code, Some(2), "{options:?}");
        assert_eq!(samples(&metrics)["scale_export_last_run_exit_code"], 2.0);
        assert_valid(&[base.join("summary.json")]);
        summary(base, "summary")["error"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // A command line that cannot be read.
    let error = summary_of_mistake(&["--rate", "abc"]);
    assert!(error.contains("invalid value `abc` for --rate"), "{error}");
    let error = summary_of_mistake(&["--bogus"]);
    assert!(error.contains("unknown option `--bogus`"), "{error}");
    let second = samples(&metrics);
    assert_eq!(second["scale_export_last_run_exit_code"], 2.0);
    assert_eq!(
        second["scale_export_last_success_timestamp_seconds"],
        success
    );
    assert_eq!(second["scale_export_tasks"], 1.0);
    let files: Vec<_> = fs::read_dir(base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    // Files that metrics must not replace.
    let manifest = Path::new(&out).join("manifest.json");
    for path in [
        manifest.to_str().unwrap(),
        "/dev/null",
        "-",
        "/nowhere/x.prom",
    ] {
        let mut command = run(base, "summary", &arguments);
        command.args(["--metrics", path]);
        let code = command.status().unwrap().code();
        assert_eq!(code, Some(6), "{path}");
    }
}

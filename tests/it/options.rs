//! Errors in options are named, and options do not depend on spaces.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::server::{Server, task_response};
use crate::support::{KEY, manifest, program};

pub(crate) fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    program()
        .envs(variables.iter().copied())
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Arguments, the reason of the error, and its hint.
const MISTAKES: &[(&[&str], &str, &str)] = &[
    (
        &["--timeout", "-5s"],
        "invalid value `-5s` for --timeout: expected a duration above 0 like 500ms",
        "",
    ),
    (
        &["--timeout", "0"],
        "invalid value `0` for --timeout: expected a duration above 0",
        "",
    ),
    (&["--timeout", "--out", "d"], "--timeout needs a value", ""),
    (
        &["--concurrency", "many"],
        "invalid value `many` for --concurrency: expected a number of requests from 1 to 1024",
        "",
    ),
    (
        &["--concurrency", "0"],
        "invalid value `0` for --concurrency: expected a number",
        "",
    ),
    (
        &["--max-retries", "-1"],
        "invalid value `-1` for --max-retries: expected a number of retries",
        "",
    ),
    (
        &["--max-body", "5"],
        "invalid value `5` for --max-body: expected a size like 256MiB, from 1KiB to 1GiB",
        "",
    ),
    (
        &["--rate", "-1"],
        "invalid value `-1` for --rate: expected requests per second above 0",
        "",
    ),
    (
        &["--max-failures", "-1%"],
        "invalid value `-1%` for --max-failures: expected a number of tasks",
        "",
    ),
    (
        &["sandbox", "--rate-limit", "0"],
        "invalid value `0` for --rate-limit: expected requests per second above 0",
        "",
    ),
    (
        &["sandbox", "--outage", "20-50"],
        "invalid value `20-50` for --outage: expected times with their units",
        "",
    ),
    (
        &["sandbox", "--port", "70000"],
        "invalid value `70000` for --port: expected a port from 0 to 65535",
        "",
    ),
    (
        &["--format", "parqet"],
        "invalid value `parqet` for --format: expected parquet or csv",
        "did you mean `parquet`?",
    ),
    (
        &["--id-file", "x"],
        "unknown option `--id-file`",
        "did you mean `--ids`?",
    ),
    (
        &["--output", "x"],
        "unknown option `--output`",
        "did you mean `--out`?",
    ),
    (
        &["--tiemout", "5s"],
        "unknown option `--tiemout`",
        "did you mean `--timeout`?",
    ),
    (
        &["--wibble"],
        "unknown option `--wibble`",
        "see scale-export --help",
    ),
    (
        &["verfy", "x"],
        "unknown command `verfy`",
        "did you mean `verify`?",
    ),
    (
        &["status", "x", "y"],
        "unexpected argument `y`",
        "see scale-export status --help",
    ),
    (
        &["verify"],
        "<DIR> is missing",
        "try: scale-export verify export/",
    ),
    (
        &["flatten"],
        "<SOURCE> is missing",
        "try: scale-export flatten export/ --out export/",
    ),
    (
        &["sandbox", "--wibble"],
        "unknown option `--wibble`",
        "see scale-export sandbox --help",
    ),
    (
        &["ids.txt", "--out", "o"],
        "unexpected argument `ids.txt`",
        "scale-export --ids ids.txt --out o",
    ),
    (
        &["--", "ids.txt"],
        "unexpected argument `ids.txt`",
        "did you mean `--ids ids.txt`?",
    ),
    (
        &["task_1", "--out", "o"],
        "unexpected argument `task_1`",
        "did you mean `--id task_1`?",
    ),
    (
        &["--token", "x"],
        "unknown option `--token`",
        "did you mean `--api-key-file`?",
    ),
    (
        &["--silent"],
        "unknown option `--silent`",
        "did you mean `--quiet`?",
    ),
    (
        &["--no-progress"],
        "unknown option `--no-progress`",
        "did you mean `--progress never`?",
    ),
    (
        &["-q", "verify", "d"],
        "the command `verify` must come first",
        "try: scale-export verify -q d",
    ),
    (
        &["help", "verfy"],
        "unknown command `verfy`",
        "did you mean `verify`?",
    ),
    (
        &["ids.txt", "out/"],
        "unexpected argument `ids.txt`",
        "name the list with --ids and the directory with --out: scale-export --ids ids.txt --out out/",
    ),
    (
        &["out/", "--ids", "ids.txt"],
        "unexpected argument `out/`",
        "--ids ids.txt --out out/",
    ),
    (
        &["--ids", "ids.txt", "out/"],
        "unexpected argument `out/`",
        "did you mean `--out out/`?",
    ),
    (
        &["-ids", "ids.txt"],
        "unknown option `-ids`",
        "did you mean `--ids`?",
    ),
    (&["-x"], "unknown option `-x`", "see scale-export --help"),
    (
        &["--ids", "x", "verify", "y"],
        "the command `verify` must come first",
        "scale-export verify",
    ),
    (
        &["--tables", "messages", "annotations"],
        "unexpected argument `annotations`",
        "separate values with commas: --tables messages,annotations",
    ),
    (
        &["--tables", "messages,", "annotations"],
        "unexpected argument `annotations`",
        "separate values with commas: --tables messages,annotations",
    ),
    (
        &["--id", "a", "--out", "d", "--tables", "messages,anotations"],
        "could not find table `anotations` of --tables",
        "did you mean `annotations`?",
    ),
    (
        &["--id", "a", "--out", "d", "--tables", ","],
        "--tables is empty",
        "",
    ),
    (
        &["--id", "a", "--out", "d", "--status", "completed"],
        "--status needs --project or --batch",
        "",
    ),
    (
        &["--id", "a", "--batch", "b"],
        "--batch cannot be used with --id",
        "",
    ),
    (
        &["schema", "mesages"],
        "could not find table `mesages`",
        "did you mean `messages`?",
    ),
];

#[test]
fn an_error_names_the_option_its_value_and_what_it_takes() {
    for (arguments, reason, hint) in MISTAKES {
        let output = run(&[("SCALE_API_KEY", KEY)], arguments);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        let (error, advice) = printed.split_once("\nhint: ").unwrap();
        assert!(
            error.starts_with("error: could not ") && error.contains(reason),
            "{printed}"
        );
        assert!(advice.contains(hint), "{printed}");
    }
}

#[test]
fn an_error_within_a_command_leads_to_the_help_of_the_command() {
    let both = [("SCALE_EXPORT_QUIET", "1"), ("SCALE_EXPORT_VERBOSE", "1")];
    for (variables, arguments, command) in [
        (
            &[][..],
            &["flatten", "d", "--out", "d", "--tables", ","][..],
            "flatten ",
        ),
        (&[], &["flatten", "d", "-q", "-v"], "flatten "),
        (
            &[],
            &["flatten", "d", "--out", "d", "--out", "d"],
            "flatten ",
        ),
        (&[], &["verify", "d", "-q", "-v"], "verify "),
        (&both, &["verify", "d"], "verify "),
        (&[], &["verify", "d", "--color", "blue"], "verify "),
        (&[], &["schema", "--format"], "schema "),
        (&[], &["sandbox", "--burst", "1"], "sandbox "),
        (&[], &["completions", "fsh", "x"], "completions "),
        (&[], &["--id", "a", "-q", "-v"], ""),
    ] {
        let output = run(variables, arguments);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        let hint = format!("see scale-export {command}--help");
        assert!(
            printed.trim_end().ends_with(&hint),
            "{arguments:?}: {printed}"
        );
    }
}

#[test]
fn a_space_after_a_comma_drops_nothing_and_unknown_values_warn() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(task_response);
    let out = base.path().join("out");
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args([
            "--base-url",
            &format!("http://{}", server.address),
            "--id",
            "task_1",
        ])
        .args([
            "--opts",
            "attachment_details, annotation_detials",
            "--expand",
            " project ,batch,",
        ])
        .args(["--tables", "tasks, messages", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let printed = stderr(&output);
    assert!(output.status.success(), "{printed}");
    let options = &manifest(&out)["options"];
    assert_eq!(
        options["opts"],
        serde_json::json!(["attachment_details", "annotation_detials"])
    );
    assert_eq!(options["expand"], serde_json::json!(["project", "batch"]));
    assert!(out.join("messages.parquet").exists());
    let warning = "warning: `annotation_detials` of --opts is not a known value: did you mean `annotation_details`?";
    assert!(
        printed.contains(warning) && printed.matches("warning: ").count() == 1,
        "{printed}"
    );
}

#[test]
fn under_json_logs_an_option_error_is_a_json_line() {
    for (variables, arguments) in [
        (&[][..], &["--log-format", "json", "--timeout", "x"][..]),
        (&[], &["--log-format=json", "--wibble"]),
        (&[("SCALE_EXPORT_LOG_FORMAT", "json")], &["verify"]),
        (
            &[
                ("SCALE_EXPORT_LOG_FORMAT", "json"),
                ("SCALE_EXPORT_RATE", "x"),
            ],
            &["--id", "a"],
        ),
    ] {
        let output = run(variables, arguments);
        assert_eq!(output.status.code(), Some(2));
        let line: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(
            (&line["event"], &line["exit_code"]),
            (&"error".into(), &2.into())
        );
    }
    let text = [("SCALE_EXPORT_LOG_FORMAT", "json")];
    let output = run(&text, &["--log-format", "text", "--wibble"]);
    assert!(
        stderr(&output).starts_with("error: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn common_spellings_of_arguments_work() {
    let help = run(&[], &["help"]).stdout;
    assert_eq!(run(&[], &["help", "--help"]).stdout, help);
    let version = run(&[], &["--version"]).stdout;
    assert_eq!(run(&[], &["version"]).stdout, version);
    let details = run(&[], &["--version", "-v"]).stdout;
    for arguments in [
        &["-v", "--version"][..],
        &["-Vv"],
        &["--verbose", "-V"],
        &["version", "-v"],
    ] {
        assert_eq!(run(&[], arguments).stdout, details, "{arguments:?}");
    }
    let details = String::from_utf8(details).unwrap();
    let names = details.lines().skip(1).map(|line| line.split(": ").next());
    let expected = [
        "commit", "target", "schema", "encoding", "manifest", "journal",
    ];
    assert!(names.eq(expected.map(Some)), "{details}");
    assert!(details.as_bytes().starts_with(&version), "{details}");
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = run(
        &[],
        &[
            "--sandbox",
            "-vv",
            "--id",
            "task_1",
            "-o",
            out.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::exists(out.join("manifest.json")).unwrap());
}

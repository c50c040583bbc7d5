//! Environment variables of options: their errors, empty ones, and precedence.

use std::fs;

use scale_export::sandbox::config::SandboxConfig;

use crate::options::{run, stderr};
use crate::support::{KEY, manifest, program, sandbox};

#[test]
fn an_error_about_a_variable_names_the_variable() {
    for (variables, arguments, reason) in [
        (
            &[("SCALE_EXPORT_RATE", "x")][..],
            &["--id", "a"][..],
            "could not read the environment: invalid value `x` for SCALE_EXPORT_RATE: expected",
        ),
        (
            &[("SCALE_EXPORT_CONCURRENCY", "0")],
            &["schema"],
            "invalid value `0` for SCALE_EXPORT_CONCURRENCY: expected",
        ),
        (
            &[("SCALE_EXPORT_QUIET", "maybe")],
            &["verify", "d"],
            "invalid value `maybe` for SCALE_EXPORT_QUIET: expected 1, true",
        ),
        (
            &[("SCALE_EXPORT_TABLES", "tsks")],
            &["--id", "a", "--out", "d"],
            "could not find table `tsks` of SCALE_EXPORT_TABLES",
        ),
        (
            &[("SCALE_EXPORT_TABLES", "tsks")],
            &["flatten", "d", "--out", "d"],
            "could not find table `tsks` of SCALE_EXPORT_TABLES",
        ),
        (
            &[("SCALE_EXPORT_IDS", "a"), ("SCALE_EXPORT_BATCH", "b")],
            &["--out", "d"],
            "SCALE_EXPORT_BATCH cannot be used with SCALE_EXPORT_IDS",
        ),
        (
            &[("SCALE_EXPORT_QUIET", "1"), ("SCALE_EXPORT_VERBOSE", "1")],
            &["verify", "d"],
            "SCALE_EXPORT_QUIET cannot be used with SCALE_EXPORT_VERBOSE",
        ),
        (
            &[
                ("SCALE_EXPORT_FAIL_FAST", "1"),
                ("SCALE_EXPORT_MAX_FAILURES", "1"),
            ],
            &["--id", "a"],
            "SCALE_EXPORT_FAIL_FAST cannot be used with SCALE_EXPORT_MAX_FAILURES",
        ),
        (
            &[("SCALE_EXPORT_STATUS", "s")],
            &["--id", "a", "--out", "d"],
            "could not read the environment: SCALE_EXPORT_STATUS needs --project or --batch",
        ),
        (
            &[
                ("SCALE_EXPORT_SANDBOX", "1"),
                ("SCALE_EXPORT_BASE_URL", "http://x"),
            ],
            &["--id", "a", "--out", "d"],
            "could not read the environment: SCALE_EXPORT_SANDBOX cannot be used with SCALE_EXPORT_BASE_URL",
        ),
        // The command line has precedence, so the error is about it.
        (
            &[("SCALE_EXPORT_RATE", "x")],
            &["--id", "a", "--rate", "y"],
            "could not read the command line: invalid value `y` for --rate: expected",
        ),
    ] {
        let output = run(variables, arguments);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains(reason), "{printed}");
    }
}

#[test]
fn an_error_about_the_value_of_a_variable_names_the_variable() {
    let base = tempfile::tempdir().unwrap();
    let list = base.path().join("ids.csv");
    fs::write(&list, "a,b\n1,2\n").unwrap();
    let list = list.to_str().unwrap();
    let out = base.path().join("out");
    let out = out.to_str().unwrap();
    let missing = base.path().join("missing/file");
    let missing = missing.to_str().unwrap();
    let id = ["--id", "a"];
    for (variable, value, arguments) in [
        ("SCALE_API_URL", "foo", &id[..]),
        ("SCALE_API_URL", "http://api.invalid", &id),
        ("SCALE_EXPORT_BASE_URL", "ftp://host", &id),
        ("SCALE_EXPORT_API_KEY_FILE", missing, &id),
        ("SCALE_EXPORT_CA_FILE", missing, &id),
        ("SCALE_EXPORT_SUMMARY", missing, &id),
        ("SCALE_EXPORT_OUT", "s3://bucket/a", &id),
        ("SCALE_EXPORT_ID", "a b", &[]),
        ("SCALE_EXPORT_IDS", missing, &[]),
        ("SCALE_EXPORT_IDS", list, &[]),
        ("SCALE_EXPORT_ID_COLUMN", "c", &["--ids", list]),
        (
            "SCALE_EXPORT_IDS",
            missing,
            &["flatten", base.path().to_str().unwrap()],
        ),
        ("SCALE_EXPORT_SUMMARY", missing, &["verify", "d"]),
    ] {
        let mut command = program();
        command.env("SCALE_API_KEY", KEY).env(variable, value);
        command.args(arguments);
        if variable != "SCALE_EXPORT_OUT" && !arguments.contains(&"verify") {
            command.args(["--out", out]);
        }
        let output = command.output().unwrap();
        let printed = stderr(&output);
        let expected = if variable == "SCALE_EXPORT_SUMMARY" {
            6
        } else {
            2
        };
        assert_eq!(output.status.code(), Some(expected), "{printed}");
        let (error, hint) = printed.split_once("\nhint: ").unwrap();
        assert!(
            error.ends_with(&format!(" (set by {variable})")),
            "{printed}"
        );
        assert!(hint.contains(variable), "{printed}");
        assert!(
            !hint.contains("--id-column") || variable != "SCALE_EXPORT_ID_COLUMN",
            "{printed}"
        );
    }
    // The command line has precedence, so the error is about it.
    let output = run(
        &[("SCALE_API_KEY", KEY), ("SCALE_API_URL", "foo")],
        &["--id", "a", "--out", out, "--base-url", "bar"],
    );
    let printed = stderr(&output);
    assert!(
        printed.contains("`bar`") && !printed.contains("SCALE_API_URL"),
        "{printed}"
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let base = tempfile::tempdir().unwrap();
    let help = run(&[], &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    let names: Vec<&str> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split_once(']').map(|(name, _)| name))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let server = sandbox(SandboxConfig::default());
    let out = base.path().join("out");
    let output = program()
        .envs(names.iter().map(|name| (name, "")))
        .env("SCALE_API_URL", "")
        .env("SCALE_API_KEY", KEY)
        .args([
            "--base-url",
            &server.base_url(),
            "--id",
            "task_1",
            "--plan",
            "ids",
            "--out",
        ])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let opts = &manifest(&out)["options"]["opts"];
    assert_eq!(opts.as_array().unwrap().len(), 3, "{opts}");
    // On the command line, an empty value counts.
    let none = base.path().join("none");
    let arguments = [
        "--sandbox",
        "--id",
        "task_1",
        "--opts",
        "",
        "--out",
        none.to_str().unwrap(),
    ];
    assert!(run(&[], &arguments).status.success());
    assert_eq!(manifest(&none)["options"]["opts"], serde_json::json!([]));
    let output = run(
        &[("SCALE_API_KEY", KEY)],
        &["--id", "a", "--out", "d", "--base-url", ""],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--base-url is empty"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_sandbox_replaces_no_server_that_an_option_names() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let url = server.base_url();
    let export = |name: &str, variables: &[(&str, &str)], options: &[&str]| {
        let mut command = program();
        command
            .envs(variables.iter().copied())
            .env("SCALE_API_KEY", KEY);
        command
            .args(["--id", "task_1", "--out"])
            .arg(base.path().join(name));
        let before = server.requests();
        let output = command.args(options).output().unwrap();
        (output, server.requests() - before)
    };
    let (output, _) = export("both", &[], &["--sandbox", "--base-url", &url]);
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains("--sandbox cannot be used with --base-url"),
        "{printed}"
    );
    assert!(
        printed.contains("hint: the sandbox has its own address"),
        "{printed}"
    );
    // Of an option and a variable, the option has precedence.
    let variable = [("SCALE_EXPORT_SANDBOX", "1")];
    let (output, requests) = export("option", &variable, &["--base-url", &url]);
    assert!(
        output.status.success() && requests == 1,
        "{}",
        stderr(&output)
    );
    for name in ["SCALE_EXPORT_BASE_URL", "SCALE_API_URL"] {
        let (output, requests) = export(name, &[(name, &url)], &["--sandbox"]);
        assert!(
            output.status.success() && requests == 0,
            "{}",
            stderr(&output)
        );
    }
}

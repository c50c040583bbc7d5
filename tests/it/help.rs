//! The help of every command: complete, short with `-h`, and as recorded.

use std::fs;

use crate::support::program;

/// Commands with a help; the main job is the empty one.
const COMMANDS: [&str; 13] = [
    "",
    "verify",
    "check",
    "status",
    "changes",
    "combine",
    "flatten",
    "ids",
    "report",
    "schema",
    "sandbox",
    "completions",
    "man",
];

/// Lines that a terminal shows at once.
const SHORT_LINES: usize = 50;

/// Columns of a line where stdout is not a terminal.
const COLUMNS: usize = 100;

fn help(command: &str, option: &str) -> String {
    let words = [command, option];
    let arguments = words.iter().filter(|word| !word.is_empty());
    let output = program().args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn the_short_help_fits_a_screen() {
    for command in COMMANDS {
        let text = help(command, "-h");
        let lines = text.lines().count();
        assert!(lines <= SHORT_LINES, "{command} -h has {lines} lines");
        assert!(!text.contains("[env: "), "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(COLUMNS), "{text}");
    }
}

#[test]
fn the_long_help_has_examples_exit_codes_and_a_link() {
    for command in COMMANDS {
        let text = help(command, "--help");
        assert!(text.contains("\nExamples:\n"), "{text}");
        assert!(text.contains("\nDocumentation: docs/"), "{text}");
        assert!(
            command == "completions" || text.contains("\nExit codes:\n"),
            "{text}"
        );
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(COLUMNS), "{text}");
    }
    let options = help("", "--help");
    assert!(options.matches("[env: SCALE_EXPORT_").count() > 35);
}

#[test]
fn the_values_of_variables_are_not_in_the_help() {
    let output = program()
        .env("SCALE_EXPORT_PROJECT", "a value")
        .arg("--help")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[env: SCALE_EXPORT_PROJECT]") && !text.contains("a value"));
}

#[test]
fn the_help_is_as_recorded() {
    for command in COMMANDS {
        let name = if command.is_empty() {
            "export"
        } else {
            command
        };
        insta::assert_snapshot!(format!("{name}_short"), help(command, "-h"));
        insta::assert_snapshot!(format!("{name}_long"), help(command, "--help"));
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let base = tempfile::tempdir().unwrap();
    let output = program()
        .args(["man", "--out"])
        .arg(base.path())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    let written = fs::read_dir(base.path()).unwrap().count();
    assert_eq!(written, COMMANDS.len());
    for command in COMMANDS {
        let name = ["scale-export", command].join("-");
        let file = format!("{}.1", name.trim_end_matches('-'));
        let page = fs::read_to_string(base.path().join(file)).unwrap();
        let arguments = ["man", command].into_iter().filter(|word| !word.is_empty());
        let printed = program()
            .args(arguments)
            // Pages do not depend on the environment.
            .env("SCALE_EXPORT_IDS", "")
            .env("SCALE_EXPORT_PROJECT", "a value")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), page);
        assert!(!page.contains("a value"), "{page}");
    }
    let output = program().args(["man", "verfy"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("hint: did you mean `verify`?"), "{stderr}");
}

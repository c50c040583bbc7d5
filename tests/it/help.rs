//! The help of every command: complete, short with `-h`, and as recorded.

use crate::support::program;

/// Commands with a help; the main job is the empty one.
const COMMANDS: [&str; 8] = [
    "",
    "verify",
    "changes",
    "flatten",
    "ids",
    "report",
    "schema",
    "sandbox",
    "completions",
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

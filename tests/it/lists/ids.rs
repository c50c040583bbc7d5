//! `ids`: the task IDs of lists on standard output.

use std::process::{Command, Output};

use crate::lists::api::{Api, error, exit};
use crate::lists::tasks;
use crate::support::{KEY, program};

fn command(api: &Api, options: &[&str]) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["ids", "--base-url", &api.base_url()])
        .args([
            "--rate",
            "max",
            "--retry-timeout",
            "2s",
            "--progress",
            "never",
        ])
        .args(options);
    command
}

fn run(api: &Api, options: &[&str]) -> Output {
    command(api, options).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_ids_of_lists_are_printed_in_their_order_and_only_pages_are_requested() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::new(&[250, 30], |_, _| None);
    let batches = ["--batch", "b2", "--batch", "b1"];
    let output = run(&api, &batches);
    let printed = exit(&output, 0);
    assert_eq!(printed, "Listed 280 tasks\n");
    let expected = [tasks(2, 1..=30), tasks(1, 1..=250)].concat();
    assert_eq!(lines(&output), expected);
    let requests = api.requests();
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with("/v2/tasks?"))
    );
    // The same tasks in the same order as an export of the lists.
    let (out, _) = api.export(base.path(), "out", &batches, 0);
    assert_eq!(crate::lists::ids(&out), expected);
    // Nothing was left in the current directory.
    let mut command = command(&api, &batches);
    let output = command.current_dir(base.path()).output().unwrap();
    exit(&output, 0);
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
}

#[test]
fn half_a_list_is_not_printed() {
    let api = Api::new(&[250], |_, query| {
        (query.offset() > 100).then(|| error(500, "broken"))
    });
    let output = run(&api, &["--batch", "b1", "--max-retries", "1"]);
    let printed = exit(&output, 5);
    assert!(output.stdout.is_empty(), "{printed}");
    for (options, reason) in [
        (&[][..], "--project, --batch or --delivery is missing"),
        (
            &["--status", "completed"],
            "--status needs --project or --batch",
        ),
        (&["--batch", "a", "--project", "b"], "cannot be used with"),
        (
            &["--batch", "b1", "--summary", "-"],
            "--summary cannot be `-`",
        ),
        (&["--batch", "b1", "--ids", "x"], "unknown option `--ids`"),
    ] {
        let output = run(&api, options);
        let printed = exit(&output, 2);
        assert!(printed.contains(reason), "{printed}");
        assert!(output.stdout.is_empty());
    }
}

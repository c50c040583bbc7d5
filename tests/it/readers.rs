//! Old and new versions of the readers that users have, and `docs/readers.md`.

use crate::corpus::shared_tasks;
use crate::support::{print_note, python, root};

/// Runs the readers of `tests/consumers/readers/readers.toml` that are marked for tests. `make readers` runs all.
#[test]
fn old_and_new_readers_read_every_cell_and_the_recipes_run() {
    let environments = std::env::var_os("SCALE_EXPORT_TEST_READERS")
        .expect("the readers' environments are not known: run the tests with `make test`");
    let mut run = python();
    run.arg(root().join("tests/consumers/readers/run.py"))
        .args(["--ci", "--program", env!("CARGO_BIN_EXE_scale-export")])
        .arg("--environments")
        .arg(environments);
    match shared_tasks() {
        Some((tasks, _)) => drop(run.arg("--tasks").arg(tasks)),
        None => {
            print_note(
                "left out: the recipes over tasks with real text, which are not on this machine",
            );
        }
    }
    let output = run.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        printed.contains("reader versions: 8, failures: 0"),
        "{printed}"
    );
}

//! Helpers of all tests: running the program, and reading its results.

pub(crate) mod any_rows;
pub(crate) mod fake_s3;
pub(crate) mod footer;
pub(crate) mod http_proxy;
pub(crate) mod journal_versions;
pub(crate) mod raw_server;
pub(crate) mod round_trip;
pub(crate) mod server;
pub(crate) mod signals;
pub(crate) mod socks;
pub(crate) mod table;
pub(crate) mod tasks;
pub(crate) mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scale_export::journal::format::RecordKind;
use scale_export::journal::reader::JournalReader;
use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, without the environment variables and the ignored signals of the caller.
pub(crate) fn program() -> Command {
    signals::restore_for_programs();
    let mut command = Command::new(env!("CARGO_BIN_EXE_scale-export"));
    // One request per task, so that tests can predict them. Tests of list endpoints override it.
    command.env_clear().env("SCALE_EXPORT_PLAN", "ids");
    command
}

/// The Python with the readers. `make test` sets its path.
pub(crate) fn python() -> Command {
    let python = std::env::var("SCALE_EXPORT_TEST_PYTHON")
        .expect("the readers' Python is not known: run the tests with `make test`");
    Command::new(python)
}

/// A number from an environment variable, or the usual one.
pub(crate) fn number_from(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |number| {
        number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {number}"))
    })
}

/// A key that is easy to find in output.
pub(crate) const KEY: &str = "live_key_that_must_not_leak";

/// A sandbox that accepts [`KEY`].
pub(crate) fn sandbox(config: SandboxConfig) -> Sandbox {
    Sandbox::start(SandboxConfig {
        key: KEY.to_owned(),
        ..config
    })
    .unwrap()
}

/// Exports into a new directory below `base`. Returns the directory and the output of the program.
pub(crate) fn export(
    sandbox: &Sandbox,
    base: &Path,
    name: &str,
    ids: &[String],
    options: &[&str],
) -> (PathBuf, Output) {
    export_at("max", sandbox, base, name, ids, options)
}

/// Exports at a given rate. An empty one stands for `learned`.
pub(crate) fn export_at(
    rate: &str,
    sandbox: &Sandbox,
    base: &Path,
    name: &str,
    ids: &[String],
    options: &[&str],
) -> (PathBuf, Output) {
    let list = base.join(format!("{name}.ids"));
    fs::write(&list, ids.join("\n")).unwrap();
    let out = base.join(name);
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", &sandbox.base_url()])
        .args(if rate.is_empty() {
            vec![]
        } else {
            vec!["--rate", rate]
        })
        .arg("--ids")
        .arg(&list)
        .arg("--out")
        .arg(&out)
        .args(options)
        .output()
        .unwrap();
    (out, output)
}

/// `task_1` to `task_<count>`.
pub(crate) fn task_ids(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("task_{number}")).collect()
}

/// Published files with their content, without the manifest.
pub(crate) fn published(out: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name != "manifest.json")
        .collect()
}

/// All files below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The manifest.
pub(crate) fn manifest(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap()
}

/// The raw responses that the journal of an export holds, by ID.
pub(crate) fn raw_responses(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut seen = Vec::new();
    let journal = out.join(".scale-export/journal");
    let (mut reader, ..) = JournalReader::open(&journal, None, |entry| {
        if entry.kind == RecordKind::Response {
            seen.push((entry.task_id.to_owned(), entry.location));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let bodies = seen.into_iter().map(|(task_id, location)| {
        let mut body = Vec::new();
        reader.read(&task_id, location, &mut body).unwrap();
        (task_id, body)
    });
    bodies.collect()
}

/// Raw responses as a file of tasks, one per line.
pub(crate) fn to_lines<'b>(bodies: impl IntoIterator<Item = &'b Vec<u8>>) -> Vec<u8> {
    let lines = bodies.into_iter().flat_map(|body| [body.as_slice(), b"\n"]);
    lines.collect::<Vec<_>>().concat()
}

/// Prints a text directly to stderr, since the test runner hides what a passing test prints.
pub(crate) fn print_note(text: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{text}").unwrap();
}

/// A run ended because the disk was full, and said so.
pub(crate) fn assert_disk_full(printed: &str, what: &str) {
    for text in ["No space left on device", "hint: free disk space"] {
        assert!(printed.contains(text), "{what}: {printed}");
    }
}

/// A text of this many characters, which hardly compresses.
pub(crate) fn random_text(characters: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..characters).map(|_| random.alphanumeric()).collect()
}

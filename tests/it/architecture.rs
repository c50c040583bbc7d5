//! The rules of the house that a machine can check: who imports whom, and how long a file gets.

use std::fs;
use std::path::Path;

use crate::support::{files_below, root};

/// The pipeline, from what depends on nothing to what depends on all: a module may import those
/// before it.
const ORDER: [&str; 23] = [
    "error",
    "event",
    "hex",
    "memory",
    "printable",
    "redaction",
    "threads",
    "disk",
    "json",
    "tables",
    "rebuild",
    "response",
    "output",
    "reader",
    "journal",
    "failures",
    "flatten",
    "ids",
    "fetch",
    "sandbox",
    "export",
    "verify",
    "cli",
];

/// Lines of a source file, tests included.
const MAX_LINES: usize = 600;

fn sources() -> Vec<(String, String)> {
    files_below(&root().join("src"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path
                .strip_prefix(root().join("src"))
                .unwrap()
                .display()
                .to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn imports_go_one_way() {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    for (name, text) in sources() {
        let module = name.split(['/', '.']).next().unwrap();
        let Some(own) = place(module) else {
            assert!(
                matches!(module, "lib" | "main"),
                "{name} has no place in the order"
            );
            continue;
        };
        for import in text.split("crate::").skip(1) {
            let imported: String = import
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(other) = place(&imported) else {
                continue;
            };
            assert!(
                other <= own,
                "{name} imports crate::{imported}, which comes after it"
            );
        }
    }
}

#[test]
fn libraries_are_named_in_few_files() {
    for (library, allowed) in [
        ("reqwest", &["fetch/client.rs", "fetch/connections.rs"][..]),
        ("indicatif", &["cli/display.rs"]),
        ("clap", &["cli/args.rs", "cli/command_line.rs"]),
        (
            "parquet::",
            &["output/parquet/", "reader/parquet", "reader/text_column.rs"],
        ),
    ] {
        for (name, text) in sources() {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let names_it = code.filter(|line| !line.contains("mod ")).any(|line| {
                line.contains(&format!("use {}", library.trim_end_matches(':')))
                    || line.contains(&format!("{}::", library.trim_end_matches(':')))
            });
            // Where the modules of that name are put to use.
            let users = ["output/writer.rs", "reader/mod.rs"];
            let is_own_module = library == "parquet::" && users.contains(&name.as_str());
            assert!(
                !names_it
                    || allowed.iter().any(|allowed| name.starts_with(allowed))
                    || is_own_module,
                "{name} names {library}"
            );
        }
    }
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    for (name, text) in sources() {
        assert!(
            text.starts_with("//!"),
            "{name} does not say what it is for"
        );
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{name} has {lines} lines");
    }
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("Cargo.lock")
            .exists()
    );
}

#[test]
fn what_changes_the_file_system_is_in_one_place() {
    const CHANGES: [&str; 16] = [
        "fs::write(",
        "fs::rename(",
        "fs::remove_file(",
        "fs::remove_dir",
        "fs::hard_link(",
        "fs::create_dir",
        "fs::copy(",
        "fs::set_permissions(",
        " File::create",
        "DirBuilder",
        "OpenOptions",
        ".set_len(",
        ".sync_all(",
        ".sync_data(",
        ".write_all_at(",
        ".try_lock(",
    ];
    for (name, text) in sources() {
        // A summary is not part of an export: nothing depends on it.
        if name.starts_with("disk/") || name == "cli/jobs.rs" {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for change in CHANGES {
            assert!(
                !code.contains(change),
                "{name} does `{change}…`, which belongs to disk"
            );
        }
    }
}

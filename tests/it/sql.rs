//! The SQL that `schema` prints: compared with the repository and the documentation, and run in the installed
//! databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use scale_export::sandbox::config::SandboxConfig;
use scale_export::tables::column::ColumnInfo;
use scale_export::tables::definition::TABLES;
use scale_export::tables::sql::dialect::Dialect;

use crate::support::{export, print_note, program, python, root, sandbox, task_ids};

/// Set to write the scripts instead of comparing them.
const BLESS: &str = "BLESS";

/// The environment variable with the Python that has ClickHouse and Spark. `make dialects` sets it.
const DIALECTS_PYTHON: &str = "SCALE_EXPORT_TEST_DIALECTS";

/// The output of `schema` with these arguments, which must be valid.
fn schema(arguments: &[&str]) -> String {
    let output = program().arg("schema").args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_golden_script_of_each_dialect() {
    for dialect in Dialect::ALL.map(Dialect::name) {
        let script = schema(&["annotations", "--format", "sql", "--dialect", dialect]);
        let path = root()
            .join("tests/golden/sql")
            .join(format!("{dialect}.sql"));
        if std::env::var_os(BLESS).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &script).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            expected, script,
            "{dialect}: if this is right, run `make bless`"
        );
    }
}

#[test]
fn the_commands_in_a_script_are_those_of_the_page() {
    let page = fs::read_to_string(root().join("docs/sql.md")).unwrap();
    for dialect in Dialect::ALL.map(Dialect::name) {
        let script = schema(&["--dialect", dialect]);
        let commands = script
            .lines()
            .filter_map(|line| line.strip_prefix("--     "));
        let commands: Vec<&str> = commands.collect();
        assert!(commands.len() >= 2, "{dialect}: {commands:?}");
        let together = format!("```sh\n{}\n```", commands.join("\n"));
        assert!(
            page.contains(&together),
            "docs/sql.md does not have\n{together}"
        );
        assert!(
            page.contains(&format!("| `{dialect}`")),
            "{dialect} is not in the table"
        );
    }
}

#[test]
fn a_dialect_is_refused_for_other_formats() {
    assert_eq!(
        schema(&["--format", "sql"]),
        schema(&["--dialect", "duckdb"])
    );
    let base = tempfile::tempdir().unwrap();
    let empty = base.path().to_str().unwrap();
    for (arguments, error, hint) in [
        (
            &["--format", "json", "--dialect", "sqlite"][..],
            "--dialect is for --format sql",
            "remove --format",
        ),
        (
            &["--format", "md", "--dir", empty],
            "--dir is for --format sql",
            "remove --format",
        ),
        (
            &["--dialect", "sqlite", "--dir", empty],
            "--dir is for DuckDB",
            "remove --dir",
        ),
        (
            &["--dir", empty],
            "it has no manifest.json",
            "name the output directory",
        ),
        (&["--dialect", "oracle"], "oracle", "snowflake"),
    ] {
        let output = program().arg("schema").args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains(error) && stderr.contains(hint),
            "{arguments:?}: {stderr}"
        );
    }
}

/// One export in both formats: tasks of the sandbox, and values that databases misread.
fn exports(base: &Path) -> [PathBuf; 2] {
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let options = ["--expand", "project,batch"];
    let (drift, output) = export(&server, base, "drift", &task_ids(120), &options);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The path has a quote, for the views with absolute paths.
    ["parquet", "csv"].map(|format| {
        let out = base.join(format!("user's {format}"));
        let output = program()
            .arg("flatten")
            .arg(&drift)
            .arg(root().join("tests/consumers/sql_tasks.jsonl"))
            .args(["--format", format, "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        out
    })
}

/// Runs a script in a directory, and compares every cell with the Parquet export.
fn compare(mut python: Command, dialect: &str, script: &str, parquet: &Path, directory: &Path) {
    let base = tempfile::tempdir().unwrap();
    let (file, work) = (base.path().join("create.sql"), base.path().join("work"));
    fs::write(&file, script).unwrap();
    fs::create_dir(&work).unwrap();
    let output = python
        .arg(root().join("tests/consumers/sql_dialects.py"))
        .arg(dialect)
        .args([
            &file,
            parquet,
            directory,
            &work,
            &root().join("docs/sql.md"),
        ])
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{dialect}: {}",
        String::from_utf8_lossy(&printed)
    );
}

/// Whether a database program is installed: on the path, or where Debian installs it.
pub(crate) fn has(program: &str) -> bool {
    let mut directories: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    directories.extend(versions.map(|version| version.unwrap().path().join("bin")));
    directories
        .iter()
        .any(|directory| directory.join(program).exists())
}

#[test]
fn every_database_has_every_cell_of_every_table() {
    let base = tempfile::tempdir().unwrap();
    let [parquet, csv] = exports(base.path());
    for (dialect, directory, needs) in [
        ("duckdb", &parquet, &[][..]),
        ("postgres", &csv, &["initdb", "psql"]),
        ("sqlite", &csv, &["sqlite3"]),
    ] {
        if let Some(missing) = needs.iter().find(|program| !has(program)) {
            print_note(&format!(
                "{dialect} was left out: {missing} is not installed"
            ));
            continue;
        }
        compare(
            python(),
            dialect,
            &schema(&["--dialect", dialect]),
            &parquet,
            directory,
        );
    }
    for dialect in ["clickhouse", "spark"] {
        let Some(python) = std::env::var_os(DIALECTS_PYTHON) else {
            print_note(&format!(
                "{dialect} was left out: `make dialects` installs and runs it"
            ));
            continue;
        };
        let script = schema(&["--dialect", dialect]);
        compare(Command::new(python), dialect, &script, &parquet, &parquet);
    }
}

#[test]
fn views_with_absolute_paths_work_from_anywhere() {
    let base = tempfile::tempdir().unwrap();
    let [parquet, csv] = exports(base.path());
    let elsewhere = tempfile::tempdir().unwrap();
    for out in [&parquet, &csv] {
        let views = schema(&["--dir", out.to_str().unwrap()]);
        compare(python(), "duckdb", &views, &parquet, elsewhere.path());
    }
    let one = schema(&["errors", "--dir", parquet.to_str().unwrap()]);
    assert_eq!(one.matches("CREATE OR REPLACE VIEW").count(), 1, "{one}");
}

/// Words that Snowflake does not accept as the name of a table or column without quotes, one letter after the other.
const SNOWFLAKE_RESERVED: &str = "account all alter and any as between by case cast check column connect connection \
    constraint create cross current current_date current_time current_timestamp current_user database delete distinct \
    drop else exists false following for from full grant group gscluster having ilike in increment inner insert \
    intersect into is issue join lateral left like localtime localtimestamp minus natural not null of on or order \
    organization qualify regexp revoke right rlike row rows sample schema select set some start table tablesample then \
    to trigger true try_cast union unique update using values view when whenever where with";

#[test]
fn unquoted_names_are_not_reserved_words() {
    for table in TABLES {
        let columns = table.columns().map(|column| column.name);
        for name in columns.chain([table.name]) {
            assert!(
                !SNOWFLAKE_RESERVED
                    .split_whitespace()
                    .any(|word| word == name),
                "{name} is reserved in Snowflake"
            );
        }
    }
}

#[test]
fn comments_stay_on_one_line() {
    for table in TABLES {
        let columns = table.columns().map(ColumnInfo::documentation);
        for doc in columns.chain([table.doc.to_owned()]) {
            // A SQLite comment ends at the end of the line, and other scripts are split at `;` at the end of a line.
            assert!(!doc.contains('\n'), "{doc}");
        }
    }
}

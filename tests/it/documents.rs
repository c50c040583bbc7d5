//! What is generated and committed is what the program says now.

use std::fs;

use scale_export::tables::{definition::TABLES, schema};

use crate::support::{program, root};

/// Set to write the files anew instead of comparing them.
const BLESS: &str = "BLESS";

#[test]
fn the_committed_schemas_are_those_of_the_program() {
    for table in TABLES {
        let path = root().join("schemas").join(format!("{}.json", table.name));
        let expected = format!("{:#}\n", schema::to_json(table));
        if std::env::var_os(BLESS).is_some() {
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found,
            expected,
            "{}: run the tests with {BLESS}=1",
            path.display()
        );
    }
    assert_eq!(
        fs::read_dir(root().join("schemas")).unwrap().count(),
        TABLES.len()
    );
}

#[test]
fn the_readme_shows_every_option() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let output = program().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let options: Vec<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.trim_end_matches([',', '.', ';', ')']))
        .collect();
    assert!(options.len() > 20, "{options:?}");
    for option in options {
        assert!(readme.contains(option), "the README does not have {option}");
    }
}

#[test]
fn columns_are_documented_and_in_order() {
    for table in TABLES {
        let names: Vec<&str> = table.columns().map(|column| column.name).collect();
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len(), "{}", table.name);
        assert_eq!(names.last(), Some(&"extra"));
        assert!(
            table
                .columns()
                .all(|column| !column.doc.is_empty() && !column.doc.ends_with('.'))
        );
    }
    assert_eq!(TABLES.len(), 18);
}

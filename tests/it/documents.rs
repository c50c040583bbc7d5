//! What is generated and committed is what the program says now.

use std::collections::BTreeMap;
use std::fs;

use scale_export::tables::definition::TABLES;
use scale_export::tables::schema;

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

/// Options of the help text with their defaults, where it names one.
fn options_of_help() -> BTreeMap<String, Option<String>> {
    let output = program().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut options = BTreeMap::new();
    let mut last = String::new();
    for line in help.lines().map(str::trim) {
        let option = line.split_whitespace().find(|word| word.starts_with("--"));
        if let Some(option) = option.filter(|_| line.starts_with('-') && !line.starts_with("- ")) {
            option.clone_into(&mut last);
            options.insert(last.clone(), None);
        }
        let default = line.strip_prefix("[default: ");
        if let Some(default) = default.and_then(|rest| rest.strip_suffix(']')) {
            options.insert(last.clone(), Some(default.to_owned()));
        }
    }
    options
}

/// Options of the README's table, with what stands in their column of defaults.
fn options_of_readme(readme: &str) -> BTreeMap<String, String> {
    let rows = readme.lines().filter(|line| line.starts_with("| `-"));
    let mut options = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let names = cells[0].split(['`', ' ', ',']);
        for name in names.filter(|name| name.starts_with("--")) {
            options.insert(
                name.to_owned(),
                cells[1].trim_matches(['`', ' ']).to_owned(),
            );
        }
    }
    options
}

#[test]
fn the_readme_has_the_options_of_the_help_and_their_defaults() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (help, readme) = (options_of_help(), options_of_readme(&readme));
    assert!(help.len() > 25, "{help:?}");
    assert_eq!(
        help.keys().collect::<Vec<_>>(),
        readme.keys().collect::<Vec<_>>()
    );
    for (option, default) in help {
        if let Some(default) = default {
            assert_eq!(readme[&option], default, "the default of {option}");
        }
    }
}

#[test]
fn the_readme_has_the_tables() {
    const BEGIN: &str = "<!-- tables -->\n";
    const END: &str = "<!-- end of tables -->";
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let rows: String = TABLES
        .iter()
        .map(|table| format!("| `{}` | {} |\n", table.name, table.doc))
        .collect();
    let expected = format!("| table | |\n| --- | --- |\n{rows}");
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, expected, "run `make bless`");
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

//! Generated files in the repository match the output of the program.

use std::collections::BTreeMap;
use std::fs;

use scale_export::tables::definition::TABLES;
use scale_export::tables::schema;

use crate::support::{files_below, program, root};

/// Set to regenerate the files instead of comparing them.
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
    // One file for each table, and the folder of the schema of the summary.
    assert_eq!(
        fs::read_dir(root().join("schemas")).unwrap().count(),
        TABLES.len() + 1
    );
}

/// Options in the help text, with their defaults if it has any.
fn options_of_help(command: &[&str]) -> BTreeMap<String, Option<String>> {
    let output = program().args(command).arg("--help").output().unwrap();
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

/// Options in the tables of the page, with the text in the column of defaults.
fn options_of_page(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter(|line| line.starts_with("| `-"));
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
fn the_documented_options_and_defaults_are_those_of_the_help() {
    let page = fs::read_to_string(root().join("docs/options.md")).unwrap();
    let (help, page) = (options_of_help(&[]), options_of_page(&page));
    assert!(help.len() > 25, "{help:?}");
    assert_eq!(
        help.keys().collect::<Vec<_>>(),
        page.keys().collect::<Vec<_>>()
    );
    for (option, default) in help {
        if let Some(default) = default {
            assert_eq!(page[&option], default, "the default of {option}");
        }
    }
}

#[test]
fn the_options_of_the_sandbox_are_documented() {
    let page = fs::read_to_string(root().join("docs/sandbox.md")).unwrap();
    let options = options_of_help(&["sandbox"]);
    assert!(options.len() > 15, "{options:?}");
    // Every command has these two; the page of options describes them.
    let of_all = ["--help", "--color"];
    for option in options
        .keys()
        .filter(|option| !of_all.contains(&option.as_str()))
    {
        let is_there = |end| page.contains(&format!("`{option}{end}"));
        assert!([' ', '`'].into_iter().any(is_there), "{option}");
    }
}

#[test]
fn the_documented_tables_are_those_of_the_program() {
    const BEGIN: &str = "<!-- tables -->\n";
    const END: &str = "<!-- end of tables -->";
    let path = root().join("docs/tables.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
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

/// The Markdown pages of the project, each with its path from the root.
fn pages() -> Vec<String> {
    let names = |directory: &str| {
        let entries = fs::read_dir(root().join(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
        let names = pages.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    let docs = names("docs");
    assert!(docs.len() > 20, "{docs:?}");
    let docs = docs.into_iter().map(|name| format!("docs/{name}"));
    names(".").into_iter().chain(docs).collect()
}

/// The lines of a page outside of fences.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

/// The fragments that link to the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchors = headings.map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
        let kept: String = heading.chars().filter(kept).collect();
        kept.replace(' ', "-")
    });
    anchors.collect()
}

/// The targets of the links in a page, without addresses of other sites.
fn links(page: &str) -> Vec<String> {
    let text: Vec<&str> = prose(page).collect();
    let text = text.join("\n");
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn links_between_pages_resolve() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages() {
        let path = root().join(&page);
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let is_found = match fs::read_to_string(&target) {
                Ok(text) => anchor.is_empty() || anchors(&text).iter().any(|it| it == anchor),
                // A directory or a picture.
                Err(_) => target.exists() && anchor.is_empty(),
            };
            if !is_found {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(count > 50, "{count} links");
}

#[test]
fn pages_outside_of_the_repository_have_absolute_links_only() {
    for page in [
        "python/README.md",
        "packaging/wheel/data/share/doc/scale-export/README.md",
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert_eq!(links(&text), Vec::<String>::new(), "{page}");
    }
}

#[test]
fn the_index_of_the_documentation_has_every_page() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let links = links(&index);
    for page in pages() {
        if let Some(name) = page.strip_prefix("docs/")
            && name != "README.md"
        {
            let count = links.iter().filter(|link| *link == name).count();
            assert_eq!(count, 1, "docs/README.md links to {name} {count} times");
        }
    }
}

#[test]
fn pages_that_code_refers_to_exist() {
    let mut broken = Vec::new();
    for directory in ["src", "examples", "benches", "fuzz/targets"] {
        for path in files_below(&root().join(directory)) {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            for rest in text.split("docs/").skip(1) {
                let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
                let name = rest.split(is_end).next().unwrap().trim_end_matches('.');
                if !name.is_empty() && !root().join("docs").join(name).exists() {
                    broken.push(format!("{}: docs/{name}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn paths_that_pages_name_exist() {
    let folders = [
        "src/",
        "tests/",
        "examples/",
        "benches/",
        "fuzz/",
        "docs/",
        "schemas/",
    ];
    let mut missing = Vec::new();
    for page in pages().iter().filter(|page| *page != "CHANGELOG.md") {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for line in prose(&text) {
            let paths = line.split('`').skip(1).step_by(2).filter(|code| {
                folders.iter().any(|folder| code.starts_with(folder))
                    && !code.contains([' ', '*', '…', '<'])
            });
            for path in paths.filter(|path| !root().join(path).exists()) {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_documented_error_is_that_of_the_program() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("ids.txt"), "task_0\ntask_1,task_2\n").unwrap();
    let output = program()
        .current_dir(base.path())
        .args(["--ids", "ids.txt", "--out", "export", "--sandbox"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let page = fs::read_to_string(root().join("docs/ids.md")).unwrap();
    let block = format!("```text\n{error}```");
    assert!(page.contains(&block), "docs/ids.md does not have\n{block}");
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

//! The layout rules that a machine can check: imports point downwards and form no cycle, files stay short, and each type
//! name means one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::{files_below, root};

/// The folders and top-level files of `src`, lowest first: each may import those before it.
const ORDER: [&str; 30] = [
    "error",
    "failure_kind",
    "hex",
    "memory",
    "plural",
    "printable",
    "shell_quoting",
    "threads",
    "output_error",
    "durable_fs",
    "json",
    "tables",
    "flatten",
    "rebuild",
    "encode",
    "ids",
    "journal",
    "pacer",
    "event",
    "api",
    "fetch",
    "lists",
    "state",
    "publish",
    "bucket",
    "delta",
    "report",
    "jobs",
    "sandbox",
    "cli",
];

/// Lines of a source file, tests included.
const MAX_LINES: usize = 600;

/// Which files may name a library.
const LIBRARIES: [(&str, &[&str]); 7] = [
    (
        "arrow",
        &["tables/", "encode/", "delta/", "jobs/verify/compare.rs"],
    ),
    ("delta_kernel", &["delta/"]),
    ("hyper_util", &["api/http/", "sandbox/server.rs"]),
    ("hyper_rustls", &["api/http/"]),
    (
        "clap",
        &[
            "cli/args.rs",
            "cli/changes_args.rs",
            "cli/command_line.rs",
            "cli/download_args.rs",
            "cli/man_pages.rs",
            "cli/usage_errors.rs",
            "cli/sandbox_args.rs",
            "cli/shared_args.rs",
        ],
    ),
    ("object_store", &["bucket/"]),
    ("parquet", &["encode/parquet/", "delta/file_statistics.rs"]),
];

/// A source file: its path below `src`, its module path, and its code without comments, texts and unit tests.
struct Source {
    path: String,
    module: Vec<String>,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = match module {
            "lib" => Vec::new(),
            module => module.split('/').map(str::to_owned).collect(),
        };
        Self {
            path: path.to_owned(),
            module,
            text: text.to_owned(),
            code: code_of(text),
        }
    }

    /// Whether it re-exports items of other files.
    fn is_facade(&self) -> bool {
        self.path == "lib.rs" || self.path.ends_with("mod.rs")
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let paths = files_below(&src);
    let rust = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let name = path.strip_prefix(&src).unwrap().display().to_string();
        Source::new(&name, &fs::read_to_string(path).unwrap())
    })
    .collect()
}

/// A file's code: comments are left out, string literals are empty, and unit tests are cut off.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw_string(rest) {
            code.push_str("\"\"");
            raw
        } else if c == '"' {
            code.push_str("\"\"");
            end_of_string(rest)
        } else if let Some(literal) = ["'\"'", "'\\\"'", "'/'"]
            .iter()
            .find(|it| rest.starts_with(**it))
        {
            literal.len()
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Bytes of the string literal that a text begins with.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// Bytes of the raw string literal that a text begins with, if it begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let content = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    let length = content.find(&end)? + end.len();
    Some(text.len() - content.len() + length)
}

/// All paths that a `use` tree names, such as `a::{b, c::d as e}`, each with the name that it gets.
fn paths_of(tree: &str) -> Vec<(String, String)> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, tree));
        let path = path.trim().trim_end_matches("::self");
        let alias = alias.trim().trim_end_matches("::self");
        let alias = alias.rsplit("::").next().unwrap();
        return vec![(path.to_owned(), alias.to_owned())];
    };
    let inner = rest.rsplit_once('}').unwrap().0;
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in inner.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let prefix = prefix.trim();
    let parts = parts.iter().map(|part| part.trim());
    parts
        .filter(|part| !part.is_empty())
        .flat_map(|part| {
            let own = prefix.trim_end_matches("::");
            match part {
                "self" => paths_of(own),
                part => paths_of(part)
                    .into_iter()
                    .map(|(path, alias)| (format!("{prefix}{path}"), alias))
                    .collect(),
            }
        })
        .collect()
}

/// A path in a file of this module, from the root of the crate.
fn absolute(path: &str, own: &[String]) -> Vec<String> {
    let mut parts: Vec<String> = path
        .split("::")
        .map(|part| part.trim().to_owned())
        .collect();
    match parts.first().map(String::as_str) {
        Some("crate") => parts.split_off(1),
        Some("self") => [own, &parts[1..]].concat(),
        Some("super") => {
            let up = parts.iter().take_while(|part| *part == "super").count();
            [&own[..own.len() - up], &parts[up..]].concat()
        }
        // A child module, or another crate.
        _ => [own, &parts].concat(),
    }
}

/// The paths from the crate's root that a file names: in imports, in full, and through the name of an import.
fn named_paths(source: &Source) -> Vec<Vec<String>> {
    let mut imports = Vec::new();
    let mut code = source.code.as_str();
    let mut rest = String::new();
    while let Some(start) = code.find("use ") {
        let before = code[..start].chars().next_back();
        let is_statement = before.is_none_or(char::is_whitespace);
        let end = code[start..].find(';').map(|end| start + end);
        if let (true, Some(end)) = (is_statement, end) {
            rest.push_str(&code[..start]);
            imports.extend(paths_of(&code[start + "use ".len()..end]));
            code = &code[end..];
        } else {
            rest.push_str(&code[..=start]);
            code = &code[start + 1..];
        }
    }
    rest.push_str(code);
    let own = &source.module;
    let imports = imports.iter();
    let imports = imports.map(|(path, alias)| (alias.as_str(), absolute(path, own)));
    let imports: Vec<_> = imports.collect();
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let inline = rest.split(|c| !is_path(c)).filter_map(|word| {
        let (first, others) = word.split_once("::")?;
        if ["crate", "super", "self"].contains(&first) {
            return Some(absolute(word, own));
        }
        let (_, path) = imports.iter().find(|(alias, _)| *alias == first)?;
        let others = others.split("::").map(str::to_owned);
        Some(path.iter().cloned().chain(others).collect())
    });
    let inline: Vec<_> = inline.collect();
    let imported = imports.into_iter().map(|(_, path)| path);
    imported.chain(inline).collect()
}

/// For each module, the modules whose files it names something of. Re-exports count as the file that they come from.
fn imports(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<&[String]> = sources
        .iter()
        .map(|source| source.module.as_slice())
        .collect();
    let mut re_exports: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_facade()) {
        for path in named_paths(source) {
            if let Some(name) = path.last() {
                re_exports.insert((source.module.join("::"), name.clone()), path.clone());
            }
        }
    }
    let file_of = |path: &[String]| {
        let mut path = path.to_vec();
        // Re-exports may go through a folder of a folder.
        for _ in 0..4 {
            let known = (0..=path.len())
                .rev()
                .find(|end| modules.contains(&path[..*end]))?;
            let module = path[..known].join("::");
            let target = path
                .get(known)
                .and_then(|name| re_exports.get(&(module.clone(), name.clone())));
            match target {
                Some(target) if *target != path => path.clone_from(target),
                _ => return Some(module),
            }
        }
        None
    };
    let own = sources.iter().map(|source| {
        let own = source.module.join("::");
        let files = named_paths(source).into_iter();
        let files = files.filter_map(|path| file_of(&path));
        let others = files.filter(|file| !file.is_empty() && *file != own);
        (own.clone(), others.collect())
    });
    own.collect()
}

/// A cycle among imports, if there is one: its files in order.
fn cycle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit<'i>(
        file: &'i str,
        imports: &'i BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<&'i str>,
        done: &mut BTreeSet<&'i str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|known| *known == file) {
            let mut files: Vec<String> =
                path[start..].iter().map(|&file| file.to_owned()).collect();
            files.push(file.to_owned());
            return Some(files);
        }
        if done.contains(file) {
            return None;
        }
        path.push(file);
        let found = imports
            .get(file)
            .into_iter()
            .flatten()
            .find_map(|import| visit(import, imports, path, done));
        path.pop();
        done.insert(file);
        found
    }
    let mut done = BTreeSet::new();
    imports
        .keys()
        .find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

#[test]
fn imports_point_downwards() {
    let place = |module: &str| {
        let folder = module.split("::").next().unwrap();
        ORDER.iter().position(|known| *known == folder)
    };
    for (file, imports) in imports(&sources()) {
        if file.is_empty() || file == "main" {
            continue;
        }
        let own = place(&file);
        assert!(own.is_some(), "{file} has no place in the order");
        for import in imports {
            assert!(
                place(&import) <= own,
                "{file} imports {import}, which comes after it"
            );
        }
    }
}

#[test]
fn imports_name_their_items() {
    for source in sources() {
        for path in named_paths(&source) {
            assert!(
                path.last().is_none_or(|last| last != "*"),
                "{} imports {}",
                source.path,
                path.join("::")
            );
        }
    }
}

#[test]
fn files_import_each_other_in_no_cycle() {
    let imports = imports(&sources());
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > imports.len());
    if let Some(cycle) = cycle(&imports) {
        panic!("a cycle of imports: {}", cycle.join(" → "));
    }
}

#[test]
fn a_cycle_is_found_also_through_a_folder_a_re_export_or_an_alias() {
    let b = "use crate::e::{self, f::G};\n";
    for f in [
        // Texts and comments before it do not hide it.
        "// crate::x\nfn f() { g(\"https://x \\\" use\", '\"'); crate::a::B::new(\"crate::x\") }\n",
        "const TEXT: &str = r#\"\nuse \"#;\nuse crate::a;\nfn f() { a::b::g() }\n",
        "use crate::{a as first};\nfn f() { first::b::g() }\n",
        "use crate::Exported;\n",
        "fn f() { super::super::a::b::g() }\n",
    ] {
        let sources = [
            Source::new(
                "lib.rs",
                "mod a;\nmod e;\npub use a::B as Exported;\npub use crate::a::b::Exported;\n",
            ),
            Source::new("a/mod.rs", "mod b;\npub use b::{B, C as D};\n"),
            Source::new("a/b.rs", b),
            Source::new("e/mod.rs", "pub mod f;\n"),
            Source::new("e/f.rs", f),
        ];
        let imports = imports(&sources);
        assert!(imports["e::f"].contains("a::b"), "{f}: {imports:?}");
        let cycle = cycle(&imports).unwrap();
        assert!(
            ["a::b", "e::f"]
                .iter()
                .all(|file| cycle.iter().any(|it| it == file)),
            "{f}: {cycle:?}"
        );
    }
}

#[test]
fn libraries_are_named_in_few_files() {
    for (library, allowed) in LIBRARIES {
        for source in sources() {
            let is_allowed = allowed
                .iter()
                .any(|allowed| source.path.starts_with(allowed));
            // Where a module of that name is imported, the name stands for it.
            let is_own = named_paths(&source).iter().any(|path| {
                path.last().is_some_and(|last| last == library) && !path.starts_with(&source.module)
            });
            let before_and_after = source
                .code
                .split(library)
                .zip(source.code.split(library).skip(1));
            let names_it = before_and_after.into_iter().any(|(before, after)| {
                let is_inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                after.starts_with("::") && !before.ends_with(is_inside)
            });
            assert!(
                is_allowed || is_own || !names_it,
                "{} names {library}",
                source.path
            );
        }
    }
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    for source in sources() {
        assert!(
            source.text.starts_with("//!"),
            "{} does not say what it is for",
            source.path
        );
        let lines = source.text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", source.path);
    }
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        // What is indented is an associated type, or local to a function.
        for line in source.code.lines().filter(|line| !line.starts_with(' ')) {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| word.starts_with("pub"));
            let is_type = words
                .next()
                .is_some_and(|word| ["struct", "enum", "trait", "type"].contains(&word));
            if let (true, Some(name)) = (is_type, words.next()) {
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                places.entry(name).or_default().push(source.path.clone());
            }
        }
    }
    assert!(places.len() > 200);
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "defined more than once: {places:#?}");
}

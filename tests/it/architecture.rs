//! The layout rules that a machine can check: imports point downwards and form no cycle, files stay short, and each type
//! name means one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::{files_below, root};

/// The folders and top-level files of `src`, lowest first: each may import those before it.
const ORDER: [&str; 26] = [
    "error",
    "failure_kind",
    "event",
    "hex",
    "memory",
    "plural",
    "printable",
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
    "api",
    "fetch",
    "lists",
    "state",
    "publish",
    "sandbox",
    "jobs",
    "cli",
];

/// Lines of a source file, tests included.
const MAX_LINES: usize = 600;

/// Which files may name a library.
const LIBRARIES: [(&str, &[&str]); 3] = [
    ("reqwest", &["api/client.rs", "api/connections.rs"]),
    (
        "clap",
        &[
            "cli/args.rs",
            "cli/command_line.rs",
            "cli/usage_errors.rs",
            "cli/sandbox_args.rs",
            "cli/shared_args.rs",
        ],
    ),
    ("parquet", &["encode/parquet/"]),
];

/// A source file: its path below `src`, its module path, and its code without comments, texts and unit tests.
struct Source {
    path: String,
    module: Vec<String>,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let paths = files_below(&src);
    let rust = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let path_text = path.strip_prefix(&src).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        let module = path_text.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = match module {
            "lib" => Vec::new(),
            module => module.split('/').map(str::to_owned).collect(),
        };
        Source {
            code: code_of(&text),
            path: path_text,
            module,
            text,
        }
    })
    .collect()
}

/// A file's code without comments, string literals and unit tests.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().map(|line| {
        let line = line.split("//").next().unwrap();
        line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// All paths that a `use` tree names, such as `a::{b, c::d}`.
fn paths_of(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
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
    let parts = parts.iter().map(|part| part.trim());
    parts
        .filter(|part| !part.is_empty())
        .flat_map(paths_of)
        .map(|path| format!("{}{path}", prefix.trim()).replace("::self", ""))
        .collect()
}

/// The paths from the crate's root that a file names, in imports and elsewhere.
fn named_paths(source: &Source) -> Vec<Vec<String>> {
    let mut named = Vec::new();
    let mut code = source.code.as_str();
    let mut rest = String::new();
    while let Some(start) = code.find("use ") {
        let is_statement = code[..start]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace);
        let end = code[start..].find(';').map(|end| start + end);
        if let (true, Some(end)) = (is_statement, end) {
            rest.push_str(&code[..start]);
            named.extend(paths_of(&code[start + "use ".len()..end]));
            code = &code[end..];
        } else {
            rest.push_str(&code[..=start]);
            code = &code[start + 1..];
        }
    }
    rest.push_str(code);
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in rest.split(|c| !is_path(c)) {
        if ["crate::", "super::", "self::"]
            .iter()
            .any(|start| word.starts_with(start))
        {
            named.push(word.to_owned());
        }
    }
    let own = &source.module;
    let absolute = named.iter().map(|path| {
        let mut parts: Vec<String> = path
            .split("::")
            .map(|part| part.trim().to_owned())
            .collect();
        match parts.first().map(String::as_str) {
            Some("crate") => parts.split_off(1),
            Some("self") => [own.clone(), parts.split_off(1)].concat(),
            Some("super") => {
                let up = parts.iter().take_while(|part| *part == "super").count();
                [own[..own.len() - up].to_vec(), parts.split_off(up)].concat()
            }
            // A child module, or another crate.
            _ => [own.clone(), parts].concat(),
        }
    });
    absolute.collect()
}

/// For each module, the modules whose files it imports from. Re-exports of a folder count as the file that they come
/// from.
fn imports(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<&[String]> = sources
        .iter()
        .map(|source| source.module.as_slice())
        .collect();
    let mut re_exports: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| source.path.ends_with("mod.rs"))
    {
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
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    for source in sources() {
        let Some(folder) = source.module.first() else {
            continue;
        };
        let Some(own) = place(folder) else {
            assert_eq!(folder, "main", "{} has no place in the order", source.path);
            continue;
        };
        for path in named_paths(&source) {
            let Some(other) = path.first().and_then(|first| place(first)) else {
                continue;
            };
            assert!(
                other <= own,
                "{} imports crate::{}, which comes after it",
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
fn a_cycle_is_found_also_through_a_folder() {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        module: path
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .split('/')
            .map(str::to_owned)
            .collect(),
        text: text.to_owned(),
        code: code_of(text),
    };
    let below = source("a/mod.rs", "mod b;\npub use b::{B, C as D};\n");
    let b = source("a/b.rs", "use crate::e::{self, f::G};\n");
    let f = source(
        "e/f.rs",
        "// crate::a::B\nfn f() { crate::a::B::new(\"crate::x\") }\n",
    );
    let sources = [below, b, f, source("e/mod.rs", "pub mod f;\n")];
    let imports = imports(&sources);
    assert_eq!(imports["e::f"], BTreeSet::from(["a::b".to_owned()]));
    let cycle = cycle(&imports).unwrap();
    assert_eq!(cycle, ["a::b", "e::f", "a::b"]);
}

#[test]
fn libraries_are_named_in_few_files() {
    for (library, allowed) in LIBRARIES {
        for source in sources() {
            let is_allowed = allowed
                .iter()
                .any(|allowed| source.path.starts_with(allowed));
            let names = named_paths(&source).into_iter().any(|path| {
                path.get(source.module.len())
                    .is_some_and(|first| first == library)
                    && path.starts_with(&source.module)
            });
            let inline = source
                .code
                .split(library)
                .skip(1)
                .zip(source.code.split(library));
            let inline = inline.into_iter().any(|(after, before)| {
                after.starts_with("::")
                    && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            let is_own_module = source.module.starts_with(&["encode".to_owned()]);
            assert!(
                is_allowed || is_own_module || !(names || inline),
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

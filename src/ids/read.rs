//! Reads lists of IDs, each in its format.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::ids::error::IdsError;
use crate::ids::format::ListFormat;
use crate::ids::list::{ListReader, SkippedCells};
use crate::ids::shown::shown_path;
use crate::ids::source::IdSource;
use crate::ids::task_ids::{DEFAULT_COLUMN, TaskIds};
use crate::ids::{json_list, parquet_list, separated, text};

/// IDs, and the cells that were skipped.
#[derive(Debug, Default)]
pub struct ReadIds {
    /// The IDs.
    pub ids: TaskIds,
    /// The lists that have cells without an ID.
    pub skipped: Vec<SkippedCells>,
}

/// Reads all files, then single IDs. `column` is the name of the column in files that have columns; an empty name means
/// [`DEFAULT_COLUMN`].
pub fn read_ids(files: &[PathBuf], single: &[String], column: &str) -> Result<ReadIds, IdsError> {
    let column = if column.trim().is_empty() {
        DEFAULT_COLUMN
    } else {
        column.trim()
    };
    let mut read = ReadIds::default();
    for file in files {
        let mut list = ListReader {
            name: shown_path(file),
            column,
            ids: &mut read.ids,
            skipped: 0,
        };
        read_source(&mut list, ListFormat::of(file), IdSource::open(file)?)?;
        if list.skipped > 0 {
            read.skipped.push(SkippedCells {
                file: list.name,
                cells: list.skipped,
            });
        }
    }
    for id in single {
        let inserted = read.ids.insert(id.trim());
        inserted.map_err(|cause| IdsError::Id { cause })?;
    }
    if read.ids.is_empty() {
        let names = files.iter().map(|file| format!("`{}`", shown_path(file)));
        let names: Vec<String> = names.collect();
        let sources = names.join(", ");
        let skipped = read.skipped.iter().map(|list| list.cells).sum();
        return Err(IdsError::Empty { sources, skipped });
    }
    // The list lives as long as the run.
    read.ids.shrink();
    Ok(read)
}

/// Reads a list as an export publishes it ([`TaskIds::lines`]).
pub fn read_published(path: &Path) -> Result<TaskIds, IdsError> {
    let source = IdSource::open(path)?;
    read_alone(shown_path(path), ListFormat::Published, source)
}

/// Reads a list in memory. It may have no IDs.
pub fn read_bytes(format: ListFormat, content: Bytes) -> Result<TaskIds, IdsError> {
    read_alone("memory".to_owned(), format, IdSource::Bytes(content))
}

fn read_alone(name: String, format: ListFormat, source: IdSource) -> Result<TaskIds, IdsError> {
    let mut ids = TaskIds::default();
    let mut list = ListReader {
        name,
        column: DEFAULT_COLUMN,
        ids: &mut ids,
        skipped: 0,
    };
    read_source(&mut list, format, source)?;
    ids.shrink();
    Ok(ids)
}

fn read_source(
    list: &mut ListReader<'_>,
    format: ListFormat,
    source: IdSource,
) -> Result<(), IdsError> {
    let name = list.name.clone();
    match format {
        // Raw: a published list is never compressed, and its first ID may look like a signature.
        ListFormat::Published => text::read_published_text(list, &mut source.raw(name)),
        ListFormat::Parquet => parquet_list::read_parquet(list, source.parquet(name)?),
        ListFormat::Text => text::read_text(list, &mut source.text(name)?),
        ListFormat::Csv => {
            separated::read_separated(list, &mut source.text(name)?, separated::CSV_SEPARATORS)
        }
        ListFormat::Tsv => {
            separated::read_separated(list, &mut source.text(name)?, separated::TSV_SEPARATORS)
        }
        ListFormat::JsonLines => json_list::read_json_lines(list, &mut source.text(name)?),
        ListFormat::Json => json_list::read_json(list, &mut source.text(name)?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Explain as _;
    use crate::ids::mistake::MistakeKind;
    use crate::ids::task_ids::validate;

    fn read(name: &str, content: &[u8]) -> Result<ReadIds, IdsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_ids(&[path], &[], DEFAULT_COLUMN)
    }

    fn ids(name: &str, content: &[u8]) -> Vec<String> {
        let read = read(name, content).unwrap();
        read.ids.iter().map(str::to_owned).collect()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::encode_all(content, 1).unwrap()
    }

    #[test]
    fn text_is_read_with_comments_blank_lines_and_any_line_end() {
        let list = read(
            "ids.txt",
            b"\xef\xbb\xbf# header\r\n  a \r\n\r\n\tb/c\n#x\na\n\xc3\xa9",
        )
        .unwrap();
        let (list, skipped) = (list.ids, list.skipped);
        assert_eq!(list.iter().collect::<Vec<_>>(), ["a", "b/c", "é"]);
        assert_eq!((list.len(), list.duplicates()), (3, 1));
        assert_eq!(list.position("b/c"), Some(1));
        assert_eq!(skipped, []);
    }

    #[test]
    fn tables_are_read_from_their_column() {
        assert_eq!(
            ids("a.csv", b"\xef\xbb\xbfx,task_id\n1,\"a\"\n2,\n3,b\n4\n"),
            ["a", "b"]
        );
        assert_eq!(ids("a.tsv", b"x\ttask_id\n1,2\ta\n3\tb"), ["a", "b"]);
        assert_eq!(
        ids(
            "a.jsonl",
            b"\xef\xbb\xbf{\"task_id\":\"\\u0061\"}\n\n{\"task_id\":null}\n{\"x\":1,\"task_id\":\"b\"}"
        ),
        ["a", "b"]
    );
        assert_eq!(ids("a.json", b"\xef\xbb\xbf[\"a\", \"b\"]"), ["a", "b"]);
    }

    #[test]
    fn cells_without_an_id_are_counted_for_each_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a.csv"), "task_id,x\n,1\na,2\n\" \",3\n").unwrap();
        std::fs::write(path("b.json"), "[null, \"b\"]").unwrap();
        std::fs::write(path("c.txt"), "\n\nc\n").unwrap();
        let read = read_ids(&["a.csv", "b.json", "c.txt"].map(path), &[], "").unwrap();
        assert_eq!(read.ids.len(), 3);
        let skipped: Vec<u64> = read.skipped.iter().map(|list| list.cells).collect();
        assert_eq!(skipped, [2, 1]);
        let none = self::tests::read("a.csv", b"task_id,x\n,1\n").unwrap_err();
        assert!(none.hint().unwrap().contains("only null or empty cells"));
        let text = read.skipped[1].to_string();
        assert!(
            text.starts_with("skipped 1 null or empty cell in `"),
            "{text}"
        );
    }

    #[test]
    fn compression_is_that_of_the_content() {
        for name in ["ids.txt.gz", "ids.zst", "ids", "ids.txt"] {
            for content in [gzip(b"a\nb\n"), zstd(b"a\nb\n"), b"a\nb\n".to_vec()] {
                assert_eq!(ids(name, &content), ["a", "b"], "{name}");
            }
        }
        let members = [gzip(b"\xef\xbb\xbfa\n"), gzip(b""), gzip(b"b\n")].concat();
        assert_eq!(ids("ids.gz", &members), ["a", "b"]);
        let frames = [zstd(b"task_id\na\n"), zstd(b"b\n")].concat();
        assert_eq!(ids("ids.csv.zst", &frames), ["a", "b"]);
        let cut = gzip(&b"a\nb\n".repeat(100));
        let cut = read("ids.gz", &cut[..cut.len() - 9]).unwrap_err();
        assert!(matches!(cut, IdsError::Decompress { .. }), "{cut}");
        let twice = read("ids.gz.gz", &gzip(&gzip(b"a\n"))).unwrap_err();
        assert!(
            twice.to_string().contains("compressed with gzip"),
            "{twice}"
        );
    }

    #[test]
    fn lines_that_cannot_be_ids_are_refused_by_number() {
        let xs = b"x".repeat(100_000);
        let commas = b"task_1,".repeat(100_000);
        for (name, content, expected) in [
            (
                "a.txt",
                &b"a\nb c\n"[..],
                "line 2: `b c` contains white space",
            ),
            (
                "a.txt",
                b"a\n\nb\0c\n",
                "line 3: it contains a control character",
            ),
            ("a.txt", b"\xff\n", "line 1: it is not UTF-8"),
            ("a.txt", &[b'x'; 1025], "line 1: it is over 1024 bytes long"),
            ("a.txt", &xs, "line 1: it is over 1024 bytes long"),
            ("a.txt", &commas, "… ` contains a comma"),
            ("a.txt", b"\xff\xfea\0", "it is UTF-16"),
            ("a.csv", b"\xff\xfea\0", "it is UTF-16"),
            ("a.txt", b"PK\x03\x04", "Excel workbook or another ZIP"),
            ("a.txt", b"PAR1", "its content is Parquet"),
            ("a.txt.xz", b"\xfd7zXZ\0", "compressed with xz"),
            (
                "a.csv",
                b"id,name\n1,2\n",
                "no column `task_id`, only `id`, `name`",
            ),
            (
                "a.csv",
                b"task_id\na\n\"b c\"\n",
                "line 3: it contains white space",
            ),
            (
                "a.jsonl",
                b"{\"task_id\":1.5}\n",
                "line 1: the ID is a number with",
            ),
            (
                "a.jsonl",
                b"{}\n",
                "it has no column `task_id`, only nothing",
            ),
            ("a.parquet", b"PAR1", "could not read IDs"),
            ("a.txt", b"# nothing\n\n", "could not find any task ID"),
        ] {
            let error = read(name, content).unwrap_err().to_string();
            let expected = expected.replace("… ", "…");
            assert!(error.contains(&expected), "{error}");
        }
        assert!(read_ids(&[], &["a b".into()], "").is_err());
        let directory = read_ids(&["/".into()], &[], "").unwrap_err();
        assert!(directory.to_string().contains("directory"), "{directory}");
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_a_fix() {
        let error = read("a.txt", b"# list\n\ntask_1\n\"task_2\"\n").unwrap_err();
        assert_eq!(error.mistake(), Some(MistakeKind::Quote));
        let error = (error.to_string(), error.hint().unwrap());
        assert!(
            error
                .0
                .ends_with("a.txt`, line 4: `\"task_2\"` has quotation marks"),
            "{error:?}"
        );
        assert!(
            error.1.starts_with("remove the quotation marks; "),
            "{error:?}"
        );
    }

    #[test]
    fn a_published_list_is_the_same_list() {
        let list = read(
            "a.csv",
            "task_id\n\u{feff}#not_a_comment\n\"a\"\n#b\n".as_bytes(),
        )
        .unwrap()
        .ids;
        let lines: String = list.lines().collect();
        assert_eq!(lines, "\u{feff}#not_a_comment\na\n#b\n");
        let again = read_bytes(ListFormat::Published, lines.into()).unwrap();
        assert!(list.iter().eq(again.iter()));
    }

    #[test]
    fn the_number_of_lines_is_estimated_before_a_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        let text: String = (100_000..200_000)
            .map(|id| format!("task_{id}\n"))
            .collect();
        std::fs::write(&path, &text).unwrap();
        let expected = |source: IdSource| source.text(String::new()).unwrap().expected_lines();
        let found = expected(IdSource::open(&path).unwrap()).unwrap();
        assert_eq!(found, (100_000, text.len()));
        // Neither the size nor the length of a compressed line is known.
        let compressed = IdSource::Bytes(gzip(text.as_bytes()).into());
        assert_eq!(expected(compressed).unwrap().1, 0);
        assert_eq!(expected(IdSource::Bytes(Bytes::new())).unwrap(), (0, 0));
    }

    #[test]
    fn names_are_escaped_for_the_terminal() {
        let error = read_ids(&["/nonexistent/\u{1b}[31m\u{202e}.csv".into()], &[], "").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("\\u{1b}[31m\\u{202e}.csv"), "{error}");
        let error = read("a.csv", "\u{1b}[31m,\u{202e}\n".as_bytes()).unwrap_err();
        assert!(
            !error.to_string().contains(['\u{1b}', '\u{202e}']),
            "{error}"
        );
    }

    /// IDs that a plain-text list accepts.
    fn plain_ids() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("task_[0-9a-zA-Z:./+=@~#_-]{0,20}[0-9]|[0-9a-f]{24}", 1..20)
            .prop_filter("URLs", |ids| !ids.iter().any(|id| id.contains("://")))
    }

    /// Any valid IDs.
    fn any_ids() -> impl Strategy<Value = Vec<String>> {
        let id = any::<String>().prop_filter("IDs", |id| validate(id).is_ok());
        prop::collection::vec(id, 1..20)
    }

    fn quoted(ids: &[String], separator: char) -> String {
        let cells = ids
            .iter()
            .map(|id| format!("\"{}\"", id.replace('"', "\"\"")));
        let rows = cells.map(|cell| format!("1{separator}{cell}\n"));
        format!("x{separator}task_id\n{}", rows.collect::<String>())
    }

    fn distinct(ids: &[String]) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let first = ids.iter().filter(|id| seen.insert((*id).clone()));
        first.cloned().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn plain_text_returns_ordinary_ids(list in plain_ids()) {
            let text = format!("# comment\r\n{}", list.join("\r\n"));
            prop_assert_eq!(ids("a.txt", text.as_bytes()), distinct(&list));
            prop_assert_eq!(ids("a.gz", &gzip(text.as_bytes())), distinct(&list));
        }

        #[test]
        fn tables_return_any_ids(list in any_ids()) {
            let json = serde_json::to_string_pretty(&list).unwrap();
            let lines = list.iter().map(|id| format!("{}\n", serde_json::json!({"task_id": id})));
            let lines: String = lines.collect();
            let expected = distinct(&list);
            for (name, text) in [
                ("a.csv", quoted(&list, ',')),
                ("a.csv", quoted(&list, ';')),
                ("a.tsv", quoted(&list, '\t')),
                ("a.json", json),
                ("a.jsonl", lines),
            ] {
                prop_assert_eq!(&ids(name, text.as_bytes()), &expected, "{}", name);
                let compressed = zstd(text.as_bytes());
                prop_assert_eq!(&ids(&format!("{name}.zst"), &compressed), &expected, "{}", name);
            }
            let published: String = list.iter().map(|id| format!("{id}\n")).collect();
            let published = read_bytes(ListFormat::Published, published.into()).unwrap();
            prop_assert!(published.iter().eq(expected.iter().map(String::as_str)));
        }

        #[test]
        fn any_bytes_are_taken(content: Vec<u8>, name in "a\\.(txt|csv|tsv|json|jsonl|parquet)(\\.gz|\\.zst|)") {
            let _ = read(&name, &content);
            let _ = read(&name, &gzip(&content));
        }
    }
}

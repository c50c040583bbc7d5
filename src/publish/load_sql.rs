//! `load.sql`: DuckDB views over the tables, with comments and example queries.

use std::fmt::Write as _;

use crate::encode::format::Format;
use crate::publish::queries::{ANNOTATED_MESSAGES, JOINS, has_all};
use crate::tables::column::ColumnType;
use crate::tables::sql::script::{push_comments, sql_string, sql_type};
use crate::tables::table::TableInfo;

/// The line that identifies the file as one that scale-export wrote.
pub(crate) const MARK: &str = "-- DuckDB views over this export, one for each table.";

/// Paths are relative, so that the bytes of the file do not depend on the directory of the export.
const HEADER: &str = "\
-- DuckDB views over this export, one for each table. Start DuckDB in this directory:
--     duckdb -init load.sql
-- Or set the directory first, in any other directory:
--     SET file_search_path = '/path/to/export';
--     .read /path/to/export/load.sql
-- To get views with absolute paths, for a database file in another directory:
--     scale-export schema --format sql --dialect duckdb --dir /path/to/export
--
-- JSON columns are text. To read a key:
--     SELECT TRY_CAST(metadata AS JSON) ->> 'key' FROM tasks;
-- Without TRY_CAST, a single value that DuckDB's JSON rejects (half a surrogate pair) fails the whole query.
--
-- Times are in UTC. DuckDB shows them in the session's time zone, so set it:
SET TimeZone = 'UTC';
";

/// The most common join: an annotation beside the message that it is about.
const ANNOTATED_MESSAGES_VIEW: &str = r#"
CREATE OR REPLACE VIEW "annotated_messages" AS SELECT
    a.task_id,
    m.model,
    m.role,
    m.text,
    a.level,
    a.key,
    a.type,
    coalesce(
        a.value_text,
        CAST(a.value_bool AS VARCHAR),
        CAST(a.value_int AS VARCHAR),
        a.value_json,
        CAST(a.value_number AS VARCHAR),
        CAST(to_json(a.value_list) AS VARCHAR)
    ) AS "value",
    a.value_label,
    a.message_id,
    a.path
FROM annotations a LEFT JOIN messages m ON m.task_id = a.task_id AND m.message_id = a.message_id
WHERE a.message_id IS NOT NULL;
COMMENT ON VIEW "annotated_messages" IS 'One row for each annotation with a message_id: on a message, its chunks, or its evaluations';
COMMENT ON COLUMN "annotated_messages"."value" IS 'The value of the annotation as text, for every type; lists and objects are JSON text';
"#;

/// The views of an export.
#[derive(Debug)]
pub struct Views<'v> {
    format: Format,
    tables: Vec<(&'v TableInfo, usize)>,
    directory: String,
}

impl<'v> Views<'v> {
    /// Views over tables by relative paths. Each table has the bytes of its longest CSV record, since DuckDB needs a
    /// limit beforehand.
    pub fn new(format: Format, tables: impl Iterator<Item = (&'v TableInfo, usize)>) -> Self {
        Self {
            format,
            tables: tables.collect(),
            directory: String::new(),
        }
    }

    /// The views with paths inside this directory.
    #[must_use]
    pub fn inside(self, directory: &str) -> Self {
        Self {
            directory: format!("{}/", directory.trim_end_matches('/')),
            ..self
        }
    }

    /// The path of a table's file, as an SQL string.
    fn path(&self, table: &TableInfo) -> String {
        sql_string(&(self.directory.clone() + &self.format.file_name(table.name)))
    }
}

/// The text of the file.
pub fn load_sql(views: &Views<'_>) -> String {
    let mut out = HEADER.to_owned();
    // Writing to a `String` cannot fail.
    for (table, longest_record) in &views.tables {
        let path = views.path(table);
        let source = match views.format {
            Format::Parquet => format!("SELECT * FROM read_parquet({path})"),
            Format::Csv => csv_source(table, &path, *longest_record),
        };
        let name = table.name;
        let _ = write!(out, "\nCREATE OR REPLACE VIEW \"{name}\" AS {source};\n");
        push_comments(&mut out, "VIEW", table);
    }
    let tables = views.tables.iter().map(|(info, _)| info.table).collect();
    if has_all(tables, ANNOTATED_MESSAGES) {
        out.push_str(ANNOTATED_MESSAGES_VIEW);
    }
    for query in JOINS.iter().filter(|query| query.has_tables(tables)) {
        let sql = query.sql.replace('\n', "\n--     ");
        let _ = write!(out, "\n-- {}:\n--     {sql}\n", query.title);
    }
    out
}

/// The lowest value of DuckDB's `max_line_size`, its default. DuckDB allocates 16 times the value for each file that it
/// reads, so the views state what the longest record needs and no more.
const LEAST_LINE_BYTES: usize = 2 << 20;

/// Larger values are multiples of this, so that one more byte does not change `load.sql`.
const LINE_STEP_BYTES: usize = 1 << 20;

/// Reads every column as text first: only then does null differ from the empty string, and DuckDB guesses no types.
fn csv_source(table: &TableInfo, path: &str, longest_record: usize) -> String {
    let types: Vec<String> = table
        .columns()
        .map(|column| format!("'{}': 'VARCHAR'", column.name))
        .collect();
    let columns: Vec<String> = table
        .columns()
        .map(|column| {
            let name = format!("\"{}\"", column.name);
            match column.column_type {
                ColumnType::Str
                | ColumnType::UniqueStr
                | ColumnType::RepeatedStr
                | ColumnType::Path
                | ColumnType::Json => name,
                ColumnType::Bytes => format!("from_base64({name}) AS {name}"),
                ColumnType::StrList => format!("from_json({name}, '[\"VARCHAR\"]') AS {name}"),
                other => format!("CAST({name} AS {}) AS {name}", sql_type(other)),
            }
        })
        .collect();
    // The line end counts as well.
    let line_bytes = (longest_record + 1).next_multiple_of(LINE_STEP_BYTES);
    let line_bytes = line_bytes.max(LEAST_LINE_BYTES);
    format!(
        "SELECT\n    {}\nFROM read_csv({path}, header = true, auto_detect = false, delim = ',', quote = '\"', \
         escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, \
         max_line_size = {line_bytes}, columns = {{{}}})",
        columns.join(",\n    "),
        types.join(", "),
    )
}

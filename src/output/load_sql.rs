//! `load.sql`: the tables as DuckDB views, with comments, and queries to start from.
//! Depends on `tables::schema`.

use std::fmt::Write as _;

use super::writer::Format;
use crate::tables::schema::{push_comments, sql_type};
use crate::tables::{ColumnType, TableInfo};

/// Its name in the output directory.
pub(super) const FILE_NAME: &str = "load.sql";

const HEADER: &str = "\
-- Views over this export for DuckDB. Run from inside the directory:
--     duckdb -init load.sql
-- Times are in UTC; DuckDB shows them in the session's time zone unless told otherwise:
SET TimeZone = 'UTC';
";

/// Joins that people ask for first. They are comments: a view must not cost anything to load.
const QUERIES: &str = "
-- A message with the annotations on it:
--     SELECT m.role, m.text, a.key, a.value_label, a.justification
--     FROM messages m JOIN annotations a USING (task_id, message_id)
--     WHERE a.level = 'message';
-- A conversation as one text:
--     SELECT task_id, thread_index, string_agg(role || ': ' || text, chr(10) ORDER BY turn_index, message_index)
--     FROM messages GROUP BY ALL;
-- Scores by model, criterion by criterion:
--     SELECT m.model, c.criterion, avg(e.score)
--     FROM criterion_evaluations e
--     JOIN messages m USING (task_id, message_id)
--     JOIN rubric_criteria c ON c.criterion_id = e.criterion_definition_id
--         AND (c.task_id, c.thread_index, c.turn_index) = (e.task_id, e.thread_index, e.turn_index)
--     GROUP BY ALL;
-- Tasks that are not done, by project:
--     SELECT project_id, task_id, status, created_at FROM tasks
--     WHERE status IS DISTINCT FROM 'completed' ORDER BY project_id, created_at;
";

/// The whole file, for the tables that were written.
pub fn load_sql<'t>(tables: impl Iterator<Item = &'t TableInfo>, format: Format) -> String {
    let mut out = HEADER.to_owned();
    for table in tables {
        let source = match format {
            Format::Parquet => format!("SELECT * FROM read_parquet('{}.parquet')", table.name),
            Format::Csv => csv_source(table),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\nCREATE OR REPLACE VIEW \"{}\" AS {source};\n",
            table.name
        );
        push_comments(&mut out, "VIEW", table);
    }
    out + QUERIES
}

/// Bytes of a line that DuckDB accepts: the largest body that this tool reads, twice over for quotes.
const MAX_LINE_BYTES: u64 = 2 << 30;

/// Everything is read as text first: that is the only way in which null stays apart from the empty
/// string and nothing is guessed.
fn csv_source(table: &TableInfo) -> String {
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
                | ColumnType::Path => name,
                ColumnType::Bytes => format!("from_base64({name}) AS {name}"),
                ColumnType::StrList => format!("from_json({name}, '[\"VARCHAR\"]') AS {name}"),
                other => format!("CAST({name} AS {}) AS {name}", sql_type(other)),
            }
        })
        .collect();
    format!(
        "SELECT\n    {}\nFROM read_csv('{}.csv', header = true, auto_detect = false, delim = ',', quote = '\"', \
         escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, \
         max_line_size = {MAX_LINE_BYTES}, columns = {{{}}})",
        columns.join(",\n    "),
        table.name,
        types.join(", "),
    )
}

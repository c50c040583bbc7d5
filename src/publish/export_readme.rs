//! `README.md` of an export: what it contains and how to load it, for people who received only the directory. It
//! depends on the tables alone, so that the same export has the same bytes.

use std::fmt::Write as _;

use crate::encode::format::Format;
use crate::publish::file_names::LOAD_SQL;
use crate::publish::queries::{ANNOTATED_MESSAGES, FIRST, has_all};
use crate::tables::selection::TableSelection;
use crate::tables::table::{Table, TableInfo};

/// The sentence that identifies the file as one that scale-export wrote.
pub(crate) const MARK: &str =
    "An export of annotation tasks from the Scale API, made by scale-export.";

const INTRODUCTION: &str = "\
# Annotation tasks as tables

An export of annotation tasks from the Scale API, made by scale-export. Each type of object in a task has a table, and
each object is a row. No data is left out: members without a column are in the column `extra`.
";

/// Sentences about keys. Each is printed if the export has one of its tables, or if it names no table.
const KEYS: [(&[Table], &str); 5] = [
    (
        &[],
        "`task_id` joins all tables except `projects` and `batches`, whose IDs are in `tasks`. In tables with a `path`,\n  \
         `(task_id, path)` identifies a row; `path` is the JSON Pointer of the row's object in its task.",
    ),
    (
        &[Table::Messages],
        "`(task_id, message_id)` joins a message with its annotations, attachments, chunks and evaluations.",
    ),
    (
        &[Table::Threads, Table::Turns],
        "`(task_id, thread_index)` and `(task_id, thread_index, turn_index)` do the same for threads and turns.",
    ),
    (
        &[],
        "Rows have the order of the requested IDs and, within a task, of the conversation.",
    ),
    (
        &[],
        "JSON columns (`metadata`, `extra`, `value_json` and others) are text. In DuckDB, read a key of one with\n  \
         `TRY_CAST(extra AS JSON) ->> 'key'`.",
    ),
];

const OTHER_FILES: &str = "
`load.sql` documents every column. `failures.jsonl` lists the IDs that could not be exported, and `manifest.json` the
row count and checksum of every file.
";

/// The table in the examples is the first of these that the export has.
const SHOWN: [Table; 3] = [Table::Messages, Table::Tasks, Table::Annotations];

/// The text of the file, for tables with their numbers of rows.
pub fn export_readme<'t>(
    format: Format,
    tables: impl Iterator<Item = (&'t TableInfo, u64)>,
) -> String {
    let tables: Vec<_> = tables.collect();
    let mut out = String::new();
    // `load_dataset` splits CSV into chunks and guesses the types of each; only Parquet has types.
    if format == Format::Parquet {
        push_configurations(&mut out, &tables);
    }
    out.push_str(INTRODUCTION);
    out.push_str("\n## Tables\n\n| table | rows | one row for |\n| --- | ---: | --- |\n");
    for (table, rows) in &tables {
        let doc = table.doc.strip_prefix("One row for ").unwrap_or(table.doc);
        let _ = writeln!(out, "| `{}` | {rows} | {doc} |", table.name);
    }
    let tables = tables.iter().map(|(info, _)| info.table).collect();
    push_keys(&mut out, tables);
    push_queries(&mut out, tables);
    push_loading(&mut out, format, tables);
    out
}

/// The header from which Hugging Face's `load_dataset` takes the names of tables.
fn push_configurations(out: &mut String, tables: &[(&TableInfo, u64)]) {
    out.push_str("---\nconfigs:\n");
    for (table, _) in tables {
        let (name, file) = (table.name, Format::Parquet.file_name(table.name));
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "- config_name: {name}\n  data_files: {file}");
    }
    out.push_str("---\n\n");
}

fn push_keys(out: &mut String, tables: TableSelection) {
    out.push_str("\n## Keys and joins\n\n");
    for (needed, text) in KEYS {
        if needed.is_empty() || needed.iter().any(|table| tables.contains(*table)) {
            let _ = writeln!(out, "- {text}");
        }
    }
    out.push_str(OTHER_FILES);
}

fn push_queries(out: &mut String, tables: TableSelection) {
    let queries = FIRST.iter().filter(|query| query.has_tables(tables));
    let mut queries = queries.peekable();
    if queries.peek().is_none() {
        return;
    }
    out.push_str(
        "\n## First queries\n\nIn this directory, `duckdb -init load.sql` opens DuckDB with a view for each table.\n",
    );
    if has_all(tables, ANNOTATED_MESSAGES) {
        out.push_str(
            "The view `annotated_messages` shows each annotation together with its message.\n",
        );
    }
    for query in queries {
        let _ = write!(out, "\n{}:\n\n```sql\n{}\n```\n", query.title, query.sql);
    }
}

/// How a reader loads a file. `{file}` and `{table}` stand for those of the table in the examples.
struct LoadingExample {
    reader: &'static str,
    language: &'static str,
    parquet: &'static str,
    csv: &'static str,
}

const LOADING_EXAMPLES: [LoadingExample; 4] = [
    LoadingExample {
        reader: "DuckDB",
        language: "sql",
        parquet: "SELECT * FROM '{file}';",
        csv: ".read load.sql\nSELECT * FROM {table};",
    },
    LoadingExample {
        reader: "pandas",
        language: "python",
        parquet: "import pandas as pd\n\n{table} = pd.read_parquet(\"{file}\", dtype_backend=\"pyarrow\")",
        csv: "import pandas as pd\n\n{table} = pd.read_csv(\"{file}\", dtype=str, keep_default_na=False)",
    },
    LoadingExample {
        reader: "polars",
        language: "python",
        parquet: "import polars as pl\n\n{table} = pl.read_parquet(\"{file}\")",
        csv: "import polars as pl\n\n{table} = pl.read_csv(\"{file}\", infer_schema_length=0)",
    },
    LoadingExample {
        reader: "Spark",
        language: "python",
        parquet: "{table} = spark.read.option(\"datetimeRebaseMode\", \"CORRECTED\").parquet(\"{file}\")",
        csv: "{table} = spark.read.csv(\"{file}\", header=True, multiLine=True, escape='\"', nullValue=\"\\0\")",
    },
];

fn push_loading(out: &mut String, format: Format, tables: TableSelection) {
    let usual = SHOWN.iter().find(|table| tables.contains(**table));
    let first = || tables.tables().next().map(|info| info.name);
    let Some(shown) = usual.map(|table| table.name()).or_else(first) else {
        return;
    };
    out.push_str("\n## Loading a table\n");
    if format == Format::Csv {
        let _ = write!(
            out,
            "\nAn empty field is null, and `\"\"` is an empty string. The views of `{LOAD_SQL}` distinguish them and give every \
             column its type.\n"
        );
    }
    for loading in &LOADING_EXAMPLES {
        let code = match format {
            Format::Parquet => loading.parquet,
            Format::Csv => loading.csv,
        };
        let code = code.replace("{table}", shown);
        let code = code.replace("{file}", &format.file_name(shown));
        let LoadingExample {
            reader, language, ..
        } = loading;
        let _ = write!(out, "\n{reader}:\n\n```{language}\n{code}\n```\n");
    }
    if format == Format::Parquet {
        let _ = write!(
            out,
            "\nHugging Face datasets, with the path of this directory:\n\n```python\nfrom datasets import load_dataset\n\n\
             {shown} = load_dataset(\"path/to/export\", \"{shown}\")\n```\n"
        );
    }
}

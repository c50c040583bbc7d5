//! The definition of a table as an Arrow schema, JSON and Markdown; `sql` has the SQL.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde_json::{Value, json};

use crate::tables::column::ColumnInfo;
use crate::tables::table::{SCHEMA_VERSION, TableInfo};

/// The Arrow schema of a table.
pub fn arrow_schema(table: &TableInfo) -> SchemaRef {
    Arc::new(Schema::new(
        table.columns().map(arrow_field).collect::<Vec<_>>(),
    ))
}

/// JSON columns are plain strings: readers disagree about the JSON extension type, and some cannot read a table that
/// has it.
fn arrow_field(column: &ColumnInfo) -> Field {
    Field::new(
        column.name,
        column.column_type.data_type(),
        !column.required,
    )
}

/// The key of this program's version in the metadata of a file.
pub const VERSION_KEY: &str = "scale_export.version";

/// The key-value metadata of every file of a table.
pub fn file_metadata(table: &TableInfo) -> HashMap<String, String> {
    let columns: serde_json::Map<String, Value> = table
        .columns()
        .map(|column| (column.name.to_owned(), column.documentation().into()))
        .collect();
    HashMap::from([
        (VERSION_KEY.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (
            "scale_export.schema_version".to_owned(),
            SCHEMA_VERSION.to_owned(),
        ),
        ("scale_export.table".to_owned(), table.name.to_owned()),
        ("scale_export.description".to_owned(), table.doc.to_owned()),
        (
            "scale_export.columns".to_owned(),
            Value::Object(columns).to_string(),
        ),
    ])
}

/// The table as JSON, as in `schemas/`.
pub fn to_json(table: &TableInfo) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "table": table.name,
        "description": table.doc,
        "primary_key": table.primary_key(),
        "columns": table.columns().map(|column| json!({
            "name": column.name,
            "type": column.column_type.name(),
            "nullable": !column.required,
            "description": column.documentation(),
        })).collect::<Vec<_>>(),
    })
}

/// The table as a section of Markdown.
pub fn to_markdown(table: &TableInfo) -> String {
    let mut out = format!("### {}\n\n{}.\n\n", table.name, table.doc);
    out.push_str("| column | type | |\n| --- | --- | --- |\n");
    for column in table.columns() {
        let star = if column.required { "\\*" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}`{star} | {} | {} |",
            column.name,
            column.column_type.name().replace('<', "&lt;"),
            column.documentation().replace('|', "\\|")
        );
    }
    out
}

//! SQL scripts for each dialect: `CREATE TABLE` with comments and keys, and the statements that load files.

use std::fmt::Write as _;

use crate::tables::column::{ColumnInfo, ColumnType};
use crate::tables::sql::dialect::{
    Comments, Dialect, DialectFacts, KeySupport, Nulls, StagingTable,
};
use crate::tables::table::TableInfo;

/// The suffix of the name of a staging table.
const STAGING_SUFFIX: &str = "_csv";

/// A script that creates these tables and loads their files.
pub fn script<'t>(dialect: Dialect, tables: impl IntoIterator<Item = &'t TableInfo>) -> String {
    let facts = dialect.facts();
    let mut out = String::new();
    // Writing to a String cannot fail.
    for line in facts.usage {
        let _ = writeln!(out, "-- {line}");
    }
    for table in tables {
        out.push('\n');
        push_table(&mut out, facts, table);
        if facts.comments == Comments::Statements {
            push_comment_statements(&mut out, facts, "TABLE", table);
        }
        push_load(&mut out, facts, table);
    }
    out
}

/// The `CREATE TABLE` statement, with those comments that belong into it.
fn push_table(out: &mut String, facts: &DialectFacts, table: &TableInfo) {
    let mut lines: Vec<String> = table
        .columns()
        .map(|column| column_line(facts, column))
        .collect();
    let key = table.primary_key();
    let key_columns = identifiers(facts, key.iter().copied());
    if let (KeySupport::Constraint(suffix), false) = (facts.key, key.is_empty()) {
        lines.push(format!("    PRIMARY KEY ({key_columns}){suffix}"));
    }
    let order = match facts.key {
        KeySupport::OrderBy if key.is_empty() => "\nORDER BY tuple()".to_owned(),
        KeySupport::OrderBy => format!("\nORDER BY ({key_columns})"),
        KeySupport::Constraint(_) | KeySupport::Comment => String::new(),
    };
    let doc = match facts.key {
        KeySupport::Comment if !key.is_empty() => {
            format!("{} (key: {})", table.doc, key.join(", "))
        }
        _ => table.doc.to_owned(),
    };
    let (before, behind) = match facts.comments {
        Comments::Statements => (String::new(), String::new()),
        Comments::InStatement => (format!("    -- {doc}\n"), String::new()),
        Comments::Inline(begin, end) => {
            let comment = format!("\n{}{}{end}", begin.trim_start(), facts.string(&doc));
            (String::new(), comment)
        }
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "CREATE TABLE {} (\n{before}{}\n){}{order}{behind};",
        facts.identifier(table.name),
        lines.join(",\n"),
        facts.table_options,
    );
}

fn column_line(facts: &DialectFacts, column: &ColumnInfo) -> String {
    let name = facts.identifier(column.name);
    let sql_type = facts.sql_type(column.column_type).name;
    let typed = match facts.nulls {
        Nulls::NotNull if column.required => format!("{sql_type} NOT NULL"),
        Nulls::NullableType if !column.required && column.column_type != ColumnType::StrList => {
            format!("Nullable({sql_type})")
        }
        Nulls::NotNull | Nulls::NullableType => sql_type.to_owned(),
    };
    let doc = documentation(facts, column);
    match facts.comments {
        Comments::Statements => format!("    {name} {typed}"),
        Comments::InStatement => format!("    -- {doc}\n    {name} {typed}"),
        Comments::Inline(begin, end) => {
            format!("    {name} {typed}{begin}{}{end}", facts.string(&doc))
        }
    }
}

/// The comment of a column: its description, and what its SQL type does not say.
fn documentation(facts: &DialectFacts, column: &ColumnInfo) -> String {
    let documentation = column.documentation();
    match facts.sql_type(column.column_type).note {
        "" => documentation,
        note => format!("{documentation} ({note})"),
    }
}

fn identifiers<'n>(facts: &DialectFacts, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| facts.identifier(name)).collect();
    names.join(", ")
}

/// The statement that loads the file of the table, through a staging table where a column needs it.
fn push_load(out: &mut String, facts: &DialectFacts, table: &TableInfo) {
    let load = |into: &str| {
        facts
            .load
            .statement
            .replace("{into}", into)
            .replace("{name}", table.name)
    };
    let into = facts.identifier(table.name);
    let staging = facts.load.staging.filter(|staging| {
        table
            .columns()
            .any(|column| from_text(facts, staging, column).is_some())
    });
    // Writing to a String cannot fail.
    let Some(staging) = staging else {
        let _ = writeln!(out, "{}", load(&into));
        return;
    };
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for column in table.columns() {
        let name = facts.identifier(column.name);
        let converted = from_text(facts, &staging, column);
        let staged_as = if converted.is_some() {
            ColumnType::Str
        } else {
            column.column_type
        };
        columns.push(format!("{name} {}", facts.sql_type(staged_as).name));
        values.push(converted.unwrap_or(name));
    }
    let staged = facts.identifier(&format!("{}{STAGING_SUFFIX}", table.name));
    let _ = writeln!(
        out,
        "{} {staged} ({});\n{}\nINSERT INTO {into} SELECT\n    {}\nFROM {staged};\nDROP TABLE {staged};",
        staging.create,
        columns.join(", "),
        load(&staged),
        values.join(",\n    "),
    );
}

/// The expression that makes a column from the text in a staging table; nothing where the database loads it as it is.
fn from_text(facts: &DialectFacts, staging: &StagingTable, column: &ColumnInfo) -> Option<String> {
    let name = facts.identifier(column.name);
    let null = (staging.null_is_empty && !column.required).then(|| format!("NULLIF({name}, '')"));
    let conversion = match column.column_type {
        ColumnType::Bool => staging.boolean,
        ColumnType::Bytes => staging.bytes,
        _ => None,
    };
    match conversion {
        Some(conversion) => Some(conversion.replace("{}", &null.unwrap_or(name))),
        None => null,
    }
}

fn push_comment_statements(
    out: &mut String,
    facts: &DialectFacts,
    object: &str,
    table: &TableInfo,
) {
    let name = facts.identifier(table.name);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "COMMENT ON {object} {name} IS {};",
        facts.string(table.doc)
    );
    for column in table.columns() {
        let (column_name, doc) = (facts.identifier(column.name), documentation(facts, column));
        let _ = writeln!(
            out,
            "COMMENT ON COLUMN {name}.{column_name} IS {};",
            facts.string(&doc)
        );
    }
}

/// The type of a column in DuckDB.
pub fn sql_type(column_type: ColumnType) -> &'static str {
    Dialect::DuckDb.facts().sql_type(column_type).name
}

/// A text as a string literal of DuckDB.
pub fn sql_string(text: &str) -> String {
    Dialect::DuckDb.facts().string(text)
}

/// The comments on a DuckDB table or view and on all of its columns.
pub fn push_comments(out: &mut String, object: &str, table: &TableInfo) {
    push_comment_statements(out, Dialect::DuckDb.facts(), object, table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::table::Table;

    #[test]
    fn strings_end_where_they_should() {
        for (dialect, literal) in [
            (Dialect::Postgres, r"'a''b\c'"),
            (Dialect::Sqlite, r"'a''b\c'"),
            (Dialect::Spark, r"'a\'b\\c'"),
            (Dialect::Snowflake, r"'a\'b\\c'"),
        ] {
            assert_eq!(dialect.facts().string(r"a'b\c"), literal, "{dialect:?}");
        }
    }

    #[test]
    fn names_lead_to_dialects() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::find(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::find("oracle"), None);
    }

    #[test]
    fn a_table_without_a_key_has_no_key() {
        let batches = Table::Batches.info();
        for dialect in Dialect::ALL {
            let script = script(dialect, [batches]);
            assert!(
                !script.contains("PRIMARY KEY") && !script.contains("(key:"),
                "{script}"
            );
        }
        assert!(script(Dialect::ClickHouse, [batches]).contains("ORDER BY tuple()"));
    }
}

//! `schema`: the columns of the tables, and SQL that creates and loads them.

use std::path::Path;

use crate::cli::args::{SchemaArgs, SchemaFormat};
use crate::cli::error::{CommandError, SchemaError, UsageError};
use crate::cli::messages::print;
use crate::encode::csv::longest_record::longest_record;
use crate::encode::format::Format;
use crate::error::Exit;
use crate::publish::load_sql::{Views, load_sql};
use crate::publish::published_export::readable_manifest;
use crate::tables::definition::TABLES;
use crate::tables::schema;
use crate::tables::sql::dialect::Dialect;
use crate::tables::sql::script;
use crate::tables::table::{Table, TableInfo};

/// Prints the columns of the tables, or SQL.
pub(crate) fn print_schema(args: &SchemaArgs) -> Result<Exit, CommandError> {
    let wanted: Vec<&TableInfo> = match &args.table {
        Some(name) => {
            // This table is part of a feed and not of an export, so it is printed by name only.
            let changes = (name == Table::Changes.name()).then_some(Table::Changes);
            let table = Table::find(name).or(changes);
            vec![table.map(Table::info).ok_or_else(|| {
                let name = name.clone();
                UsageError::Table { name, option: None }
            })?]
        }
        None => TABLES.iter().collect(),
    };
    let sql_option = if args.dialect.is_some() {
        Some("--dialect")
    } else {
        args.dir.as_ref().map(|_| "--dir")
    };
    let text = match (args.format, sql_option) {
        (Some(SchemaFormat::Md | SchemaFormat::Json), Some(option)) => {
            return Err(SchemaError::NotSql { option }.into());
        }
        (Some(SchemaFormat::Sql), _) | (None, Some(_)) => sql_text(args, &wanted)?,
        (Some(SchemaFormat::Md) | None, None) => wanted
            .iter()
            .map(|table| schema::to_markdown(table))
            .collect::<Vec<_>>()
            .join("\n"),
        (Some(SchemaFormat::Json), None) => {
            let mut all: Vec<_> = wanted.iter().map(|table| schema::to_json(table)).collect();
            let one = args.table.is_some().then(|| all.pop()).flatten();
            let value = one.unwrap_or_else(|| all.into());
            format!("{value:#}\n")
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn sql_text(args: &SchemaArgs, wanted: &[&TableInfo]) -> Result<String, CommandError> {
    let dialect = args.dialect.unwrap_or(Dialect::DuckDb);
    match &args.dir {
        None => Ok(script::script(dialect, wanted.iter().copied())),
        Some(_) if dialect != Dialect::DuckDb => Err(SchemaError::NotDuckDb {
            dialect: dialect.name(),
        }
        .into()),
        Some(directory) => views(directory, args.table.as_deref()),
    }
}

/// The start of a script of views outside of the export.
const VIEWS_HEADER: &str = "\
-- DuckDB views with absolute paths, for a database that is opened anywhere. Times are in UTC.
SET TimeZone = 'UTC';
";

/// DuckDB views with absolute paths over one table, or over all tables that the export has.
fn views(directory: &Path, table: Option<&str>) -> Result<String, CommandError> {
    let manifest = readable_manifest(directory).map_err(SchemaError::from)?;
    let exported = TABLES.iter().filter(|known| {
        manifest.tables.iter().any(|(name, _)| name == known.name)
            && table.is_none_or(|wanted| wanted == known.name)
    });
    let exported: Vec<&TableInfo> = exported.collect();
    if let (Some(table), true) = (table, exported.is_empty()) {
        return Err(SchemaError::NotExported {
            table: table.to_owned(),
            directory: directory.to_owned(),
        }
        .into());
    }
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let Some(absolute) = absolute.to_str() else {
        return Err(SchemaError::Path(absolute).into());
    };
    let format = manifest.options.format;
    let mut tables = Vec::new();
    for table in exported {
        let longest_record = match format {
            // Only readers of CSV have a limit for the length of a record.
            Format::Parquet => 0,
            Format::Csv => longest_record(&directory.join(format.file_name(table.name)))?,
        };
        tables.push((table, longest_record));
    }
    let mut text = load_sql(&Views::new(format, tables.into_iter()).inside(absolute));
    // The usual header says to run the script in the directory, which absolute paths do not need.
    let header = text.find("\nCREATE ").unwrap_or_default();
    text.replace_range(..header, VIEWS_HEADER);
    Ok(text)
}

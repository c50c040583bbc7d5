//! `schema`: what the tables look like, and the SQL that creates and loads them.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::args::{SchemaArgs, SchemaFormat};
use crate::cli::dispatch::{Failure, UsageError, print};
use crate::encode::csv::longest_record::longest_record;
use crate::encode::table_writers::Format;
use crate::error::{Exit, Explain};
use crate::publish::load_sql::{Views, load_sql};
use crate::publish::manifest::Manifest;
use crate::tables::definition::{self, TABLES};
use crate::tables::schema;
use crate::tables::sql::dialect::Dialect;
use crate::tables::sql::script;
use crate::tables::table::{SCHEMA_VERSION, TableInfo};

/// Why a schema could not be printed.
#[derive(Debug, Error)]
enum SchemaError {
    #[error("could not print the schema: {option} is for --format sql")]
    NotSql { option: &'static str },
    #[error("could not print views for {dialect}: --dir is for DuckDB")]
    NotDuckDb { dialect: &'static str },
    #[error("could not read the export in `{}`: {cause}", directory.display())]
    Export {
        directory: PathBuf,
        cause: String,
        hint: &'static str,
    },
    #[error("could not find table `{table}` in the export in `{}`", directory.display())]
    NotExported { table: String, directory: PathBuf },
    #[error("could not write `{}` into SQL: the path is not UTF-8", .0.display())]
    Path(PathBuf),
}

impl Explain for SchemaError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotSql { option } => format!("leave out --format, or {option}"),
            Self::NotDuckDb { .. } => {
                "leave out --dir, and run the script in the directory of the export".to_owned()
            }
            Self::Export { hint, .. } => (*hint).to_owned(),
            Self::NotExported { .. } => {
                "the tables of an export are chosen with --tables".to_owned()
            }
            Self::Path(_) => "rename the directory, or link to it".to_owned(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn fail<T>(error: SchemaError) -> Result<T, Failure> {
    Err(Box::new(error))
}

/// Prints the tables in the format that the options say.
pub(crate) fn print_schema(args: &SchemaArgs) -> Result<Exit, Failure> {
    let wanted: Vec<&TableInfo> = match &args.table {
        Some(name) => {
            vec![definition::find(name).ok_or_else(|| {
                let name = name.clone();
                Box::new(UsageError::Table { name, option: None }) as Failure
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
            return fail(SchemaError::NotSql { option });
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

fn sql_text(args: &SchemaArgs, wanted: &[&TableInfo]) -> Result<String, Failure> {
    let dialect = args.dialect.unwrap_or(Dialect::DuckDb);
    match &args.dir {
        None => Ok(script::script(dialect, wanted.iter().copied())),
        Some(_) if dialect != Dialect::DuckDb => fail(SchemaError::NotDuckDb {
            dialect: dialect.name(),
        }),
        Some(directory) => views(directory, args.table.as_deref()),
    }
}

/// What the views of an export begin with when they do not stand inside of it.
const VIEWS_HEADER: &str = "\
-- DuckDB views with absolute paths, for a database that is opened anywhere. Times are in UTC.
SET TimeZone = 'UTC';
";

/// The export's DuckDB views with absolute paths: of one table, or of all that the export has.
fn views(directory: &Path, table: Option<&str>) -> Result<String, Failure> {
    let manifest = read_manifest(directory)?;
    let exported = TABLES.iter().filter(|known| {
        manifest.tables.iter().any(|(name, _)| name == known.name)
            && table.is_none_or(|wanted| wanted == known.name)
    });
    let exported: Vec<&TableInfo> = exported.collect();
    if let (Some(table), true) = (table, exported.is_empty()) {
        return fail(SchemaError::NotExported {
            table: table.to_owned(),
            directory: directory.to_owned(),
        });
    }
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let Some(absolute) = absolute.to_str() else {
        return fail(SchemaError::Path(absolute));
    };
    let format = manifest.options.format;
    let mut tables = Vec::new();
    for table in exported {
        let longest_record = match format {
            Format::Parquet => 0,
            Format::Csv => longest_record(&directory.join(format.file_name(table.name)))
                .map_err(|error| Box::new(error) as Failure)?,
        };
        tables.push((table, longest_record));
    }
    let mut text = load_sql(&Views::new(format, tables.into_iter()).inside(absolute));
    let header = text.find("\nCREATE ").unwrap_or_default();
    text.replace_range(..header, VIEWS_HEADER);
    Ok(text)
}

/// The manifest of an export whose tables are those of this version.
fn read_manifest(directory: &Path) -> Result<Manifest, Failure> {
    let error = |cause: String, hint| {
        Box::new(SchemaError::Export {
            directory: directory.to_owned(),
            cause,
            hint,
        }) as Failure
    };
    let is_export = "name a directory that an export was written to";
    let manifest = Manifest::read(directory)
        .map_err(|cause| error(cause.to_string(), is_export))?
        .ok_or_else(|| error("it has no manifest.json".to_owned(), is_export))?
        .map_err(|cause| error(format!("manifest.json: {cause}"), is_export))?;
    if manifest.schema_version != SCHEMA_VERSION {
        let version = &manifest.schema_version;
        return Err(error(
            format!("its tables have schema version {version}, and not {SCHEMA_VERSION}"),
            "rebuild the tables: scale-export flatten DIR --out DIR",
        ));
    }
    Ok(manifest)
}

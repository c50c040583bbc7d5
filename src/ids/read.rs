//! Reads lists of IDs, each in its format.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::list::List;
use super::shown::shown_path;
use super::source::Source;
use super::{DEFAULT_COLUMN, IdList, IdsError, ListFormat, SkippedCells};
use super::{json_list, parquet_list, separated, text};

/// IDs, and what was skipped on the way.
#[derive(Debug, Default)]
pub struct ReadIds {
    /// The IDs.
    pub ids: IdList,
    /// The lists with cells that hold no ID.
    pub skipped: Vec<SkippedCells>,
}

/// Reads all files and single IDs, in this order. `column` is the name of the column in files that have columns;
/// an empty name stands for [`DEFAULT_COLUMN`].
pub fn read_ids(files: &[PathBuf], single: &[String], column: &str) -> Result<ReadIds, IdsError> {
    let column = if column.trim().is_empty() {
        DEFAULT_COLUMN
    } else {
        column.trim()
    };
    let mut read = ReadIds::default();
    for file in files {
        let mut list = List {
            name: shown_path(file),
            column,
            ids: &mut read.ids,
            skipped: 0,
        };
        read_source(&mut list, ListFormat::of(file), Source::open(file)?)?;
        if list.skipped > 0 {
            read.skipped.push(SkippedCells {
                file: list.name,
                cells: list.skipped,
            });
        }
    }
    for id in single {
        let added = read.ids.add(id.trim());
        added.map_err(|cause| IdsError::Id { cause })?;
    }
    if read.ids.is_empty() {
        let names = files.iter().map(|file| format!("`{}`", shown_path(file)));
        let names: Vec<String> = names.collect();
        let given = names.join(", ");
        return Err(IdsError::Empty { given });
    }
    read.ids.shrink();
    Ok(read)
}

/// Reads a list as this tool publishes it ([`IdList::lines`]).
pub fn read_published(path: &Path) -> Result<IdList, IdsError> {
    let source = Source::open(path)?;
    read_alone(shown_path(path), ListFormat::Published, source)
}

/// Reads a list that is in memory. It may have no IDs.
pub fn read_bytes(format: ListFormat, content: Bytes) -> Result<IdList, IdsError> {
    read_alone("memory".to_owned(), format, Source::Bytes(content))
}

fn read_alone(name: String, format: ListFormat, source: Source) -> Result<IdList, IdsError> {
    let mut ids = IdList::default();
    let mut list = List {
        name,
        column: DEFAULT_COLUMN,
        ids: &mut ids,
        skipped: 0,
    };
    read_source(&mut list, format, source)?;
    ids.shrink();
    Ok(ids)
}

fn read_source(list: &mut List<'_>, format: ListFormat, source: Source) -> Result<(), IdsError> {
    let name = list.name.clone();
    match format {
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

//! The errors of reading a list of IDs.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::encode::parquet::text_column::{ParquetDamage, UnusableType};
use crate::error::{Exit, Explain};
use crate::ids::format::{Compression, FileContent};
use crate::ids::mistake::{LineMistake, MistakeKind};
use crate::ids::position::ListPosition;
use crate::ids::shown::{shown, shown_columns};
use crate::ids::task_ids::InvalidId;
use crate::json::lexer::JsonError;
use crate::memory::{NO_MEMORY, NO_MEMORY_HINT};
use crate::plural::bytes_text;

/// Why IDs could not be read. They are read before the first request. File names are as given and printable; `-` is
/// standard input.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdsError {
    /// The file could not be opened or read.
    #[error("could not read IDs from `{file}`: {error}")]
    Read {
        /// The list.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The file could not be decompressed.
    #[error("could not decompress `{file}` ({compression}): {error}")]
    Decompress {
        /// The list.
        file: String,
        /// The compression of the list.
        compression: Compression,
        /// Why.
        error: io::Error,
    },
    /// A list that must be read out of order could not be copied into a temporary file.
    #[error("could not copy `{file}` into a temporary file: {error}")]
    Copy {
        /// The list.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A list that must be read out of order is too large to be copied.
    #[error("could not copy `{file}` into a temporary file: it is over {} decompressed", bytes_text(*.limit))]
    TooLarge {
        /// The list.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is not a list.
    #[error("could not read IDs from `{file}`: {content}")]
    Content {
        /// The list.
        file: String,
        /// The content of the file.
        content: FileContent,
    },
    /// There is not enough memory for a line or value.
    #[error("could not read IDs from `{file}`: {NO_MEMORY}")]
    NoMemory {
        /// The list.
        file: String,
    },
    /// A line, row or element is not valid.
    #[error("could not read IDs from `{file}`, {position}: {cause}")]
    Record {
        /// The list.
        file: String,
        /// The position of the record.
        position: ListPosition,
        /// What is wrong.
        cause: BadRecord,
    },
    /// The list has no column of IDs.
    #[error("could not read IDs from `{file}`: it has no column `{}`, only {}", shown(.wanted), shown_columns(.columns))]
    Column {
        /// The list.
        file: String,
        /// The name that was looked for.
        wanted: String,
        /// The columns of the list.
        columns: Vec<String>,
    },
    /// Two columns match equally well.
    #[error("could not read IDs from `{file}`: the columns `{}` and `{}` both match `{}`", shown(.first), shown(.second), shown(.wanted))]
    Ambiguous {
        /// The list.
        file: String,
        /// The name that was looked for.
        wanted: String,
        /// One column.
        first: String,
        /// Another column.
        second: String,
    },
    /// The column has another type than IDs have.
    #[error("could not read IDs from `{file}`: its column `{}` holds {found}", shown(.column))]
    ColumnType {
        /// The list.
        file: String,
        /// The column.
        column: String,
        /// The type of its values.
        found: UnusableType,
    },
    /// The file does not follow its format.
    #[error("could not read IDs from `{file}`: {cause}")]
    Damaged {
        /// The list.
        file: String,
        /// Why.
        cause: ParquetDamage,
    },
    /// An `--id` is not a valid ID.
    #[error("could not use a task ID: {cause}")]
    Id {
        /// What is wrong.
        cause: InvalidId,
    },
    /// The lists have no IDs.
    #[error("could not find any task ID in {sources}")]
    Empty {
        /// The lists.
        sources: String,
        /// The number of cells that are null or empty.
        skipped: u64,
    },
}

/// What is wrong with a line, row or element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRecord {
    /// The text is not a valid ID.
    Id(InvalidId),
    /// The line of a plain-text list is more likely a mistake than an ID.
    Mistake(LineMistake),
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than the limit.
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A quoted cell has no end.
    UnclosedQuote,
    /// It is not valid JSON.
    Json(JsonError),
    /// The JSON array has no end.
    UnclosedArray,
    /// Something follows the JSON array.
    AfterArray,
    /// The JSON value is neither a string nor an integer.
    JsonType(&'static str),
    /// The JSON string contains half of a surrogate pair, which UTF-8 cannot hold.
    LoneSurrogate,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(cause) => cause.fmt(f),
            Self::Mistake(mistake) => mistake.fmt(f),
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::TooLong { limit } => write!(f, "it is over {} long", bytes_text(*limit)),
            Self::UnclosedQuote => f.write_str("the quoted cell that begins here is not closed"),
            Self::Json(error) => error.fmt(f),
            Self::UnclosedArray => f.write_str("the file ends inside the array"),
            Self::AfterArray => f.write_str("there is text after the end of the array"),
            Self::JsonType(found) => write!(f, "the ID is {found}, not a string or an integer"),
            Self::LoneSurrogate => f.write_str("the ID contains half of a surrogate pair"),
        }
    }
}

impl BadRecord {
    fn hint(&self, position: ListPosition) -> String {
        match self {
            Self::Mistake(mistake) => mistake.hint(),
            Self::NotUtf8 => "save the file as UTF-8".into(),
            Self::UnclosedQuote => "close the quotation marks, or double those inside a cell".into(),
            Self::Json(_) | Self::AfterArray if matches!(position, ListPosition::Line(_)) => {
                "a .jsonl file has one JSON value per line; a .json file may have one array instead"
                    .into()
            }
            Self::Json(_) | Self::UnclosedArray | Self::AfterArray => {
                "a .json file has one array of IDs, or of objects".into()
            }
            Self::JsonType(_) => {
                "write IDs as strings (in pandas, save the table with `to_json(path, orient=\"records\")`)"
                    .into()
            }
            Self::LoneSurrogate => "export the list again; UTF-8 cannot hold this text".into(),
            Self::Id(_) | Self::TooLong { .. } => match position {
                ListPosition::Line(_) | ListPosition::Element(_) => {
                    "give one ID per line, or a .csv, .jsonl or .parquet file with a column of IDs"
                        .into()
                }
                ListPosition::Row(_) => "choose the column of IDs with --id-column".into(),
            },
        }
    }
}

impl Explain for IdsError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "give a readable file, or `-` for standard input".into(),
            Self::Decompress { .. } => "the file is damaged or incomplete: export or copy it again".into(),
            Self::Copy { .. } => "free space in the directory for temporary files (TMPDIR)".into(),
            Self::NoMemory { .. } => NO_MEMORY_HINT.into(),
            Self::TooLarge { .. } => "decompress the file first".into(),
            Self::Content { content, .. } => content.hint(),
            Self::Record { cause, position, .. } => cause.hint(*position),
            Self::Column { columns, .. } => {
                let choose = "choose the column of IDs with --id-column";
                if columns.len() > 1 {
                    choose.into()
                } else {
                    format!("{choose}; save a list without a header as plain text (.txt)")
                }
            }
            Self::Ambiguous { first, second, .. } if first == second => {
                "rename one of the columns".into()
            }
            Self::Ambiguous { .. } => "choose one of them with --id-column".into(),
            Self::ColumnType { found, .. } => match found {
                UnusableType::Float => "save the column as text or integers; pandas turns integers into floats if values are missing, and `astype(\"Int64\")` turns them back".into(),
                _ => "save the column as text, or choose another one with --id-column".into(),
            },
            Self::Damaged { .. } => "export the file again, or give it the extension of its format".into(),
            Self::Id { .. } => "give each ID separately".into(),
            Self::Empty { skipped, .. } if *skipped > 0 => {
                "the column has only null or empty cells: choose another one with --id-column".into()
            }
            Self::Empty { .. } => {
                "give one ID per line; blank lines and lines that begin with # are skipped".into()
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoMemory { .. } => Exit::Failure,
            _ => Exit::Usage,
        }
    }
}

impl IdsError {
    /// The kind of mistake, if the error is about a line that looks like one.
    pub fn mistake(&self) -> Option<MistakeKind> {
        match self {
            Self::Record {
                cause: BadRecord::Mistake(mistake),
                ..
            } => Some(mistake.kind),
            _ => None,
        }
    }
}

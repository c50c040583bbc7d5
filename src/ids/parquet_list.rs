//! Reads one column of a Parquet file.

use crate::encode::input::Input;
use crate::encode::parquet::text_column::{ColumnError, each_text};
use crate::ids::error::IdsError;
use crate::ids::list::ListReader;
use crate::ids::position::ListPosition;

/// Reads the column of IDs.
pub(crate) fn read_parquet(list: &mut ListReader<'_>, input: Input) -> Result<(), IdsError> {
    let mut column = String::new();
    // Both closures need the list, but never at the same time.
    let shared = std::cell::RefCell::new(&mut *list);
    let read = each_text(
        input,
        |names| {
            let position = shared.borrow().find_column(names)?;
            column = names.get(position).cloned().unwrap_or_default();
            Ok(position)
        },
        |row, id| shared.borrow_mut().add_bytes(id, ListPosition::Row(row)),
    );
    let file = list.name.clone();
    read.map_err(|error| match error {
        ColumnError::Type(found) => IdsError::ColumnType {
            file,
            column,
            found,
        },
        ColumnError::Damaged(cause) => IdsError::Damaged { file, cause },
        ColumnError::Caller(error) => error,
    })
}

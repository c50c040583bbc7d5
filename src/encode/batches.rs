//! Batches of rows that are read from a table's file.

use crate::encode::read_error::ReadError;
use crate::tables::row_reader::Rows;

/// Target bytes of decoded rows in a batch. A single row may be larger.
pub(super) const READ_BATCH_BYTES: usize = 256 << 10;

/// Maximum rows of a batch.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Batches of rows, until the end or the first error.
pub type Batches = Box<dyn Iterator<Item = Result<Rows, ReadError>>>;

/// Ends after the first error: a reader that failed or panicked must not be used again.
pub(super) fn until_error(
    batches: impl Iterator<Item = Result<Rows, ReadError>> + 'static,
) -> Batches {
    let mut batches = Some(batches);
    Box::new(std::iter::from_fn(move || {
        let next = batches.as_mut()?.next();
        if !matches!(next, Some(Ok(_))) {
            batches = None;
        }
        next
    }))
}

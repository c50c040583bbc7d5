//! Batches of rows that were read.

use crate::encode::read_error::ReadError;
use crate::tables::row_reader::Rows;

/// Bytes of decoded rows that are aimed at in one batch. One row may be larger.
pub(super) const READ_BATCH_BYTES: usize = 256 << 10;

/// Rows of a batch at most.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Batches of rows, until the end or the first error.
pub type Batches = Box<dyn Iterator<Item = Result<Rows, ReadError>>>;

/// Ends behind the first error: whoever failed once is not asked again.
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

//! Reads a list line by line.

use crate::ids::error::IdsError;
use crate::ids::source::ListStream;

/// A line with its number, from 1, and with its line end.
pub(crate) struct ListLine<'l> {
    pub(crate) number: u64,
    pub(crate) bytes: &'l [u8],
    /// Whether the line is longer than the limit. `bytes` then has its start.
    pub(crate) is_cut: bool,
}

/// Calls `see` for each line. A line that is too long is cut, and is the last one.
pub(crate) fn each_line(
    stream: &mut ListStream,
    max_bytes: u64,
    mut see: impl FnMut(&ListLine<'_>) -> Result<(), IdsError>,
) -> Result<(), IdsError> {
    let mut bytes = Vec::new();
    let mut number = 0;
    while stream.line(max_bytes, &mut bytes)? {
        number += 1;
        let is_cut = bytes.len() as u64 > max_bytes;
        see(&ListLine {
            number,
            bytes: &bytes,
            is_cut,
        })?;
        if is_cut {
            break;
        }
    }
    Ok(())
}

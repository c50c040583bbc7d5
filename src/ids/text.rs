//! Reads plain text: one ID per line.

use crate::ids::error::{BadRecord, IdsError};
use crate::ids::lines::each_line;
use crate::ids::list::ListReader;
use crate::ids::mistake::find_mistake;
use crate::ids::position::ListPosition;
use crate::ids::source::ListStream;
use crate::ids::task_ids::{InvalidId, MAX_ID_BYTES};

/// The longest line in bytes: an ID with white space around it. A longer line is not a valid ID, so it need not be held
/// in memory.
const MAX_LINE_BYTES: u64 = 16 * MAX_ID_BYTES as u64;

/// The start of a comment.
const COMMENT: char = '#';

/// Reserves memory for the IDs of a list.
fn reserve(list: &mut ListReader<'_>, stream: &mut ListStream) -> Result<(), IdsError> {
    let (lines, bytes) = stream.expected_lines()?;
    list.ids.reserve(lines, bytes);
    Ok(())
}

/// Reads a list that people write, with comments, blank lines and mistakes.
pub(crate) fn read_text(
    list: &mut ListReader<'_>,
    stream: &mut ListStream,
) -> Result<(), IdsError> {
    reserve(list, stream)?;
    each_line(stream, MAX_LINE_BYTES, |line| {
        let position = ListPosition::Line(line.number);
        let text = match std::str::from_utf8(line.bytes) {
            Ok(text) => text,
            // The line may be cut inside of a character.
            Err(error) if line.is_cut && error.error_len().is_none() => {
                let (valid, _) = line.bytes.split_at(error.valid_up_to());
                std::str::from_utf8(valid).unwrap_or_default()
            }
            Err(_) => return Err(list.bad(position, BadRecord::NotUtf8)),
        };
        let text = text.trim();
        // A line that is cut is the last one that is read. Skipping it as a comment would lose what follows.
        if text.starts_with(COMMENT) && !line.is_cut {
            return Ok(());
        }
        // Before the check of the length: a whole JSON file on one line has a better hint than a long ID.
        if let Some(mistake) = find_mistake(text, list.column) {
            return Err(list.bad(position, BadRecord::Mistake(mistake)));
        }
        if line.is_cut {
            return Err(list.bad(position, BadRecord::Id(InvalidId::TooLong)));
        }
        if text.is_empty() {
            return Ok(());
        }
        list.add(Some(text), position)
    })
}

/// Reads a list as an export publishes it ([`TaskIds::lines`](crate::ids::task_ids::TaskIds::lines)): exactly one ID
/// per line and no comments, since an ID may begin with `#`.
pub(crate) fn read_published_text(
    list: &mut ListReader<'_>,
    stream: &mut ListStream,
) -> Result<(), IdsError> {
    reserve(list, stream)?;
    each_line(stream, MAX_LINE_BYTES, |line| {
        let position = ListPosition::Line(line.number);
        let id = std::str::from_utf8(line.bytes);
        let id = id.map_err(|_| list.bad(position, BadRecord::NotUtf8))?;
        // Without trimming: what was published has exactly one valid ID per line.
        let id = id.strip_suffix('\n').unwrap_or(id);
        let inserted = list.ids.insert(id);
        inserted.map_err(|cause| list.bad(position, BadRecord::Id(cause)))?;
        Ok(())
    })
}

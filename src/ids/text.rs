//! Plain text: one ID per line.

use crate::ids::error::{BadRecord, IdsError};
use crate::ids::lines::each_line;
use crate::ids::list::{List, Place};
use crate::ids::mistake::find_mistake;
use crate::ids::source::Stream;
use crate::ids::task_ids::{InvalidId, MAX_ID_BYTES};

/// Bytes of a line that are read: an ID with room for white space around it. A longer line is not an ID, and need
/// not be held in memory.
const MAX_LINE_BYTES: u64 = 16 * MAX_ID_BYTES as u64;

/// What begins a comment.
const COMMENT: char = '#';

/// Reads a list that people write: with comments, blank lines and mistakes.
pub(crate) fn read_text(list: &mut List<'_>, stream: &mut Stream) -> Result<(), IdsError> {
    each_line(stream, MAX_LINE_BYTES, |line| {
        let place = Place::Line(line.number);
        let text = match std::str::from_utf8(line.bytes) {
            Ok(text) => text,
            // The cut may be inside a character.
            Err(error) if line.is_cut && error.error_len().is_none() => {
                let (valid, _) = line.bytes.split_at(error.valid_up_to());
                std::str::from_utf8(valid).unwrap_or_default()
            }
            Err(_) => return Err(list.bad(place, BadRecord::NotUtf8)),
        };
        let text = text.trim();
        if text.starts_with(COMMENT) && !line.is_cut {
            return Ok(());
        }
        if let Some(mistake) = find_mistake(text, list.column) {
            return Err(list.bad(place, BadRecord::Mistake(mistake)));
        }
        if line.is_cut {
            return Err(list.bad(place, BadRecord::Id(InvalidId::TooLong)));
        }
        if text.is_empty() {
            return Ok(());
        }
        list.add(Some(text), place)
    })
}

/// Reads a list as this tool publishes it ([`IdList::lines`](super::IdList::lines)): exactly one ID per line and no
/// comments, since an ID may begin with `#`.
pub(crate) fn read_published_text(
    list: &mut List<'_>,
    stream: &mut Stream,
) -> Result<(), IdsError> {
    each_line(stream, MAX_LINE_BYTES, |line| {
        let place = Place::Line(line.number);
        let id = std::str::from_utf8(line.bytes);
        let id = id.map_err(|_| list.bad(place, BadRecord::NotUtf8))?;
        let id = id.strip_suffix('\n').unwrap_or(id);
        let added = list.ids.add(id);
        added.map_err(|cause| list.bad(place, BadRecord::Id(cause)))
    })
}

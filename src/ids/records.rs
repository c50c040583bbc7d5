//! Splits text with separators into records. The `csv` crate holds a whole record in memory, however long, and takes
//! the rest of the file for one cell if a quote is never closed.

use crate::ids::error::{BadRecord, IdsError};
use crate::ids::position::ListPosition;
use crate::ids::source::ListStream;
use crate::ids::task_ids::MAX_ID_BYTES;

/// The longest cell in bytes: an ID with white space around it. A longer cell is not a valid ID.
const MAX_CELL_BYTES: usize = 16 * MAX_ID_BYTES;

/// Which cells of a record are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptCells {
    All,
    /// Only the one at a position.
    One(usize),
}

/// A record: its first line, and the cells that are kept.
#[derive(Debug, Default)]
pub(crate) struct ListRecord {
    pub(crate) line: u64,
    pub(crate) cells: Vec<Vec<u8>>,
}

impl ListRecord {
    pub(crate) fn position(&self) -> ListPosition {
        ListPosition::Line(self.line)
    }
}

/// The position in a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CellState {
    /// At its start, or after spaces.
    Blank,
    Plain,
    Quoted,
    /// After a quote inside of quotes: either their end, or the first of a doubled quote.
    QuoteSeen,
}

/// Counts lines that end with `\n`, `\r\n` or `\r`.
#[derive(Debug, Clone, Copy)]
struct LineCounter {
    line: u64,
    follows_return: bool,
}

impl LineCounter {
    fn see(&mut self, byte: u8) {
        let is_second = byte == b'\n' && self.follows_return;
        if is_line_end(byte) && !is_second {
            self.line += 1;
        }
        self.follows_return = byte == b'\r';
    }
}

pub(crate) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Reads records.
pub(crate) struct RecordReader<'s> {
    stream: &'s mut ListStream,
    separator: u8,
    keep: KeptCells,
    lines: LineCounter,
}

impl<'s> RecordReader<'s> {
    /// `line` is the number of the stream's first line.
    pub(crate) fn new(
        stream: &'s mut ListStream,
        separator: u8,
        keep: KeptCells,
        line: u64,
    ) -> Self {
        Self {
            stream,
            separator,
            keep,
            lines: LineCounter {
                line,
                follows_return: false,
            },
        }
    }

    /// Reads the next record. Returns false at the end of the file. Empty lines are not records.
    pub(crate) fn next(&mut self, record: &mut ListRecord) -> Result<bool, RecordError> {
        let mut cells = RecordCells {
            record,
            keep: self.keep,
            position: 0,
            is_too_long: false,
        };
        cells.record.cells.clear();
        cells.record.line = 0;
        let mut state = CellState::Blank;
        let mut quote_line = 0;
        loop {
            let bytes = self.stream.bytes().map_err(RecordError::List)?;
            if bytes.is_empty() {
                if state == CellState::Quoted {
                    return Err(RecordError::Bad(
                        ListPosition::Line(quote_line),
                        BadRecord::UnclosedQuote,
                    ));
                }
                return Ok(cells.record.line > 0);
            }
            let mut used = 0;
            let mut has_ended = false;
            for &byte in bytes {
                used += 1;
                let line = self.lines.line;
                self.lines.see(byte);
                if cells.record.line == 0 {
                    if is_line_end(byte) {
                        continue;
                    }
                    cells.record.line = line;
                    cells.begin();
                }
                match (state, byte) {
                    (CellState::Quoted, b'"') => state = CellState::QuoteSeen,
                    (CellState::Quoted, _) => cells.push(byte),
                    (CellState::QuoteSeen, b'"') => {
                        cells.push(byte);
                        state = CellState::Quoted;
                    }
                    // Spaces before a quote are not part of the cell. A quote inside of a cell is a character like
                    // others.
                    (CellState::Blank, b'"') => {
                        cells.clear();
                        quote_line = line;
                        state = CellState::Quoted;
                    }
                    _ if byte == self.separator => {
                        cells.next();
                        state = CellState::Blank;
                    }
                    _ if is_line_end(byte) => {
                        has_ended = true;
                        break;
                    }
                    (_, _) => {
                        cells.push(byte);
                        if state != CellState::Blank || byte != b' ' {
                            state = CellState::Plain;
                        }
                    }
                }
            }
            self.stream.consume(used);
            if cells.is_too_long {
                return Err(RecordError::Bad(
                    cells.record.position(),
                    BadRecord::TooLong {
                        limit: MAX_CELL_BYTES as u64,
                    },
                ));
            }
            if has_ended {
                return Ok(true);
            }
        }
    }
}

/// Why a record could not be read.
pub(crate) enum RecordError {
    /// The file could not be read.
    List(IdsError),
    /// The record is not valid.
    Bad(ListPosition, BadRecord),
}

/// The cells of a record that is being read.
struct RecordCells<'r> {
    record: &'r mut ListRecord,
    keep: KeptCells,
    position: usize,
    is_too_long: bool,
}

impl RecordCells<'_> {
    /// The current cell, if it is kept.
    fn kept(&mut self) -> Option<&mut Vec<u8>> {
        match self.keep {
            KeptCells::One(position) if position != self.position => None,
            _ => self.record.cells.last_mut(),
        }
    }

    fn begin(&mut self) {
        if self.keep == KeptCells::All || self.keep == KeptCells::One(self.position) {
            self.record.cells.push(Vec::new());
        }
    }

    fn next(&mut self) {
        self.position += 1;
        self.begin();
    }

    fn push(&mut self, byte: u8) {
        if let Some(cell) = self.kept() {
            if cell.len() < MAX_CELL_BYTES {
                cell.push(byte);
            } else {
                self.is_too_long = true;
            }
        }
    }

    fn clear(&mut self) {
        if let Some(cell) = self.kept() {
            cell.clear();
        }
    }
}

//! Reads all records of a journal in order, and finds out what is damaged.

use std::ops::ControlFlow;

use crate::journal::decompressor::Decompressor;
use crate::journal::error::JournalError;
use crate::journal::format::{BodyDigest, End, FLAG_FINAL, RecordKind};
use crate::journal::journal_file::JournalFile;
use crate::journal::location::Location;
use crate::journal::record_head::RecordHead;
use crate::journal::record_head_decoder::{decode_head, find_head};

/// What a scan of a journal found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ScanSummary {
    /// Whole records.
    pub records: u64,
    /// Stretches that could not be read and were skipped.
    pub damaged: u64,
    /// Bytes of an incomplete block at the end.
    pub torn_bytes: u64,
    /// The offset at which the last whole block ends.
    pub end: u64,
    /// Records whose heads are whole and whose bodies are lost, in order: those of damaged blocks, and of an incomplete
    /// block at the end.
    pub lost: Vec<LostRecord>,
    /// Where the last damage of a head ends. Before this offset, other records are lost whose IDs are not known.
    pub ids_lost_before: Option<u64>,
}

/// A record whose body is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRecord {
    /// What it is.
    pub kind: RecordKind,
    /// The task.
    pub task_id: String,
    /// The offset of its head in the file.
    pub offset: u64,
}

/// A record as a scan sees it.
#[derive(Debug, Clone, Copy)]
pub struct RecordEntry<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// The task.
    pub task_id: &'a str,
    /// Where it is.
    pub location: Location,
    /// The offset at which the next record begins: behind its block if it is the last one there.
    pub next: u64,
    /// SHA-256 of its body; journals of version 1 do not have it.
    pub digest: Option<BodyDigest>,
    /// Whether the task will never change. Of a failure: whether the ID fails with any key.
    pub is_final: bool,
    /// The content of a mark that ends a run.
    pub end: Option<End>,
}

/// For the callback of a scan: stops it when the run is over.
pub fn break_if(is_over: bool) -> ControlFlow<()> {
    if is_over {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// The callback of a scan.
pub(crate) type VisitRecord<'v> = dyn FnMut(RecordEntry<'_>) -> ControlFlow<()> + 'v;

impl JournalFile {
    /// Passes all whole records from an offset on to `visit`. Returns what was found, or `None` if `visit` broke.
    pub(crate) fn scan(
        &self,
        from: u64,
        len: u64,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Option<ScanSummary>, JournalError> {
        let mut scan = JournalScan {
            log: self,
            len,
            summary: ScanSummary::default(),
            block: Vec::new(),
        };
        let mut at = from;
        while at < len {
            match scan.block(at, visit)? {
                NextBlock::At(next) => at = next,
                NextBlock::None => break,
                NextBlock::Stopped => return Ok(None),
            }
        }
        let mut summary = scan.summary;
        summary.torn_bytes = len.saturating_sub(at);
        summary.end = at;
        Ok(Some(summary))
    }

    /// Whether there is a response among the whole records from an offset on.
    pub(crate) fn has_response(&self, from: u64) -> Result<bool, JournalError> {
        let mut has_response = false;
        self.scan(from, self.len()?, &mut |entry| {
            has_response = entry.kind == RecordKind::Response;
            break_if(has_response)
        })?;
        Ok(has_response)
    }
}

/// Where a scan continues.
enum NextBlock {
    /// With the block at an offset.
    At(u64),
    /// Nothing that can be read follows.
    None,
    /// `visit` broke.
    Stopped,
}

struct JournalScan<'l> {
    log: &'l JournalFile,
    /// Bytes of the file that are scanned.
    len: u64,
    summary: ScanSummary,
    /// The block, from its first valid head on.
    block: Vec<u8>,
}

impl JournalScan<'_> {
    /// Reads the block at an offset.
    fn block(&mut self, at: u64, visit: &mut VisitRecord<'_>) -> Result<NextBlock, JournalError> {
        let Some(first) = self.log.head(at, self.len)? else {
            let next = self.log.find_head(at + 1, self.len, |_, _| true)?;
            self.summary.ids_lost_before = next.or(self.summary.ids_lost_before);
            return Ok(self.skip_to(next));
        };
        let end = first.block_end(at);
        // A block that is not whole still has heads.
        let bytes = usize::try_from(end.min(self.len) - at).unwrap_or(usize::MAX);
        let reserved = self
            .block
            .try_reserve(bytes.saturating_sub(self.block.len()));
        reserved.map_err(|error| JournalError::io("read", &self.log.path)(error.into()))?;
        self.block.resize(bytes, 0);
        let filled = self.log.read_some(&mut self.block, at)?;
        self.block.truncate(filled);
        let (heads, gaps) = heads_of(&self.block, &first);
        if gaps > 0 {
            self.summary.ids_lost_before = Some(end);
        }
        let stored_at = usize::try_from(first.stored_at(0)).unwrap_or(usize::MAX);
        // The checksum includes this only before version 3, where it is the ID of the only record.
        let id = self.block.get(self.log.version.head_bytes()..stored_at);
        let stored = self.block.get(stored_at..);
        let is_whole = end <= self.len
            && id
                .zip(stored)
                .is_some_and(|(id, stored)| first.is_whole(id, stored));
        if !is_whole {
            return self.skip_block(at, &first, &heads);
        }
        // Not before the check: the gaps of a damaged block are part of one damage.
        self.summary.damaged += gaps;
        let stored = stored.unwrap_or_default();
        for (place, head) in &heads {
            let from_head = self.block.get(*place..).unwrap_or_default();
            let Some(task_id) = head.id(from_head) else {
                self.summary.damaged += 1;
                continue;
            };
            self.summary.records += 1;
            let offset = at + *place as u64;
            let entry = RecordEntry {
                kind: head.kind,
                task_id,
                location: Location::new(offset, head.attributed_bytes()),
                next: head.next(offset),
                digest: head.digest(),
                is_final: head.flags & FLAG_FINAL != 0,
                end: decode_end(head, stored),
            };
            if visit(entry).is_break() {
                return Ok(NextBlock::Stopped);
            }
        }
        Ok(NextBlock::At(end))
    }

    /// Continues behind a block whose stored bodies are damaged or cut off. Its records are lost.
    fn skip_block(
        &mut self,
        at: u64,
        first: &RecordHead,
        heads: &[(usize, RecordHead)],
    ) -> Result<NextBlock, JournalError> {
        // Without blocks, the ID is damaged as well.
        if self.log.version.has_blocks() {
            for (place, head) in heads {
                let from_head = self.block.get(*place..).unwrap_or_default();
                if let Some(task_id) = head.id(from_head) {
                    self.summary.lost.push(LostRecord {
                        kind: head.kind,
                        task_id: task_id.to_owned(),
                        offset: at + *place as u64,
                    });
                }
            }
        }
        let end = first.block_end(at);
        // A valid head has the length of its block. The last block has its whole length, so it was written. Before version
        // 3 it counts as an incomplete write, since the checksum of a record's ID is that of its body.
        let is_last = end == self.len && self.log.version.has_blocks();
        if is_last || (end < self.len && self.log.head(end, self.len)?.is_some()) {
            return Ok(self.skip_to(Some(end)));
        }
        let is_of_other = |place: u64, head: &RecordHead| !first.is_beside(at, head, place);
        let next = self.log.find_head(at + 1, self.len, is_of_other)?;
        Ok(self.skip_to(next))
    }

    /// Continues with the block at an offset, behind damage, if there is one.
    fn skip_to(&mut self, next: Option<u64>) -> NextBlock {
        let Some(next) = next else {
            // An unreadable end is an incomplete write, which is reported as such and not as damage.
            return NextBlock::None;
        };
        self.summary.damaged += 1;
        NextBlock::At(next)
    }
}

/// The valid heads of a block with their places, and the number of stretches between them that are damaged.
fn heads_of(block: &[u8], first: &RecordHead) -> (Vec<(usize, RecordHead)>, u64) {
    let version = first.version;
    let stored_at = usize::try_from(first.stored_at(0)).unwrap_or(usize::MAX);
    let heads_of_block = block.get(..stored_at).unwrap_or(block);
    let mut heads = vec![(0, *first)];
    let mut gaps = 0;
    let mut at = usize::try_from(first.bytes()).unwrap_or(usize::MAX);
    while let Some(rest) = heads_of_block.get(at..).filter(|rest| !rest.is_empty()) {
        let is_beside =
            |place: usize, head: &RecordHead| first.is_beside(0, head, (at + place) as u64);
        let next = decode_head(rest, version).filter(|head| is_beside(0, head));
        let Some(head) = next else {
            gaps += 1;
            let Some(found) = find_head(rest, version, is_beside) else {
                break;
            };
            at += found;
            continue;
        };
        heads.push((at, head));
        at += usize::try_from(head.bytes()).unwrap_or(usize::MAX);
    }
    (heads, gaps)
}

/// The content of a mark that ends a run; `None` for other records, and for a body that is not valid.
fn decode_end(head: &RecordHead, stored: &[u8]) -> Option<End> {
    if head.kind != RecordKind::End {
        return None;
    }
    let mut bodies = Vec::new();
    // Marks are rare, so a context for each costs little.
    head.decode_bodies(stored, &mut Decompressor::default(), &mut bodies)
        .ok()?;
    serde_json::from_slice(bodies.get(head.body_range())?).ok()
}

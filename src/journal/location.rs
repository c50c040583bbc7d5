//! Where a record is in the file.

/// Where a record is. Every ID has one, so it takes 12 bytes and not 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub struct Location {
    offset: u64,
    bytes: u32,
}

impl Location {
    /// A record whose head is at an offset, with its bytes.
    pub(crate) fn new(offset: u64, bytes: u64) -> Self {
        // Bodies are bounded to 1 GiB.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { offset, bytes }
    }

    /// The offset of its head in the file. Heads have the order in which their records were written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of its head and ID, and its share of the stored bodies of its block. Those of all records of a block add up
    /// to the size of the block.
    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Stands for no record.
    pub(crate) const NOWHERE: Self = Self {
        offset: 0,
        bytes: 0,
    };
}

//! Encodes the header of the file.

use crate::journal::format::{FILE_HEAD_BYTES, JournalOptions, JournalVersion, MAGIC};

/// The JSON of options in the file's header.
pub fn encode_options(options: &JournalOptions) -> Vec<u8> {
    // Strings and lists of them: serialization cannot fail.
    serde_json::to_vec(options).unwrap_or_default()
}

/// The file's header, with encoded options.
pub fn encode_file_head(options: &[u8], version: JournalVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_HEAD_BYTES + options.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(version as u32).to_le_bytes());
    out.extend_from_slice(&length(options.len()).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(options).to_le_bytes());
    out.extend_from_slice(options);
    out
}

/// A length as it is stored. Bodies are bounded to 1 GiB before they come here.
pub(crate) fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

//! Repair of a damaged journal header, where its content is known.

use std::path::Path;

use crate::durable_fs;
use crate::durable_fs::Access;
use crate::journal::error::JournalError;
use crate::journal::file_head_decoder::{HeadFault, decode_file_head, word};
use crate::journal::file_head_encoder::{encode_file_head, encode_options};
use crate::journal::format::{FILE_HEAD_BYTES, JournalOptions, JournalVersion};
use crate::journal::journal_file::JournalFile;
use crate::journal::reader::JournalReader;
use crate::journal::record_head_decoder::find_head;

/// Where the header has the checksum of its options.
const CRC32_AT: usize = 16;

/// Rewrites the header of the journal at a path if it is damaged: from what is left of it, or with the options of the
/// published export. Returns whether it did; otherwise the journal is unchanged.
pub fn repair_header(
    path: &Path,
    published: Option<&JournalOptions>,
) -> Result<bool, JournalError> {
    if !JournalReader::is_there(path)? {
        return Ok(false);
    }
    let beginning = JournalFile::open(path.to_owned())?.beginning()?;
    let Some(header) = repaired(&beginning, published) else {
        return Ok(false);
    };
    let file = durable_fs::open(path, Access::Owner).map_err(JournalError::io("open", path))?;
    // In place, with the same length: the manifest and marks refer to records by their offsets.
    durable_fs::write_all_at(&file, path, &header, 0)
        .and_then(|()| durable_fs::sync(&file, path))
        .map_err(JournalError::io("repair", path))?;
    Ok(true)
}

/// The header that belongs before the records, if it differs from the one that is there. It has the same length.
fn repaired(bytes: &[u8], published: Option<&JournalOptions>) -> Option<Vec<u8>> {
    let decoded = decode_file_head(bytes);
    let (version, first) = first_record(bytes)?;
    match &decoded {
        // It may not be damaged at all.
        Err(HeadFault::Newer(_)) => return None,
        // Where the first record is damaged, a later one is found, which shows nothing about the header.
        Ok(head) if head.bytes != first || head.version == version => return None,
        _ => {}
    }
    let there = bytes.get(FILE_HEAD_BYTES..first)?;
    let is_whole = word(bytes, CRC32_AT) == Some(crc32fast::hash(there))
        && serde_json::from_slice::<JournalOptions>(there).is_ok();
    let options = if is_whole {
        there.to_vec()
    } else {
        // The length shows which of the two it was.
        let mut known = [false, true].into_iter().filter_map(|copied| {
            let published = published.cloned()?;
            Some(encode_options(&JournalOptions {
                copied,
                ..published
            }))
        });
        known.find(|options| options.len() == there.len())?
    };
    Some(encode_file_head(&options, version))
}

/// The version and the offset of the first record that has a valid head.
fn first_record(bytes: &[u8]) -> Option<(JournalVersion, usize)> {
    let found = JournalVersion::ALL.into_iter().filter_map(|version| {
        let after_numbers = bytes.get(FILE_HEAD_BYTES..)?;
        let at = find_head(after_numbers, version, |_, _| true)?;
        Some((version, FILE_HEAD_BYTES + at))
    });
    found.min_by_key(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::block::encode;
    use crate::journal::compressor::Compressor;
    use crate::journal::format::{JournalRecord, RecordKind};

    fn journal(options: &JournalOptions, version: JournalVersion) -> (Vec<u8>, usize) {
        let mut bytes = encode_file_head(&encode_options(options), version);
        let header = bytes.len();
        for task_id in ["task_1", "task_2"] {
            let record = JournalRecord {
                kind: RecordKind::Response,
                flags: 0,
                attempts: 1,
                time: 0,
                task_id,
                body: b"{}",
                digest: None,
            };
            encode(&record, version, &mut Compressor::default(), &mut bytes);
        }
        (bytes, header)
    }

    fn options(copied: bool) -> JournalOptions {
        JournalOptions {
            base_url: "https://api.example.com".into(),
            expand: vec!["project".into()],
            opts: vec![],
            keep_secrets: false,
            copied,
        }
    }

    #[test]
    fn any_damaged_byte_of_a_header_is_repaired_unless_it_looks_like_a_newer_version() {
        for (copied, version) in [
            (false, JournalVersion::One),
            (false, JournalVersion::Two),
            (true, JournalVersion::Two),
            (true, JournalVersion::Three),
        ] {
            let (whole, header) = journal(&options(copied), version);
            assert_eq!(repaired(&whole, None), None);
            for at in 0..header {
                for flip in [1, 0x55, 0xFF] {
                    let mut damaged = whole.clone();
                    damaged[at] ^= flip;
                    let is_newer = matches!(decode_file_head(&damaged), Err(HeadFault::Newer(_)));
                    let expected = (!is_newer).then(|| whole[..header].to_vec());
                    let published = Some(&options(false));
                    assert_eq!(repaired(&damaged, published), expected, "{at} {flip}");
                    // The checksum shows what it was where the damage is elsewhere.
                    if at < 16 {
                        assert_eq!(repaired(&damaged, None), expected, "{at} {flip}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_header_for_other_options_is_not_put_before_records() {
        let (mut damaged, _) = journal(&options(false), JournalVersion::LATEST);
        damaged[25] ^= 1;
        let other = JournalOptions {
            opts: vec!["annotation_details".into()],
            ..options(false)
        };
        assert_eq!(repaired(&damaged, Some(&other)), None);
        assert_eq!(repaired(&damaged, None), None);
    }

    #[test]
    fn a_damaged_first_record_does_not_damage_the_header() {
        let (mut damaged, header) = journal(&options(false), JournalVersion::LATEST);
        damaged[header + 9] ^= 1;
        assert_eq!(repaired(&damaged, Some(&options(false))), None);
    }
}

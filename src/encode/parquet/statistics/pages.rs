//! Reads the page headers of a column chunk: values and bytes of each page. The rows were decoded by these headers, so
//! indexes and totals are compared with them.

use std::ops::Range;

use crate::encode::input::Input;
use crate::encode::parquet::statistics::compact::{Decode as _, Malformed};
use crate::encode::parquet::statistics::format::{
    DataPageHeader, DictionaryPageHeader, PageHeader, number,
};

/// Maximum bytes of a page header: eight integers of up to five bytes, a field header for each and for the nested
/// structure, and two ends. A header with statistics is longer, and scale-export does not write those.
const MAX_HEADER_BYTES: u64 = 8 * 6 + 1 + 2;

/// A page, by its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageFacts {
    pub(crate) offset: u64,
    /// Bytes in the file, header included.
    pub(crate) bytes: u64,
    /// Bytes before compression, header included.
    pub(crate) uncompressed_bytes: u64,
    /// Number of values, nulls and empty lists included. For a dictionary, its entries.
    pub(crate) values: u64,
    pub(crate) encoding: i64,
}

/// All pages of a column chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChunkPages {
    pub(crate) dictionary: Option<PageFacts>,
    pub(crate) data: Vec<PageFacts>,
}

impl ChunkPages {
    /// Reads the page headers of a chunk.
    pub(crate) fn read(input: &Input, chunk: Range<u64>) -> Result<Self, Malformed> {
        let mut pages = Self::default();
        let mut at = chunk.start;
        while at < chunk.end {
            let length = MAX_HEADER_BYTES.min(chunk.end - at);
            let bytes = input.read_at(at, length).map_err(unreadable)?;
            // A page header has no lists, so none may have an element.
            let (header, length) = PageHeader::decode_prefix(&bytes, 0)?;
            let (is_dictionary, page) = page(at, length as u64, &header)?;
            if at + page.bytes > chunk.end {
                return Err(Malformed("a page that ends behind its column chunk".into()));
            }
            at += page.bytes;
            if !is_dictionary {
                pages.data.push(page);
            } else if pages.dictionary.is_none() && pages.data.is_empty() {
                pages.dictionary = Some(page);
            } else {
                return Err(Malformed("a dictionary behind other pages".into()));
            }
        }
        Ok(pages)
    }

    /// All pages in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PageFacts> {
        self.dictionary.iter().chain(&self.data)
    }

    /// Number of values in data pages.
    pub(crate) fn values(&self) -> u64 {
        self.data.iter().map(|page| page.values).sum()
    }
}

/// The error for bytes that cannot be read.
pub(crate) fn unreadable(error: impl std::fmt::Display) -> Malformed {
    Malformed(format!("bytes that cannot be read: {error}"))
}

/// The page of a header, and whether it is a dictionary.
fn page(offset: u64, length: u64, header: &PageHeader) -> Result<(bool, PageFacts), Malformed> {
    let refused = |what: &str| Malformed(format!("a page with {what}"));
    let size = |size: Option<i64>| {
        let size = size.and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| refused("no size"))
    };
    let (is_dictionary, values, encoding) =
        match (header.page_type, &header.data_page, &header.dictionary_page) {
            (Some(number::DATA_PAGE), Some(data), None) => {
                let is_written = matches!(
                    data,
                    DataPageHeader {
                        encoding: Some(number::PLAIN | number::RLE_DICTIONARY),
                        definition_level_encoding: Some(number::RLE),
                        repetition_level_encoding: Some(number::RLE),
                        ..
                    }
                );
                if !is_written {
                    return Err(refused(
                        "an encoding other than PLAIN, RLE and RLE_DICTIONARY",
                    ));
                }
                (false, data.num_values, data.encoding)
            }
            (Some(number::DICTIONARY_PAGE), None, Some(dictionary)) => {
                let is_written = matches!(
                    dictionary,
                    DictionaryPageHeader {
                        encoding: Some(number::PLAIN),
                        is_sorted: None | Some(false),
                        ..
                    }
                );
                if !is_written {
                    return Err(refused("a dictionary that is sorted or not PLAIN"));
                }
                (true, dictionary.num_values, dictionary.encoding)
            }
            _ => return Err(refused("a header that scale-export does not write")),
        };
    let values = values.and_then(|values| u64::try_from(values).ok());
    let values = values.ok_or_else(|| refused("no number of values"))?;
    if values == 0 && !is_dictionary {
        return Err(refused("0 values"));
    }
    let page = PageFacts {
        offset,
        bytes: length + size(header.compressed_page_size)?,
        uncompressed_bytes: length + size(header.uncompressed_page_size)?,
        values,
        encoding: encoding.unwrap_or_default(),
    };
    Ok((is_dictionary, page))
}

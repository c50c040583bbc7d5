//! Detects the format of a list by the name of the file, and its compression and encoding by its first bytes.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The format of a list of IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// One ID per line.
    Text,
    /// CSV with a column of IDs. The separator is found in the header.
    Csv,
    /// TSV with a column of IDs.
    Tsv,
    /// One JSON value per line: a string, an integer, or an object with a key for the ID.
    JsonLines,
    /// One JSON array of such values.
    Json,
    /// Parquet with a column of IDs.
    Parquet,
    /// `ids.txt` as an export publishes it.
    Published,
}

impl ListFormat {
    /// Detects the format by the extension of the file name, before `.gz` or `.zst`.
    pub(crate) fn of(path: &Path) -> Self {
        let extension = |path: &Path| {
            let extension = path.extension().and_then(OsStr::to_str);
            extension.unwrap_or_default().to_ascii_lowercase()
        };
        // `ids.csv.gz` is CSV: compression is detected by the content.
        let ending = match extension(path).as_str() {
            "gz" | "zst" => extension(&path.with_extension("")),
            ending => ending.to_owned(),
        };
        match ending.as_str() {
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "jsonl" | "ndjson" => Self::JsonLines,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            // A pipe or a name without an extension is most often a plain list.
            _ => Self::Text,
        }
    }
}

/// The compression of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, with one or several members.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match FileContent::of(head) {
            Some(FileContent::Compressed(compression)) => Some(compression),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A content that is not UTF-8 text, detected by the first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileContent {
    /// Compressed, and supported.
    Compressed(Compression),
    /// UTF-16.
    Utf16,
    /// Parquet.
    Parquet,
    /// An Excel workbook, or another ZIP archive.
    Zip,
    /// An old Excel workbook.
    Excel,
    /// Compressed with xz or bzip2.
    OtherCompression,
}

/// First bytes of files. A list in UTF-8 cannot begin with them, except for `BZh` and `PAR1`, with which no ID begins.
const SIGNATURES: [(&[u8], FileContent); 9] = [
    (b"\x1f\x8b", FileContent::Compressed(Compression::Gzip)),
    (
        b"\x28\xb5\x2f\xfd",
        FileContent::Compressed(Compression::Zstd),
    ),
    (b"\xff\xfe", FileContent::Utf16),
    (b"\xfe\xff", FileContent::Utf16),
    (b"PAR1", FileContent::Parquet),
    (b"PK\x03\x04", FileContent::Zip),
    (b"\xd0\xcf\x11\xe0", FileContent::Excel),
    (b"\xfd7zXZ\0", FileContent::OtherCompression),
    (b"BZh", FileContent::OtherCompression),
];

/// The length of the longest signature, in bytes.
pub(crate) const SIGNATURE_BYTES: usize = 6;

impl FileContent {
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let mut signatures = SIGNATURES.iter();
        signatures
            .find(|(signature, _)| head.starts_with(signature))
            .map(|(_, content)| *content)
    }

    /// What to do with such a file.
    pub(crate) fn hint(self) -> String {
        match self {
            Self::Compressed(Compression::Gzip) => {
                "decompress it first: `gunzip -c ids.gz | scale-export --ids - …`".into()
            }
            Self::Compressed(Compression::Zstd) => {
                "decompress it first: `zstd -dc ids.zst | scale-export --ids - …`".into()
            }
            Self::OtherCompression => {
                "decompress it first, or compress it with gzip or zstd".into()
            }
            Self::Utf16 => "save the file as UTF-8".into(),
            Self::Parquet => "give it as a file whose name ends in .parquet".into(),
            Self::Zip | Self::Excel => "save the sheet as CSV (UTF-8)".into(),
        }
    }
}

impl fmt::Display for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed(compression) => {
                write!(f, "its content is compressed with {compression}")
            }
            Self::Utf16 => f.write_str("it is UTF-16, not UTF-8"),
            Self::Parquet => f.write_str("its content is Parquet"),
            Self::Zip => f.write_str("it is an Excel workbook or another ZIP archive"),
            Self::Excel => f.write_str("it is an Excel workbook"),
            Self::OtherCompression => f.write_str("it is compressed with xz or bzip2"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_the_name() {
        for (name, expected) in [
            ("ids", ListFormat::Text),
            ("ids.txt.gz", ListFormat::Text),
            ("ids.gz", ListFormat::Text),
            ("a.b/ids.CSV", ListFormat::Csv),
            ("ids.csv.gz", ListFormat::Csv),
            ("ids.tsv.ZST", ListFormat::Tsv),
            ("ids.ndjson", ListFormat::JsonLines),
            ("ids.json.zst", ListFormat::Json),
            ("ids.parquet", ListFormat::Parquet),
            ("ids.gz.gz", ListFormat::Text),
        ] {
            assert_eq!(ListFormat::of(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_longest_signature_fits() {
        let longest = SIGNATURES
            .iter()
            .map(|(signature, _)| signature.len())
            .max();
        assert_eq!(longest, Some(SIGNATURE_BYTES));
    }
}

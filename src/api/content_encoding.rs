//! Decodes bodies: gzip, Brotli, Zstandard and identity. No body grows beyond its limit.

use std::io;

use crate::api::decoders::{DecodeStep, Decoder, STEP_BYTES};

/// The value of `Accept-Encoding`.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd";

/// Why a body cannot be decoded.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// It is larger than the limit.
    TooLarge,
    /// There is not enough memory for it.
    NoMemory,
    /// It is not valid in its encoding.
    Broken(io::Error),
    /// Its encoding is unknown.
    Unknown(String),
}

impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::OutOfMemory {
            Self::NoMemory
        } else {
            Self::Broken(error)
        }
    }
}

/// A body that is being received.
pub(crate) struct DecodedBody {
    decoder: Decoder,
    bytes: Vec<u8>,
    limit: usize,
    /// Whether any byte has arrived. An empty body is empty in every encoding.
    has_begun: bool,
}

impl DecodedBody {
    /// Starts a body with this value of `Content-Encoding`.
    pub(crate) fn new(encoding: &str, limit: u64) -> Result<Self, DecodeError> {
        let encoding = encoding.trim().to_ascii_lowercase();
        let decoder = match encoding.as_str() {
            "" | "identity" => Decoder::Identity,
            // By RFC 9110 both names mean the same.
            "gzip" | "x-gzip" => Decoder::gzip(),
            "br" => Decoder::brotli(),
            "zstd" => Decoder::zstd()?,
            _ => return Err(DecodeError::Unknown(encoding)),
        };
        Ok(Self {
            decoder,
            bytes: Vec::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            has_begun: false,
        })
    }

    /// Whether the body is not encoded, so that `Content-Length` is its size.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.decoder, Decoder::Identity)
    }

    /// Bytes that are decoded so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The maximum number of bytes of memory that it takes after the next step.
    pub(crate) fn size_after_step(&self) -> usize {
        capacity_for(&self.bytes, STEP_BYTES, self.limit) + self.decoder.size()
    }

    /// Decodes a part of what has arrived.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<DecodeStep, DecodeError> {
        self.has_begun |= !input.is_empty();
        let Self {
            decoder,
            bytes,
            limit,
            ..
        } = self;
        decoder.step(input, |decoded| append(bytes, decoded, *limit))
    }

    /// Decodes all of what has arrived.
    pub(crate) fn push(&mut self, mut input: &[u8]) -> Result<(), DecodeError> {
        loop {
            let step = self.step(input)?;
            input = input.get(step.used..).unwrap_or_default();
            if input.is_empty() && !step.has_more {
                return Ok(());
            }
        }
    }

    /// Ends the body. Returns what was decoded, and whether it is whole.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Result<(), DecodeError>) {
        let Self {
            decoder,
            bytes,
            limit,
            has_begun,
        } = &mut self;
        // A decoder refuses an empty stream, which servers send with any encoding.
        let done = if *has_begun {
            decoder.finish(|decoded| append(bytes, decoded, *limit))
        } else {
            Ok(())
        };
        (self.bytes, done)
    }
}

/// Makes room for more bytes: doubles the buffer if it is full, within the limit.
fn capacity_for(bytes: &Vec<u8>, more: usize, limit: usize) -> usize {
    let needed = bytes.len().saturating_add(more);
    if needed <= bytes.capacity() {
        return bytes.capacity();
    }
    let doubled = bytes.capacity().saturating_mul(2);
    needed.max(doubled).min(limit)
}

/// Appends up to the limit. More is an error.
fn append(bytes: &mut Vec<u8>, decoded: &[u8], limit: usize) -> Result<(), DecodeError> {
    let left = limit.saturating_sub(bytes.len());
    let fits = decoded.get(..left).unwrap_or(decoded);
    if bytes.capacity() - bytes.len() < fits.len() {
        let more = capacity_for(bytes, fits.len(), limit) - bytes.len();
        // Exactly, since the budget was charged for this capacity.
        let reserved = bytes.try_reserve_exact(more);
        reserved.map_err(|_| DecodeError::NoMemory)?;
    }
    bytes.extend_from_slice(fits);
    if fits.len() < decoded.len() {
        return Err(DecodeError::TooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    const LIMIT: u64 = 1 << 20;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(text: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 1, 20);
        encoder.write_all(text).unwrap();
        encoder.into_inner()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(text, 1).unwrap()
    }

    fn decode(encoding: &str, pieces: &[&[u8]], limit: u64) -> Result<Vec<u8>, DecodeError> {
        let mut body = DecodedBody::new(encoding, limit)?;
        for piece in pieces {
            body.push(piece)?;
        }
        let (bytes, done) = body.finish();
        done.map(|()| bytes)
    }

    #[test]
    fn names_are_read_in_any_case_and_members_one_after_the_other() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        let frames = [zstd(b"one "), zstd(b"two")].concat();
        for (encoding, bytes) in [
            ("gzip", &members),
            ("GZIP", &members),
            (" x-gzip", &members),
            ("Zstd", &frames),
            ("BR", &brotli(b"one two")),
            ("", &b"one two".to_vec()),
            ("Identity", &b"one two".to_vec()),
        ] {
            for at in 0..bytes.len() {
                let (first, second) = bytes.split_at(at);
                let decoded = decode(encoding, &[first, second], LIMIT).unwrap();
                assert_eq!(decoded, b"one two", "{encoding}, {at}");
            }
        }
    }

    #[test]
    fn an_empty_body_is_empty_in_every_encoding() {
        for encoding in ["", "gzip", "br", "zstd"] {
            assert_eq!(decode(encoding, &[], LIMIT).unwrap(), b"", "{encoding}");
        }
    }

    #[test]
    fn unknown_encodings_are_named() {
        for encoding in ["deflate", "gzip, br", "compress"] {
            let error = decode(encoding, &[], LIMIT).unwrap_err();
            assert!(matches!(error, DecodeError::Unknown(name) if name == encoding));
        }
    }

    #[test]
    fn a_body_that_is_cut_off_is_not_taken_for_a_whole_one() {
        for (encoding, bytes) in [
            ("gzip", gzip(b"some text")),
            ("br", brotli(b"some text")),
            ("zstd", zstd(b"some text")),
        ] {
            for length in 1..bytes.len() {
                let cut = decode(encoding, &[&bytes[..length]], LIMIT);
                assert!(
                    matches!(cut, Err(DecodeError::Broken(_))),
                    "{encoding}, {length}"
                );
            }
        }
    }

    fn in_every_encoding(body: &[u8]) -> [(&'static str, Vec<u8>); 4] {
        [
            ("", body.to_vec()),
            ("gzip", gzip(body)),
            ("br", brotli(body)),
            ("zstd", zstd(body)),
        ]
    }

    #[test]
    fn a_small_body_that_gets_large_ends_at_the_limit() {
        let large = vec![b'['; 20 << 20];
        for (encoding, bytes) in in_every_encoding(&large) {
            let mut body = DecodedBody::new(encoding, LIMIT).unwrap();
            let pushed = body.push(&bytes);
            let (decoded, done) = body.finish();
            assert!(
                matches!(pushed.and(done), Err(DecodeError::TooLarge)),
                "{encoding}"
            );
            assert!(decoded.len() as u64 <= LIMIT, "{encoding}");
            let exact = decode(encoding, &[&bytes], large.len() as u64);
            assert_eq!(exact.unwrap().len(), large.len(), "{encoding}");
        }
    }

    #[test]
    fn steps_are_small_and_memory_is_known_before_each() {
        let large = vec![b'['; 20 << 20];
        for (encoding, bytes) in in_every_encoding(&large) {
            let mut body = DecodedBody::new(encoding, 64 << 20).unwrap();
            let mut input = &bytes[..];
            loop {
                let (before, size) = (body.len(), body.size_after_step());
                let step = body.step(input).unwrap();
                input = &input[step.used..];
                assert!(body.len() - before <= STEP_BYTES, "{encoding}");
                assert!(body.bytes.capacity() <= size, "{encoding}");
                if input.is_empty() && !step.has_more {
                    break;
                }
            }
            assert!(
                body.bytes.capacity() <= 2 * large.len() + STEP_BYTES,
                "{encoding}"
            );
            assert!(body.finish().0 == large, "{encoding}");
        }
    }

    #[test]
    fn large_windows_of_brotli_are_refused() {
        // RFC 7932 ends at 24 bits; 0x11 and 30 bits begin the extension, which would take 1 GiB.
        let mut body = DecodedBody::new("br", LIMIT).unwrap();
        let pushed = body.push(&[0x11, 0x1e, 0x03, 0x03]);
        assert!(matches!(pushed, Err(DecodeError::Broken(_))), "{pushed:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_body_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            flip in any::<usize>(),
        ) {
            for (encoding, mut encoded) in [
                ("gzip", gzip(&bytes)), ("br", brotli(&bytes)), ("zstd", zstd(&bytes)),
            ] {
                prop_assert_eq!(&decode(encoding, &[&encoded], LIMIT).unwrap(), &bytes);
                let _ = decode(encoding, &[&bytes], LIMIT);
                let at = flip % encoded.len();
                encoded[at] ^= 1;
                let _ = decode(encoding, &[&encoded], LIMIT);
            }
        }
    }
}

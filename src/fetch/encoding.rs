//! Bodies as they were before they were compressed for the way: gzip, Brotli, Zstandard, and none. Whatever a body
//! says of itself, it gets no larger than it may. Pure. Depends on nothing.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Decoder as ZstdContext, InBuffer, Operation as _, OutBuffer};

/// What requests say that they read.
pub(super) const ACCEPTED: &str = "gzip, br, zstd";

/// Bytes that a decoder gives at a time.
const PIECE: usize = 16 * 1024;

/// The largest window of Zstandard over HTTP is 8 MiB, says RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Why a body cannot be decoded.
#[derive(Debug)]
pub(super) enum DecodeError {
    /// It is larger than it may be.
    TooLarge,
    /// It is not what its encoding says.
    Broken(io::Error),
    /// Nothing here knows its encoding.
    Unknown(String),
}

/// A body that grows, within a limit.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
    is_over: bool,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let left = self.limit.saturating_sub(self.bytes.len() as u64);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left == 0 && !piece.is_empty() {
            self.is_over = true;
            return Err(io::Error::other("the body is too large"));
        }
        let fits = piece.get(..left).unwrap_or(piece);
        self.bytes.extend_from_slice(fits);
        Ok(fits.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Zstandard frames, one behind the other.
struct Zstd {
    context: ZstdContext<'static>,
    body: Bounded,
    /// Whether the last frame has ended.
    is_whole: bool,
}

impl Zstd {
    fn new(body: Bounded) -> io::Result<Self> {
        let mut context = ZstdContext::new()?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self {
            context,
            body,
            is_whole: true,
        })
    }

    fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(piece);
        let mut decoded = [0; PIECE];
        loop {
            let mut output = OutBuffer::around(&mut decoded[..]);
            // Zero: a frame is complete, and all of it has been given.
            let hint = self.context.run(&mut input, &mut output)?;
            let is_full = output.pos() == PIECE;
            self.body.write_all(output.as_slice())?;
            self.is_whole = hint == 0;
            // Once more without input would begin another frame.
            if input.pos() == piece.len() && (self.is_whole || !is_full) {
                return Ok(());
            }
        }
    }
}

enum Decoder {
    Identity(Bounded),
    Gzip(MultiGzDecoder<Bounded>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Bounded>>),
    Zstd(Zstd),
}

/// A body on its way in.
pub(super) struct Body {
    decoder: Decoder,
    /// Whether anything has come: an empty body is empty in every encoding.
    has_begun: bool,
}

impl Body {
    /// Begins a body with an encoding as the header has it; `capacity` is set aside for one that is not compressed.
    pub(super) fn new(encoding: &str, limit: u64, capacity: usize) -> Result<Self, DecodeError> {
        let body = |capacity| Bounded {
            bytes: Vec::with_capacity(capacity),
            limit,
            is_over: false,
        };
        let encoding = encoding.trim().to_ascii_lowercase();
        let decoder = match encoding.as_str() {
            "" | "identity" => Decoder::Identity(body(capacity)),
            "gzip" | "x-gzip" => Decoder::Gzip(MultiGzDecoder::new(body(0))),
            "br" => {
                let decoder = brotli_decompressor::DecompressorWriter::new(body(0), PIECE);
                Decoder::Brotli(Box::new(decoder))
            }
            "zstd" => Decoder::Zstd(Zstd::new(body(0)).map_err(DecodeError::Broken)?),
            _ => return Err(DecodeError::Unknown(encoding)),
        };
        Ok(Self {
            decoder,
            has_begun: false,
        })
    }

    /// Whether its length on the way is its length.
    pub(super) fn is_identity(&self) -> bool {
        matches!(self.decoder, Decoder::Identity(_))
    }

    fn bounded(&self) -> &Bounded {
        match &self.decoder {
            Decoder::Identity(body) => body,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Brotli(decoder) => decoder.get_ref(),
            Decoder::Zstd(decoder) => &decoder.body,
        }
    }

    fn bounded_mut(&mut self) -> &mut Bounded {
        match &mut self.decoder {
            Decoder::Identity(body) => body,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Brotli(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => &mut decoder.body,
        }
    }

    /// Decoded bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bounded().bytes.len()
    }

    /// Takes what has come.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), DecodeError> {
        self.has_begun |= !piece.is_empty();
        let done = match &mut self.decoder {
            Decoder::Identity(body) => body.write_all(piece),
            Decoder::Gzip(decoder) => decoder.write_all(piece),
            Decoder::Brotli(decoder) => decoder.write_all(piece),
            Decoder::Zstd(decoder) => decoder.push(piece),
        };
        self.checked(done)
    }

    /// Nothing more comes: what was decoded, and whether it is whole.
    pub(super) fn finish(mut self) -> (Vec<u8>, Result<(), DecodeError>) {
        let done = match &mut self.decoder {
            _ if !self.has_begun => Ok(()),
            Decoder::Identity(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Brotli(decoder) => decoder.close(),
            Decoder::Zstd(decoder) if decoder.is_whole => Ok(()),
            Decoder::Zstd(_) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the frame is not complete",
            )),
        };
        let done = self.checked(done);
        (std::mem::take(&mut self.bounded_mut().bytes), done)
    }

    fn checked(&self, done: io::Result<()>) -> Result<(), DecodeError> {
        done.map_err(|error| {
            if self.bounded().is_over {
                DecodeError::TooLarge
            } else {
                DecodeError::Broken(error)
            }
        })
    }
}

#[cfg(test)]
mod tests {
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
        let mut body = Body::new(encoding, limit, 0)?;
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
    fn what_is_not_known_is_named() {
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

    #[test]
    fn a_small_body_that_gets_large_ends_at_the_limit() {
        let large = vec![b'['; 20 << 20];
        for (encoding, bytes) in [
            ("", large.clone()),
            ("gzip", gzip(&large)),
            ("br", brotli(&large)),
            ("zstd", zstd(&large)),
        ] {
            let mut body = Body::new(encoding, LIMIT, 0).unwrap();
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

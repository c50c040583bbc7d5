//! Decoders of compressed bodies. They decode in small steps, so that memory can be reserved between the steps, and
//! report how much memory they take themselves.

use std::io::{self, Write as _};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::MultiGzDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

/// The maximum number of bytes that a step gives: what flate2 decodes at once.
pub(crate) const STEP_BYTES: usize = 32 * 1024;

/// Bytes that the other decoders give at once.
const PIECE_BYTES: usize = 16 * 1024;

/// RFC 9659 limits the window of Zstandard over HTTP to 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The memory of a gzip decoder, approximately: its window, its tables, and the output of a step.
const GZIP_BYTES: usize = 128 * 1024;

/// The result of a step.
pub(crate) struct DecodeStep {
    /// Bytes of the input that were consumed.
    pub(crate) used: usize,
    /// Whether more output is left that needs no more input.
    pub(crate) has_more: bool,
}

/// A decoder.
pub(crate) enum Decoder {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Brotli(Box<BrotliDecoder>),
    Zstd(Box<ZstdDecoder>),
}

/// A Brotli stream.
pub(crate) struct BrotliDecoder {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    is_whole: bool,
}

/// Zstandard frames in a row.
pub(crate) struct ZstdDecoder {
    context: DCtx<'static>,
    is_whole: bool,
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

fn cut_off(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

impl Decoder {
    pub(crate) fn gzip() -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
    }

    pub(crate) fn brotli() -> Self {
        let alloc = StandardAlloc::default;
        Self::Brotli(Box::new(BrotliDecoder {
            // Large windows, of up to 1 GiB, are not part of Brotli over HTTP.
            state: BrotliState::<_, _, _>::new_strict(alloc(), alloc(), alloc()),
            is_whole: false,
        }))
    }

    pub(crate) fn zstd() -> io::Result<Self> {
        let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        context
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
            .map_err(zstd_error)?;
        let is_whole = true;
        Ok(Self::Zstd(Box::new(ZstdDecoder { context, is_whole })))
    }

    /// Bytes of memory that the decoder takes itself, approximately.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip(_) => GZIP_BYTES,
            Self::Brotli(brotli) => usize::try_from(brotli.state.ringbuffer_size).unwrap_or(0),
            Self::Zstd(zstd) => zstd.context.sizeof(),
        }
    }

    /// Decodes a part of the input and passes on the output, at most [`STEP_BYTES`].
    pub(crate) fn step<E: From<io::Error>>(
        &mut self,
        input: &[u8],
        take: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<DecodeStep, E> {
        match self {
            Self::Identity => {
                let part = input.get(..STEP_BYTES).unwrap_or(input);
                take(part)?;
                let used = part.len();
                let has_more = false;
                Ok(DecodeStep { used, has_more })
            }
            Self::Gzip(decoder) => {
                let used = decoder.write(input)?;
                take(decoder.get_ref())?;
                decoder.get_mut().clear();
                let has_more = false;
                Ok(DecodeStep { used, has_more })
            }
            Self::Brotli(decoder) => {
                let mut piece = [0; PIECE_BYTES];
                let (step, bytes) = decoder.step(input, &mut piece)?;
                take(piece.get(..bytes).unwrap_or_default())?;
                Ok(step)
            }
            Self::Zstd(decoder) => {
                let mut piece = [0; PIECE_BYTES];
                let (step, bytes) = decoder.step(input, &mut piece)?;
                take(piece.get(..bytes).unwrap_or_default())?;
                Ok(step)
            }
        }
    }

    /// Ends the input. Returns the rest, or an error if the body is not whole.
    pub(crate) fn finish<E: From<io::Error>>(
        &mut self,
        take: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Identity => Ok(()),
            Self::Gzip(decoder) => {
                let done = decoder.try_finish();
                take(decoder.get_ref())?;
                Ok(done?)
            }
            Self::Brotli(decoder) if decoder.is_whole => Ok(()),
            Self::Brotli(_) => Err(cut_off("the stream is not complete").into()),
            Self::Zstd(decoder) if decoder.is_whole => Ok(()),
            Self::Zstd(_) => Err(cut_off("the frame is not complete").into()),
        }
    }
}

impl BrotliDecoder {
    fn step(&mut self, input: &[u8], decoded: &mut [u8]) -> io::Result<(DecodeStep, usize)> {
        if self.is_whole {
            return match input.len() {
                0 => Ok((
                    DecodeStep {
                        used: 0,
                        has_more: false,
                    },
                    0,
                )),
                _ => Err(io::Error::other(
                    "there is more behind the end of the stream",
                )),
            };
        }
        let (mut in_left, mut used) = (input.len(), 0);
        let (mut out_left, mut written, mut total) = (decoded.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut in_left,
            &mut used,
            input,
            &mut out_left,
            &mut written,
            decoded,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "invalid Brotli"));
            }
            BrotliResult::ResultSuccess => self.is_whole = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        let has_more = matches!(result, BrotliResult::NeedsMoreOutput);
        Ok((DecodeStep { used, has_more }, written))
    }
}

impl ZstdDecoder {
    fn step(&mut self, input: &[u8], decoded: &mut [u8]) -> io::Result<(DecodeStep, usize)> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(decoded);
        // Zero: a frame is complete, and all of its output was given.
        let hint = self.context.decompress_stream(&mut output, &mut input);
        self.is_whole = hint.map_err(zstd_error)? == 0;
        let used = input.pos();
        // Another call without input would begin a new frame.
        let has_more = !self.is_whole && output.pos() == output.capacity();
        Ok((DecodeStep { used, has_more }, output.pos()))
    }
}

/// Names the types that the decoders are built from.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identity => "Identity",
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

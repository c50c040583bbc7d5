//! Builds an encoded column chunk from pages: compresses them, and states what the format requires.

use bytes::Bytes;
use parquet::basic::{
    BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type as PhysicalType, ZstdLevel,
};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::encode::kept_bytes::{BytesStore, KeptBytes};
use crate::encode::parquet::write::boundary_order::BoundaryTracker;
use crate::encode::parquet::write::chunk_statistics::statistics;
use crate::encode::parquet::write::encoded_chunk::{ChunkPagesSource, EncodedChunk};
use crate::encode::parquet::write::page_compressor::PageCompressor;
use crate::encode::parquet::write::properties::{ColumnSettings, STATISTICS_BYTES};
use crate::encode::parquet::write::raw_page::{ChunkEnd, PageContent, PageCounts, RawPage};
use crate::encode::parquet::write::value_range::{StatedBound, ValueOrder, ValueRange};
use crate::tables::column::ColumnInfo;

/// Bytes that are reserved for the header of a page.
const HEADER_BYTES: usize = 64;

/// Builds one column chunk, on any thread.
#[derive(Debug)]
pub(crate) struct ChunkBuilder {
    column: ColumnDescPtr,
    settings: ColumnSettings,
    order: ValueOrder,
    store: BytesStore,
    dictionary: Option<WrittenPage>,
    data: Vec<WrittenPage>,
}

/// A compressed page with its header.
#[derive(Debug)]
struct WrittenPage {
    kept: KeptBytes,
    content: PageContent,
    counts: PageCounts,
    range: Option<ValueRange>,
    /// Bytes with the header.
    bytes: usize,
    /// Bytes before compression, with the header.
    uncompressed_bytes: usize,
}

impl ChunkBuilder {
    /// Starts a chunk of a column, which is described as in the files of its table.
    pub(crate) fn new(info: &ColumnInfo, column: ColumnDescPtr, store: BytesStore) -> Self {
        Self {
            column,
            settings: ColumnSettings::of(info),
            order: ValueOrder::of(info.column_type),
            store,
            dictionary: None,
            data: Vec::new(),
        }
    }

    /// Compresses the next page. A dictionary may come at any time.
    pub(crate) fn add(
        &mut self,
        page: RawPage,
        compressor: &mut PageCompressor,
    ) -> Result<(), ParquetError> {
        let compressed = compressor.compress(self.settings.zstd_level, &page.body)?;
        let buf = Bytes::copy_from_slice(compressed);
        let num_values = u32::try_from(page.counts.values)?;
        let header = match page.content {
            PageContent::Dictionary => Page::DictionaryPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            },
            PageContent::Indices | PageContent::Plain => Page::DataPage {
                buf,
                num_values,
                encoding: encoding(page.content),
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
        };
        let mut output = TrackedWrite::new(Vec::with_capacity(compressed.len() + HEADER_BYTES));
        let spec = SerializedPageWriter::new(&mut output)
            .write_page(CompressedPage::new(header, page.body.len()))?;
        let written = WrittenPage {
            kept: self.store.keep(output.into_inner()?)?,
            content: page.content,
            counts: page.counts,
            range: page.range,
            bytes: spec.compressed_size,
            uncompressed_bytes: spec.uncompressed_size,
        };
        match page.content {
            PageContent::Dictionary => self.dictionary = Some(written),
            PageContent::Indices | PageContent::Plain => self.data.push(written),
        }
        Ok(())
    }

    /// Completes the chunk.
    pub(crate) fn finish(
        mut self,
        end: ChunkEnd,
        compressor: &mut PageCompressor,
    ) -> Result<EncodedChunk, ParquetError> {
        for page in end.pages {
            self.add(page, compressor)?;
        }
        let mut counts = PageCounts::default();
        self.data.iter().for_each(|page| counts.add(&page.counts));
        let pages = || self.dictionary.iter().chain(&self.data);
        let bytes = number(pages().map(|page| page.bytes).sum())?;
        let uncompressed = number(pages().map(|page| page.uncompressed_bytes).sum())?;
        let dictionary = self.dictionary.as_ref();
        let data_offset = number(dictionary.map_or(0, |page| page.bytes))?;
        let contents: Vec<PageContent> = pages().map(|page| page.content).collect();
        let encodings = contents.iter().map(|content| encoding(*content));
        let encodings: Vec<Encoding> = encodings.chain([Encoding::RLE]).collect();
        let level = ZstdLevel::try_new(self.settings.zstd_level)?;
        let (repetition, definition) = self.histograms(&counts)?;
        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(Compression::ZSTD(level))
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(encoding_stats(&contents))
            .set_total_compressed_size(bytes)
            .set_total_uncompressed_size(uncompressed)
            .set_num_values(number(counts.values)?)
            .set_data_page_offset(data_offset)
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_unencoded_byte_array_data_bytes(self.text_bytes(&counts)?)
            .set_repetition_level_histogram(repetition)
            .set_definition_level_histogram(definition);
        let stated = statistics(&self.column, end.range.as_ref(), counts.nulls as u64);
        if let Some(stated) = stated {
            metadata = metadata.set_statistics(stated);
        }
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(bytes)?,
            rows_written: counts.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: self.column_index(end.boundary_order)?,
            offset_index: Some(self.offset_index(data_offset)?),
        };
        let pages = self.dictionary.into_iter().chain(self.data);
        let pages = pages.map(|page| page.kept).collect();
        Ok(EncodedChunk {
            pages: ChunkPagesSource::Kept(pages),
            close,
        })
    }

    /// Bytes of texts, which only text columns state.
    fn text_bytes(&self, counts: &PageCounts) -> Result<Option<i64>, ParquetError> {
        let is_text = self.column.physical_type() == PhysicalType::BYTE_ARRAY;
        is_text.then(|| number(counts.text_bytes)).transpose()
    }

    /// The values of each repetition and definition level. `None` where all values have the same one.
    fn histograms(
        &self,
        counts: &PageCounts,
    ) -> Result<(Option<LevelHistogram>, Option<LevelHistogram>), ParquetError> {
        let histogram = |max_level: i16, counts: &[usize]| {
            let levels = usize::try_from(max_level)? + 1;
            if levels == 1 {
                return Ok(None);
            }
            let counts = counts.iter().take(levels).map(|count| number(*count));
            let counts: Vec<i64> = counts.collect::<Result<_, _>>()?;
            Ok::<_, ParquetError>(Some(LevelHistogram::from(counts)))
        };
        Ok((
            histogram(self.column.max_rep_level(), &counts.repetition)?,
            histogram(self.column.max_def_level(), &counts.definition)?,
        ))
    }

    /// The bounds of pages, in columns whose pages have them. `order` is the
    /// order of the values themselves.
    fn column_index(
        &self,
        order: BoundaryOrder,
    ) -> Result<Option<ColumnIndexMetaData>, ParquetError> {
        if !self.settings.has_page_bounds {
            return Ok(None);
        }
        let mut index = ColumnIndexBuilder::new(self.column.physical_type());
        let mut stated = BoundaryTracker::new(self.order);
        for page in &self.data {
            // A page without values has empty bounds.
            let (min, max) = match &page.range {
                None => <(Vec<u8>, Vec<u8>)>::default(),
                Some(range) => {
                    let bounds = self.stated_bounds(range);
                    stated.add(&bounds);
                    (bounds.min, bounds.max)
                }
            };
            let nulls = number(page.counts.nulls)?;
            index.append(page.range.is_none(), min, max, nulls, None);
            let (repetition, definition) = self.histograms(&page.counts)?;
            index.append_histograms(&repetition, &definition);
        }
        // A shortened maximum may come after the whole one of the next page.
        let is_ordered = stated.boundary_order() == order;
        index.set_boundary_order(if is_ordered {
            order
        } else {
            BoundaryOrder::UNORDERED
        });
        index.build().map(Some)
    }

    /// The bounds of a page. Only those of texts are shortened.
    fn stated_bounds(&self, range: &ValueRange) -> ValueRange {
        if self.column.physical_type() != PhysicalType::BYTE_ARRAY {
            return range.clone();
        }
        ValueRange {
            min: StatedBound::min(&range.min, STATISTICS_BYTES).bytes,
            max: StatedBound::max(&range.max, STATISTICS_BYTES).bytes,
        }
    }

    /// The positions of pages, the first one at `offset`.
    fn offset_index(&self, offset: i64) -> Result<OffsetIndexMetaData, ParquetError> {
        let mut index = OffsetIndexBuilder::new();
        let mut offset = offset;
        for page in &self.data {
            index.append_row_count(number(page.counts.rows)?);
            index.append_unencoded_byte_array_data_bytes(self.text_bytes(&page.counts)?);
            index.append_offset_and_size(offset, i32::try_from(page.bytes)?);
            offset += number(page.bytes)?;
        }
        Ok(index.build())
    }
}

/// A number as metadata states it.
fn number(count: usize) -> Result<i64, ParquetError> {
    Ok(i64::try_from(count)?)
}

/// The encoding of a page's values.
fn encoding(content: PageContent) -> Encoding {
    match content {
        PageContent::Dictionary | PageContent::Plain => Encoding::PLAIN,
        PageContent::Indices => Encoding::RLE_DICTIONARY,
    }
}

/// The number of pages of each kind, in the order of the file.
fn encoding_stats(pages: &[PageContent]) -> Vec<PageEncodingStats> {
    let mut stats: Vec<PageEncodingStats> = Vec::new();
    for content in pages {
        let page_type = match content {
            PageContent::Dictionary => PageType::DICTIONARY_PAGE,
            PageContent::Indices | PageContent::Plain => PageType::DATA_PAGE,
        };
        let encoding = encoding(*content);
        match stats.last_mut() {
            Some(last) if (last.page_type, last.encoding) == (page_type, encoding) => {
                last.count += 1;
            }
            _ => stats.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
    }
    stats
}

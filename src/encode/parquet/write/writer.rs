//! Writes the Parquet file of a table.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use crate::durable_fs::StagedFile;
use crate::encode::parquet::write::column_order::TypeDefinedOrder;
use crate::encode::parquet::write::pages::PageStores;
use crate::encode::parquet::write::row_groups::RowGroup;
use crate::encode::parquet::write::rows::SpilledRows;
use crate::encode::parquet::write::spill::Spill;
use crate::encode::parquet::write::{column_order, properties};
use crate::encode::table_writer::{FinishedFile, TableWriter};
use crate::output_error::OutputError;
use crate::tables::schema::{arrow_schema, file_metadata};
use crate::tables::table::TableInfo;

/// Writes one table's Parquet file.
///
/// Batches wait until they fill a row group, which is then encoded column by column. If memory is short, the waiting
/// rows go to a file, except those of the few columns with the most bytes: these are encoded, and the row group
/// continues. Neither changes a byte of the file: only the end of a row group does, and [`RowGroup`] decides that.
/// `ArrowWriter` of the `parquet` crate encodes batches when they arrive, and keeps a page, a dictionary and a
/// compressor for every column of every table: over 100 MB for the 239 columns here.
pub(crate) struct ParquetWriter<W: Write + Send> {
    table: &'static TableInfo,
    schema: SchemaRef,
    file: SerializedFileWriter<TypeDefinedOrder<W>>,
    encoders: ArrowRowGroupWriterFactory,
    row_group: RowGroup,
    columns: Vec<OpenColumn>,
    /// Bytes of rows in memory.
    waiting_bytes: usize,
    /// Earlier rows, in a file.
    spilled: SpilledRows,
    spill: Arc<Spill>,
}

/// A column of the current row group.
#[derive(Default)]
struct OpenColumn {
    /// Rows in memory that are not encoded yet.
    waiting: Vec<ArrayRef>,
    /// Bytes of all rows so far, earlier row groups included.
    bytes: u64,
    /// The encoder of the first rows, if some are encoded.
    encoder: Option<ArrowColumnWriter>,
}

impl OpenColumn {
    /// Whether new rows are encoded instead of moved to a file: the column is large, or some of its rows are encoded
    /// already.
    fn is_encoded(&self, large: u64) -> bool {
        self.encoder.is_some() || self.bytes >= large
    }
}

impl ParquetWriter<StagedFile> {
    pub(crate) fn begin(table: &'static TableInfo, file: StagedFile) -> Result<Self, OutputError> {
        let path = file.path().to_owned();
        let spill = path.with_extension("spill");
        Self::open(table, file, Some(&spill)).map_err(|error| failed(table, &path, &error))
    }

    fn failed(&self, error: &ParquetError) -> OutputError {
        failed(self.table, self.file.inner().file().path(), error)
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Starts a file. Rows that exceed the memory bound wait in another file, at the path `spill` or in the system's
    /// directory of temporary files.
    pub(crate) fn open(
        table: &'static TableInfo,
        file: W,
        spill: Option<&Path>,
    ) -> Result<Self, ParquetError> {
        let schema = arrow_schema(table);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let mut properties = properties::properties(table)?;
        // pyarrow shows the metadata of the Arrow schema instead of the file's.
        let described = Schema::clone(&schema).with_metadata(file_metadata(table));
        add_encoded_arrow_schema_to_metadata(&described, &mut properties);
        let properties = Arc::new(properties);
        let file = SerializedFileWriter::new(
            TypeDefinedOrder::new(file),
            parquet_schema.root_schema_ptr(),
            properties,
        )?;
        let spill = Arc::new(Spill::new(spill));
        let stores = PageStores::new(Arc::clone(&spill));
        let encoders = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema))
            .with_page_store_factory(Arc::new(stores));
        let columns = table.columns().map(|_| OpenColumn::default()).collect();
        Ok(Self {
            table,
            schema,
            file,
            encoders,
            row_group: RowGroup::default(),
            columns,
            waiting_bytes: 0,
            spilled: SpilledRows::new(Arc::clone(&spill), table.columns().count()),
            spill,
        })
    }

    /// Appends rows, which wait until they fill a row group.
    pub(crate) fn write_rows(&mut self, mut batch: RecordBatch) -> Result<(), ParquetError> {
        loop {
            let fitting = self.row_group.add(&batch);
            if fitting == batch.num_rows() {
                self.wait(&batch);
                return Ok(());
            }
            self.wait(&batch.slice(0, fitting));
            self.write_row_group()?;
            batch = batch.slice(fitting, batch.num_rows() - fitting);
        }
    }

    fn wait(&mut self, batch: &RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        for (column, rows) in self.columns.iter_mut().zip(batch.columns()) {
            let bytes = rows.get_array_memory_size();
            self.waiting_bytes += bytes;
            column.bytes += bytes as u64;
            column.waiting.push(Arc::clone(rows));
        }
    }

    /// Frees the memory of waiting rows: encodes those of columns with at least `large` bytes and of columns with an
    /// encoder, and moves all others to a file. The row group continues.
    fn clear_waiting(&mut self, large: u64) -> Result<(), ParquetError> {
        let mut columns = self.columns.iter();
        if columns.any(|column| column.encoder.is_none() && column.is_encoded(large)) {
            // The crate creates the encoders of all columns together. Those that are not needed are dropped.
            let fresh = self.new_encoders()?;
            for (column, fresh) in self.columns.iter_mut().zip(fresh) {
                if column.is_encoded(large) {
                    column.encoder.get_or_insert(fresh);
                }
            }
        }
        for index in 0..self.columns.len() {
            let open = |column: &mut OpenColumn| column.encoder.take();
            if let Some(mut encoder) = self.columns.get_mut(index).and_then(open) {
                self.encode_column(index, &mut encoder)?;
                if let Some(column) = self.columns.get_mut(index) {
                    column.encoder = Some(encoder);
                }
            }
        }
        let columns = self.schema.fields().iter().zip(&mut self.columns);
        let others = columns
            .enumerate()
            .filter(|(_, (_, column))| column.encoder.is_none())
            .map(|(index, (field, column))| (index, field, column.waiting.drain(..)));
        self.spilled.put(others)?;
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Writes the row group column by column. The waiting rows of a column are freed before the next column is encoded.
    fn write_row_group(&mut self) -> Result<(), ParquetError> {
        let mut columns = self.columns.iter();
        if self.spilled.is_empty()
            && columns.all(|column| column.encoder.is_none() && column.waiting.is_empty())
        {
            return Ok(());
        }
        let mut chunks = Vec::new();
        for (index, fresh) in self.new_encoders()?.into_iter().enumerate() {
            let begun = self.columns.get_mut(index);
            let mut encoder = begun
                .and_then(|column| column.encoder.take())
                .unwrap_or(fresh);
            self.encode_column(index, &mut encoder)?;
            let mut chunk = encoder.close()?;
            column_order::correct_zeros(&mut chunk)?;
            chunks.push(chunk);
        }
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.waiting_bytes = 0;
        // The file has all pages of the row group now.
        self.spill.clear();
        Ok(())
    }

    /// Creates encoders of all columns for the current row group. No column here has more than one leaf.
    fn new_encoders(&self) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        let number = self.file.flushed_row_groups().len();
        self.encoders.create_column_writers(number)
    }

    /// Encodes the waiting rows of a column, and frees them.
    fn encode_column(
        &mut self,
        index: usize,
        encoder: &mut ArrowColumnWriter,
    ) -> Result<(), ParquetError> {
        let (Some(field), Some(column)) =
            (self.schema.fields().get(index), self.columns.get_mut(index))
        else {
            return Ok(());
        };
        let spilled = self.spilled.take(index, field);
        for rows in spilled.chain(column.waiting.drain(..).map(Ok)) {
            for leaf in compute_leaves(field, &rows?)? {
                encoder.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// Writes the waiting rows and the footer. Returns the output.
    pub(crate) fn close(mut self) -> Result<W, ParquetError> {
        self.write_row_group()?;
        let columns = self.file.schema_descr().num_columns();
        // The crate buffers writes. Without this flush, the kept end would begin with bytes of the last row group.
        self.file.flush()?;
        self.file.inner_mut().keep_end();
        self.file.into_inner()?.finish(columns)
    }
}

impl TableWriter for ParquetWriter<StagedFile> {
    fn write(&mut self, batch: RecordBatch) -> Result<(), OutputError> {
        self.write_rows(batch).map_err(|error| self.failed(&error))
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn bytes(&self) -> u64 {
        self.columns.iter().map(|column| column.bytes).sum()
    }

    fn make_room(&mut self, large: u64) -> Result<(), OutputError> {
        self.clear_waiting(large)
            .map_err(|error| self.failed(&error))
    }

    fn encode_rest(&mut self) -> Result<(), OutputError> {
        self.write_row_group().map_err(|error| self.failed(&error))
    }

    fn finish(self: Box<Self>) -> Result<FinishedFile, OutputError> {
        let table = self.table;
        let path = self.file.inner().file().path().to_owned();
        let mut file = self.close().map_err(|error| failed(table, &path, &error))?;
        file.flush().map_err(OutputError::io("write", &path))?;
        Ok(FinishedFile {
            file: file.finish()?,
            longest_record: 0,
        })
    }
}

fn failed(table: &'static TableInfo, path: &Path, error: &ParquetError) -> OutputError {
    if let ParquetError::External(cause) = error
        && let Some(cause) = cause.downcast_ref::<io::Error>()
    {
        let source = cause.raw_os_error().map_or_else(
            || io::Error::new(cause.kind(), cause.to_string()),
            io::Error::from_raw_os_error,
        );
        return OutputError::io("write", path)(source);
    }
    OutputError::Table {
        table: table.name,
        path: path.to_owned(),
        cause: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray, new_null_array};
    use proptest::prelude::*;

    use super::*;
    use crate::error::Explain as _;
    use crate::tables::table::Table;

    #[test]
    fn a_full_disk_within_a_row_group_has_the_hint_for_a_full_disk() {
        const ENOSPC: i32 = 28;
        let error = ParquetError::from(io::Error::from_raw_os_error(ENOSPC));
        let table = Table::Tasks.info();
        let error = failed(table, Path::new("out/tasks.parquet"), &error);
        assert!(
            error
                .to_string()
                .starts_with("could not write `out/tasks.parquet`: No space")
        );
        assert!(error.hint().unwrap().starts_with("free disk space"));
    }

    /// Rows of `rubrics`, which has columns of text, int64 and float64.
    fn rubrics(rows: usize) -> RecordBatch {
        let schema = arrow_schema(Table::Rubrics.info());
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let numbers = 0..i32::try_from(rows).unwrap();
            match (field.name().as_str(), field.is_nullable()) {
                ("max_total_score", _) => Arc::new(Float64Array::from_iter_values(
                    numbers.map(|number| f64::from(number) / 8.0),
                )),
                ("task_id" | "path" | "turn_id", _) => Arc::new(StringArray::from_iter_values(
                    numbers.map(|number| format!("{}/{}", field.name(), number / 3)),
                )),
                (_, false) => Arc::new(Int32Array::from_iter_values(numbers)),
                (_, true) => new_null_array(field.data_type(), rows),
            }
        });
        let columns = columns.collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    }

    fn open_encoders(writer: &ParquetWriter<Vec<u8>>) -> usize {
        let columns = writer.columns.iter();
        columns.filter(|column| column.encoder.is_some()).count()
    }

    #[test]
    fn only_large_columns_keep_an_encoder_open() {
        let table = Table::Rubrics.info();
        let mut writer = ParquetWriter::open(table, Vec::new(), None).unwrap();
        for _ in 0..3 {
            writer.write_rows(rubrics(1_000)).unwrap();
            let all: u64 = writer.columns.iter().map(|column| column.bytes).sum();
            writer.clear_waiting(all / 8).unwrap();
            let open = open_encoders(&writer);
            assert!((1..=8).contains(&open), "{open} open");
            assert!(
                writer
                    .columns
                    .iter()
                    .all(|column| column.waiting.is_empty())
            );
            assert!(!writer.spilled.is_empty());
        }
        writer.write_row_group().unwrap();
        assert_eq!(open_encoders(&writer), 0);
        assert!(writer.spilled.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        // The memory of other tables decides how rows wait, so it must not change the bytes of this one.
        #[test]
        fn waiting_rows_do_not_change_bytes(waits in proptest::collection::vec(0..4, 6)) {
            let table = Table::Rubrics.info();
            let write = |waits: &[i32]| {
                let mut writer = ParquetWriter::open(table, Vec::new(), None).unwrap();
                for how in waits {
                    writer.write_rows(rubrics(21_000)).unwrap();
                    match how {
                        0 => {}
                        1 => writer.clear_waiting(0).unwrap(),
                        2 => writer.clear_waiting(u64::MAX).unwrap(),
                        // Some columns are encoded, the others are moved to the file.
                        _ => {
                            let mut bytes: Vec<_> = writer.columns.iter().map(|column| column.bytes).collect();
                            bytes.sort_unstable();
                            let median = bytes[bytes.len() / 2];
                            writer.clear_waiting(median).unwrap();
                            prop_assert!(open_encoders(&writer) > 0);
                        }
                    }
                }
                Ok(writer.close().unwrap())
            };
            prop_assert!(write(&waits)? == write(&[0; 6])?);
        }
    }
}

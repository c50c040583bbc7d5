//! Parquet files, one for each table. With `reader::parquet` the only place that names the `parquet` crate.

mod column_order;
mod pages;
mod properties;
mod row_groups;
mod rows;
mod spill;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::OutputError;
use super::staging::StagedFile;
use super::writer::{FinishedFile, TableWriter};
use crate::tables::TableInfo;
use crate::tables::schema::{arrow_schema, file_metadata};
use column_order::TypeDefinedOrder;
use pages::PageStores;
use row_groups::RowGroup;
use rows::SpilledRows;
use spill::Spill;

/// Writes one table's Parquet file.
///
/// Batches wait as they are until they make a row group, which is then encoded column by column. When there is no room
/// to wait, the rows at hand are encoded and the row group continues, or they wait in a file. None of that changes a
/// byte: when a row group ends does, and [`RowGroup`] decides that. The crate's own `ArrowWriter` encodes batches as they
/// come and so keeps a page, a dictionary and a compressor for every column of every table: over 100 MB for the 239
/// columns here.
pub(super) struct ParquetWriter<W: Write + Send> {
    table: &'static TableInfo,
    schema: SchemaRef,
    file: SerializedFileWriter<TypeDefinedOrder<W>>,
    columns: ArrowRowGroupWriterFactory,
    row_group: RowGroup,
    /// Rows that wait as they are, column by column.
    waiting: Vec<Vec<ArrayRef>>,
    waiting_bytes: usize,
    /// Rows before them that wait in a file.
    spilled: SpilledRows,
    spill: Arc<Spill>,
    /// Bytes of all rows of the table.
    bytes: u64,
    /// The row group's columns as far as they are encoded; none when nothing of it is.
    encoded: Vec<ArrowColumnWriter>,
}

impl ParquetWriter<StagedFile> {
    pub(super) fn begin(table: &'static TableInfo, file: StagedFile) -> Result<Self, OutputError> {
        let path = file.path().to_owned();
        let spill = path.with_extension("spill");
        Self::open(table, file, Some(&spill)).map_err(|error| failed(table, &path, &error))
    }

    fn failed(&self, error: &ParquetError) -> OutputError {
        failed(self.table, self.file.inner().file().path(), error)
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file. What has no room in memory waits in another one, at the path `spill` or where the system has its
    /// temporary files.
    pub(super) fn open(
        table: &'static TableInfo,
        file: W,
        spill: Option<&Path>,
    ) -> Result<Self, ParquetError> {
        let schema = arrow_schema(table);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let mut properties = properties::properties(table)?;
        // pyarrow shows the metadata of the Arrow schema in place of the file's.
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
        let columns = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema))
            .with_page_store_factory(Arc::new(stores));
        Ok(Self {
            table,
            schema,
            file,
            columns,
            row_group: RowGroup::default(),
            waiting: vec![Vec::new(); table.columns().count()],
            waiting_bytes: 0,
            spilled: SpilledRows::new(Arc::clone(&spill), table.columns().count()),
            spill,
            bytes: 0,
            encoded: Vec::new(),
        })
    }

    /// Appends rows; they wait until they make a row group.
    pub(super) fn write_rows(&mut self, mut batch: RecordBatch) -> Result<(), ParquetError> {
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
        let bytes = batch.get_array_memory_size();
        self.waiting_bytes += bytes;
        self.bytes += bytes as u64;
        for (waiting, column) in self.waiting.iter_mut().zip(batch.columns()) {
            waiting.push(Arc::clone(column));
        }
    }

    /// Puts the rows that wait in memory into a file.
    fn spill_waiting(&mut self) -> Result<(), ParquetError> {
        let columns = self.schema.fields().iter().zip(&mut self.waiting);
        for (index, (field, waiting)) in columns.enumerate() {
            self.spilled.put(index, field, waiting.drain(..))?;
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Encodes the rows that wait; the row group continues.
    fn encode_waiting(&mut self) -> Result<(), ParquetError> {
        let mut columns = self.take_columns()?;
        for (index, column) in columns.iter_mut().enumerate() {
            self.encode_column(index, column)?;
        }
        self.waiting_bytes = 0;
        self.encoded = columns;
        Ok(())
    }

    /// Writes the row group, column by column: of each, the rows that wait are freed before the next is encoded.
    fn write_row_group(&mut self) -> Result<(), ParquetError> {
        let mut waits = self.waiting.iter().map(Vec::is_empty);
        if self.encoded.is_empty() && waits.all(|none| none) && self.spilled.is_empty() {
            return Ok(());
        }
        let columns = self.take_columns()?;
        let mut chunks = Vec::new();
        for (index, mut column) in columns.into_iter().enumerate() {
            self.encode_column(index, &mut column)?;
            let mut chunk = column.close()?;
            column_order::correct_zeros(&mut chunk)?;
            chunks.push(chunk);
        }
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.waiting_bytes = 0;
        self.spill.clear();
        Ok(())
    }

    /// The columns of the row group at hand, which may begin with this. No column of ours has more than one leaf.
    fn take_columns(&mut self) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        if self.encoded.is_empty() {
            let number = self.file.flushed_row_groups().len();
            return self.columns.create_column_writers(number);
        }
        Ok(std::mem::take(&mut self.encoded))
    }

    /// Encodes what waits of a column, and frees it.
    fn encode_column(
        &mut self,
        index: usize,
        column: &mut ArrowColumnWriter,
    ) -> Result<(), ParquetError> {
        let (Some(field), Some(waiting)) =
            (self.schema.fields().get(index), self.waiting.get_mut(index))
        else {
            return Ok(());
        };
        let spilled = self.spilled.take(index);
        for array in spilled.chain(waiting.drain(..).map(Ok)) {
            for leaf in compute_leaves(field, &array?)? {
                column.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// Writes what waits and the file's end; returns where it was written to.
    pub(super) fn close(mut self) -> Result<W, ParquetError> {
        self.write_row_group()?;
        let columns = self.file.schema_descr().num_columns();
        // The crate buffers writes: without this, the end would begin before the last row group is out.
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
        self.bytes
    }

    fn is_encoding(&self) -> bool {
        !self.encoded.is_empty()
    }

    fn encode(&mut self) -> Result<(), OutputError> {
        self.encode_waiting().map_err(|error| self.failed(&error))
    }

    fn spill(&mut self) -> Result<(), OutputError> {
        self.spill_waiting().map_err(|error| self.failed(&error))
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
    use crate::tables;

    #[test]
    fn a_full_disk_within_a_row_group_is_reported_as_one() {
        const ENOSPC: i32 = 28;
        let error = ParquetError::from(io::Error::from_raw_os_error(ENOSPC));
        let table = tables::find("tasks").unwrap();
        let error = failed(table, Path::new("out/tasks.parquet"), &error);
        assert!(
            error
                .to_string()
                .starts_with("could not write `out/tasks.parquet`: No space")
        );
        assert!(error.hint().unwrap().starts_with("make space"));
    }

    /// Rows of `rubrics`, which has texts, integers and doubles.
    fn rubrics(rows: usize) -> RecordBatch {
        let schema = arrow_schema(tables::find("rubrics").unwrap());
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        // How rows wait depends on other tables, of which nothing may show in this one.
        #[test]
        fn how_rows_wait_changes_no_byte(waits in proptest::collection::vec(0..3, 6)) {
            let table = tables::find("rubrics").unwrap();
            let write = |waits: &[i32]| {
                let mut writer = ParquetWriter::open(table, Vec::new(), None).unwrap();
                for how in waits {
                    writer.write_rows(rubrics(21_000)).unwrap();
                    match how {
                        0 => {}
                        1 => writer.encode_waiting().unwrap(),
                        _ => writer.spill_waiting().unwrap(),
                    }
                }
                writer.close().unwrap()
            };
            prop_assert!(write(&waits) == write(&[0; 6]));
        }
    }
}

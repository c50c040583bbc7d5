//! Rows that wait in a file until their row group is encoded, column by column.
//!
//! A table that is not among the largest has its rows encoded all at once, since an open encoder takes some 200 kB a
//! column. What is read back is what was put in, piece by piece, so that waiting changes no byte of the table.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use parquet::errors::ParquetError;

use super::spill::{Region, Spill};

/// Where rows wait.
#[derive(Debug)]
pub(super) struct SpilledRows {
    spill: Arc<Spill>,
    /// For each column.
    regions: Vec<Vec<Region>>,
}

impl SpilledRows {
    pub(super) fn new(spill: Arc<Spill>, columns: usize) -> Self {
        Self {
            spill,
            regions: vec![Vec::new(); columns],
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.regions.iter().all(Vec::is_empty)
    }

    /// Appends pieces of one column.
    pub(super) fn put(
        &mut self,
        column: usize,
        field: &FieldRef,
        pieces: impl IntoIterator<Item = ArrayRef>,
    ) -> Result<(), ParquetError> {
        let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
        let mut bytes = Vec::new();
        let mut stream = StreamWriter::try_new(&mut bytes, &schema)?;
        for piece in pieces {
            stream.write(&RecordBatch::try_new(Arc::clone(&schema), vec![piece])?)?;
        }
        stream.finish()?;
        drop(stream);
        let region = self.spill.put(&bytes)?;
        if let Some(regions) = self.regions.get_mut(column) {
            regions.push(region);
        }
        Ok(())
    }

    /// Takes out all pieces of one column, in their order. In memory is what was put in at once.
    pub(super) fn take(
        &mut self,
        column: usize,
    ) -> impl Iterator<Item = Result<ArrayRef, ParquetError>> {
        let regions = self.regions.get_mut(column).map(std::mem::take);
        let regions = regions.into_iter().flatten();
        regions.flat_map(|region| self.read(region).unwrap_or_else(|error| vec![Err(error)]))
    }

    fn read(&self, region: Region) -> Result<Vec<Result<ArrayRef, ParquetError>>, ParquetError> {
        let bytes = self.spill.get(region)?;
        let batches = StreamReader::try_new(bytes.as_ref(), None)?;
        Ok(batches
            .map(|batch| Ok(Arc::clone(batch?.column(0))))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn texts(texts: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    #[test]
    fn pieces_come_back_column_by_column_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows");
        let spill = Arc::new(Spill::new(Some(&path)));
        let mut rows = SpilledRows::new(spill, 2);
        let field: FieldRef = Arc::new(Field::new("text", DataType::Utf8, true));
        let long = texts(&[Some("a"), None, Some(""), Some("bc")]);
        let pieces = [
            vec![long.slice(1, 2), texts(&[]), long.slice(0, 1)],
            vec![texts(&[None])],
        ];
        for piece in &pieces {
            for column in 0..2 {
                rows.put(column, &field, piece.clone()).unwrap();
            }
        }
        assert!(!path.exists() && !rows.is_empty());
        for column in [1, 0] {
            let taken: Result<Vec<_>, _> = rows.take(column).collect();
            let taken = taken.unwrap();
            assert_eq!(taken.len(), 4);
            for (taken, put) in taken.iter().zip(pieces.concat()) {
                assert_eq!(taken.as_ref(), put.as_ref());
                assert_eq!(taken.null_count(), put.null_count());
            }
        }
        assert!(rows.is_empty());
    }
}

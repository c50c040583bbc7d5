//! Stores rows in a file until their row group is encoded, column by column.
//!
//! A column that is not large is encoded all at once, since an open encoder takes 200 kB and more. Reading returns the
//! same pieces as were stored, so that waiting does not change the bytes of the table.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch, new_null_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{FieldRef, Schema};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use parquet::errors::ParquetError;

use crate::encode::parquet::write::spill::{Region, Spill};

/// Stored pieces of one column.
#[derive(Debug, Clone, Copy)]
enum SpilledPiece {
    /// Pieces in the file.
    Pieces(Region),
    /// A piece of only nulls, given by their number. Many columns are null in most tasks, and need no space in the
    /// file.
    Nulls(usize),
}

/// The stored rows of one table.
#[derive(Debug)]
pub(crate) struct SpilledRows {
    spill: Arc<Spill>,
    columns: Vec<Vec<SpilledPiece>>,
}

impl SpilledRows {
    pub(crate) fn new(spill: Arc<Spill>, columns: usize) -> Self {
        Self {
            spill,
            columns: vec![Vec::new(); columns],
        }
    }

    /// Whether no rows are stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.iter().all(Vec::is_empty)
    }

    /// Appends pieces of some columns, each given by its index.
    pub(crate) fn put<'f, P: IntoIterator<Item = ArrayRef>>(
        &mut self,
        columns: impl IntoIterator<Item = (usize, &'f FieldRef, P)>,
    ) -> Result<(), ParquetError> {
        let mut file = self.spill.append();
        for (column, field, pieces) in columns {
            let Some(stored) = self.columns.get_mut(column) else {
                continue;
            };
            let pieces: Vec<ArrayRef> = pieces.into_iter().collect();
            if pieces.iter().all(|piece| piece.null_count() == piece.len()) {
                stored.extend(pieces.iter().map(|piece| SpilledPiece::Nulls(piece.len())));
                continue;
            }
            let begin = file.position();
            let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
            let mut stream = StreamWriter::try_new(&mut file, &schema)?;
            for piece in pieces {
                stream.write(&RecordBatch::try_new(Arc::clone(&schema), vec![piece])?)?;
            }
            stream.finish()?;
            drop(stream);
            stored.push(SpilledPiece::Pieces(file.region_from(begin)));
        }
        file.flush()?;
        Ok(())
    }

    /// Removes and returns all pieces of one column in their order. Memory holds only the pieces of one call of
    /// [`put`](Self::put) at a time.
    pub(crate) fn take(
        &mut self,
        column: usize,
        field: &FieldRef,
    ) -> impl Iterator<Item = Result<ArrayRef, ParquetError>> {
        let stored = self.columns.get_mut(column).map(std::mem::take);
        let stored = stored.into_iter().flatten();
        stored.flat_map(|stored| match stored {
            SpilledPiece::Pieces(region) => {
                self.read(region).unwrap_or_else(|error| vec![Err(error)])
            }
            SpilledPiece::Nulls(rows) => vec![Ok(new_null_array(field.data_type(), rows))],
        })
    }

    fn read(&self, region: Region) -> Result<Vec<Result<ArrayRef, ParquetError>>, ParquetError> {
        // The pieces share the memory of the buffer.
        let mut bytes = Buffer::from(self.spill.get(region)?);
        let mut stream = StreamDecoder::new();
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let batch = stream.decode(&mut bytes)?;
            pieces.extend(batch.map(|batch| Ok(Arc::clone(batch.column(0)))));
        }
        stream.finish()?;
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
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
            rows.put((0..2).map(|column| (column, &field, piece.clone())))
                .unwrap();
        }
        assert!(!path.exists() && !rows.is_empty());
        for column in [1, 0] {
            let taken: Result<Vec<_>, _> = rows.take(column, &field).collect();
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

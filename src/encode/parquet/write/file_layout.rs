//! What all Parquet files of a table have in common: columns and metadata.

use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};

use crate::encode::parquet::write::properties::properties;
use crate::tables::column::ColumnInfo;
use crate::tables::schema::{arrow_schema, file_metadata};
use crate::tables::table::TableInfo;

/// The first and the last bytes of a Parquet file.
pub(crate) const MAGIC: [u8; 4] = *b"PAR1";

/// The columns and the metadata of a table's files.
#[derive(Debug, Clone)]
pub(crate) struct FileLayout {
    table: &'static TableInfo,
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
}

impl FileLayout {
    pub(crate) fn of(table: &'static TableInfo) -> Result<Self, ParquetError> {
        let arrow = arrow_schema(table);
        let schema = ArrowSchemaConverter::new().convert(&arrow)?;
        let mut properties = properties(table);
        // pyarrow shows the metadata of the Arrow schema instead of the file's.
        let described = Schema::clone(&arrow).with_metadata(file_metadata(table));
        add_encoded_arrow_schema_to_metadata(&described, &mut properties);
        Ok(Self {
            table,
            schema: Arc::new(schema),
            properties: Arc::new(properties),
        })
    }

    /// The columns in order, each with its description in the file. No column has more than one leaf.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static ColumnInfo, ColumnDescPtr)> {
        self.table
            .columns()
            .zip(self.schema.columns().iter().cloned())
    }

    pub(crate) fn schema(&self) -> SchemaDescPtr {
        Arc::clone(&self.schema)
    }

    pub(crate) fn properties(&self) -> WriterPropertiesPtr {
        Arc::clone(&self.properties)
    }

    /// The metadata of a file without rows.
    pub(crate) fn file_metadata(&self) -> FileMetaData {
        FileMetaData::new(
            self.properties.writer_version().as_num(),
            0,
            Some(self.properties.created_by().to_owned()),
            self.properties.key_value_metadata().cloned(),
            self.schema(),
            None,
        )
    }
}

//! `tables!` turns the list of tables in `definition` into types.
//!
//! ```text
//! /// One row for each error.
//! errors / Errors / ErrorRow / ErrorColumns at Part(Task) {
//!     /// The kind of error.
//!     kind as "type": Optional<Str>,
//! }
//! ```
//!
//! gives
//! - `struct ErrorRow<'a> { row_key: RowKey<'a>, kind: Option<Text<'a>>, extra: Option<&'a str> }`, so that flattening
//!   cannot leave a column out;
//! - `struct ErrorColumns`, its buffers, with `TableColumns`;
//! - an entry of `TABLES` with names, types and the doc comments above as documentation;
//! - a field `errors` of `TableBuffers`, which has one buffer for each table.

macro_rules! column_name {
    ($column:ident) => {
        stringify!($column)
    };
    ($column:ident $name:literal) => {
        $name
    };
}

macro_rules! tables {
    ($(
        $(#[doc = $doc:literal])+
        $table:ident / $variant:ident / $row:ident / $columns:ident at $kind:ident $(($depth:ident))? {
            $(
                $(#[doc = $column_doc:literal])+
                $column:ident $(as $name:literal)?: $null:ident<$type:ident>,
            )+
        }
    )+) => {
        /// All tables, in the order of their documentation.
        pub const TABLES: &[TableInfo] = &[$(TableInfo {
            table: Table::$variant,
            name: stringify!($table),
            doc: concat!($($doc),+).trim_ascii_start(),
            row_kind: RowKind::$kind $((Depth::$depth))?,
            own_columns: &[$(ColumnInfo {
                name: column_name!($column $($name)?),
                column_type: <$null<$type> as ColumnBuffer>::TYPE,
                required: <$null<$type> as ColumnBuffer>::REQUIRED,
                doc: concat!($($column_doc),+).trim_ascii_start(),
            }),+],
        }),+];

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $row<'a> {
                pub(crate) row_key: RowKey<'a>,
                $(pub(crate) $column: <$null<$type> as ColumnBuffer>::Value<'a>,)+
                pub(crate) extra: Option<&'a str>,
            }

            #[derive(Debug, Default)]
            pub(crate) struct $columns {
                row_key: RowKeyColumns,
                $($column: $null<$type>,)+
                extra: Optional<Json>,
            }

            impl TableColumns for $columns {
                type Row<'a> = $row<'a>;

                fn append(&mut self, row: &Self::Row<'_>) -> usize {
                    self.row_key.append(RowKind::$kind $((Depth::$depth))?, &row.row_key)
                        $(+ self.$column.append(row.$column))+
                        + self.extra.append(row.extra)
                }

                fn finish(&mut self) -> Vec<ArrayRef> {
                    let mut arrays = Vec::new();
                    self.row_key.finish(RowKind::$kind $((Depth::$depth))?, &mut arrays);
                    $(arrays.push(self.$column.finish());)+
                    arrays.push(self.extra.finish());
                    arrays
                }
            }
        )+

        /// One buffer for each table.
        #[derive(Debug)]
        pub(crate) struct TableBuffers {
            $(pub(crate) $table: TableBuffer<$columns>,)+
        }

        impl TableBuffers {
            /// Creates empty buffers. Rows of other tables than the selected ones are dropped; a batch is handed over
            /// when it has about `batch_bytes`.
            pub(crate) fn new(selection: TableSelection, batch_bytes: usize) -> Self {
                let mut tables = TABLES.iter();
                Self { $($table: TableBuffer::new(tables.next(), selection.contains(Table::$variant), batch_bytes),)+ }
            }

            /// Hands over all rows that are left.
            pub(crate) fn flush(&mut self, sink: &mut dyn BatchSink) -> Result<(), SinkError> {
                $(self.$table.flush(sink)?;)+
                Ok(())
            }
        }
    };
}

pub(super) use {column_name, tables};

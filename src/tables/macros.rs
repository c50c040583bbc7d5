//! `tables!`: turns the list of tables in `definition` into types. Depends on `column` and `place`.
//!
//! ```text
//! /// One row for each error.
//! errors / Errors / ErrorRow / ErrorColumns at Task {
//!     /// The kind of error.
//!     kind as "type": Optional<Str>,
//! }
//! ```
//!
//! gives
//! - `struct ErrorRow<'a> { place: Place<'a>, kind: Option<Text<'a>>, extra: Option<&'a str> }`, so
//!   that flattening cannot leave a column out;
//! - `struct ErrorColumns`, its buffers, with [`Columns`](super::set::Columns);
//! - an entry of `TABLES` with names, types and the doc comments above as documentation;
//! - a field `errors` of `Buffers`, one buffer for each table.

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
        $table:ident / $variant:ident / $row:ident / $columns:ident at $depth:ident {
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
            depth: Depth::$depth,
            own_columns: &[$(ColumnInfo {
                name: column_name!($column $($name)?),
                column_type: <$null<$type> as Column>::TYPE,
                required: <$null<$type> as Column>::REQUIRED,
                doc: concat!($($column_doc),+).trim_ascii_start(),
            }),+],
        }),+];

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $row<'a> {
                pub(crate) place: Place<'a>,
                $(pub(crate) $column: <$null<$type> as Column>::Value<'a>,)+
                pub(crate) extra: Option<&'a str>,
            }

            #[derive(Debug, Default)]
            pub(crate) struct $columns {
                place: PlaceColumns,
                $($column: $null<$type>,)+
                extra: Optional<Json>,
            }

            impl Columns for $columns {
                type Row<'a> = $row<'a>;

                fn append(&mut self, row: &Self::Row<'_>) -> usize {
                    self.place.append(Depth::$depth, &row.place)
                        $(+ self.$column.append(row.$column))+
                        + self.extra.append(row.extra)
                }

                fn finish(&mut self) -> Vec<ArrayRef> {
                    let mut arrays = Vec::new();
                    self.place.finish(Depth::$depth, &mut arrays);
                    $(arrays.push(self.$column.finish());)+
                    arrays.push(self.extra.finish());
                    arrays
                }
            }
        )+

        /// One buffer for each table.
        #[derive(Debug)]
        pub(crate) struct Buffers {
            $(pub(crate) $table: Buffer<$columns>,)+
        }

        impl Buffers {
            /// Empty buffers; tables that are not selected drop their rows, and batches have so many bytes, about.
            pub(crate) fn new(selection: TableSelection, batch_bytes: usize) -> Self {
                let mut tables = TABLES.iter();
                Self { $($table: Buffer::new(tables.next(), selection.contains(Table::$variant), batch_bytes),)+ }
            }

            /// Hands over what is left.
            pub(crate) fn flush(&mut self, sink: &mut dyn BatchSink) -> Result<(), SinkError> {
                $(self.$table.flush(sink)?;)+
                Ok(())
            }
        }
    };
}

pub(super) use {column_name, tables};

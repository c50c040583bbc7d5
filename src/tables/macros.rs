//! `tables!` turns the list of tables in `definition` into types.
//!
//! ```text
//! /// One row for each error.
//! errors / Errors / ErrorRow at Part(Task) {
//!     /// The kind of error.
//!     kind as "type": Optional<Str>,
//! }
//! ```
//!
//! gives
//! - `struct ErrorRow<'a> { row_key: RowKey<'a>, kind: Option<Text<'a>>, extra: Option<&'a str> }`, so that flattening
//!   cannot leave a column out, with `TableRow`, which passes its cells to a sink;
//! - an entry of `TABLES` with names, types and the doc comments above as documentation.

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
        $table:ident / $variant:ident / $row:ident at $kind:ident $(($depth:ident))? {
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
                column_type: <$null<$type> as ColumnValue>::TYPE,
                required: <$null<$type> as ColumnValue>::REQUIRED,
                doc: concat!($($column_doc),+).trim_ascii_start(),
            }),+],
        }),+];

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $row<'a> {
                pub(crate) row_key: RowKey<'a>,
                $(pub(crate) $column: <$null<$type> as ColumnValue>::Value<'a>,)+
                pub(crate) extra: Option<&'a str>,
            }

            impl TableRow for $row<'_> {
                const TABLE: Table = Table::$variant;

                fn pass_to(&self, sink: &mut dyn RowSink) -> Result<(), SinkError> {
                    const KEYS: usize = RowKind::$kind $((Depth::$depth))?.column_count();
                    const OWN: usize = [$(stringify!($column)),+].len();
                    let mut cells = [None; KEYS + OWN + 1];
                    let mut places = cells.iter_mut();
                    for (place, cell) in places.by_ref().take(KEYS).zip(self.row_key.cells()) {
                        *place = cell;
                    }
                    let mut put = |cell| places.next().into_iter().for_each(|place| *place = cell);
                    $(put(<$null<$type> as ColumnValue>::cell(&self.$column));)+
                    put(Optional::<Json>::cell(&self.extra));
                    sink.row(const { &TABLES[Table::$variant as usize] }, &cells)
                }
            }
        )+
    };
}

pub(super) use {column_name, tables};

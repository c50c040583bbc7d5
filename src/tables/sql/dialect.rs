//! The differences between SQL databases.

use crate::tables::column::ColumnType;

/// A SQL database that the tables can be created in and loaded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// DuckDB.
    DuckDb,
    /// Postgres 15 or later, with `psql`.
    Postgres,
    /// SQLite 3.32 or later, with `sqlite3`.
    Sqlite,
    /// ClickHouse.
    ClickHouse,
    /// Spark SQL.
    Spark,
    /// BigQuery.
    BigQuery,
    /// Snowflake.
    Snowflake,
}

/// The name of a SQL type, and what a column's comment adds about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqlType {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
}

/// The SQL type of each column type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqlTypes {
    pub(crate) text: SqlType,
    pub(crate) int32: SqlType,
    pub(crate) int64: SqlType,
    pub(crate) float64: SqlType,
    pub(crate) boolean: SqlType,
    pub(crate) timestamp: SqlType,
    pub(crate) json: SqlType,
    pub(crate) text_list: SqlType,
    pub(crate) bytes: SqlType,
}

/// How a string literal escapes the characters that would end or change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// A quote is written twice.
    DoubledQuote,
    /// A backslash before each quote and each backslash.
    Backslash,
}

/// How a column is declared to allow or refuse null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// Columns allow null unless they have `NOT NULL`.
    NotNull,
    /// Columns allow null if their type is inside `Nullable( )`, which arrays cannot be.
    NullableType,
}

/// Where the documentation of tables and columns goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comments {
    /// Into `COMMENT ON` statements.
    Statements,
    /// After each column and after the table, between these texts.
    Inline(&'static str, &'static str),
    /// Into SQL comments inside of `CREATE TABLE`, which the database keeps with the statement.
    InStatement,
}

/// What a database does with a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySupport {
    /// A constraint, followed by this text.
    Constraint(&'static str),
    /// The order of the rows on disk; the database has no unique keys.
    OrderBy,
    /// A part of the table's comment; the database has no keys.
    Comment,
}

/// A table of text into which a CSV file is loaded where the database cannot load it into the final types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagingTable {
    /// What begins the statement that creates it.
    pub(crate) create: &'static str,
    /// Whether the database loads null as an empty text.
    pub(crate) null_is_empty: bool,
    /// The expression that makes a boolean of the text; `{}` is the column.
    pub(crate) boolean: Option<&'static str>,
    /// The expression that makes bytes of the text.
    pub(crate) bytes: Option<&'static str>,
}

/// How a file is loaded into its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadStatement {
    /// The statement: `{into}` is the table as an identifier, `{name}` the table's name.
    pub(crate) statement: &'static str,
    /// The staging table, where a column needs one.
    pub(crate) staging: Option<StagingTable>,
}

/// Everything about a dialect.
#[derive(Debug)]
pub(crate) struct DialectFacts {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// How to run the script, as lines of a comment.
    pub(crate) usage: &'static [&'static str],
    /// The quote around identifiers.
    pub(crate) quote: &'static str,
    pub(crate) escapes: Escapes,
    pub(crate) types: SqlTypes,
    pub(crate) nulls: Nulls,
    pub(crate) comments: Comments,
    pub(crate) key: KeySupport,
    /// What follows the list of columns.
    pub(crate) table_options: &'static str,
    pub(crate) load: LoadStatement,
}

const fn sql(name: &'static str) -> SqlType {
    SqlType { name, note: "" }
}

const fn noted(name: &'static str, note: &'static str) -> SqlType {
    SqlType { name, note }
}

const fn parquet(statement: &'static str) -> LoadStatement {
    LoadStatement {
        statement,
        staging: None,
    }
}

const DUCKDB: DialectFacts = DialectFacts {
    name: "duckdb",
    usage: &[
        "DuckDB tables. Run in the directory of a Parquet export:",
        "    scale-export schema --format sql --dialect duckdb > create.sql",
        "    duckdb tasks.duckdb < create.sql",
    ],
    quote: "\"",
    escapes: Escapes::DoubledQuote,
    types: SqlTypes {
        text: sql("VARCHAR"),
        int32: sql("INTEGER"),
        int64: sql("BIGINT"),
        float64: sql("DOUBLE"),
        boolean: sql("BOOLEAN"),
        timestamp: sql("TIMESTAMP WITH TIME ZONE"),
        json: sql("VARCHAR"),
        text_list: sql("VARCHAR[]"),
        bytes: sql("BLOB"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::Statements,
    key: KeySupport::Constraint(""),
    table_options: "",
    load: parquet("INSERT INTO {into} BY NAME SELECT * FROM read_parquet('{name}.parquet');"),
};

const POSTGRES: DialectFacts = DialectFacts {
    name: "postgres",
    usage: &[
        "Postgres tables (15 or later). Run in the directory of a CSV export:",
        "    scale-export schema --format sql --dialect postgres > create.sql",
        "    psql --single-transaction -v ON_ERROR_STOP=1 -f create.sql",
    ],
    quote: "\"",
    escapes: Escapes::DoubledQuote,
    types: SqlTypes {
        text: sql("TEXT"),
        int32: sql("INTEGER"),
        int64: sql("BIGINT"),
        float64: sql("DOUBLE PRECISION"),
        boolean: sql("BOOLEAN"),
        timestamp: sql("TIMESTAMP WITH TIME ZONE"),
        // Not JSONB, which refuses lone surrogates and U+0000.
        json: sql("JSON"),
        // Not TEXT[]: an element can hold U+0000, which the JSON keeps as an escape.
        text_list: noted("JSON", "JSON list"),
        bytes: sql("BYTEA"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::Statements,
    key: KeySupport::Constraint(""),
    table_options: "",
    load: LoadStatement {
        // psql reads a meta-command from one line.
        statement: "\\copy {into} FROM '{name}.csv' WITH (FORMAT csv, HEADER MATCH, ENCODING 'UTF8')",
        staging: Some(StagingTable {
            create: "CREATE TEMPORARY TABLE",
            null_is_empty: false,
            boolean: None,
            bytes: Some("decode({}, 'base64')"),
        }),
    },
};

const SQLITE: DialectFacts = DialectFacts {
    name: "sqlite",
    usage: &[
        "SQLite tables (3.32 or later). Run in the directory of a CSV export:",
        "    scale-export schema --format sql --dialect sqlite > create.sql",
        "    sqlite3 -bail tasks.db < create.sql",
        ".import makes empty text of every null; NULLIF makes null of every empty text where null can be.",
    ],
    quote: "\"",
    escapes: Escapes::DoubledQuote,
    types: SqlTypes {
        text: sql("TEXT"),
        int32: sql("INTEGER"),
        int64: sql("INTEGER"),
        float64: sql("REAL"),
        boolean: noted("INTEGER", "1 or 0"),
        timestamp: noted("TEXT", "RFC 3339 in UTC"),
        json: sql("TEXT"),
        text_list: noted("TEXT", "JSON list"),
        // SQLite's own SQL has no function that decodes base64.
        bytes: noted("TEXT", "base64"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::InStatement,
    key: KeySupport::Constraint(""),
    table_options: "",
    load: LoadStatement {
        statement: ".import --csv --skip 1 {name}.csv {into}",
        staging: Some(StagingTable {
            create: "CREATE TABLE",
            null_is_empty: true,
            boolean: Some("{} = 'true'"),
            bytes: None,
        }),
    },
};

const CLICKHOUSE: DialectFacts = DialectFacts {
    name: "clickhouse",
    usage: &[
        "ClickHouse tables. Run in the directory of a Parquet export:",
        "    scale-export schema --format sql --dialect clickhouse > create.sql",
        "    clickhouse-client --queries-file create.sql",
    ],
    quote: "`",
    escapes: Escapes::Backslash,
    types: SqlTypes {
        text: sql("String"),
        int32: sql("Int32"),
        int64: sql("Int64"),
        float64: sql("Float64"),
        boolean: sql("Bool"),
        timestamp: sql("DateTime64(6, 'UTC')"),
        json: sql("String"),
        text_list: noted("Array(String)", "[] also where the export has null"),
        bytes: sql("String"),
    },
    nulls: Nulls::NullableType,
    comments: Comments::Inline(" COMMENT ", ""),
    key: KeySupport::OrderBy,
    table_options: "\nENGINE = MergeTree",
    load: parquet("INSERT INTO {into} FROM INFILE '{name}.parquet' FORMAT Parquet;"),
};

const SPARK: DialectFacts = DialectFacts {
    name: "spark",
    usage: &[
        "Spark tables. Run in the directory of a Parquet export:",
        "    scale-export schema --format sql --dialect spark > create.sql",
        "    spark-sql -f create.sql",
    ],
    quote: "`",
    escapes: Escapes::Backslash,
    types: SqlTypes {
        text: sql("STRING"),
        int32: sql("INT"),
        int64: sql("BIGINT"),
        float64: sql("DOUBLE"),
        boolean: sql("BOOLEAN"),
        timestamp: sql("TIMESTAMP"),
        json: sql("STRING"),
        text_list: sql("ARRAY<STRING>"),
        bytes: sql("BINARY"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::Inline(" COMMENT ", ""),
    key: KeySupport::Comment,
    table_options: "\nUSING PARQUET",
    load: parquet("INSERT INTO {into} BY NAME SELECT * FROM parquet.`{name}.parquet`;"),
};

const BIGQUERY: DialectFacts = DialectFacts {
    name: "bigquery",
    usage: &[
        "BigQuery tables. Copy the files of a Parquet export to a bucket, and put its address for gs://BUCKET:",
        "    scale-export schema --format sql --dialect bigquery | sed 's#gs://BUCKET#gs://my-bucket/export#' > create.sql",
        "    bq query --use_legacy_sql=false --dataset_id=my_dataset < create.sql",
    ],
    quote: "`",
    escapes: Escapes::Backslash,
    types: SqlTypes {
        text: sql("STRING"),
        int32: sql("INT64"),
        int64: sql("INT64"),
        float64: sql("FLOAT64"),
        boolean: sql("BOOL"),
        timestamp: sql("TIMESTAMP"),
        json: sql("STRING"),
        text_list: noted("ARRAY<STRING>", "[] also where the export has null"),
        bytes: sql("BYTES"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::Inline(" OPTIONS (description = ", ")"),
    key: KeySupport::Constraint(" NOT ENFORCED"),
    table_options: "",
    load: parquet(
        "LOAD DATA INTO {into} FROM FILES (format = 'PARQUET', enable_list_inference = true, uris = ['gs://BUCKET/{name}.parquet']);",
    ),
};

const SNOWFLAKE: DialectFacts = DialectFacts {
    name: "snowflake",
    usage: &[
        "Snowflake tables. Put the absolute path of a Parquet export for /path/to/export:",
        "    scale-export schema --format sql --dialect snowflake | sed \"s#/path/to/export#$PWD#\" > create.sql",
        "    snow sql -f create.sql",
    ],
    // Quoted names would stay in lower case, and every query would have to quote them.
    quote: "",
    escapes: Escapes::Backslash,
    types: SqlTypes {
        text: sql("VARCHAR"),
        int32: sql("INTEGER"),
        int64: sql("BIGINT"),
        float64: sql("DOUBLE"),
        boolean: sql("BOOLEAN"),
        timestamp: sql("TIMESTAMP_LTZ(6)"),
        json: sql("VARCHAR"),
        text_list: sql("ARRAY"),
        bytes: sql("BINARY"),
    },
    nulls: Nulls::NotNull,
    comments: Comments::Inline(" COMMENT ", ""),
    key: KeySupport::Constraint(" NOT ENFORCED"),
    table_options: "",
    load: parquet(
        "PUT 'file:///path/to/export/{name}.parquet' @%{into} AUTO_COMPRESS = FALSE;\n\
         COPY INTO {into} FROM @%{into} FILES = ('{name}.parquet') MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\n    \
         FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE);",
    ),
};

impl Dialect {
    /// All dialects, in the order of their documentation.
    pub const ALL: [Self; 7] = [
        Self::DuckDb,
        Self::Postgres,
        Self::Sqlite,
        Self::ClickHouse,
        Self::Spark,
        Self::BigQuery,
        Self::Snowflake,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The dialect of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    pub(crate) fn facts(self) -> &'static DialectFacts {
        match self {
            Self::DuckDb => &DUCKDB,
            Self::Postgres => &POSTGRES,
            Self::Sqlite => &SQLITE,
            Self::ClickHouse => &CLICKHOUSE,
            Self::Spark => &SPARK,
            Self::BigQuery => &BIGQUERY,
            Self::Snowflake => &SNOWFLAKE,
        }
    }
}

impl DialectFacts {
    /// The SQL type of a column.
    pub(crate) fn sql_type(&self, column_type: ColumnType) -> SqlType {
        let types = &self.types;
        match column_type {
            ColumnType::Str
            | ColumnType::UniqueStr
            | ColumnType::RepeatedStr
            | ColumnType::Path => types.text,
            ColumnType::Int32 => types.int32,
            ColumnType::Int64 => types.int64,
            ColumnType::Float64 => types.float64,
            ColumnType::Bool => types.boolean,
            ColumnType::Timestamp => types.timestamp,
            ColumnType::Json => types.json,
            ColumnType::StrList => types.text_list,
            ColumnType::Bytes => types.bytes,
        }
    }

    /// A quoted name of a table or column.
    pub(crate) fn identifier(&self, name: &str) -> String {
        format!("{0}{name}{0}", self.quote)
    }

    /// A text as a quoted string literal.
    pub(crate) fn string(&self, text: &str) -> String {
        let escaped = match self.escapes {
            Escapes::DoubledQuote => text.replace('\'', "''"),
            Escapes::Backslash => text.replace('\\', "\\\\").replace('\'', "\\'"),
        };
        format!("'{escaped}'")
    }
}

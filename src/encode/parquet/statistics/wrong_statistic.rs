//! A statistic of a Parquet file that its values do not confirm.

/// A wrong statement of a file about its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongStatistic {
    /// The column, if the statement is about one.
    pub column: Option<&'static str>,
    /// The right statement, and its row group, counted from 0.
    pub expected: String,
    /// The statement in the file.
    pub found: String,
}

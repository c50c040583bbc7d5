//! A statistic of a Parquet file that does not fit its values.

/// Something that a file states about its rows and that is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongStatistic {
    /// The column, if it is about one.
    pub column: Option<&'static str>,
    /// What should be stated, and in which row group, counted from 0.
    pub expected: String,
    /// What is stated.
    pub found: String,
}

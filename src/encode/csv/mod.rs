//! CSV: the writer, the reader, and the longest record of a file.

pub mod longest_record;
pub mod read;
pub mod write;

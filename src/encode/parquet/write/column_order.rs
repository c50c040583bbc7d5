//! Declares the order of minima and maxima in a file: `TypeDefinedOrder` for every column.
//!
//! Since version 60 the `parquet` crate declares `IEEE_754_TOTAL_ORDER` for float64 columns, and has no setting for it.
//! Polars before 1.43, `DataFusion` before 51, deltalake before 1.3 and Daft before 0.7.5 then cannot open the file, and
//! pyarrow ignores minima and maxima. The two orders differ in two ways for the values that JSON has: in the footer's
//! last field, and in the sign of a zero that is a minimum or maximum. NaN, the third difference, is not a JSON value.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use parquet::errors::ParquetError;

use crate::threads;

/// Bytes after the footer's last field: the stop byte of its struct, its length, the magic number.
const STOP_LENGTH_MAGIC: usize = 9;

/// The order of a column in Thrift's compact protocol, as the union `ColumnOrder`: the field header, an empty struct,
/// and the end of the union.
const TYPE_DEFINED_ORDER: [u8; 3] = [0x1C, 0, 0];
const IEEE_754_TOTAL_ORDER: [u8; 3] = [0x2C, 0, 0];

/// The header of the footer's field 7, a list, after field 6.
const COLUMN_ORDERS_FIELD: u8 = 0x19;

/// The type of the list's elements, in the lower half of a byte. The upper half has their number.
const STRUCT_ELEMENTS: u8 = 0x0C;

/// The upper half of that byte when the number follows as a varint.
const NUMBER_FOLLOWS: u8 = 0xF0;

/// Passes a file through, except for its end.
pub(crate) struct TypeDefinedOrder<W> {
    /// `None` after the last row group.
    file: Option<W>,
    end: FileEnd,
}

/// The bytes after the last row group. They are kept, so that the column orders are corrected before they are written.
#[derive(Clone, Default)]
pub(crate) struct FileEnd(Arc<Mutex<Vec<u8>>>);

impl<W: Write> TypeDefinedOrder<W> {
    pub(crate) fn new(file: W) -> Self {
        Self {
            file: Some(file),
            end: FileEnd::default(),
        }
    }

    /// The file, before its end is kept.
    pub(crate) fn inner_mut(&mut self) -> Option<&mut W> {
        self.file.as_mut()
    }

    /// Keeps all bytes that are written after this call. Returns the file, and the bytes that are kept.
    pub(crate) fn keep_end(&mut self) -> Option<(W, FileEnd)> {
        Some((self.file.take()?, self.end.clone()))
    }
}

impl FileEnd {
    /// Writes the kept bytes with corrected orders.
    pub(crate) fn write_to<W: Write>(
        &self,
        mut file: W,
        columns: usize,
    ) -> Result<W, ParquetError> {
        let mut end = threads::lock(&self.0);
        correct_orders(&mut end, columns).ok_or_else(|| {
            ParquetError::General("its footer does not end with the column orders".to_owned())
        })?;
        file.write_all(&end)?;
        Ok(file)
    }
}

impl<W: Write> Write for TypeDefinedOrder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(data),
            None => threads::lock(&self.end.0).write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Replaces each column order at the end of a file. `None` if the footer does not end as expected, which a new version
/// of the crate could cause: an error is better than a wrong file.
fn correct_orders(file: &mut [u8], columns: usize) -> Option<()> {
    let (before, end) = file.split_at_mut_checked(file.len().checked_sub(STOP_LENGTH_MAGIC)?)?;
    let orders = TYPE_DEFINED_ORDER.len() * columns;
    let (before, orders) = before.split_at_mut_checked(before.len().checked_sub(orders)?)?;
    // The orders must be the last field of the footer: the list's header before them, the stop byte of the struct after
    // them.
    if !before.ends_with(&list_header(columns)?)
        || end.first() != Some(&0)
        || !end.ends_with(b"PAR1")
    {
        return None;
    }
    for order in orders.chunks_exact_mut(TYPE_DEFINED_ORDER.len()) {
        if order == IEEE_754_TOTAL_ORDER {
            order.copy_from_slice(&TYPE_DEFINED_ORDER);
        } else if order != TYPE_DEFINED_ORDER {
            return None;
        }
    }
    Some(())
}

/// The header of a list of `columns` orders. `None` for more columns than a table has.
fn list_header(columns: usize) -> Option<Vec<u8>> {
    let number = u8::try_from(columns).ok()?;
    match number {
        0..15 => Some(vec![COLUMN_ORDERS_FIELD, number << 4 | STRUCT_ELEMENTS]),
        15..0x80 => Some(vec![
            COLUMN_ORDERS_FIELD,
            NUMBER_FOLLOWS | STRUCT_ELEMENTS,
            number,
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a footer with these orders.
    fn end(orders: &[[u8; 3]]) -> Vec<u8> {
        let mut end = b"footer".to_vec();
        end.extend(list_header(orders.len()).unwrap());
        end.extend(orders.concat());
        end.extend([0, 9, 9, 9, 9]);
        end.extend(b"PAR1");
        end
    }

    #[test]
    fn every_order_becomes_the_one_by_type() {
        for columns in [1, 14, 15, 40] {
            let mut orders = vec![IEEE_754_TOTAL_ORDER; columns];
            orders[columns / 2] = TYPE_DEFINED_ORDER;
            let mut file = end(&orders);
            assert_eq!(correct_orders(&mut file, columns), Some(()));
            assert_eq!(file, end(&vec![TYPE_DEFINED_ORDER; columns]));
        }
    }

    #[test]
    fn a_footer_of_another_kind_is_refused() {
        let good = end(&[IEEE_754_TOTAL_ORDER; 3]);
        assert_eq!(correct_orders(&mut good.clone(), 2), None);
        assert_eq!(correct_orders(&mut good.clone(), 4), None);
        assert_eq!(correct_orders(&mut [], 0), None);
        let unknown_order = end(&[[0x3C, 0, 0]; 3]);
        assert_eq!(correct_orders(&mut unknown_order.clone(), 3), None);
        let mut no_stop = good.clone();
        let stop = no_stop.len() - STOP_LENGTH_MAGIC;
        no_stop[stop] = 1;
        assert_eq!(correct_orders(&mut no_stop, 3), None);
        let mut no_magic = good;
        no_magic.pop();
        no_magic.push(b'2');
        assert_eq!(correct_orders(&mut no_magic, 3), None);
    }
}

//! Fuzzes the encoding of Parquet columns: any rows are read as they were, with right statistics, and their row groups
//! are copied without a change.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/support/any_rows.rs"]
mod any_rows;

/// Maximum rows: enough for many pages and several row groups.
const MAX_ROWS: usize = 300;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[nulls, repeats, distinct, text_bytes, rows, limits @ ..], bytes)) =
        bytes.split_first_chunk::<10>()
    else {
        return;
    };
    let nature = any_rows::Nature {
        nulls,
        repeats,
        distinct: u32::from(distinct).pow(2),
        text_bytes: usize::from(text_bytes),
    };
    let count = usize::from(rows) * MAX_ROWS / usize::from(u8::MAX);
    let rows = any_rows::rows(&any_rows::ALL_TYPES, nature, count, bytes);
    any_rows::check(&rows, any_rows::small_limits(limits));
});

//! Writes a cell as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::text::write_json_string;
use crate::tables::cell::Cell;
use crate::tables::date_time::date_time;

/// Writes a cell. Writes `null` and returns what is expected where the cell cannot be part of a task.
pub(crate) fn write(is_json: bool, cell: &Cell<'_>, out: &mut String) -> Result<(), &'static str> {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    match cell {
        Cell::Text(json) if is_json => drop(write!(out, "{json}")),
        Cell::Text(text) => write_json_string(&text.decode(), out),
        Cell::Int32(number) => drop(write!(out, "{number}")),
        Cell::Int64(number) => drop(write!(out, "{number}")),
        // The shortest decimal that round-trips is the number that was received (rule 13).
        Cell::Float64(number) if number.is_finite() => drop(write!(out, "{number:?}")),
        Cell::Float64(_) => {
            out.push_str("null");
            return Err("a finite number");
        }
        Cell::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Cell::Time(micros) => {
            let Some(text) = time(*micros) else {
                out.push_str("null");
                return Err("a time in the years 0001 to 9999");
            };
            write_json_string(&text, out);
        }
        Cell::Texts(texts) => {
            out.push('[');
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json_string(&text.decode(), out);
            }
            out.push(']');
        }
        Cell::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
    }
    Ok(())
}

/// The text of a time (rule 9).
fn time(micros: i64) -> Option<String> {
    let format = match micros {
        micros if micros % 1_000_000 == 0 => "%Y-%m-%dT%H:%M:%SZ",
        micros if micros % 1_000 == 0 => "%Y-%m-%dT%H:%M:%S%.3fZ",
        _ => "%Y-%m-%dT%H:%M:%S%.6fZ",
    };
    Some(date_time(micros)?.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_fewest_digits_that_serve() {
        for (micros, text) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (-1, Some("1969-12-31T23:59:59.999999Z")),
            (1_500_000, Some("1970-01-01T00:00:01.500Z")),
            (1_000_010, Some("1970-01-01T00:00:01.000010Z")),
            (-62_135_596_800_000_000, Some("0001-01-01T00:00:00Z")),
            (-62_135_596_800_000_001, None),
            (253_402_207_200_000_000, Some("9999-12-30T22:00:00Z")),
            (253_402_300_799_999_999, Some("9999-12-31T23:59:59.999999Z")),
            (253_402_300_800_000_000, None),
            (i64::MIN, None),
        ] {
            assert_eq!(time(micros).as_deref(), text, "{micros}");
        }
    }
}

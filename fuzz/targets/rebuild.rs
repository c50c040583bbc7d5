//! Fuzzes rebuilding: arbitrary tasks are rebuilt without loss, and damaged tables cause no panic, hang or unbounded
//! memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scale_export::json::parser::Parser;
use scale_export::encode::format::Format;
use scale_export::encode::in_memory::encode;
use scale_export::encode::table_reader;
use scale_export::encode::input::Input;
use scale_export::tables::definition::TABLES;

#[path = "../../tests/it/support/round_trip.rs"]
mod round_trip;
#[path = "../../tests/it/support/tasks.rs"]
mod tasks;

fuzz_target!(|bytes: &[u8]| {
    let (damage, choices) = bytes.split_at(bytes.len() / 4);
    let json = tasks::task(choices);
    if let Err(difference) = round_trip::check(None, tasks::TASK_ID, &json) {
        panic!("{difference}\n{json}");
    }
    // The same tables with some changed bytes: most such files are refused, and the others are rebuilt.
    let mut damage = damage.chunks_exact(4);
    let batches = round_trip::flatten(tasks::TASK_ID, &json);
    let tables = TABLES.iter().zip(batches).map(|(table, batches)| {
        let mut csv = encode(Format::Csv, table, batches).expect("rows are written");
        if let Some(&[low, high, byte, what]) = damage.next() {
            let at = usize::from(u16::from_le_bytes([low, high])) % csv.len();
            match what % 4 {
                0 => csv[at] = byte,
                1 => drop(csv.remove(at)),
                2 => csv.insert(at, byte),
                _ => {
                    // A duplicate row.
                    let from = csv[..at]
                        .iter()
                        .rposition(|byte| *byte == b'\n')
                        .map_or(0, |at| at + 1);
                    let line = csv[from..].to_vec();
                    csv.extend(line);
                }
            }
        }
        let read = table_reader::open(Format::Csv, table, Input::Bytes(csv.into()));
        let batches = read.map(|batches| batches.map_while(Result::ok).collect());
        batches.unwrap_or_default()
    });
    let tables: Vec<Vec<_>> = tables.collect();
    if let Ok(rebuilt) = round_trip::rebuild(&tables) {
        let _ = Parser::default().parse(&rebuilt);
    }
});

//! Fuzzes the readers of ID lists with any bytes in every format.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use scale_export::ids::format::ListFormat;
use scale_export::ids::read::read_bytes;

const FORMATS: [ListFormat; 6] = [
    ListFormat::Text,
    ListFormat::Csv,
    ListFormat::JsonLines,
    ListFormat::Parquet,
    ListFormat::Tsv,
    ListFormat::Json,
];

fn let_guarded_panics_be_caught() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let abort = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !scale_export::encode::catch_panic::is_guarded() {
                abort(panic);
            }
        }));
    });
}

fuzz_target!(|bytes: &[u8]| {
    let_guarded_panics_be_caught();
    let Some((first, content)) = bytes.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    if let Ok(ids) = read_bytes(format, Bytes::copy_from_slice(content)) {
        for (position, id) in ids.iter().enumerate() {
            assert_eq!(ids.position(id), Some(position));
        }
        // The published list reads as the same list.
        let lines: String = ids.lines().collect();
        let again = read_bytes(ListFormat::Published, lines.into());
        assert!(
            again
                .expect("a published list is a list")
                .iter()
                .eq(ids.iter())
        );
    }
});

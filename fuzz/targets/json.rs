//! The tolerant parser: any bytes. It must agree with `serde_json` on what is JSON, keep the text, and
//! read every value without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scale_export::json::{Kind, Parser, Value, differences, same};
use scale_export::response::check;

/// `serde_json` reads deeper values only with another option, which takes the thread's stack.
const LEVELS_THAT_SERDE_READS: usize = 100;

/// A key that no seed has.
const NEW_KEY: &str = "a new key";

fuzz_target!(|bytes: &[u8]| {
    let mut parser = Parser::default();
    for keep_secrets in [false, true] {
        if let Ok(checked) = check(bytes, None, keep_secrets, &mut parser) {
            assert!(checked.task_id.is_some());
            // What is kept is a task again, with nothing left to redact.
            let again = check(
                checked.body.as_bytes(),
                None,
                keep_secrets,
                &mut Parser::default(),
            );
            assert_eq!(again.expect("a redacted task is a task").body, checked.body);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let parsed = parser.parse(text);
    let levels = text
        .bytes()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count();
    if levels < LEVELS_THAT_SERDE_READS {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text);
        assert_eq!(parsed.is_ok(), theirs.is_ok(), "{text:?}");
    }
    let Ok(document) = parsed else {
        return;
    };
    visit(document.root());
    let mut other = Parser::default();
    let again = other.parse(document.text()).expect("compact text is JSON");
    assert_eq!(again.text(), document.text());
    assert!(same(document.root(), again.root()));
    differences(document.root(), again.root(), |pointer, _| {
        panic!("differs at {pointer}")
    });
});

/// Reads every value in every way.
fn visit(root: Value<'_>) {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        let _ = value.text().map(|text| text.decode().len());
        let _ = value
            .text_list()
            .map(|list| list.iter().map(|text| text.size()).sum::<usize>());
        if let Some(number) = value.number() {
            let canonical = number.canonical();
            assert!(number.equals(number.lexeme()));
            if let Some(double) = number.exact_f64() {
                assert!(number.equals(&format!("{double:?}")), "{canonical}");
            }
            if let Some(integer) = number.to_i64() {
                assert!(number.equals(&integer.to_string()), "{canonical}");
            }
        }
        open.extend(value.elements());
        open.extend(value.members().map(|(_, member)| member));
    }
}

//! Fuzzes the tolerant parser with any bytes. It must accept the same JSON as `serde_json`, keep the text, and read
//! every value without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scale_export::json::value::{JsonKey, Value};
use scale_export::json::parser::Parser;
use scale_export::json::kind::JsonKind;
use scale_export::json::compare::{differences, same};
use scale_export::api::body_check::check_task;
use scale_export::api::body_text::BodyText;

/// Maximum levels for `serde_json`. It reads deeper values only with an option that uses the thread's stack.
const LEVELS_THAT_SERDE_READS: usize = 100;

/// A key that no seed contains.
const NEW_KEY: &str = "a new key";

fuzz_target!(|bytes: &[u8]| {
    let mut parser = Parser::default();
    for keep_secrets in [false, true] {
        let Ok(body) = BodyText::read(bytes.to_vec().into()) else {
            continue;
        };
        if let Ok(checked) = check_task(&body, None, keep_secrets, &mut parser) {
            // The redacted body is a task without anything to redact.
            let kept = checked.body.to_vec().into();
            let again = check_task(
                &BodyText::read(kept).expect("what is kept is text"),
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
    if levels < LEVELS_THAT_SERDE_READS {
        compare(document.root(), document.text());
    }
});

/// The comparison must find objects in another order equal, and different values different.
fn compare(root: Value<'_>, text: &str) {
    let (mut one, mut other) = (Parser::default(), Parser::default());
    let mut turned = String::new();
    if turn(root, &mut turned) {
        let turned = one.parse(&turned).expect("turned JSON is JSON").root();
        assert!(same(root, turned) && same(turned, root));
        differences(root, turned, |pointer, _| panic!("differs at {pointer}"));
    }
    let (left, right) = (format!("[{text},1]"), format!("[{text},1.5]"));
    let left = one.parse(&left).expect("a list of JSON is JSON").root();
    let right = other.parse(&right).expect("a list of JSON is JSON").root();
    assert!(!same(left, right));
    let mut found = Vec::new();
    differences(left, right, |pointer, _| {
        found.push(pointer.to_owned());
        true
    });
    assert_eq!(found, ["/1"]);
}

/// Writes a value with the members of every object in reverse order and an additional null. Returns false if an object
/// has a duplicate key.
fn turn(value: Value<'_>, out: &mut String) -> bool {
    match value.kind() {
        JsonKind::Object => {
            let mut members: Vec<_> = value.members().collect();
            members.reverse();
            let name = |key: &JsonKey<'_>| {
                key.text()
                    .map_or_else(|| key.raw().to_owned(), |text| text.to_string())
            };
            let mut keys: Vec<String> = members.iter().map(|(key, _)| name(key)).collect();
            keys.push(NEW_KEY.to_owned());
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return false;
            }
            out.push_str(&format!("{{\"{NEW_KEY}\":null"));
            let written = members.iter().all(|(key, member)| {
                out.push_str(&format!(",{}:", key.raw()));
                turn(*member, out)
            });
            out.push('}');
            written
        }
        JsonKind::Array => {
            out.push('[');
            let written = value.elements().enumerate().all(|(index, element)| {
                if index > 0 {
                    out.push(',');
                }
                turn(element, out)
            });
            out.push(']');
            written
        }
        _ => {
            out.push_str(value.raw());
            true
        }
    }
}

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

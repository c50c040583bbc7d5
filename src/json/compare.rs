//! Compares two JSON values by rule 2 of `docs/tables.md`: an absent key equals a null one, the order of keys does not
//! matter, numbers are compared by value, and the last of duplicate keys counts.
//!
//! Nesting costs memory, not stack. Parts with the same text are not looked into, which is nearly all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::kind::JsonKind;
use crate::json::text::push_pointer_token;
use crate::json::value::{JsonKey, ObjectMembers, Value};

/// Length of a pointer, in bytes, from which on differences inside of a value are reported as one.
const MAX_POINTER_BYTES: usize = 16 << 10;

/// A difference between two values.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'l, 'r> {
    /// The left value; `None` when it is absent or null.
    pub left: Option<Value<'l>>,
    /// The right value; `None` when it is absent or null.
    pub right: Option<Value<'r>>,
}

/// Whether two values are the same.
pub fn same(left: Value<'_>, right: Value<'_>) -> bool {
    let mut open = vec![(left, right, 0)];
    while let Some((left, right, level)) = open.pop() {
        if same_text(left, right, level) {
            continue;
        }
        let agree = match (left.kind(), right.kind()) {
            (JsonKind::Object, JsonKind::Object) => {
                // Most pairs are decided in the order of the text. What that adds is dropped if the slow way is needed.
                let mark = open.len();
                match_in_order(left, right, level + 1, &mut open) || {
                    open.truncate(mark);
                    match_by_key(left, right, level + 1, &mut open)
                }
            }
            (JsonKind::Array, JsonKind::Array) => {
                let pairs = left.elements().zip(right.elements());
                open.extend(pairs.map(|(left, right)| (left, right, level + 1)));
                // Pairs of the shorter list are added all the same, since nothing looks at them after a difference.
                left.len() == right.len()
            }
            _ => same_scalar(left, right),
        };
        if !agree {
            return false;
        }
    }
    true
}

/// Whether two values have the same text. Scalars and the outer levels only: a comparison at every level would take
/// time quadratic in the depth.
fn same_text(left: Value<'_>, right: Value<'_>, level: usize) -> bool {
    const LEVELS: usize = 64;
    let is_nested = matches!(left.kind(), JsonKind::Object | JsonKind::Array) && !left.is_empty();
    (level < LEVELS || !is_nested) && left.raw() == right.raw()
}

/// Pairs of values that are still to be compared, with their level.
type ValuePairs<'l, 'r> = Vec<(Value<'l>, Value<'r>, usize)>;

/// Calls `see` for each difference between two values, with its JSON Pointer, in no particular order, until `see`
/// returns false.
pub fn differences<'l, 'r>(
    left: Value<'l>,
    right: Value<'r>,
    mut see: impl FnMut(&str, Difference<'l, 'r>) -> bool,
) {
    let mut open = vec![(String::new(), Some(left), Some(right), 0)];
    while let Some((pointer, left, right, level)) = open.pop() {
        let (Some(one), Some(other)) = (left, right) else {
            if !see(&pointer, Difference { left, right }) {
                return;
            }
            continue;
        };
        if same_text(one, other, level) {
            continue;
        }
        let level = level + 1;
        if pointer.len() > MAX_POINTER_BYTES {
            // A longer copy of the pointer for each level would take memory quadratic in the depth.
            if !same(one, other) && !see(&pointer, Difference { left, right }) {
                return;
            }
            continue;
        }
        match (one.kind(), other.kind()) {
            (JsonKind::Object, JsonKind::Object) => {
                let mut others = by_key(other);
                for (name, value) in by_key(one) {
                    let other = others.remove(&name);
                    open.push((below(&pointer, &name.1), Some(value), other, level));
                }
                let rest = others.into_iter();
                open.extend(
                    rest.map(|(name, value)| (below(&pointer, &name.1), None, Some(value), level)),
                );
            }
            (JsonKind::Array, JsonKind::Array) => {
                let (mut ones, mut others) = (one.elements(), other.elements());
                for index in 0..one.len().max(other.len()) {
                    let pointer = below(&pointer, &index.to_string());
                    open.push((pointer, ones.next(), others.next(), level));
                }
            }
            _ if same_scalar(one, other) => {}
            _ => {
                if !see(&pointer, Difference { left, right }) {
                    return;
                }
            }
        }
    }
}

fn below(pointer: &str, token: &str) -> String {
    let mut pointer = pointer.to_owned();
    push_pointer_token(&mut pointer, token);
    pointer
}

/// Members that one word of bits can mark.
const MAX_MARKED: usize = 64;

/// The fast way, for keys in nearly the same order and without duplicates. Adds pairs of values to `open`; returns
/// false when it cannot decide.
fn match_in_order<'l, 'r>(
    left: Value<'l>,
    right: Value<'r>,
    level: usize,
    open: &mut ValuePairs<'l, 'r>,
) -> bool {
    let count = right.len();
    if count > MAX_MARKED {
        return false;
    }
    let mut marked = 0_u64;
    let mut next = right.members();
    let mut at = 0;
    for (key, value) in left.members() {
        // From the member after the last match to the end, then from the start.
        let found = find(next.clone(), at, key).or_else(|| find(right.members(), 0, key));
        let Some((index, other, behind)) = found else {
            if value.is_null() {
                continue;
            }
            return false;
        };
        // The key occurs twice on the left. Which of the two counts is for the slow way.
        if marked & (1 << index) != 0 {
            return false;
        }
        marked |= 1 << index;
        open.push((value, other, level));
        (next, at) = (behind, index + 1);
    }
    // A member without a match may be null, or a duplicate of an earlier one.
    marked.count_ones() as usize == count
}

/// The index of a member, its value, and the members after it.
type MemberMatch<'r> = (usize, Value<'r>, ObjectMembers<'r>);

fn find<'r>(
    mut members: ObjectMembers<'r>,
    from: usize,
    key: JsonKey<'_>,
) -> Option<MemberMatch<'r>> {
    let mut index = from;
    while let Some((other, value)) = members.next() {
        if other.same(&key) {
            return Some((index, value, members));
        }
        index += 1;
    }
    None
}

/// The slow way, which always decides.
fn match_by_key<'l, 'r>(
    left: Value<'l>,
    right: Value<'r>,
    level: usize,
    open: &mut ValuePairs<'l, 'r>,
) -> bool {
    let (left, right) = (by_key(left), by_key(right));
    let agree = left.len() == right.len() && left.keys().eq(right.keys());
    if agree {
        let pairs = left.into_values().zip(right.into_values());
        open.extend(pairs.map(|(left, right)| (left, right, level)));
    }
    agree
}

/// Whether Unicode can hold a key, and the key. A key that Unicode cannot hold is taken as it is written, and equals no
/// other.
type KeyName<'d> = (bool, Cow<'d, str>);

/// The members that count: the last of duplicates, and none that is null.
fn by_key(object: Value<'_>) -> BTreeMap<KeyName<'_>, Value<'_>> {
    let mut members: BTreeMap<_, _> = object
        .members()
        .map(|(key, value)| (name(key), value))
        .collect();
    members.retain(|_, value| !value.is_null());
    members
}

fn name(key: JsonKey<'_>) -> KeyName<'_> {
    match key.text() {
        Some(text) => (true, text.decode()),
        None => (false, Cow::Borrowed(key.raw())),
    }
}

fn same_scalar(left: Value<'_>, right: Value<'_>) -> bool {
    match (left.kind(), right.kind()) {
        (JsonKind::Null, JsonKind::Null) => true,
        (JsonKind::Bool(left), JsonKind::Bool(right)) => left == right,
        (JsonKind::Number, JsonKind::Number) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.equals(right.lexeme()),
            _ => false,
        },
        (JsonKind::String { .. }, JsonKind::String { .. }) => match (left.text(), right.text()) {
            (Some(left), Some(right)) => left == right,
            // A text with half of a surrogate pair equals only the same text, which was compared above.
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    fn compared(left: &str, right: &str) -> (bool, Vec<String>) {
        let (mut one, mut other) = (Parser::default(), Parser::default());
        let left = one.parse(left).unwrap().root();
        let right = other.parse(right).unwrap().root();
        let mut pointers = Vec::new();
        differences(left, right, |pointer, _| {
            pointers.push(pointer.to_owned());
            true
        });
        pointers.sort();
        (same(left, right), pointers)
    }

    #[test]
    fn equal_under_the_contract() {
        for (left, right) in [
            (r#"{"a":1,"b":null}"#, r#"{"a":1}"#),
            (
                r#"{"a":1,"b":[{"c":2,"d":3}]}"#,
                r#"{"b":[{"d":3.0,"c":2e0}],"a":1}"#,
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":2,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1,"a":null}"#, "{}"),
            (r#"{"a":1,"a":null,"b":2}"#, r#"{"b":2}"#),
            (r#"{"a":null,"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":{"x":1,"x":2,"y":3}}"#, r#"{"a":{"y":3,"x":2}}"#),
            (r#"["\u0061\/"]"#, r#"["a/"]"#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
            (r#"["\ud800"]"#, r#"["\ud800"]"#),
            (r#"{"\ud800":1,"b":2}"#, r#"{"b":2,"\ud800":1}"#),
            ("[1,null]", "[1.0,null]"),
        ] {
            assert_eq!(compared(left, right), (true, vec![]), "{left} {right}");
            assert_eq!(compared(right, left), (true, vec![]), "{right} {left}");
        }
    }

    #[test]
    fn different_and_where() {
        for (left, right, pointers) in [
            (r#"{"a":1}"#, r#"{"a":2}"#, &["/a"][..]),
            (r#"{"a":2,"a":null}"#, r#"{"a":2}"#, &["/a"]),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, &["/a"]),
            (r#"{"a":0}"#, r#"{"a":false}"#, &["/a"]),
            (r#"{"a":""}"#, "{}", &["/a"]),
            (r#"{"a":[]}"#, "{}", &["/a"]),
            (r#"{"a":{}}"#, "{}", &["/a"]),
            ("[1,null]", "[1]", &["/1"]),
            (r#"{"a/b":{"~":1}}"#, r#"{"a/b":{"~":2}}"#, &["/a~1b/~0"]),
            (r#"{"k":1,"k":1}"#, r#"{"k":1,"j":2}"#, &["/j"]),
            (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#, &["/a", "/b"]),
            (r#"["\ud800"]"#, r#"["\udbff"]"#, &["/0"]),
            (r#"{"":1}"#, r#"{"":1,"x":{}}"#, &["/x"]),
        ] {
            let expected: Vec<_> = pointers.iter().map(|&pointer| pointer.to_owned()).collect();
            assert_eq!(
                compared(left, right),
                (false, expected.clone()),
                "{left} {right}"
            );
            assert_eq!(compared(right, left), (false, expected), "{right} {left}");
        }
    }

    #[test]
    fn many_members_and_deep_nesting() {
        let object = |order: &mut dyn Iterator<Item = u32>| {
            let members: Vec<_> = order.map(|key| format!("\"k{key}\":{key}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let (up, down) = (object(&mut (0..200)), object(&mut (0..200).rev()));
        assert_eq!(compared(&up, &down), (true, vec![]));
        let deep =
            |value: &str| format!("{}{value}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(compared(&deep("1"), &deep("1.0")).0);
        let (agree, pointers) = compared(&deep("1"), &deep("2"));
        assert!(!agree);
        assert_eq!(pointers.len(), 1);
        assert!(pointers[0].starts_with("/0/0/0"));
    }
}

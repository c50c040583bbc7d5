//! Are two texts the same task? Equality as the contract has it (rule 2): a key that is absent equals
//! one that is null, keys stand in any order, numbers count by value, of duplicate keys the last.
//! Depends on the other files of this folder only.
//!
//! Nesting costs memory, never the thread's stack. Parts that are written the same are not looked
//! into, which is nearly everything.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::document::Kind;
use crate::json::text::push_pointer_token;
use crate::json::value::{Key, Value};

/// Bytes of a pointer past which no deeper place is told apart.
const MAX_POINTER_BYTES: usize = 16 << 10;

/// A place where two values differ.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'l, 'r> {
    /// What the left one has; `None` when it is absent or null.
    pub left: Option<Value<'l>>,
    /// What the right one has.
    pub right: Option<Value<'r>>,
}

/// Are the two the same?
pub fn same(left: Value<'_>, right: Value<'_>) -> bool {
    let mut open = vec![(left, right, 0)];
    while let Some((left, right, level)) = open.pop() {
        if same_text(left, right, level) {
            continue;
        }
        let agree = match (left.kind(), right.kind()) {
            (Kind::Object, Kind::Object) => {
                let mark = open.len();
                match_in_order(left, right, level + 1, &mut open) || {
                    open.truncate(mark);
                    match_by_key(left, right, level + 1, &mut open)
                }
            }
            (Kind::Array, Kind::Array) => {
                let pairs = left.elements().zip(right.elements());
                open.extend(pairs.map(|(left, right)| (left, right, level + 1)));
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

/// Are they written the same? Looked at for scalars, and for the outer levels of all else: a look at every
/// level would take a time that grows with the square of the depth.
fn same_text(left: Value<'_>, right: Value<'_>, level: usize) -> bool {
    const LEVELS: usize = 64;
    let is_nested = matches!(left.kind(), Kind::Object | Kind::Array) && !left.is_empty();
    (level < LEVELS || !is_nested) && left.raw() == right.raw()
}

/// Pairs of values that are to be compared, with their level.
type Open<'l, 'r> = Vec<(Value<'l>, Value<'r>, usize)>;

/// Shows the places where the two differ, with their JSON Pointers, in no particular order, until
/// `see` says that it has seen enough.
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
            // Deep enough to be found, and copies of it for every level would never end.
            if !same(one, other) && !see(&pointer, Difference { left, right }) {
                return;
            }
            continue;
        }
        match (one.kind(), other.kind()) {
            (Kind::Object, Kind::Object) => {
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
            (Kind::Array, Kind::Array) => {
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

/// The quick way: keys stand in nearly the same order, and once each. Queues the pairs of values;
/// false when it cannot tell.
fn match_in_order<'l, 'r>(
    left: Value<'l>,
    right: Value<'r>,
    level: usize,
    open: &mut Open<'l, 'r>,
) -> bool {
    let count = right.len();
    if count > MAX_MARKED {
        return false;
    }
    let mut marked = 0_u64;
    let mut next = right.members();
    let mut at = 0;
    for (key, value) in left.members() {
        // From the member behind the last hit to the end, then from the start.
        let found = find(next.clone(), at, key).or_else(|| find(right.members(), 0, key));
        let Some((index, other, behind)) = found else {
            if value.is_null() {
                continue;
            }
            return false;
        };
        if marked & (1 << index) != 0 {
            return false;
        }
        marked |= 1 << index;
        open.push((value, other, level));
        (next, at) = (behind, index + 1);
    }
    // One that is left may be null, or a duplicate of one before.
    marked.count_ones() as usize == count
}

type Found<'r> = (usize, Value<'r>, crate::json::value::Members<'r>);

fn find<'r>(
    mut members: crate::json::value::Members<'r>,
    from: usize,
    key: Key<'_>,
) -> Option<Found<'r>> {
    let mut index = from;
    while let Some((other, value)) = members.next() {
        if other.same(&key) {
            return Some((index, value, members));
        }
        index += 1;
    }
    None
}

/// The sure way.
fn match_by_key<'l, 'r>(
    left: Value<'l>,
    right: Value<'r>,
    level: usize,
    open: &mut Open<'l, 'r>,
) -> bool {
    let (left, right) = (by_key(left), by_key(right));
    let agree = left.len() == right.len() && left.keys().eq(right.keys());
    if agree {
        let pairs = left.into_values().zip(right.into_values());
        open.extend(pairs.map(|(left, right)| (left, right, level)));
    }
    agree
}

/// A key's name, and before it whether Unicode can hold it: one that it cannot is taken as it is
/// written, and equals no other.
type Name<'d> = (bool, Cow<'d, str>);

/// The members that count: of duplicates the last, and none that is null.
fn by_key(object: Value<'_>) -> BTreeMap<Name<'_>, Value<'_>> {
    let mut members: BTreeMap<_, _> = object
        .members()
        .map(|(key, value)| (name(key), value))
        .collect();
    members.retain(|_, value| !value.is_null());
    members
}

fn name(key: Key<'_>) -> Name<'_> {
    match key.text() {
        Some(text) => (true, text.decode()),
        None => (false, Cow::Borrowed(key.raw())),
    }
}

fn same_scalar(left: Value<'_>, right: Value<'_>) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(left), Kind::Bool(right)) => left == right,
        (Kind::Number, Kind::Number) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.equals(right.lexeme()),
            _ => false,
        },
        (Kind::String { .. }, Kind::String { .. }) => match (left.text(), right.text()) {
            (Some(left), Some(right)) => left == right,
            // Half a surrogate pair is kept as it is written, which has been compared already.
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::document::Parser;

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

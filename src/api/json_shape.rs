//! The shape of a task: its members, apart from their values.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::json::kind::JsonKind;
use crate::json::value::Value;

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn is_empty(value: Value<'_>) -> bool {
    match value.kind() {
        JsonKind::Object => value.members().next().is_none(),
        JsonKind::Array => value.elements().next().is_none(),
        _ => value.is_null() || value.text().is_some_and(|text| text == *""),
    }
}

/// A hash of a task's status, the names of its members, and which of these are empty, regardless of their order.
pub(crate) fn shape(task: Value<'_>) -> u64 {
    let status = task.get("status").and_then(|status| status.text());
    let status = status.map(|status| status.to_string());
    let members = task
        .members()
        .map(|(key, value)| hash(&(key.raw(), is_empty(value))));
    members.fold(hash(&status), u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    #[test]
    fn shapes_ignore_values_and_the_order_of_members() {
        let look_of = |text: &str| shape(Parser::default().parse(text).unwrap().root());
        let one = look_of(r#"{"task_id":"a","status":"completed","threads":[1],"note":null}"#);
        for (other, is_alike) in [
            (
                r#"{"note":"","threads":[{}],"status":"completed","task_id":"b"}"#,
                true,
            ),
            (
                r#"{"task_id":"a","status":"completed","threads":[],"note":null}"#,
                false,
            ),
            (
                r#"{"task_id":"a","status":"completed","threads":[1]}"#,
                false,
            ),
            (
                r#"{"task_id":"a","status":"pending","threads":[1],"note":null}"#,
                false,
            ),
            (
                r#"{"task_id":"a","status":"completed","threads":[1],"note":"x"}"#,
                false,
            ),
        ] {
            assert_eq!(look_of(other) == one, is_alike, "{other}");
        }
    }
}

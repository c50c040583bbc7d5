//! The label of an annotation's value: the element of `labels` at the position that the value has in `possible_values`.

use crate::json::kind::JsonKind;
use crate::json::text::Text;
use crate::json::value::{TextList, Value};

/// The label, if the two lists have the same length and the value is one of the possible ones.
///
/// `possible_values` may be a list inside of a list, as in an example of the API's documentation.
pub(crate) fn value_label<'d>(
    value: Option<Value<'_>>,
    labels: Option<TextList<'d>>,
    possible_values: Option<Value<'_>>,
) -> Option<Text<'d>> {
    let (value, labels, possible_values) = (value?, labels?, possible_values?);
    // A list of several choices has no single label.
    if matches!(value.kind(), JsonKind::Array | JsonKind::Object) {
        return None;
    }
    let is_list = |value: &Value<'_>| value.kind() == JsonKind::Array;
    let list = match possible_values.elements().next() {
        Some(inner) if possible_values.len() == 1 && is_list(&inner) => inner,
        _ => possible_values,
    };
    // Lists of different lengths do not belong together, and a wrong label would be worse than none.
    if !is_list(&list) || list.len() != labels.len() {
        return None;
    }
    let at = list.elements().position(|possible| same(possible, value))?;
    labels.iter().nth(at)
}

/// Whether two scalars are equal. Numbers are compared by value; a string never equals a number.
fn same(left: Value<'_>, right: Value<'_>) -> bool {
    match (left.kind(), right.kind()) {
        (JsonKind::Number, JsonKind::Number) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.equals(right.lexeme()),
            _ => false,
        },
        (JsonKind::String { .. }, JsonKind::String { .. }) => match (left.text(), right.text()) {
            (Some(left), Some(right)) => left == right,
            // Texts with half of a surrogate pair are equal if they are written the same.
            _ => left.raw() == right.raw(),
        },
        (JsonKind::Bool(left), JsonKind::Bool(right)) => left == right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parser::Parser;

    fn label(annotation: &str) -> Option<String> {
        let mut parser = Parser::default();
        let root = parser.parse(annotation).unwrap().root();
        let labels = root.get("labels").and_then(|labels| labels.text_list());
        value_label(root.get("value"), labels, root.get("possible_values"))
            .map(|text| text.to_string())
    }

    #[test]
    fn finds_the_label_in_flat_and_nested_lists() {
        let flat = r#"{"labels":["a","b"],"value":2,"possible_values":[1,2.0]}"#;
        assert_eq!(label(flat).as_deref(), Some("b"));
        let nested = r#"{"labels":["a","b"],"value":"x","possible_values":[["x","x"]]}"#;
        assert_eq!(label(nested).as_deref(), Some("a"));
    }

    #[test]
    fn has_none_when_the_lists_do_not_match() {
        for annotation in [
            r#"{"labels":["a","b"],"value":"2","possible_values":[1,2]}"#,
            r#"{"labels":["a","b"],"value":1,"possible_values":[1,2,3]}"#,
            r#"{"labels":["a","b"],"value":[1],"possible_values":[[1],[2]]}"#,
            r#"{"labels":["a","b"],"value":1,"possible_values":[[1],[2]]}"#,
            r#"{"labels":["a","b"],"value":null,"possible_values":[null,1]}"#,
            r#"{"labels":["a",1],"value":1,"possible_values":[1,2]}"#,
            r#"{"labels":["a","b"],"value":1}"#,
        ] {
            assert_eq!(label(annotation), None, "{annotation}");
        }
    }
}

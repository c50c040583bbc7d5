//! The label of a value: what `labels` has where the value stands in `possible_values`.
//! Depends on `json`.

use crate::json::document::Kind;
use crate::json::text::Text;
use crate::json::value::{TextList, Value};

/// The label, when the two lists match and the value is one of the possible ones.
///
/// `possible_values` may be one list inside a list, as the API's page shows it.
pub(crate) fn value_label<'d>(
    value: Option<Value<'_>>,
    labels: Option<TextList<'d>>,
    possible_values: Option<Value<'_>>,
) -> Option<Text<'d>> {
    let (value, labels, possible_values) = (value?, labels?, possible_values?);
    if matches!(value.kind(), Kind::Array | Kind::Object) {
        return None;
    }
    let is_list = |value: &Value<'_>| value.kind() == Kind::Array;
    let list = match possible_values.elements().next() {
        Some(inner) if possible_values.len() == 1 && is_list(&inner) => inner,
        _ => possible_values,
    };
    if !is_list(&list) || list.len() != labels.len() {
        return None;
    }
    let at = list.elements().position(|possible| same(possible, value))?;
    labels.iter().nth(at)
}

/// Are two scalars equal? Numbers by value; a string never equals a number.
fn same(left: Value<'_>, right: Value<'_>) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Number, Kind::Number) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => left.equals(right.lexeme()),
            _ => false,
        },
        (Kind::String { .. }, Kind::String { .. }) => match (left.text(), right.text()) {
            (Some(left), Some(right)) => left == right,
            // Half a surrogate pair: equal when it is written the same.
            _ => left.raw() == right.raw(),
        },
        (Kind::Bool(left), Kind::Bool(right)) => left == right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::document::Parser;

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

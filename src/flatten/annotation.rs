//! Annotations of every level, and the typed columns of their values.

use crate::flatten::label::value_label;
use crate::flatten::members::{Objects, bind_members};
use crate::flatten::task_flattener::{FlattenResult, TaskFlattener};
use crate::json::kind::JsonKind;
use crate::json::text::Text;
use crate::json::value::{TextList, Value};
use crate::tables::definition::AnnotationRow;
use crate::tables::row_key::RowKey;
use crate::tables::table::Table;

/// Documented values of an annotation's `type`.
const TYPES: [&str; 12] = [
    "integer",
    "boolean",
    "text",
    "category",
    "category_multiple",
    "file",
    "workspace_container",
    "ranked_choices",
    "ranked_groups",
    "rubric_criteria",
    "rubric_rating",
    "labeled_text",
];

/// What an annotation is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnnotationLevel {
    Thread,
    Turn,
    Message,
    /// With the chunk's index.
    Chunk(i32),
    RubricCriterion,
    RubricEvaluation,
    CriterionEvaluation,
}

impl AnnotationLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Turn => "turn",
            Self::Message => "message",
            Self::Chunk(_) => "chunk",
            Self::RubricCriterion => "rubric_criterion",
            Self::RubricEvaluation => "rubric_evaluation",
            Self::CriterionEvaluation => "criterion_evaluation",
        }
    }

    fn chunk_index(self) -> Option<i32> {
        match self {
            Self::Chunk(index) => Some(index),
            _ => None,
        }
    }
}

/// The `value_` columns of one value.
#[derive(Debug, Default)]
struct TypedValue<'d> {
    text: Option<Text<'d>>,
    int: Option<i64>,
    number: Option<f64>,
    boolean: Option<bool>,
    list: Option<TextList<'d>>,
    json: Option<&'d str>,
}

impl<'d> TypedValue<'d> {
    /// Goes by the value's own JSON type, not by the annotation's `type`, which may disagree. That `type` only decides
    /// which key of an object is its number.
    fn of(value: Value<'d>, kind: Option<Text<'_>>) -> Self {
        let json = Some(value.raw());
        match value.kind() {
            JsonKind::Null => Self::default(),
            JsonKind::Bool(boolean) => Self {
                boolean: Some(boolean),
                ..Self::default()
            },
            JsonKind::Number => Self::number(value),
            JsonKind::String { .. } => match value.text() {
                text @ Some(_) => Self {
                    text,
                    ..Self::default()
                },
                None => Self {
                    json,
                    ..Self::default()
                },
            },
            JsonKind::Array => match value.text_list() {
                list @ Some(_) => Self {
                    list,
                    ..Self::default()
                },
                None => Self {
                    json,
                    ..Self::default()
                },
            },
            JsonKind::Object => {
                let is = |name: &str| kind.is_some_and(|kind| kind == *name);
                let key = if is("rubric_rating") {
                    Some("score")
                } else if is("rubric_criteria") {
                    Some("weight")
                } else {
                    None
                };
                let number = key.and_then(|key| value.get(key)?.number()?.nearest_f64());
                Self {
                    number,
                    json,
                    ..Self::default()
                }
            }
        }
    }

    fn number(value: Value<'d>) -> Self {
        let Some(number) = value.number() else {
            return Self::default();
        };
        // Both columns get a value, so that a query can use one of them for all numbers.
        let int = number.to_i64();
        let exact = int.is_some() || number.exact_f64().is_some();
        Self {
            int,
            // The integer of `-0` has no sign, and the float64 follows from the integer.
            number: int.map_or_else(|| number.nearest_f64(), |int| Some(nearest(int))),
            json: (!exact).then(|| value.raw()),
            ..Self::default()
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "`value_number` is the nearest float64"
)]
fn nearest(int: i64) -> f64 {
    int as f64
}

impl TaskFlattener<'_> {
    /// Adds the rows of the annotations of one object. The path is that of the object.
    pub(crate) fn annotations(
        &mut self,
        annotations: Objects<'_>,
        level: AnnotationLevel,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        self.each("annotations", annotations, |flattener, object, index| {
            flattener.annotation(object, index, level, row_key)
        })
    }

    fn annotation(
        &mut self,
        object: Value<'_>,
        annotation_index: i32,
        level: AnnotationLevel,
        row_key: &RowKey<'_>,
    ) -> FlattenResult {
        bind_members!(object, Table::Annotations, extra, {
            id: "id" => "annotation_id",
            key: "key",
            kind: "type",
            title: "title",
            description: "description",
            labels: "labels",
            metadata: "metadata",
            value: "value",
            possible_values: "possible_values",
            justification: "justification",
            not_applicable: "not_applicable",
            cannot_assess: "cannot_assess",
        });
        // An unknown type is drift and not an error: its value has columns by its JSON type.
        extra.check_documented(kind, &TYPES);
        let annotation_id = extra.text(id);
        let kind = extra.text(kind);
        let labels = extra.text_list(labels);
        let typed = value
            .value
            .map(|value| TypedValue::of(value, kind))
            .unwrap_or_default();
        let row = AnnotationRow {
            row_key: row_key.at(self.path),
            chunk_index: level.chunk_index(),
            level: Text::plain(level.name()),
            annotation_index,
            annotation_id,
            key: extra.text(key),
            kind,
            title: extra.text(title),
            description: extra.text(description),
            justification: extra.text(justification),
            labels,
            not_applicable: extra.boolean(not_applicable),
            cannot_assess: extra.boolean(cannot_assess),
            metadata: metadata.value.map(|value| value.raw()),
            criteria: metadata.value.and_then(criteria),
            possible_values: possible_values.value.map(|value| value.raw()),
            value_text: typed.text,
            value_int: typed.int,
            value_number: typed.number,
            value_bool: typed.boolean,
            value_list: typed.list,
            value_json: typed.json,
            value_label: value_label(value.value, labels, possible_values.value),
            extra: extra.finish(self.drift, self.task_id),
        };
        self.counts.annotations += 1;
        self.rows.push(&row)?;
        match (kind, value.value) {
            (Some(kind), Some(value)) => self.value_files(value, kind, annotation_id, row_key),
            _ => Ok(()),
        }
    }
}

/// `metadata.criteria` when it is a string, else its `id`.
fn criteria(metadata: Value<'_>) -> Option<Text<'_>> {
    let criteria = metadata.get("criteria")?;
    if criteria.is_object() {
        criteria.get("id")?.text()
    } else {
        criteria.text()
    }
}

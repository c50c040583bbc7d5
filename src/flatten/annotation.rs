//! Annotations of every level, and the typed columns of their values.
//! Depends on the files of this folder.

use crate::flatten::label::value_label;
use crate::flatten::members::{Objects, sort};
use crate::flatten::task_flattener::{Flow, TaskFlattener};
use crate::json::document::Kind;
use crate::json::text::Text;
use crate::json::value::{TextList, Value};
use crate::tables::definition::AnnotationRow;
use crate::tables::row_key::Place;

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
pub(crate) enum Level {
    Thread,
    Turn,
    Message,
    /// With the chunk's index.
    Chunk(i32),
    RubricCriterion,
    RubricEvaluation,
    CriterionEvaluation,
}

impl Level {
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
struct Typed<'d> {
    text: Option<Text<'d>>,
    int: Option<i64>,
    number: Option<f64>,
    boolean: Option<bool>,
    list: Option<TextList<'d>>,
    json: Option<&'d str>,
}

impl<'d> Typed<'d> {
    /// By the value's own JSON type, never by the annotation's `type`, which may disagree; that
    /// decides only which key of an object is its number.
    fn of(value: Value<'d>, kind: Option<Text<'_>>) -> Self {
        let json = Some(value.raw());
        match value.kind() {
            Kind::Null => Self::default(),
            Kind::Bool(boolean) => Self {
                boolean: Some(boolean),
                ..Self::default()
            },
            Kind::Number => Self::number(value),
            Kind::String { .. } => match value.text() {
                text @ Some(_) => Self {
                    text,
                    ..Self::default()
                },
                None => Self {
                    json,
                    ..Self::default()
                },
            },
            Kind::Array => match value.text_list() {
                list @ Some(_) => Self {
                    list,
                    ..Self::default()
                },
                None => Self {
                    json,
                    ..Self::default()
                },
            },
            Kind::Object => {
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
        let int = number.to_i64();
        let exact = int.is_some() || number.exact_f64().is_some();
        Self {
            int,
            // Of `-0`, the double follows from the integer, which has no sign there.
            number: int.map_or_else(|| number.nearest_f64(), |int| Some(nearest(int))),
            json: (!exact).then(|| value.raw()),
            ..Self::default()
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest double is what is asked for"
)]
fn nearest(int: i64) -> f64 {
    int as f64
}

impl TaskFlattener<'_> {
    /// The annotations of one object, whose path is set.
    pub(crate) fn annotations(
        &mut self,
        annotations: Objects<'_>,
        level: Level,
        place: &Place<'_>,
    ) -> Flow {
        self.each("annotations", annotations, |flattener, object, index| {
            flattener.annotation(object, index, level, place)
        })
    }

    fn annotation(
        &mut self,
        object: Value<'_>,
        annotation_index: i32,
        level: Level,
        place: &Place<'_>,
    ) -> Flow {
        let (fields, mut fit) = sort(
            object,
            "annotations",
            &[
                ("id", "annotation_id"),
                ("key", "key"),
                ("type", "type"),
                ("title", "title"),
                ("description", "description"),
                ("labels", "labels"),
                ("metadata", "metadata"),
                ("value", "value"),
                ("possible_values", "possible_values"),
                ("justification", "justification"),
                ("not_applicable", "not_applicable"),
                ("cannot_assess", "cannot_assess"),
            ],
        );
        let [
            id,
            key,
            kind,
            title,
            description,
            labels,
            metadata,
            value,
            possible_values,
            justification,
            not_applicable,
            cannot_assess,
        ] = fields;
        fit.unless_known(kind, &TYPES);
        let annotation_id = fit.text(id);
        let kind = fit.text(kind);
        let labels = fit.text_list(labels);
        let typed = value
            .value
            .map(|value| Typed::of(value, kind))
            .unwrap_or_default();
        let row = AnnotationRow {
            place: Place { path: "", ..*place },
            chunk_index: level.chunk_index(),
            level: Text::plain(level.name()),
            annotation_index,
            annotation_id,
            key: fit.text(key),
            kind,
            title: fit.text(title),
            description: fit.text(description),
            justification: fit.text(justification),
            labels,
            not_applicable: fit.boolean(not_applicable),
            cannot_assess: fit.boolean(cannot_assess),
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
            extra: None,
        };
        let extra = fit.finish(self.drift, self.task_id);
        let row = AnnotationRow {
            place: Place {
                path: self.path,
                ..*place
            },
            extra: extra.as_deref(),
            ..row
        };
        self.counts.annotations += 1;
        self.buffers.annotations.push(&row, self.sink)?;
        match (kind, value.value) {
            (Some(kind), Some(value)) => self.value_files(value, kind, annotation_id, place),
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

//! Statistics of parts of an export are those of the whole.

use std::borrow::Cow;

use proptest::prelude::*;
use scale_export::report::facts::{AnnotationFacts, MessageFacts, TaskFacts};
use scale_export::report::merge::Merge as _;
use scale_export::report::short_text::ShortText;
use scale_export::report::statistics::Statistics;

/// A row: small numbers choose its values, so that they repeat.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: u8,
    choice: u8,
    number: i64,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..4_u8, 0..8_u8, any::<i64>());
    let row = row.prop_map(|(kind, choice, number)| Row {
        kind,
        choice,
        number,
    });
    prop::collection::vec(row, 0..40)
}

fn collect(rows: &[Row]) -> Statistics {
    const WORDS: [&str; 8] = [
        "completed",
        "pending",
        "",
        "<b>",
        "e\u{301}",
        "1",
        "2",
        "error",
    ];
    let mut statistics = Statistics::default();
    for row in rows {
        let word = WORDS[usize::from(row.choice)];
        let model = (row.choice > 3).then(|| ShortText::of(word));
        match row.kind {
            0 => statistics.tasks.see(&TaskFacts {
                status: Some(word),
                created_at: Some(row.number),
                completed_at: (row.choice > 2).then(|| row.number.rotate_left(7)),
            }),
            1 => statistics.messages.see(&MessageFacts {
                role: Some(word),
                text: (row.choice > 1).then_some(word),
                ..MessageFacts::default()
            }),
            2 => statistics.questions.see(
                &AnnotationFacts {
                    level: "message",
                    key: (row.choice > 0).then_some(word),
                    title: Some(word),
                    labels: WORDS[..usize::from(row.choice)]
                        .iter()
                        .copied()
                        .map(Cow::Borrowed)
                        .collect(),
                    not_applicable: row.choice == 1,
                    chosen: Some(Cow::Borrowed(word)),
                    chosen_order: Some(row.number),
                    number: Some(row.number),
                    score: Some(f64::from_bits(row.number.cast_unsigned())),
                    ..AnnotationFacts::default()
                },
                Some(&model),
            ),
            _ => {
                let score = Some(f64::from_bits(row.number.cast_unsigned()));
                statistics.rubrics.see(model.clone(), score, Some(&model));
            }
        }
    }
    statistics
}

proptest! {
    #[test]
    fn merging_is_associative_and_gives_the_whole(one in rows(), two in rows(), three in rows()) {
        let whole = collect(&[one.clone(), two.clone(), three.clone()].concat());
        let mut left = collect(&one);
        left.merge(collect(&two));
        left.merge(collect(&three));
        prop_assert_eq!(&left, &whole);
        let mut end = collect(&two);
        end.merge(collect(&three));
        let mut right = collect(&one);
        right.merge(end);
        prop_assert_eq!(&right, &whole);
    }
}

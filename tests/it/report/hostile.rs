//! Texts that try to leave their place in the page, and exports that try to make it large.

use serde_json::json;

use super::{flatten, report, text_of};

/// Text that would be harmful as HTML, in an attribute, in a style, or by its direction.
const HOSTILE: &str = "</title><script>alert(1)</script><img src=x onerror='a()'>\" ' & </style> \u{202e}rtl\u{2066}\u{7}\u{0}\u{1b}[31m\u{200b}\u{feff}\u{2028}";

/// A task in which every text that the report shows is `text`.
fn task(number: usize, text: &str) -> String {
    let annotation = json!({
        "id": "an", "key": text, "type": text, "title": text, "labels": [text, "b"], "possible_values": [1, 2], "value": 1,
    });
    let criterion = json!({"id": text, "criterion": text, "weight": 1});
    let evaluation = json!({"criteria_evaluations": [{"criterion_definition_id": text, "score": 1, "annotations": [annotation]}]});
    let message = json!({
        "role": text, "content": {"text": text}, "model_parameters": {"model": text}, "annotations": [annotation],
        "rubric_evaluations": [evaluation],
    });
    let turn = json!({"messages": [message], "rubrics": [{"criteria_definitions": [criterion]}]});
    json!({
        "task_id": format!("task_{number}"), "status": text, text: text,
        "threads": [{"turns": [turn], "submissions": [{"contributor_id": text}]}],
        "errors": [{"type": text}], "sensitive_content_reports": [{"type": text}],
    })
    .to_string()
}

#[test]
fn text_of_an_export_never_becomes_markup() {
    let base = tempfile::tempdir().unwrap();
    let out = flatten(base.path(), "out", &task(1, HOSTILE), &[]);
    let html = report(&out, &["--contributors"]);
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "{html}"
    );
    let hidden = |c: &char| {
        (c.is_control() && *c != '\n')
            || ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}'].contains(c)
    };
    assert_eq!(html.chars().find(hidden), None);
    let text = text_of(&html);
    // Key, title, label, model, role, status, criterion and others, as far as they fit.
    let shown = text
        .matches("</title><script>alert(1)</script><img src=x onerror='a")
        .count();
    assert!(shown >= 20, "{shown}: {text}");
    // Every tag is one of those that the page uses.
    let tags: std::collections::BTreeSet<&str> = html
        .split('<')
        .skip(1)
        .map(|piece| piece.split([' ', '>']).next().unwrap())
        .filter(|name| !name.starts_with('/'))
        .collect();
    let known = "!doctype a article bdi body caption code dd details div dl dt footer g h1 h2 h3 head header html li main meta nav p path rect section small span strong style summary svg table tbody td th thead title tr ul";
    let known: Vec<&str> = known.split(' ').collect();
    assert!(tags.iter().all(|tag| known.contains(tag)), "{tags:?}");
}

#[test]
fn many_long_texts_leave_the_report_small() {
    let base = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for number in 0..600 {
        // Four bytes per character, or five after escaping.
        let end = if number % 2 == 0 { "𝄞" } else { "&" };
        let text = format!("{number:03}{}", end.repeat(2_000));
        let week = number / 4 % 140;
        let day = format!(
            "{}-{:02}-{:02}T00:00:00Z",
            2020 + week / 52,
            1 + week % 52 / 5,
            1 + week % 5 * 6
        );
        let mut task: serde_json::Value = serde_json::from_str(&task(number, &text)).unwrap();
        task["created_at"] = day.clone().into();
        task["completed_at"] = day.into();
        let annotations: Vec<_> = (0..30)
            .map(|at| json!({"key": format!("{:02}{}", at, end.repeat(300)), "type": "category", "title": text, "value": format!("{}{text}", number % 40)}))
            .collect();
        task["threads"][0]["annotations"] = annotations.into();
        lines.push_str(&format!("{task}\n"));
    }
    let out = flatten(base.path(), "out", &lines, &[]);
    let html = report(&out, &["--contributors"]);
    assert!(html.len() > 100_000, "{}", html.len());
    let text = text_of(&html);
    for more in [
        "more questions",
        "more labels",
        "more models",
        "more criteria",
        "more roles",
        "more contributors",
        "more status values",
        "more types",
        "more differences",
    ] {
        assert!(text.contains(more), "{more}");
    }
}

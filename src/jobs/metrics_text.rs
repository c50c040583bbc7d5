//! Metrics of a run in the text format of Prometheus. Pure.

use serde_json::Value;

/// Metrics that are one number of the summary: name, help, and where the number is.
const NUMBERS: [(&str, &str, &str); 13] = [
    (
        "last_run_exit_code",
        "Exit code of the last run",
        "/exit_code",
    ),
    (
        "last_run_duration_seconds",
        "Duration of the last run",
        "/seconds",
    ),
    (
        "last_run_published",
        "Whether the last run published an export",
        "/published",
    ),
    ("tasks", "Tasks in the published export", "/tasks/after"),
    (
        "requested_tasks",
        "Task IDs that the last run was to export",
        "/requested",
    ),
    (
        "failed_tasks",
        "Task IDs of the last run that are not in the export",
        "/failed",
    ),
    (
        "stale_tasks",
        "Tasks of the last run that were exported from an earlier response",
        "/stale",
    ),
    (
        "last_run_requests",
        "Requests of the last run, retries included",
        "/requests",
    ),
    ("last_run_retries", "Retries of the last run", "/retries"),
    (
        "last_run_rate_limited_requests",
        "Requests of the last run that the API rate-limited",
        "/rate_limited",
    ),
    (
        "last_run_received_bytes",
        "Bytes of responses of the last run",
        "/bytes_received",
    ),
    (
        "export_size_bytes",
        "Bytes of the published files",
        "/bytes",
    ),
    (
        "learned_rate_requests_per_second",
        "Requests per second that the last run learned",
        "/pace/rate",
    ),
];

/// Metrics that have a number for each member of an object of the summary: name, help, the object, and the label.
const FAMILIES: [(&str, &str, &str, &str); 2] = [
    (
        "failures",
        "Failed and stale task IDs of the last run",
        "/failures",
        "kind",
    ),
    (
        "table_rows",
        "Rows in the published tables",
        "/rows",
        "table",
    ),
];

/// The metric that a failed run keeps.
const LAST_SUCCESS: &str = "last_success_timestamp_seconds";

/// The prefix of every name.
const PREFIX: &str = "scale_export";

/// The metrics of a run from its summary. `earlier` is the file of the run before: the time of the last success is kept
/// when this run was none. Every sample has the output directory as a label, so that files of several exports can be
/// scraped together. Numbers that the run does not know are left out.
pub(crate) fn metrics_text(summary: &Value, earlier: &str) -> String {
    let out = summary.pointer("/out").and_then(Value::as_str);
    let out = label("out", out.unwrap_or_default());
    let mut text = String::new();
    let version = summary.pointer("/tool/version").and_then(Value::as_str);
    let version = label("version", version.unwrap_or_default());
    head(&mut text, "build_info", "Version of the program");
    sample(&mut text, "build_info", &format!("{out},{version}"), 1.0);
    for (name, help, pointer) in [
        (
            "last_run_start_timestamp_seconds",
            "Start of the last run",
            "/started_at",
        ),
        (
            "last_run_end_timestamp_seconds",
            "End of the last run",
            "/finished_at",
        ),
    ] {
        if let Some(seconds) = timestamp(summary, pointer) {
            head(&mut text, name, help);
            sample(&mut text, name, &out, seconds);
        }
    }
    let is_success = summary.pointer("/exit_code").and_then(Value::as_u64) == Some(0);
    let success = match timestamp(summary, "/finished_at") {
        Some(end) if is_success => Some(end),
        _ => last_success(earlier, &out),
    };
    if let Some(seconds) = success {
        head(
            &mut text,
            LAST_SUCCESS,
            "End of the last run with exit code 0",
        );
        sample(&mut text, LAST_SUCCESS, &out, seconds);
    }
    for (name, help, pointer) in NUMBERS {
        if let Some(number) = summary.pointer(pointer).and_then(number) {
            head(&mut text, name, help);
            sample(&mut text, name, &out, number);
        }
    }
    for (name, help, pointer, key) in FAMILIES {
        let Some(members) = summary.pointer(pointer).and_then(Value::as_object) else {
            continue;
        };
        head(&mut text, name, help);
        for (member, value) in members {
            let labels = format!("{out},{}", label(key, member));
            sample(&mut text, name, &labels, number(value).unwrap_or_default());
        }
    }
    text
}

/// The time of the last success in the metrics of an earlier run into the same directory.
fn last_success(earlier: &str, out: &str) -> Option<f64> {
    let prefix = format!("{PREFIX}_{LAST_SUCCESS}{{{out}}} ");
    let line = earlier.lines().find(|line| line.starts_with(&prefix))?;
    let (_, value) = line.rsplit_once("} ")?;
    value
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite())
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        value => value.as_f64(),
    }
}

/// A time of the summary in seconds since 1970.
fn timestamp(summary: &Value, pointer: &str) -> Option<f64> {
    let time: jiff::Timestamp = summary.pointer(pointer)?.as_str()?.parse().ok()?;
    Some(time.as_duration().as_secs_f64())
}

/// The lines before the samples of a metric. Every metric is a gauge: it starts again with each run.
fn head(text: &mut String, name: &str, help: &str) {
    text.push_str(&format!(
        "# HELP {PREFIX}_{name} {help}\n# TYPE {PREFIX}_{name} gauge\n"
    ));
}

fn sample(text: &mut String, name: &str, labels: &str, value: f64) {
    text.push_str(&format!("{PREFIX}_{name}{{{labels}}} {value}\n"));
}

/// A label with its value, escaped as the text format requires.
fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(exit_code: u8) -> Value {
        json!({
            "tool": {"version": "1.2.3"},
            "out": "a\\b\"c\nd",
            "started_at": "2024-01-31T12:00:00.500Z",
            "finished_at": "2024-01-31T12:00:10.000Z",
            "seconds": 9.5,
            "exit_code": exit_code,
            "published": exit_code == 0,
            "tasks": {"before": 1, "after": 3},
            "failures": {"not_found": 2},
            "rows": {"tasks": 3, "messages": 9},
            "pace": null,
            "requests": null,
        })
    }

    #[test]
    fn a_success_has_all_numbers_that_are_known() {
        let text = metrics_text(&summary(0), "");
        let out = r#"out="a\\b\"c\nd""#;
        for line in [
            format!("scale_export_build_info{{{out},version=\"1.2.3\"}} 1"),
            format!("scale_export_last_run_start_timestamp_seconds{{{out}}} 1706702400.5"),
            format!("scale_export_last_success_timestamp_seconds{{{out}}} 1706702410"),
            format!("scale_export_last_run_exit_code{{{out}}} 0"),
            format!("scale_export_last_run_published{{{out}}} 1"),
            format!("scale_export_tasks{{{out}}} 3"),
            format!("scale_export_failures{{{out},kind=\"not_found\"}} 2"),
            format!("scale_export_table_rows{{{out},table=\"messages\"}} 9"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("requests{") && !text.contains("null"));
    }

    #[test]
    fn a_failure_keeps_the_time_of_the_last_success() {
        let success = metrics_text(&summary(0), "");
        let mut failed = summary(5);
        failed["finished_at"] = json!("2024-02-01T12:00:10.000Z");
        let failed = metrics_text(&failed, &success);
        let line =
            "scale_export_last_success_timestamp_seconds{out=\"a\\\\b\\\"c\\nd\"} 1706702410";
        assert!(failed.lines().any(|found| found == line), "{failed}");
        let mut other = summary(5);
        other["out"] = json!("elsewhere");
        assert!(!metrics_text(&other, &success).contains(LAST_SUCCESS));
        for earlier in [
            "",
            "garbage",
            "scale_export_last_success_timestamp_seconds{} x",
        ] {
            let text = metrics_text(&summary(1), earlier);
            assert!(!text.contains(LAST_SUCCESS), "{earlier}");
        }
    }
}

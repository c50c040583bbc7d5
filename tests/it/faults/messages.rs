//! Messages of the server in `failures.jsonl`: shortened, printable, without the key.

use super::measure::{command, last_failures, stderr};
use crate::support::KEY;
use crate::support::raw_server::{RawServer, Step, response};

/// Maximum characters of a message, with the text before it.
const MOST_CHARS: usize = 220;

/// Bodies, and their expected messages.
fn bodies() -> Vec<(Vec<u8>, String)> {
    let text =
        |body: &str, printed: &str| (body.as_bytes().to_vec(), format!("status 400: {printed}"));
    vec![
        text(
            r#"{"status_code": 400, "error": "no such\noption"}"#,
            "no such option",
        ),
        text(r#"{"message": "in another member"}"#, "in another member"),
        text("plain\r\n\r\n  words\tapart \0", "plain words apart"),
        text("\u{1b}[2J\u{1b}[31mred\u{7}", "[2J [31mred"),
        text("\u{202e}backwards\u{202c}", "backwards"),
        text(
            "<html><head><TITLE lang=en>\n Bad\n gateway </TITLE></head><body>more</body></html>",
            "Bad gateway",
        ),
        text(
            &format!("you sent Bearer {KEY}!"),
            "you sent Bearer [redacted]!",
        ),
        text(
            &format!(r#"{{"error": "key={KEY}&key={KEY}"}}"#),
            "key=[redacted]&key=[redacted]",
        ),
        text(&format!("<title>{KEY}</title>"), "[redacted]"),
        text(
            &format!("<title>{}</title>", KEY.replace('_', "&#95;")),
            "[redacted]",
        ),
        text(
            &format!("no {} here", KEY.replace('_', "&#x5f;")),
            "no [redacted] here",
        ),
        text(
            &format!("no {} here", KEY.replace('_', "&amp;lowbar;")),
            "no [redacted] here",
        ),
        text(
            &format!("/?key={}&x", KEY.replace('_', "%5F")),
            "/?key=[redacted]&x",
        ),
        text(
            &format!(r#"{{"error": "no {}"}}"#, KEY.replace('_', r"_\u0007")),
            "no [redacted]",
        ),
        text(
            &format!("no {} here", KEY.replace('_', "\r\n_\u{1b}")),
            "no [redacted] here",
        ),
        (
            br#"{"data": "somebody's"}"#.to_vec(),
            "status 400".to_owned(),
        ),
        (b"<html>no title</html>".to_vec(), "status 400".to_owned()),
        (vec![], "status 400".to_owned()),
        (
            vec![0xff; 3],
            "status 400: \u{fffd}\u{fffd}\u{fffd}".to_owned(),
        ),
        // The key at the position where the message is cut: no part of it may remain.
        text(
            &format!("{}{KEY}", "x".repeat(195)),
            &format!("{}[reda…", "x".repeat(195)),
        ),
        text(&"é".repeat(100_000), &format!("{}…", "é".repeat(200))),
    ]
}

#[test]
fn server_messages_are_trimmed_printable_and_without_the_key() {
    let ids: Vec<String> = (0..bodies().len()).map(|at| format!("id_{at}")).collect();
    let server = RawServer::start(|request| {
        let at: usize = request
            .task_id
            .strip_prefix("id_")
            .unwrap()
            .parse()
            .unwrap();
        vec![Step::Send(response(
            "400 Bad Request",
            &[],
            &bodies()[at].0,
        ))]
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = command(&server.url(), &out, &ids, &["-v"])
        // Without a UTF-8 locale, `…` is printed as three dots.
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap();
    let printed = stderr(&output);
    // Nothing is published if every ID failed.
    assert_eq!(output.status.code(), Some(8), "{printed}");
    let failures = last_failures(&out);
    for (id, (_, expected)) in ids.iter().zip(bodies()) {
        let message = failures[id]["message"].as_str().unwrap();
        assert_eq!(message, expected);
        assert!(message.chars().count() <= MOST_CHARS);
        let expected = format!("task `{id}` failed (http_error): {expected}");
        // Every line of the log begins with its time.
        let is_line = |line: &str| {
            line.split_once("Z ")
                .is_some_and(|(_, text)| text == expected)
        };
        assert!(printed.lines().any(is_line), "{expected}");
    }
    assert!(!printed.contains(KEY));
    assert!(
        printed.chars().all(|c| c == '\n' || !c.is_control()),
        "{printed:?}"
    );
}

//! Makes messages of the server fit to be shown: short, printable, and without secrets.

use crate::api::key_spellings::without_spellings;
use crate::printable::is_invisible;

/// The maximum number of characters of a message.
const MAX_CHARS: usize = 200;

/// Bytes of an error's body that are read.
pub(crate) const MAX_ERROR_BODY: usize = 64 * 1024;

/// The message in an error's body: `error` in the API's own format, the title of an HTML page, or the text.
pub(crate) fn of_body(status: u16, body: &[u8], secret: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let message = json_error(&text)
        .or_else(|| page_title(&text))
        .unwrap_or_else(|| {
            // A JSON body in another format may contain anything, so its text is not used.
            let is_data = text.trim_start().starts_with(['{', '[', '<']);
            if is_data {
                String::new()
            } else {
                text.into_owned()
            }
        });
    // The body of these two is a task or a part of one, and not a message.
    let message = match status {
        203 => "a proxy has changed the response".to_owned(),
        206 => "the response is incomplete".to_owned(),
        _ => printable(&message, secret),
    };
    if message.is_empty() {
        format!("status {status}")
    } else {
        format!("status {status}: {message}")
    }
}

fn json_error(text: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    body.get("error")
        .or_else(|| body.get("message"))?
        .as_str()
        .map(str::to_owned)
}

fn page_title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower.get(start..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find("</title")?;
    text.get(start..end).map(str::to_owned)
}

/// One line without control characters and without the secret.
pub(crate) fn printable(text: &str, secret: &str) -> String {
    // The secret is removed first, because later replacements could hide it.
    let redacted = without_spellings(text, secret);
    let seen: String = redacted.chars().filter(|c| !is_invisible(*c)).collect();
    let parts: Vec<&str> = seen
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = parts.join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_taken_from_json_html_or_text() {
        let message = |body: &str| of_body(500, body.as_bytes(), "live_key");
        assert_eq!(
            message(r#"{"status_code":500,"error":"out\nof luck"}"#),
            "status 500: out of luck"
        );
        assert_eq!(
            message("<html><Title>520: web server</TITLE><p>…"),
            "status 500: 520: web server"
        );
        assert_eq!(
            message("upstream connect error"),
            "status 500: upstream connect error"
        );
        assert_eq!(message(r#"{"data":"private"}"#), "status 500");
        assert_eq!(message(""), "status 500");
        assert_eq!(
            of_body(206, b"half a ta", "live_key"),
            "status 206: the response is incomplete"
        );
        assert_eq!(
            message("\u{202e}desrever\u{202c} and\u{200b}hidden \u{1b}[31mred"),
            "status 500: desrever andhidden [31mred"
        );
        assert_eq!(
            message(r#"{"error":"bad key live_key\u0007, LIVE_Key, live\u200b_key"}"#),
            "status 500: bad key [redacted] , [redacted], [redacted]"
        );
        assert_eq!(
            message(r"no live\u005fkey or live\\u005Fkey here"),
            "status 500: no [redacted] or [redacted] here"
        );
        assert_eq!(
            message(&"x".repeat(5_000)).chars().count(),
            MAX_CHARS + "status 500: …".chars().count()
        );
    }
}

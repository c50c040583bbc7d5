//! A report in a browser: no request, nothing on the console. And its colors.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{report, sandbox_export};
use crate::support::{print_note, root};

/// Names of the browser.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> Option<&'static str> {
    let mut known = BROWSERS.into_iter();
    known.find(|name| Command::new(name).arg("--version").output().is_ok())
}

/// What a browser did with a page.
struct Visit {
    /// The document after all scripts and styles.
    document: String,
    /// Messages on the console.
    console: Vec<String>,
    /// Paths that were requested.
    requests: Vec<String>,
}

/// Opens a page that a server on this machine sends.
fn visit(browser: &str, base: &Path, html: &str) -> Visit {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (page, seen) = (html.to_owned(), requests.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            // A connection that the browser opens in advance has no request.
            let Some(path) = line.split(' ').nth(1) else {
                continue;
            };
            seen.lock().unwrap().push(path.to_owned());
            let length = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(page.as_bytes());
        }
    });
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!(
            "--user-data-dir={}",
            base.join("profile").display()
        ))
        .arg(format!("http://{address}/page.html"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let console = stderr.lines().filter(|line| line.contains("CONSOLE"));
    Visit {
        document: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: console.map(str::to_owned).collect(),
        requests: requests.lock().unwrap().clone(),
    }
}

#[test]
fn a_browser_shows_the_report_without_a_request_or_a_message() {
    let Some(browser) = browser() else {
        print_note(
            "SKIPPED: a browser opens the report (no chromium found; apt-get install chromium)",
        );
        return;
    };
    let base = tempfile::tempdir().unwrap();
    let out = sandbox_export(base.path(), "out", 60, &[]);
    let html = report(&out, &["--contributors"]);
    let shown = visit(browser, base.path(), &html);
    assert!(
        shown.document.contains("Export report</h1>"),
        "{}",
        shown.document
    );
    assert_eq!(shown.console, Vec::<String>::new());
    assert_eq!(shown.requests, ["/page.html"]);
    // The same check notices a script and a style that the policy of the page forbids.
    let script = html.replace(
        "<body>",
        "<body onload=\"x()\"><script>console.log(1)</script>",
    );
    assert!(!visit(browser, base.path(), &script).console.is_empty());
    let styled = html.replace("</style>", "p{color:red}</style>");
    assert!(!visit(browser, base.path(), &styled).console.is_empty());
    // Without the policy, it notices the request of an image.
    let image = "<!doctype html><title>t</title><img src=\"image.png\">";
    assert!(
        visit(browser, base.path(), image)
            .requests
            .contains(&"/image.png".to_owned())
    );
}

/// The colors of the style sheet by name: light, and dark.
fn palettes() -> [BTreeMap<String, [f64; 3]>; 2] {
    let style = fs::read_to_string(root().join("src/report/html/style.css")).unwrap();
    let palette = |marker: &str| {
        let (_, after) = style.split_once(marker).unwrap();
        let (rules, _) = after.split_once('}').unwrap();
        let colors = rules.split(';').filter_map(|rule| rule.split_once(":#"));
        let colors = colors.map(|(name, hex)| {
            let long = if hex.len() == 3 {
                hex.chars().flat_map(|c| [c, c]).collect()
            } else {
                hex.to_owned()
            };
            let part =
                |at: usize| f64::from(u8::from_str_radix(&long[at..at + 2], 16).unwrap()) / 255.0;
            (
                name.trim_start_matches('-').to_owned(),
                [part(0), part(2), part(4)],
            )
        });
        colors.collect()
    };
    [
        palette(":root{"),
        palette("(prefers-color-scheme:dark){:root{"),
    ]
}

/// The contrast of two colors, as WCAG 2 defines it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |color: [f64; 3]| {
        let parts = color.map(|part| {
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colors_have_the_contrast_that_wcag_requires() {
    for palette in palettes() {
        assert!(palette.len() >= 16, "{palette:?}");
        for (color, grounds, least) in [
            ("text", ["page", "card", "tag"].as_slice(), 7.0),
            ("muted", &["page", "card", "tag"], 4.5),
            ("link", &["page", "card"], 4.5),
            ("alert", &["card"], 4.5),
            ("bar", &["card", "track"], 3.0),
            ("s0", &["card"], 3.0),
            ("s1", &["card"], 2.0),
            ("s2", &["card"], 3.0),
            ("s3", &["card"], 3.0),
            ("s4", &["card"], 3.0),
            ("s5", &["card"], 3.0),
        ] {
            for ground in grounds {
                let found = contrast(palette[color], palette[*ground]);
                assert!(found >= least, "{color} on {ground}: {found:.2}");
            }
        }
    }
}

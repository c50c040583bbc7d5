//! Network protocols: TLS, HTTP/2, redirects, headers, proxies.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, Version};

use crate::support::raw_server::{RawServer, Step, good, response};
use crate::support::server::{MockResponse, Server, task_response};
use crate::support::{KEY, program, published};

fn run(base: &Path, base_url: &str, options: &[&str]) -> Output {
    command(base, base_url, options).output().unwrap()
}

fn command(base: &Path, base_url: &str, options: &[&str]) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--id", "a/b&c=d", "--id", "task_2"])
        .args(["--base-url", base_url, "--rate", "max"])
        .arg("--out")
        .arg(base.join("out"))
        .args(options);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn redirect(to: &str) -> MockResponse {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::FOUND;
    response
        .headers_mut()
        .insert("location", to.parse().unwrap());
    response
}

#[test]
fn a_ca_file_adds_a_trusted_certificate_and_http2_is_used() {
    let base = tempfile::tempdir().unwrap();
    let (server, certificate) = Server::start_tls(task_response);
    let ca_file = base.path().join("ca.pem");
    fs::write(&ca_file, certificate).unwrap();
    let url = format!("https://localhost:{}", server.address.port());

    let output = run(base.path(), &url, &[]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("could not trust the API at `localhost"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("hint: ") && stderr(&output).contains("--ca-file"));
    assert!(
        server.seen().is_empty(),
        "a request was sent to a server that is not trusted"
    );

    let output = run(
        base.path(),
        &url,
        &["--ca-file", &ca_file.display().to_string()],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.seen().len(), 2);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.version == Version::HTTP_2)
    );

    fs::write(&ca_file, "no certificate").unwrap();
    let output = run(
        base.path(),
        &url,
        &["--ca-file", &ca_file.display().to_string()],
    );
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_request_is_as_the_api_documents_it() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(task_response);
    let output = run(
        base.path(),
        &format!("http://{}/prefix/", server.address),
        &[
            "--expand",
            "project,batch",
            "--opts",
            "annotation_details",
            "--opts",
            "other",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut seen = server.seen();
    seen.sort_by(|left, right| left.uri.cmp(&right.uri));
    let tail = "&expand=project&expand=batch&opts=annotation_details&opts=other";
    let uris: Vec<&str> = seen.iter().map(|seen| seen.uri.as_str()).collect();
    assert_eq!(
        uris,
        [
            format!("/prefix/v2/task?task_id=a%2Fb%26c%3Dd{tail}"),
            format!("/prefix/v2/task?task_id=task_2{tail}")
        ]
    );
    let headers = &seen[0].headers;
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(headers["accept"], "application/json");
    for encoding in ["gzip", "br", "zstd"] {
        assert!(
            headers["accept-encoding"]
                .to_str()
                .unwrap()
                .contains(encoding)
        );
    }
}

#[test]
fn redirects_are_followed_within_the_origin_only() {
    let base = tempfile::tempdir().unwrap();
    let elsewhere = Server::start(task_response);
    let target = format!("http://{}/v2/task?task_id=task_2", elsewhere.address);
    let server = Server::start(move |request| {
        let uri = request.uri().to_string();
        if uri.contains("task_2") {
            redirect(&target)
        } else if let Some(query) = uri.strip_prefix("/v2/task?") {
            redirect(&format!("/moved?{query}"))
        } else {
            task_response(request)
        }
    });
    let output = run(base.path(), &format!("http://{}", server.address), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        elsewhere.seen().is_empty(),
        "the key went to another origin"
    );
    let failures = published(&base.path().join("out"))
        .remove("failures.jsonl")
        .unwrap();
    let failure: serde_json::Value = serde_json::from_slice(&failures).unwrap();
    assert_eq!(
        (&failure["kind"], &failure["http_status"]),
        (&"redirect".into(), &302.into())
    );
}

#[test]
fn a_proxy_is_used_unless_no_proxy_names_the_host() {
    let base = tempfile::tempdir().unwrap();
    let proxy = Server::start(task_response);
    let proxy_url = format!("http://{}", proxy.address);
    let output = command(base.path(), "http://api.invalid", &["--allow-http"])
        .env("HTTP_PROXY", &proxy_url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        proxy.seen()[0]
            .uri
            .starts_with("http://api.invalid/v2/task?")
    );
    let output = command(
        base.path(),
        "http://api.invalid",
        &["--allow-http", "--refresh", "all", "--retry-timeout", "1s"],
    )
    .env("HTTP_PROXY", &proxy_url)
    .env("NO_PROXY", "api.invalid")
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn an_error_that_echoes_the_key_is_redacted() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let key = request.headers()["authorization"].to_str().unwrap();
        let body = serde_json::json!({"error": format!("refused: {key}\u{7}\nbye")});
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
        response
    });
    let output = run(base.path(), &format!("http://{}", server.address), &["-v"]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    let failures = base.path().join("out/.scale-export/last_failures.jsonl");
    let failures = fs::read_to_string(failures).unwrap();
    assert!(
        failures.contains("status 400: refused: Bearer [redacted] bye"),
        "{failures}"
    );
    assert!(!failures.contains(KEY) && !stderr(&output).contains(KEY));
}

#[test]
fn a_response_that_echoes_the_key_is_redacted_in_the_export() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let key = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        if request.uri().to_string().contains("task_2") {
            return Response::new(Full::new(Bytes::from(format!("<html>{key}</html>"))));
        }
        let body = serde_json::json!({"task_id": "a/b&c=d", "status": "completed", "seen": key});
        Response::new(Full::new(Bytes::from(body.to_string())))
    });
    let options = ["--format", "csv", "--max-retries", "0", "--keep-secrets"];
    let output = run(base.path(), &format!("http://{}", server.address), &options);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    for file in crate::support::files_below(base.path()) {
        let content = fs::read(&file).unwrap();
        let place = memchr::memmem::find(&content, KEY.as_bytes());
        assert_eq!(place, None, "{}", file.display());
    }
    let out = base.path().join("out");
    let raw = crate::support::raw_responses(&out);
    let raw = String::from_utf8_lossy(&raw["a/b&c=d"]).into_owned();
    assert!(raw.contains("Bearer [redacted]"), "{raw}");
}

#[test]
fn a_body_over_the_limit_fails_its_task_only() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        if request.uri().to_string().contains("task_2") {
            let body = serde_json::json!({"task_id": "task_2", "status": "x".repeat(5_000)});
            return Response::new(Full::new(Bytes::from(body.to_string())));
        }
        task_response(request)
    });
    let output = run(
        base.path(),
        &format!("http://{}", server.address),
        &["--max-body", "4KiB"],
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let failures = published(&base.path().join("out"))
        .remove("failures.jsonl")
        .unwrap();
    assert!(
        String::from_utf8(failures)
            .unwrap()
            .contains("\"too_large\"")
    );
    assert_eq!(
        server.seen().len(),
        2,
        "a body that is too large was fetched again"
    );
}

#[test]
fn every_content_encoding_is_read() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let uri = request.uri().to_string();
        let id = uri.split("task_id=").nth(1).unwrap().split('&').next();
        let id = id.unwrap();
        let body = format!(r#"{{"task_id":"{id}","status":"{}"}}"#, "x".repeat(500));
        let body = match id {
            "gzip" => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(body.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
            "br" => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 1, 20);
                encoder.write_all(body.as_bytes()).unwrap();
                encoder.into_inner()
            }
            _ => zstd::bulk::compress(body.as_bytes(), 1).unwrap(),
        };
        assert!(body.len() < 200);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        let headers = response.headers_mut();
        headers.insert("content-encoding", id.parse().unwrap());
        response
    });
    let output = program()
        .env("SCALE_API_KEY", KEY)
        .args([
            "--id", "gzip", "--id", "br", "--id", "zstd", "--rate", "max",
        ])
        .args(["--base-url", &format!("http://{}", server.address)])
        .arg("--out")
        .arg(base.path().join("out"))
        .args(["--max-retries", "0", "--format", "csv"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let tasks = fs::read_to_string(base.path().join("out/tasks.csv")).unwrap();
    assert_eq!(tasks.matches(&"x".repeat(500)).count(), 3);
}

#[test]
fn a_retry_after_delays_all_requests() {
    let base = tempfile::tempdir().unwrap();
    let first = Mutex::new(true);
    let server = Server::start(move |request| {
        if std::mem::take(&mut *first.lock().unwrap()) {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
            response
                .headers_mut()
                .insert("retry-after", "1".parse().unwrap());
            return response;
        }
        task_response(request)
    });
    let more: Vec<String> = (3..=12)
        .flat_map(|number| ["--id".to_owned(), format!("task_{number}")])
        .collect();
    let mut command = command(
        base.path(),
        &format!("http://{}", server.address),
        &["--concurrency", "2"],
    );
    let output = command.args(&more).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen = server.seen();
    assert_eq!(seen.len(), 13);
    // A few requests were sent before the response was read. All others wait, not only those for the same task.
    let waited = seen
        .iter()
        .filter(|later| later.at - seen[0].at >= Duration::from_secs(1));
    let waited = waited.count();
    assert!(waited >= 8, "only {waited} requests waited");
}

/// The response with the ID's first failure arrives 0.7 s after the last success. One second after that success, the ID
/// has not failed for a second yet. The run must fetch the next ID, instead of ending as if the API were not available.
#[test]
fn a_rate_limited_id_is_not_an_outage() {
    const SLOW: &str = "task_2";
    let base = tempfile::tempdir().unwrap();
    let server = RawServer::start(|request| {
        if request.task_id != SLOW {
            return good(&request.task_id);
        }
        vec![
            Step::Pause(Duration::from_millis(700)),
            Step::Send(response("429 Too Many Requests", &[], b"")),
        ]
    });
    let options = [
        "--concurrency",
        "1",
        "--max-retries",
        "1",
        "--retry-timeout",
        "1s",
    ];
    let output = run(base.path(), &server.url(), &options);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let failures = &published(&base.path().join("out"))["failures.jsonl"];
    let failures = String::from_utf8_lossy(failures);
    assert!(
        failures.contains(SLOW) && failures.lines().count() == 1,
        "{failures}"
    );
}

#[test]
fn the_list_of_processes_never_shows_the_key() {
    let base = tempfile::tempdir().unwrap();
    let arrived = std::sync::Arc::new(std::sync::Barrier::new(2));
    let signal = std::sync::Arc::clone(&arrived);
    let once = std::sync::Once::new();
    let server = Server::start(move |request| {
        once.call_once(|| {
            signal.wait();
            signal.wait();
        });
        task_response(request)
    });
    let url = format!("http://{}", server.address);
    let mut child = command(base.path(), &url, &["-q"]).spawn().unwrap();
    // The server holds the first response back, so that the process can be inspected.
    arrived.wait();
    let shown = fs::read(format!("/proc/{}/cmdline", child.id()));
    arrived.wait();
    assert!(child.wait().unwrap().success());
    // Only Linux has processes in `/proc`.
    if let Ok(shown) = shown {
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(
            shown.contains("--base-url") && !shown.contains(KEY),
            "{shown}"
        );
    }
}

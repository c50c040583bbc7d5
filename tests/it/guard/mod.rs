//! A good export is never replaced by a worse one: which results of a bad run are published.

mod refusals;
mod reuse;
mod stale_tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::Value;

use crate::support::server::{MockResponse, Server, requested_id, task_response};
use crate::support::{KEY, program, published};

/// A mock API with scripted responses by ID.
struct Api {
    server: Server,
    responses: Arc<Mutex<MockResponses>>,
}

type MakeResponse = Box<dyn Fn() -> MockResponse + Send>;

/// Returns a response for an ID. `None` stands for the task.
type MockResponses = Box<dyn Fn(&str) -> Option<MockResponse> + Send>;

impl Api {
    fn start() -> Self {
        let responses: Arc<Mutex<MockResponses>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let shared = Arc::clone(&responses);
        let server = Server::start(move |request| {
            let special = shared.lock().unwrap()(requested_id(request));
            special.unwrap_or_else(|| task_response(request))
        });
        Self { server, responses }
    }

    /// Sets the response for these IDs.
    fn responses(
        &self,
        is_affected: impl Fn(&str) -> bool + Send + 'static,
        response: impl Fn() -> MockResponse + Send + 'static,
    ) {
        *self.responses.lock().unwrap() = Box::new(move |id| is_affected(id).then(&response));
    }

    fn succeeds(&self) {
        self.responses(|_| false, || status(200));
    }

    fn run(&self, out: &Path, ids: &[String], options: &[&str]) -> Output {
        program()
            .env("SCALE_API_KEY", KEY)
            .env("SCALE_EXPORT_MAX_RETRIES", "0")
            .args(["--base-url", &format!("http://{}", self.server.address)])
            .args(["--rate", "max", "--retry-timeout", "2s"])
            .arg("--out")
            .arg(out)
            .args(ids.iter().flat_map(|id| ["--id", id]))
            .args(options)
            .output()
            .unwrap()
    }

    /// Runs an export and checks its exit code, then verifies the published files. Returns stderr.
    fn ends(&self, code: i32, out: &Path, ids: &[String], options: &[&str]) -> String {
        let output = self.run(out, ids, options);
        let printed = assert_exit(&output, code);
        if out.join("manifest.json").exists() {
            assert_exit(&program().arg("verify").arg(out).output().unwrap(), 0);
        }
        printed
    }
}

fn status(code: u16) -> MockResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"message\": \"no\"}")));
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap();
    response
}

fn redirect(to: &str) -> MockResponse {
    let mut response = status(302);
    let to = hyper::header::HeaderValue::from_str(to).unwrap();
    response.headers_mut().insert("location", to);
    response
}

fn assert_exit(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn failures(out: &Path) -> Vec<Value> {
    lines(&out.join("failures.jsonl"))
}

fn last_run(out: &Path) -> Value {
    let text = fs::read(out.join(".scale-export/last_run.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The published files, without the failures.
fn tables(out: &Path) -> Vec<(String, Vec<u8>)> {
    let files = published(out).into_iter();
    files.filter(|(name, _)| name != "failures.jsonl").collect()
}

/// The tables that `flatten` writes from the state into a new directory.
fn reference(base: &Path, out: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let fresh = base.join("reference");
    let _ = fs::remove_dir_all(&fresh);
    let output = program()
        .arg("flatten")
        .arg(out)
        .arg("--out")
        .arg(&fresh)
        .output()
        .unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    published(&fresh)
}

/// Makes a complete export of these tasks.
fn exported(api: &Api, base: &Path, ids: &[String]) -> PathBuf {
    let out = base.join("out");
    api.ends(0, &out, ids, &[]);
    out
}

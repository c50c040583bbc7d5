//! A mock API with list endpoints, whose responses tests can change. Its tokens are offsets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::support::server::{MockResponse, Server};
use crate::support::{KEY, program};

/// The path and parameters of a request.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) path: String,
    parts: BTreeMap<String, String>,
}

impl Query {
    fn of(uri: &hyper::Uri) -> Self {
        let parts = uri.query().unwrap_or_default().split('&');
        let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        Self {
            path: uri.path().to_owned(),
            parts: parts
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| (name.to_owned(), decode(value)))
                .collect(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str)
    }

    /// The offset of the page.
    pub(super) fn offset(&self) -> usize {
        self.get("next_token")
            .map_or(0, |token| token.parse().unwrap())
    }

    pub(super) fn limit(&self) -> usize {
        self.get("limit").unwrap().parse().unwrap()
    }
}

/// The data of the API: batches by ID, with their names and tasks.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) batches: BTreeMap<String, Vec<String>>,
    /// Tasks that are not final.
    pub(super) pending: Vec<String>,
    /// Requests so far, without the parameters that all have.
    pub(super) requests: Vec<String>,
}

impl Data {
    /// The JSON of a task.
    pub(super) fn task(&self, task_id: &str) -> Option<Value> {
        let batch = self
            .batches
            .iter()
            .find(|(_, tasks)| tasks.iter().any(|id| id == task_id))?
            .0;
        let is_pending = self.pending.iter().any(|id| id == task_id);
        let status = if is_pending { "pending" } else { "completed" };
        let thread = json!({"id": format!("th_{task_id}"), "turns": [], "annotations": []});
        let threads = if is_pending { vec![] } else { vec![thread] };
        Some(json!({
            "task_id": task_id, "project": "p", "batch": batch, "status": status,
            "created_at": "2024-01-01T00:00:00Z", "metadata": {"a": 1.50}, "threads": threads,
        }))
    }

    /// The correct page of a batch.
    pub(super) fn page(&self, query: &Query) -> MockResponse {
        let named = |name: &str| format!("Name of {name}");
        let batch = match (query.get("batch_id"), query.get("batch_name")) {
            (Some(id), None) => self.batches.get(id),
            (None, Some(name)) => self
                .batches
                .iter()
                .find(|(id, _)| named(id) == name)
                .map(|(_, tasks)| tasks),
            _ => return error(400, "one of batch_id and batch_name is required"),
        };
        let Some(tasks) = batch else {
            return error(404, "batch not found");
        };
        let (offset, limit) = (query.offset(), query.limit());
        let status = |id: &&String| {
            query
                .get("status")
                .is_none_or(|status| self.task(id).unwrap()["status"] == status)
        };
        let tasks: Vec<&String> = tasks.iter().filter(status).collect();
        let page = tasks.iter().skip(offset).take(limit);
        let page: Vec<Value> = page.map(|id| self.task(id).unwrap()).collect();
        let end = offset + page.len();
        let next = (end < tasks.len()).then(|| end.to_string());
        page_response(page, next.as_deref())
    }
}

/// A page with a token for the next one.
pub(super) fn page_response(
    tasks: impl IntoIterator<Item = Value>,
    next: Option<&str>,
) -> MockResponse {
    let mut page = json!({"tasks": Value::from_iter(tasks)});
    if let Some(next) = next {
        page["next_token"] = next.into();
    }
    response(200, &page)
}

pub(super) fn response(status: u16, body: &Value) -> MockResponse {
    Response::builder()
        .status(status)
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

pub(super) fn error(status: u16, text: &str) -> MockResponse {
    response(status, &json!({"status_code": status, "error": text}))
}

/// The server.
pub(super) struct Api {
    server: Server,
    data: Arc<Mutex<Data>>,
}

impl Api {
    /// Starts an API with batches of these sizes. Batches are named `b1` and so on, and their tasks
    /// `task_<batch>_<number>`.
    pub(super) fn new(
        batches: &[usize],
        odd: impl Fn(&mut Data, &Query) -> Option<MockResponse> + Send + Sync + 'static,
    ) -> Self {
        let batches = (1..).zip(batches).map(|(batch, tasks)| {
            let tasks = (1..=*tasks).map(|task| format!("task_{batch}_{task}"));
            (format!("b{batch}"), tasks.collect())
        });
        let data = Arc::new(Mutex::new(Data {
            batches: batches.collect(),
            ..Data::default()
        }));
        let shared = Arc::clone(&data);
        let server = Server::start(move |request| {
            let query = Query::of(request.uri());
            let mut data = shared.lock().unwrap();
            let short = request.uri().to_string();
            data.requests
                .push(short.split("&opts=").next().unwrap().to_owned());
            if let Some(response) = odd(&mut data, &query) {
                return response;
            }
            match query.path.as_str() {
                "/v2/task" => match data.task(query.get("task_id").unwrap()) {
                    Some(task) => response(200, &task),
                    None => error(404, "task not found"),
                },
                "/v2/tasks" => data.page(&query),
                _ => error(404, "no such endpoint"),
            }
        });
        Self { server, data }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    /// Pages that were requested since the last call.
    pub(super) fn pages(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|requests| !requests.starts_with("/v2/task?"));
        requests
    }

    /// Requests since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.data().requests)
    }

    /// The export command, without its list.
    pub(super) fn command(&self, out: &Path) -> Command {
        let mut command = program();
        command
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", self.server.address)])
            .env("SCALE_EXPORT_RATE", "max")
            .env_remove("SCALE_EXPORT_PLAN")
            .args(["--retry-timeout", "2s"])
            .arg("--out")
            .arg(out);
        command
    }

    /// Exports. Returns the directory and stderr.
    pub(super) fn export(
        &self,
        base: &Path,
        name: &str,
        options: &[&str],
        code: i32,
    ) -> (PathBuf, String) {
        let out = base.join(name);
        let output = self.command(&out).args(options).output().unwrap();
        let printed = exit(&output, code);
        if [0, 3].contains(&code) && out.join("manifest.json").exists() {
            exit(&program().arg("verify").arg(&out).output().unwrap(), 0);
        }
        (out, printed)
    }
}

/// Checks the exit code and returns stderr.
pub(super) fn exit(output: &Output, code: i32) -> String {
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    printed
}

//! `changes`: what a publication inserted, updated and deleted, and feeds that a database applies.

mod directory;
mod feeds;
mod nights;
mod recovery;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::errors::OutputError;
use scale_export::{
    Allowance, CancellationToken, ChangeCounts, ChangesError, ChangesOptions, ChangesReport,
    Events, ExportError, ExportOptions, ExportOptionsBuilder, ExportReport, FeedOptions,
    GuardOptions, JobEnd, Refresh, TaskIds, export, list_changes,
};
use serde_json::json;

use crate::support::server::{MockResponse, Server, requested_id};
use crate::support::{KEY, program};

/// What the server returns for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskState {
    /// The task, with content that depends on the version.
    Version(u64),
    /// An error with this status.
    Status(u16),
}

use TaskState::{Status, Version};

/// A mock API whose tasks change between nights.
struct Api {
    server: Server,
    tasks: Arc<Mutex<BTreeMap<String, TaskState>>>,
}

impl Api {
    fn start() -> Self {
        let tasks: Arc<Mutex<BTreeMap<String, TaskState>>> = Arc::default();
        let shared = Arc::clone(&tasks);
        let server = Server::start(move |request| {
            let id = percent_encoding::percent_decode_str(requested_id(request));
            let id = id.decode_utf8().unwrap();
            match shared.lock().unwrap().get(&*id) {
                Some(Version(version)) => answer(200, task(&id, *version)),
                Some(Status(status)) => answer(*status, String::new()),
                None => answer(404, String::new()),
            }
        });
        Self { server, tasks }
    }

    fn set(&self, task_id: &str, state: TaskState) {
        self.tasks.lock().unwrap().insert(task_id.to_owned(), state);
    }

    fn options(&self, out: &Path, ids: &[&str]) -> ExportOptionsBuilder {
        ExportOptions::builder(out)
            .ids(TaskIds::collect(ids).unwrap())
            .base_url(format!("http://{}", self.server.address))
            .api_key(KEY)
            .server_in_process(true)
            .max_retries(0)
            .retry_timeout(Duration::from_secs(1))
            .refresh(Refresh::All)
            .guard(guard(false))
    }

    /// One nightly run.
    fn night(&self, out: &Path, ids: &[&str]) -> ExportReport {
        run(self.options(out, ids)).unwrap()
    }
}

/// Everything may disappear, so that a test with few tasks is not stopped.
fn guard(drop_missing: bool) -> GuardOptions {
    GuardOptions {
        max_shrink: Allowance::Percent(100.0),
        drop_missing,
        ..GuardOptions::default()
    }
}

fn run(options: ExportOptionsBuilder) -> Result<ExportReport, ExportError> {
    let options = options.build().unwrap();
    let done = unlocked(
        || export(&options, &Events::none(), &CancellationToken::new()),
        |error| matches!(error, ExportError::Output(OutputError::Locked { .. })),
    );
    match done? {
        JobEnd::Done(report) => Ok(*report),
        JobEnd::Stopped(_) => panic!("nothing stopped it"),
    }
}

/// Repeats a job while a lock of this process is held. A child process that another test starts has a copy of every open
/// file, and so of the lock, until it executes another program.
fn unlocked<T, E>(job: impl Fn() -> Result<T, E>, is_locked: impl Fn(&E) -> bool) -> Result<T, E> {
    loop {
        match job() {
            Err(error) if is_locked(&error) => std::thread::sleep(Duration::from_millis(10)),
            done => return done,
        }
    }
}

fn answer(status: u16, body: String) -> MockResponse {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    answer
}

/// A task whose number of rows depends on its version.
fn task(task_id: &str, version: u64) -> String {
    let messages = |count: u64| -> Vec<_> {
        let message = |number| {
            json!({"role": "user", "content": {"text": format!("{version}, {number}: ä \"x\"\nnext")}, "annotations": [
                {"id": format!("a{number}"), "key": "k", "type": "select", "value": version, "labels": ["x", ""]},
            ]})
        };
        (0..count).map(message).collect()
    };
    let turns = |count: u64| -> Vec<_> {
        (0..count).map(|number| json!({"id": format!("u{number}"), "messages": messages(number + version % 2)})).collect()
    };
    json!({
        "task_id": task_id,
        "status": "completed",
        "project": {"id": format!("p{}", version % 3), "name": "P", "types": ["chat"]},
        "created_at": "2024-01-31T12:00:00Z",
        "metadata": {"version": version},
        "threads": [{"id": "t", "turns": turns(version % 4)}],
        "errors": if version.is_multiple_of(5) { json!([{"type": "t", "message": "m"}]) } else { json!([]) },
    })
    .to_string()
}

/// The changes of the last publication.
fn last(out: &Path) -> Result<ChangesReport, ChangesError> {
    changes(&ChangesOptions {
        new: out.to_owned(),
        ..ChangesOptions::default()
    })
}

fn since(out: &Path, id: &str) -> Result<ChangesReport, ChangesError> {
    changes(&ChangesOptions {
        new: out.to_owned(),
        since: Some(id.to_owned()),
        ..ChangesOptions::default()
    })
}

fn between(old: &Path, new: &Path) -> Result<ChangesReport, ChangesError> {
    changes(&ChangesOptions {
        old: Some(old.to_owned()),
        new: new.to_owned(),
        ..ChangesOptions::default()
    })
}

fn changes(options: &ChangesOptions) -> Result<ChangesReport, ChangesError> {
    let done = unlocked(
        || list_changes(options, &Events::none(), &CancellationToken::new()),
        |error| matches!(error, ChangesError::Busy { .. }),
    );
    match done? {
        JobEnd::Done(report) => Ok(report),
        JobEnd::Stopped(_) => panic!("nothing stopped it"),
    }
}

/// Numbers of inserted, updated, deleted, unchanged and lost tasks.
fn counts(report: &ChangesReport) -> [u64; 5] {
    let ChangeCounts {
        insert,
        update,
        delete,
        unchanged,
        lost,
    } = report.counts;
    [insert, update, delete, unchanged, lost]
}

/// The ID of the last publication.
fn id(out: &Path) -> String {
    let manifest = crate::support::manifest(out);
    manifest["publication"].as_str().unwrap().to_owned()
}

/// Each changed task with its change, from a feed in CSV.
fn changed(feed: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(feed.join("changes.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let mut cells = line.split(',').map(str::to_owned);
        (cells.next().unwrap(), cells.next().unwrap())
    });
    rows.collect()
}

/// Writes a feed, and returns its directory.
fn feed(
    out: &Path,
    base: &Path,
    name: &str,
    format: scale_export::Format,
) -> (PathBuf, ChangesReport) {
    let directory = base.join(name);
    let report = changes(&ChangesOptions {
        new: out.to_owned(),
        feed: Some(FeedOptions {
            out: directory.clone(),
            format: Some(format),
            with_tables: true,
        }),
        ..ChangesOptions::default()
    });
    (directory, report.unwrap())
}

/// Runs the command, and checks its exit code.
fn command(arguments: &[&str], code: i32) -> Output {
    let output = program().arg("changes").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Flips a bit of a byte in a file.
fn damage(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The digests of a publication.
fn digests(out: &Path, id: &str) -> PathBuf {
    out.join(format!(".scale-export/digests-{id}"))
}

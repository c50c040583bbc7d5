//! Measures a fault in three ways: on the first attempt of an ID, on all attempts of one ID among others, and on all
//! attempts of all IDs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::support::raw_server::{RawRequest, RawServer, Step, good};
use crate::support::{KEY, program, published};

/// IDs whose responses never have a fault.
const PLAIN_IDS: usize = 3;

/// IDs that may have a fault: as many as statuses share a row.
pub(super) const FAULTY_IDS: usize = 11;

/// The path of requests for tasks.
pub(super) const TASK_PATH: &str = "/v2/task";

/// The target of redirects that have a response.
pub(super) const MOVED_PATH: &str = "/moved";

/// Stands for a measurement that does not apply.
pub(super) const NO_VIEW: &str = "–";

/// A limit that no measured run reaches.
const FAR_LIMIT: &str = "60s";

/// A limit that is reached soon.
const SHORT_LIMIT: &str = "1s";

/// Maximum attempts of an ID in a second of failures. About four are usual.
const MOST_ATTEMPTS_IN_A_SECOND: usize = 10;

/// A row of the table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) once: String,
    pub(super) one: String,
    pub(super) all: String,
    pub(super) retried: String,
}

impl Row {
    pub(super) const HEADER: &str = "| fault | first attempt only: exit code | one task, always: \
        kind, status, attempts | every task, always: exit code | retried |\n\
        | --- | --- | --- | --- | --- |\n";

    pub(super) fn to_markdown(&self) -> String {
        let Self {
            name,
            once,
            one,
            all,
            retried,
        } = self;
        format!("| {name} | {once} | {one} | {all} | {retried} |\n")
    }
}

/// The expected effect of a fault on one ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// No effect.
    None,
    /// The ID is retried, then fails with this kind.
    Retried(&'static str),
    /// The ID fails with this kind at once.
    Fails(&'static str),
    /// The run ends.
    Stops,
}

/// The response of a server.
pub(super) type ScriptedResponse = Arc<dyn Fn(&RawRequest) -> Vec<Step> + Send + Sync>;

/// A fault in the responses of a server.
#[derive(Clone)]
pub(super) struct Fault {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// The responses for the first faulty IDs, one for each. Other IDs have good responses.
    pub(super) responses: Vec<ScriptedResponse>,
    pub(super) options: &'static [&'static str],
    pub(super) effect: Effect,
    /// Exit code if every task has the fault.
    pub(super) all: i32,
    /// Part of the message about it.
    pub(super) says: &'static str,
    /// Whether the fault is a rate limit, which fails an ID only after `--retry-timeout`. The number of attempts then
    /// depends on time.
    pub(super) is_rate_limit: bool,
}

pub(super) fn ids() -> Vec<String> {
    let plain = (1..=PLAIN_IDS).map(|number| format!("plain_{number}"));
    plain
        .chain((1..=FAULTY_IDS).map(|number| format!("faulty_{number}")))
        .collect()
}

/// The program with a list of IDs.
pub(super) fn command(url: &str, out: &Path, ids: &[String], options: &[&str]) -> Command {
    let mut command = program();
    command
        .env("SCALE_API_KEY", KEY)
        .args(["--base-url", url, "--format", "csv", "--progress", "never"])
        .args(["--rate", "max"])
        .arg("--out")
        .arg(out);
    for id in ids {
        command.args(["--id", id]);
    }
    command.args(options);
    command
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The published files of a run without faults.
pub(super) fn calm() -> &'static BTreeMap<String, Vec<u8>> {
    static CALM: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    CALM.get_or_init(|| calm_of(&ids()))
}

pub(super) fn calm_of(ids: &[String]) -> BTreeMap<String, Vec<u8>> {
    let server = RawServer::start(|request| good(&request.task_id));
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let output = command(&server.url(), &out, ids, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests().len(), ids.len());
    published(&out)
}

/// The lines of `failures.jsonl` by ID.
pub(super) fn failures(out: &Path) -> BTreeMap<String, Value> {
    failures_of(&out.join("failures.jsonl"))
}

/// The failures of the last run, published or not.
pub(super) fn last_failures(out: &Path) -> BTreeMap<String, Value> {
    failures_of(&out.join(".scale-export/last_failures.jsonl"))
}

fn failures_of(path: &Path) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let failure: Value = serde_json::from_str(line).unwrap();
            (failure["task_id"].as_str().unwrap().to_owned(), failure)
        })
        .collect()
}

/// Statuses as ranges.
fn ranges(statuses: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for status in statuses {
        match runs.last_mut() {
            Some((_, last)) if *status == *last + 1 => *last = *status,
            Some((_, last)) if *status == *last => {}
            _ => runs.push((*status, *status)),
        }
    }
    let runs = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}–{last}"),
    });
    runs.collect::<Vec<_>>().join(", ")
}

struct Run {
    server: RawServer,
    output: Output,
    out: PathBuf,
    _base: tempfile::TempDir,
}

impl Run {
    /// The number of requests for tasks, without the targets of redirects.
    fn requests(&self, task_id: Option<&str>) -> usize {
        let requests = self.server.requests();
        let requests = requests.iter().filter(|request| request.path == TASK_PATH);
        requests
            .filter(|request| task_id.is_none_or(|task_id| request.task_id == task_id))
            .count()
    }
}

impl Fault {
    /// The response for an ID, if it is scripted.
    fn response_to(&self, task_id: &str) -> Option<&ScriptedResponse> {
        let number: usize = task_id.strip_prefix("faulty_")?.parse().unwrap();
        self.responses.get(number - 1)
    }

    fn run(
        &self,
        options: &[&str],
        choose: impl Fn(&Self, &RawRequest) -> Option<ScriptedResponse> + Send + Sync + 'static,
    ) -> Run {
        let fault = self.clone();
        let server = RawServer::start(move |request| {
            // The target of a redirect has no fault.
            let chosen = choose(&fault, request).filter(|_| request.path != MOVED_PATH);
            chosen.map_or_else(|| good(&request.task_id), |response| response(request))
        });
        let base = tempfile::tempdir().unwrap();
        let out = base.path().join("out");
        let output = command(&server.url(), &out, &ids(), self.options)
            .args(options)
            .output()
            .unwrap();
        assert!(!stderr(&output).contains(KEY), "{}", self.name);
        Run {
            server,
            output,
            out,
            _base: base,
        }
    }

    fn check_exit(&self, run: &Run, view: &str, expected: i32) -> String {
        let code = run.output.status.code();
        let printed = stderr(&run.output);
        assert_eq!(code, Some(expected), "{}, {view}: {printed}", self.name);
        expected.to_string()
    }

    /// Measures in all three ways, in parallel.
    pub(super) fn measure(&self) -> Row {
        std::thread::scope(|scope| {
            let first_only = scope.spawn(|| self.once());
            let of_all = scope.spawn(|| self.all());
            let (one, attempts) = self.one();
            Row {
                name: self.name.to_owned(),
                once: first_only.join().unwrap(),
                one,
                all: of_all.join().unwrap(),
                retried: if attempts > 1 { "yes" } else { "no" }.to_owned(),
            }
        })
    }

    fn once(&self) -> String {
        let mut options = vec!["--max-retries", "2", "--retry-timeout", FAR_LIMIT];
        if let Effect::Fails(_) = self.effect {
            // Earlier successes show whether a rejection concerns one ID or the key.
            options.extend(["--concurrency", "1"]);
        }
        let run = self.run(&options, |fault, request| {
            let response = fault.response_to(&request.task_id)?;
            let is_first = request.path != TASK_PATH || request.attempt == 1;
            is_first.then(|| Arc::clone(response))
        });
        let (expected, again) = match self.effect {
            Effect::None => (0, 0),
            Effect::Retried(_) => (0, self.responses.len()),
            Effect::Fails(_) => (3, 0),
            Effect::Stops => (4, 0),
        };
        let cell = self.check_exit(&run, "once", expected);
        if expected == 0 {
            assert!(published(&run.out) == *calm(), "{}: other bytes", self.name);
        }
        let requests = run.requests(None);
        if self.effect == Effect::Stops {
            assert!(requests <= ids().len(), "{}: {requests}", self.name);
        } else if self.options.contains(&"--timeout") {
            // On a busy machine, a good response may exceed the timeout.
            assert!(requests >= ids().len() + again, "{}: {requests}", self.name);
        } else {
            assert_eq!(requests, ids().len() + again, "{}", self.name);
        }
        cell
    }

    /// The cell, and the number of attempts for one ID.
    fn one(&self) -> (String, u64) {
        // One request at a time: other IDs succeed before the first fault.
        let options = ["--max-retries", "1", "--concurrency", "1"];
        let limit = if self.is_rate_limit {
            SHORT_LIMIT
        } else {
            FAR_LIMIT
        };
        let limit = ["--retry-timeout", limit];
        let run = self.run(&[options.as_slice(), &limit].concat(), |fault, request| {
            fault.response_to(&request.task_id).map(Arc::clone)
        });
        let expected_kind = match self.effect {
            Effect::Retried(kind) | Effect::Fails(kind) => kind,
            Effect::None => {
                self.check_exit(&run, "one", 0);
                assert!(published(&run.out) == *calm(), "{}: other bytes", self.name);
                assert_eq!(run.requests(None), ids().len(), "{}", self.name);
                return ("no failure".to_owned(), 1);
            }
            Effect::Stops => {
                let code = self.check_exit(&run, "one", 4);
                let printed = stderr(&run.output);
                assert!(printed.contains(self.says), "{}: {printed}", self.name);
                assert_eq!(run.requests(Some("faulty_1")), 1, "{}", self.name);
                return (format!("exit code {code}"), 1);
            }
        };
        self.check_exit(&run, "one", 3);
        let failures = failures(&run.out);
        assert_eq!(failures.len(), self.responses.len(), "{}", self.name);
        let mut statuses = Vec::new();
        let mut attempts = Vec::new();
        for (task_id, failure) in &failures {
            assert!(task_id.starts_with("faulty_"), "{}: {failure}", self.name);
            assert_eq!(failure["kind"], expected_kind, "{}: {failure}", self.name);
            let message = failure["message"].as_str().unwrap();
            assert!(message.contains(self.says), "{}: {message}", self.name);
            statuses.extend(failure["http_status"].as_u64());
            let tried = failure["attempts"].as_u64().unwrap();
            assert_eq!(
                usize::try_from(tried).unwrap(),
                run.requests(Some(task_id)),
                "{}",
                self.name
            );
            attempts.push(tried);
        }
        attempts.dedup();
        let [attempts] = attempts[..] else {
            panic!("{}: {attempts:?} attempts", self.name)
        };
        if let Effect::Fails(_) = self.effect {
            assert_eq!(attempts, 1, "{}", self.name);
        }
        statuses.sort_unstable();
        let status = match statuses.len() {
            0 => "no status".to_owned(),
            _ => ranges(&statuses),
        };
        let shown = match attempts {
            1 => "1 attempt".to_owned(),
            _ if self.is_rate_limit => "attempts until `--retry-timeout`".to_owned(),
            _ => format!("{attempts} attempts"),
        };
        (format!("`{expected_kind}`, {status}, {shown}"), attempts)
    }

    fn all(&self) -> String {
        let run = self.run(
            &["--max-retries", "1", "--retry-timeout", SHORT_LIMIT],
            |fault, request| {
                // Every ID has one of the responses.
                let at = request.task_id.bytes().map(usize::from).sum::<usize>();
                Some(Arc::clone(&fault.responses[at % fault.responses.len()]))
            },
        );
        let requests = run.requests(None);
        let most = match self.effect {
            Effect::Retried(_) => ids().len() * MOST_ATTEMPTS_IN_A_SECOND,
            _ => ids().len(),
        };
        assert!(requests <= most, "{}: {requests} requests", self.name);
        self.check_exit(&run, "all", self.all)
    }
}

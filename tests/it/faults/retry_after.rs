//! Every form of `Retry-After` with a 429: all requests wait that long, and then the ID succeeds.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::Case;
use super::measure::{NO_VIEW, Row, calm_of, command, stderr};
use crate::support::raw_server::{RawServer, Step, good, response};
use crate::support::{published, task_ids};

/// IDs of a run.
const IDS: usize = 8;

/// The ID whose first response is a 429.
const RATE_LIMITED_ID: &str = "task_1";

/// The ID with a slow response, so that no other request is sent before the 429 is read.
const BUSY: &str = "task_2";
const BUSY_TIME: Duration = Duration::from_millis(500);

/// A wait may exceed the requested one by at most this. It is generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(15);

/// The wait of the pace without `Retry-After`, at the initial rate of a run.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

const A_YEAR: Duration = Duration::from_hours(365 * 24);

/// Headers for a given time.
type Headers = fn(SystemTime) -> Vec<(&'static str, String)>;

struct Form {
    name: &'static str,
    headers: Headers,
    /// Minimum wait of all requests.
    wait: Duration,
}

fn date(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

static FORMS: [Form; 10] = [
    Form {
        name: "429 without `Retry-After`",
        headers: |_| vec![],
        wait: FIRST_PAUSE,
    },
    Form {
        name: "429 with `Retry-After: 0`",
        headers: |_| vec![("retry-after", "0".to_owned())],
        wait: Duration::from_millis(100),
    },
    Form {
        name: "429 with `Retry-After: 2`",
        headers: |_| vec![("retry-after", "2".to_owned())],
        wait: Duration::from_secs(2),
    },
    Form {
        name: "429 with `Retry-After: 1.5`",
        headers: |_| vec![("retry-after", "1.5".to_owned())],
        wait: Duration::from_millis(1_500),
    },
    Form {
        name: "429 with a date, 2 s after the server's `Date`",
        // The server's clock is a year ahead, and both dates in the response agree.
        headers: |now| {
            let theirs = now + A_YEAR;
            let later = theirs + Duration::from_secs(2);
            vec![("date", date(theirs)), ("retry-after", date(later))]
        },
        wait: Duration::from_secs(2),
    },
    Form {
        name: "429 with a date, 2 s ahead, and no `Date`",
        // Dates have no fractions, so up to a second is lost.
        headers: |now| vec![("retry-after", date(now + Duration::from_secs(2)))],
        wait: Duration::from_secs(1),
    },
    Form {
        name: "429 with a date in the past",
        headers: |now| vec![("retry-after", date(now - A_YEAR))],
        wait: Duration::from_millis(100),
    },
    Form {
        name: "429 with `Retry-After: soon`",
        headers: |_| vec![("retry-after", "soon".to_owned())],
        wait: FIRST_PAUSE,
    },
    Form {
        name: "429 with `Retry-After: -5`",
        headers: |_| vec![("retry-after", "-5".to_owned())],
        wait: FIRST_PAUSE,
    },
    Form {
        name: "429 with `Retry-After: 1e5`",
        headers: |_| vec![("retry-after", "1e5".to_owned())],
        wait: FIRST_PAUSE,
    },
];

fn row(name: &str, once: &str, wait: Duration) -> Row {
    Row {
        name: name.to_owned(),
        once: once.to_owned(),
        one: NO_VIEW.to_owned(),
        all: NO_VIEW.to_owned(),
        retried: format!("yes, after at least {} s", wait.as_secs_f64()),
    }
}

fn too_many(headers: &[(&'static str, String)]) -> Vec<Step> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    vec![Step::Send(response(
        "429 Too Many Requests",
        &headers,
        b"slow down",
    ))]
}

fn measure(form: &'static Form) -> Row {
    let server = RawServer::start(
        |request| match (request.task_id.as_str(), request.attempt) {
            (RATE_LIMITED_ID, 1) => too_many(&(form.headers)(SystemTime::now())),
            (BUSY, 1) => [vec![Step::Pause(BUSY_TIME)], good(BUSY)].concat(),
            (task_id, _) => good(task_id),
        },
    );
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    // No retry is allowed and none is needed, since a 429 does not count.
    let options = ["--concurrency", "2", "--max-retries", "0"];
    let output = command(&server.url(), &out, &task_ids(IDS), &options)
        .output()
        .unwrap();
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{}: {printed}", form.name);
    assert!(published(&out) == calm_of(&task_ids(IDS)), "{}", form.name);
    let requests = server.requests();
    assert_eq!(requests.len(), IDS + 1, "{}", form.name);
    let first = requests
        .iter()
        .find(|request| request.task_id == RATE_LIMITED_ID)
        .unwrap();
    for later in &requests {
        if later.attempt == 1 && [RATE_LIMITED_ID, BUSY].contains(&later.task_id.as_str()) {
            continue;
        }
        let waited = later.at - first.at;
        assert!(
            waited >= form.wait && waited < form.wait + PATIENCE,
            "{}: task {} came after {waited:?}",
            form.name,
            later.task_id
        );
    }
    row(form.name, "0", form.wait)
}

/// A wait that exceeds the maximum: a day, or a number that no duration can hold. The test does not wait for the five
/// minutes: the log states the wait, and the same command continues at once.
fn absurd(value: &'static str) -> Row {
    let server = RawServer::start(|request| match (request.task_id.as_str(), request.number) {
        (RATE_LIMITED_ID, 1) => too_many(&[("retry-after", value.to_owned())]),
        (task_id, _) => good(task_id),
    });
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let options = ["-v", "--concurrency", "1"];
    let mut run = command(&server.url(), &out, &task_ids(IDS), &options);
    let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.ok().filter(|line| line.contains("rate-limited: ")))
        .unwrap();
    let (_, wait) = line.rsplit_once(" after waiting ").unwrap();
    let wait: f64 = wait.trim_end_matches(" s").parse().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // The pipe is read until it closes, so that the program never waits for it.
    assert!(lines.all(|line| line.is_ok()));
    assert_eq!(child.wait().unwrap().code(), Some(130), "{line}");
    assert_eq!(server.requests().len(), 1);
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let name = format!("429 with `Retry-After: {value}`");
    row(&name, NO_VIEW, Duration::from_secs_f64(wait))
}

pub(super) fn cases() -> Vec<Case> {
    let forms = FORMS
        .iter()
        .map(|form| -> Case { Box::new(|| measure(form)) });
    let absurd = ["86400", "99999999999999999999999999"]
        .map(|value| -> Case { Box::new(move || absurd(value)) });
    forms.chain(absurd).collect()
}

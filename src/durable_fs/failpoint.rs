//! Failpoints for tests, in debug builds only: a step can kill the process, fail, hang, or be recorded. They are set by
//! environment variables:
//!
//! ```text
//! SCALE_EXPORT_FAILPOINT=LANE:NUMBER:ACTION[,…]
//!     LANE    journal | output: steps are counted in each lane separately, since two threads write
//!     NUMBER  from 1
//!     ACTION  kill    SIGKILL before the step
//!             torn    SIGKILL after half of the bytes of a write
//!             hang    wait forever
//!             NUMBER  fail with this error number, after half of the bytes of a write
//! SCALE_EXPORT_TRACE=FILE
//!     append each step as a line of JSON, with the bytes of a write
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::durable_fs::step::Step;
use crate::threads;

const FAILPOINT: &str = "SCALE_EXPORT_FAILPOINT";
const TRACE: &str = "SCALE_EXPORT_TRACE";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Journal,
    Output,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Kill,
    Torn,
    Hang,
    Fail(i32),
}

/// An action, and the step at which it happens.
#[derive(Debug)]
struct Plan {
    lane: Lane,
    number: u64,
    action: Action,
}

impl Plan {
    /// Stands for a plan with a syntax error. It kills at the first step, so that a test with a misspelled plan fails
    /// instead of passing without a failure.
    const AT_ONCE: Self = Self {
        lane: Lane::Output,
        number: 1,
        action: Action::Kill,
    };
}

impl FromStr for Plan {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let lane = match parts.next() {
            Some("journal") => Lane::Journal,
            Some("output") => Lane::Output,
            _ => return Err(()),
        };
        let number = parts.next().ok_or(())?.parse().map_err(drop)?;
        let action = match parts.next().ok_or(())? {
            "kill" => Action::Kill,
            "torn" => Action::Torn,
            "hang" => Action::Hang,
            error => Action::Fail(error.parse().map_err(drop)?),
        };
        Ok(Self {
            lane,
            number,
            action,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    plans: Vec<Plan>,
    trace: Option<Mutex<File>>,
    journal_steps: AtomicU64,
    output_steps: AtomicU64,
}

impl State {
    fn of_environment() -> Self {
        let trace = std::env::var_os(TRACE).and_then(|path| {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.ok().map(Mutex::new)
        });
        Self {
            plans: std::env::var(FAILPOINT)
                .unwrap_or_default()
                .split(',')
                .filter(|plan| !plan.is_empty())
                .map(|plan| plan.parse().unwrap_or(Plan::AT_ONCE))
                .collect(),
            trace,
            ..Self::default()
        }
    }
}

/// Records a step and applies the plan for it. The caller performs the step if this returns `Ok`.
pub(crate) fn reach(step: Step<'_>) -> io::Result<()> {
    static STATE: OnceLock<State> = OnceLock::new();
    let state = STATE.get_or_init(State::of_environment);
    let lane = lane(step);
    let steps = match lane {
        Lane::Journal => &state.journal_steps,
        Lane::Output => &state.output_steps,
    };
    let number = steps.fetch_add(1, Ordering::Relaxed) + 1;
    let here = |plan: &&Plan| (plan.lane, plan.number) == (lane, number);
    let plan = state.plans.iter().find(here);
    if let Some(trace) = &state.trace {
        let text = format!("{}\n", as_json(lane, step));
        let mut trace = threads::lock(trace);
        trace.write_all(text.as_bytes())?;
    }
    plan.map_or(Ok(()), |plan| act(plan.action, step))
}

fn act(action: Action, step: Step<'_>) -> io::Result<()> {
    let half = || {
        if let Step::Write(file, _, bytes, offset) = step {
            let (first, _) = bytes.split_at(bytes.len() / 2);
            // The process is about to end or to report the failure of the plan, so a second error is ignored.
            let _ = file.write_all_at(first, offset);
        }
    };
    match action {
        Action::Kill => die(),
        Action::Torn => {
            half();
            die()
        }
        Action::Hang => loop {
            std::thread::sleep(Duration::MAX);
        },
        Action::Fail(number) => {
            half();
            Err(io::Error::from_raw_os_error(number))
        }
    }
}

fn die() -> ! {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    // The signal may arrive after the call returns.
    loop {
        std::thread::sleep(Duration::MAX);
    }
}

/// The lane of a step. A separate thread writes the journal, so the order of steps is fixed only within a lane.
fn lane(step: Step<'_>) -> Lane {
    let (Step::Create(path)
    | Step::Open(path)
    | Step::Write(_, path, ..)
    | Step::SetLength(path, _)
    | Step::Sync(path)) = step
    else {
        return Lane::Output;
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("journal") {
        Lane::Journal
    } else {
        Lane::Output
    }
}

fn as_json(lane: Lane, step: Step<'_>) -> Value {
    let lane = match lane {
        Lane::Journal => "journal",
        Lane::Output => "output",
    };
    let one = |name: &str, path: &Path| json!({"lane": lane, "step": name, "path": path});
    let two = |name: &str, from: &Path, to: &Path| json!({"lane": lane, "step": name, "path": from, "to": to});
    match step {
        Step::Create(path) => one("create", path),
        Step::Open(path) => one("open", path),
        Step::Write(_, path, bytes, offset) => json!({
            "lane": lane,
            "step": "write",
            "path": path,
            "bytes": STANDARD.encode(bytes),
            "offset": offset,
        }),
        Step::SetLength(path, bytes) => {
            json!({"lane": lane, "step": "set_length", "path": path, "length": bytes})
        }
        Step::Sync(path) => one("sync", path),
        Step::Rename(from, to) => two("rename", from, to),
        Step::Link(from, to) => two("link", from, to),
        Step::Remove(path) => one("remove", path),
        Step::CreateDirectory(path) => one("create_directory", path),
        Step::RemoveDirectory(path) => one("remove_directory", path),
        Step::SyncDirectory(path) => one("sync_directory", path),
        Step::Lock(path) => one("lock", path),
    }
}

//! Exports of the same list, night after night. Ranges that have not changed are copied.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::sandbox::config::SandboxConfig;

use super::{RANGE_TASKS, THREADS, flatten_in_ranges_of};
use crate::flatten::stderr;
use crate::support::server::{Server, requested_id};
use crate::support::{KEY, export, manifest, program, published, raw_responses, sandbox, task_ids};

/// What a server responds.
#[derive(Default)]
pub(super) struct Served {
    /// By task.
    pub(super) bodies: BTreeMap<String, Vec<u8>>,
    /// A status instead of the body. A task with neither has status 404.
    pub(super) statuses: BTreeMap<String, u16>,
}

/// A server whose tasks change from night to night, and its export.
pub(super) struct Nights {
    api: Server,
    served: Arc<Mutex<Served>>,
    random: u64,
    /// The minimum length of ranges.
    length: &'static str,
    pub(super) out: PathBuf,
    compared: Cell<usize>,
}

/// Tasks of the sandbox.
pub(super) const TASKS: usize = 60;

impl Nights {
    /// Serves [`TASKS`] tasks of the sandbox.
    pub(super) fn new(base: &Path) -> Self {
        let sandbox = sandbox(SandboxConfig::default());
        let expand = ["--expand", "project,batch"];
        let (source, output) = export(&sandbox, base, "source", &task_ids(TASKS), &expand);
        assert!(output.status.success(), "{}", stderr(&output));
        Self::of(base, raw_responses(&source), "4")
    }

    /// Serves these tasks.
    pub(super) fn of(base: &Path, bodies: BTreeMap<String, Vec<u8>>, length: &'static str) -> Self {
        let served = Served {
            bodies,
            statuses: BTreeMap::new(),
        };
        let served = Arc::new(Mutex::new(served));
        let shared = Arc::clone(&served);
        let api = Server::start(move |request| {
            let served = shared.lock().unwrap();
            let task_id = requested_id(request);
            let status = served.statuses.get(task_id).copied();
            match served.bodies.get(task_id) {
                Some(body) if status.is_none() => {
                    Response::new(Full::new(Bytes::from(body.clone())))
                }
                _ => Response::builder()
                    .status(status.unwrap_or(404))
                    .body(Full::default())
                    .unwrap(),
            }
        });
        Self {
            api,
            served,
            random: 1,
            length,
            out: base.join("out"),
            compared: Cell::new(0),
        }
    }

    pub(super) fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap()
    }

    /// A number below `limit`, by Knuth's linear congruential generator.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % limit
    }

    /// Gives a task a new member, which shows as drift.
    pub(super) fn change(&self, task_id: &str, night: usize) {
        if let Some(body) = self.served().bodies.get_mut(task_id) {
            let member = format!("{{\"night_{night}\":{night},");
            body.splice(..1, member.into_bytes());
        }
    }

    /// Exports all tasks with `--refresh all`.
    pub(super) fn run(&self, ids: &[String], options: &[&str]) -> Output {
        let list = self.out.with_extension("ids");
        fs::write(&list, ids.join("\n")).unwrap();
        program()
            .env(RANGE_TASKS, self.length)
            .env("SCALE_API_KEY", KEY)
            .env("SCALE_EXPORT_MAX_RETRIES", "0")
            .env("SCALE_EXPORT_REFRESH", "all")
            .args(["-v", "--rate", "max"])
            .arg("--base-url")
            .arg(format!("http://{}", self.api.address))
            .arg("--ids")
            .arg(&list)
            .arg("--out")
            .arg(&self.out)
            .args(options)
            .output()
            .unwrap()
    }

    /// Exports all tasks with `--refresh all`. Returns how many ranges there are, and how many were copied.
    pub(super) fn export(&self, ids: &[String], options: &[&str]) -> (usize, usize) {
        copied(&self.run(ids, options))
    }

    /// Builds the tables again in their directory. Returns the same numbers.
    pub(super) fn rebuild(&self, options: &[&str]) -> (usize, usize) {
        let mut command = program();
        command
            .env(RANGE_TASKS, self.length)
            .args(["flatten", "-v"]);
        command
            .arg(&self.out)
            .arg("--out")
            .arg(&self.out)
            .args(options);
        copied(&command.output().unwrap())
    }

    /// The published files are those that the same responses give in a new directory.
    pub(super) fn assert_same_as_new(&self, what: &str, shape: &[&str]) {
        self.compared.set(self.compared.get() + 1);
        let new = self.out.with_extension(self.compared.get().to_string());
        let built = flatten_in_ranges_of(self.length, &self.out, &new, shape);
        assert!(built == published(&self.out), "{what}");
        for part in ["drift", "ids", "tables"] {
            assert_eq!(manifest(&new)[part], manifest(&self.out)[part], "{what}");
        }
        fs::remove_dir_all(&new).unwrap();
        let output = program().arg("verify").arg(&self.out).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{what}: {}", stderr(&output));
    }
}

/// How many ranges there are, and how many were copied.
fn copied(output: &Output) -> (usize, usize) {
    let printed = stderr(output);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{printed}");
    let copied = printed.split("copied ").nth(1).unwrap_or("0 of 0 ranges");
    let mut numbers = copied.split(' ').filter_map(|word| word.parse().ok());
    let copied = numbers.next().unwrap();
    (numbers.next().unwrap(), copied)
}

#[test]
fn copied_ranges_give_the_bytes_of_a_new_export_after_any_changes() {
    for format in ["parquet", "csv"] {
        let base = tempfile::tempdir().unwrap();
        let mut nights = Nights::new(base.path());
        let mut ids = task_ids(TASKS);
        let mut all_copied = 0;
        for night in 0..9 {
            match night % 3 {
                0 => nights.change(&ids[night], night),
                1 => drop(ids.remove(nights.below(TASKS / 2))),
                _ => {
                    let (from, to) = (nights.below(TASKS / 2), nights.below(TASKS / 2));
                    ids.swap(from, to);
                    ids.insert(nights.below(TASKS / 2), format!("no_such_task_{night}"));
                    let gone = ids[nights.below(TASKS / 2)].clone();
                    nights.served().bodies.remove(&gone);
                }
            }
            let options = [
                "--format",
                format,
                "--threads",
                THREADS[night % THREADS.len()],
            ];
            let (ranges, copied) = nights.export(&ids, &options);
            if night > 0 {
                assert!(copied < ranges, "night {night}: {copied} of {ranges}");
            }
            all_copied += copied;
            nights.assert_same_as_new(&format!("night {night}"), &["--format", format]);
        }
        assert!(all_copied > 20, "{all_copied} ranges were copied");
    }
}

#[test]
fn damaged_tables_are_built_again_and_damage_never_gets_a_new_checksum() {
    let base = tempfile::tempdir().unwrap();
    let nights = Nights::new(base.path());
    let ids = task_ids(TASKS);
    let (ranges, copied) = nights.export(&ids, &[]);
    assert_eq!((ranges, copied), (0, 0));
    let mut night = 0;
    let mut damaged = |name: &str, place: &dyn Fn(usize) -> usize| {
        let path = nights.out.join(name);
        let mut bytes = fs::read(&path).unwrap();
        let at = place(bytes.len());
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        night += 1;
        nights.change("task_1", night);
        let copied = nights.export(&ids, &[]);
        nights.assert_same_as_new(&format!("night {night}"), &[]);
        copied
    };
    // The first range changes every time. A page of another range, a footer, and the state of all ranges.
    let state = nights.out.join(".scale-export/ranges");
    let in_second_range = |_| {
        let state = fs::read_to_string(&state).unwrap();
        let (_, json) = state.split_once('\n').unwrap();
        let saved: serde_json::Value = serde_json::from_str(json).unwrap();
        let tables = saved["ranges"][0]["tables"].as_array().unwrap();
        let messages = tables.iter().find(|table| table["table"] == "messages");
        // Behind the first bytes of the file.
        4 + messages.unwrap()["region"]["bytes"]
            .as_u64()
            .map(usize::try_from)
            .unwrap()
            .unwrap()
    };
    let (ranges, copied) = damaged("messages.parquet", &in_second_range);
    assert_eq!(copied, ranges - 2);
    let (_, copied) = damaged("messages.parquet", &|length| length - 30);
    assert_eq!(copied, 0);
    let (_, copied) = damaged(".scale-export/ranges", &|length| length / 2);
    assert_eq!(copied, 0);
}

//! Tables are built in ranges of tasks. Neither the number of threads nor the source changes a byte, and ranges change
//! only where row groups end.

mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use scale_export::sandbox::config::SandboxConfig;

use crate::flatten::{assert_verified, exported, flatten, stderr};
use crate::support::server::{Server, requested_id};
use crate::support::{
    KEY, export, manifest, program, published, raw_responses, sandbox, task_ids, to_lines,
};

/// Lowers the length of ranges in debug builds.
const RANGE_TASKS: &str = "SCALE_EXPORT_RANGE_TASKS";

/// More threads than cores, so that ranges are complete in any order.
const THREADS: [&str; 4] = ["1", "2", "3", "8"];

/// Runs `flatten SOURCE --out OUT` in short ranges.
fn flatten_in_ranges(source: &Path, out: &Path, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    flatten_in_ranges_of("7", source, out, options)
}

fn flatten_in_ranges_of(
    length: &str,
    source: &Path,
    out: &Path,
    options: &[&str],
) -> BTreeMap<String, Vec<u8>> {
    let mut command = program();
    command.env(RANGE_TASKS, length).arg("flatten");
    command.arg(source).arg("--out").arg(out).args(options);
    let output = command.output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 3)), "{}", stderr(&output));
    published(out)
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let base = tempfile::tempdir().unwrap();
    let source = exported(base.path(), &["--expand", "project,batch"]);
    for format in ["parquet", "csv"] {
        let built = THREADS.map(|threads| {
            let out = base.path().join(format!("{format}_{threads}"));
            let options = ["--threads", threads, "--format", format];
            let files = flatten_in_ranges(&source, &out, &options);
            assert_verified(&out);
            (files, manifest(&out)["drift"].clone())
        });
        assert!(built.iter().all(|other| *other == built[0]), "{format}");
        // Ranges are not visible in CSV, nor in what the manifest says.
        let whole = base.path().join(format!("{format}_whole"));
        let output = flatten(&source, &whole, &["--format", format]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(built[0].1, manifest(&whole)["drift"]);
        assert_eq!(published(&whole) == built[0].0, format == "csv");
    }
}

/// The raw responses of an export as a file of lines, in the order of their IDs.
fn lines_of(out: &Path, path: &Path, repeated: usize) -> PathBuf {
    let raw = raw_responses(out);
    let bodies = raw.values().chain(raw.values().take(repeated));
    fs::write(path, to_lines(bodies)).unwrap();
    path.to_owned()
}

#[test]
fn files_give_the_bytes_of_the_journal_that_they_are_imported_into() {
    let base = tempfile::tempdir().unwrap();
    let source = exported(base.path(), &[]);
    // The second file has tasks twice, so its tables are built after the import.
    for (name, repeated) in [("once", 0), ("twice", 9)] {
        let lines = lines_of(&source, &base.path().join(name), repeated);
        let built = THREADS.map(|threads| {
            let out = base.path().join(format!("{name}_{threads}"));
            let imported = flatten_in_ranges(&lines, &out, &["--threads", threads]);
            assert_verified(&out);
            assert!(flatten_in_ranges(&out, &out, &[]) == imported, "{name}");
            imported
        });
        assert!(built.iter().all(|other| *other == built[0]), "{name}");
    }
}

#[test]
fn an_export_has_the_bytes_of_its_journal_at_any_number_of_threads() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let ids = base.path().join("ids.txt");
    let mut list = task_ids(100);
    list.reverse();
    list.insert(50, "no_such_task".to_owned());
    fs::write(&ids, list.join("\n")).unwrap();
    let built = THREADS.map(|threads| {
        let out = base.path().join(threads);
        let output = program()
            .env(RANGE_TASKS, "7")
            .env("SCALE_API_KEY", KEY)
            .args([
                "--threads",
                threads,
                "--base-url",
                &server.base_url(),
                "--ids",
            ])
            .arg(&ids)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let files = published(&out);
        assert!(flatten_in_ranges(&out, &out, &[]) == files);
        files
    });
    assert!(built.iter().all(|other| *other == built[0]));
}

/// A server whose tasks change from night to night.
struct Nights {
    server: Server,
    bodies: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    random: u64,
    out: PathBuf,
}

/// Tasks of the server.
const TASKS: usize = 60;

impl Nights {
    fn new(base: &Path) -> Self {
        let sandbox = sandbox(SandboxConfig::default());
        let expand = ["--expand", "project,batch"];
        let (source, output) = export(&sandbox, base, "source", &task_ids(TASKS), &expand);
        assert!(output.status.success(), "{}", stderr(&output));
        let bodies = Arc::new(Mutex::new(raw_responses(&source)));
        let served = Arc::clone(&bodies);
        let server = Server::start(move |request| {
            let bodies = served.lock().unwrap();
            match bodies.get(requested_id(request)) {
                Some(body) => Response::new(Full::new(Bytes::from(body.clone()))),
                None => Response::builder()
                    .status(404)
                    .body(Full::default())
                    .unwrap(),
            }
        });
        Self {
            server,
            bodies,
            random: 1,
            out: base.join("out"),
        }
    }

    /// A number below `limit`, by Knuth's linear congruential generator.
    fn below(&mut self, limit: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % limit
    }

    /// Gives a task a new member, which shows as drift.
    fn change(&self, task_id: &str, night: usize) {
        let mut bodies = self.bodies.lock().unwrap();
        if let Some(body) = bodies.get_mut(task_id) {
            let member = format!("{{\"night_{night}\":{night},");
            body.splice(..1, member.into_bytes());
        }
    }

    /// Exports all tasks again. Returns how many ranges there are, and how many were copied.
    fn export(&self, ids: &[String], options: &[&str]) -> (usize, usize) {
        let list = self.out.with_extension("ids");
        fs::write(&list, ids.join("\n")).unwrap();
        let output = program()
            .env(RANGE_TASKS, "4")
            .env("SCALE_API_KEY", KEY)
            .args(["-v", "--refresh", "all", "--rate", "max"])
            .arg("--base-url")
            .arg(format!("http://{}", self.server.address))
            .arg("--ids")
            .arg(&list)
            .arg("--out")
            .arg(&self.out)
            .args(options)
            .output()
            .unwrap();
        let printed = stderr(&output);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{printed}");
        let copied = printed.split("copied ").nth(1).unwrap_or("0 of 0 ranges");
        let mut numbers = copied.split(' ').filter_map(|word| word.parse().ok());
        let copied = numbers.next().unwrap();
        (numbers.next().unwrap(), copied)
    }

    /// The published files are those that the same responses give in a new directory.
    fn assert_same_as_new(&self, name: &str, options: &[&str]) {
        let new = self.out.with_file_name(name);
        let built = flatten_in_ranges_of("4", &self.out, &new, options);
        assert!(built == published(&self.out), "{name}");
        assert_eq!(manifest(&new)["drift"], manifest(&self.out)["drift"]);
        assert_verified(&self.out);
    }
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
                    nights.bodies.lock().unwrap().remove(&gone);
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
            nights.assert_same_as_new(&format!("new_{night}"), &["--format", format]);
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
        nights.assert_same_as_new(&format!("new_{night}"), &[]);
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
        4 + messages.unwrap()["region"]["bytes"].as_u64().unwrap() as usize
    };
    let (ranges, copied) = damaged("messages.parquet", &in_second_range);
    assert_eq!(copied, ranges - 2);
    let (_, copied) = damaged("messages.parquet", &|length| length - 30);
    assert_eq!(copied, 0);
    let (_, copied) = damaged(".scale-export/ranges", &|length| length / 2);
    assert_eq!(copied, 0);
}

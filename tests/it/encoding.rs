//! The bytes of published files depend only on documented inputs, and change only with a new version.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use scale_export::encode::format::Format;
use scale_export::publish::manifest::ENCODING_VERSION;
use scale_export::sandbox::config::SandboxConfig;
use scale_export::tables::definition::TABLES;
use scale_export::tables::table::SCHEMA_VERSION;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ranges::RANGE_TASKS;
use crate::support::{export, program, published, root, sandbox, task_ids};

const FORMATS: [Format; 2] = [Format::Parquet, Format::Csv];

#[test]
fn a_table_has_the_same_bytes_whichever_others_are_selected() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        drift: true,
        ..SandboxConfig::default()
    });
    let options = ["--expand", "project,batch"];
    let (all, output) = export(&server, base.path(), "all", &task_ids(300), &options);
    assert!(output.status.success());
    for format in FORMATS {
        let flatten = |name: &str, tables: &str| {
            let out = base.path().join(name);
            let mut command = program();
            command.arg("flatten").arg(&all).arg("--out").arg(&out);
            command.args(["--format", format.extension()]);
            if !tables.is_empty() {
                command.args(["--tables", tables]);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            published(&out)
        };
        let whole = flatten(&format!("whole_{}", format.extension()), "");
        for table in TABLES {
            let name = format!("{}_{}", table.name, format.extension());
            let file = format.file_name(table.name);
            let alone = flatten(&name, table.name);
            assert!(alone[&file] == whole[&file], "{file}");
        }
    }
}

/// The versions that decide whether tables are rewritten, and the checksums of files with these versions.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Recorded {
    tool: String,
    schema: String,
    encoding: u32,
    sha256: BTreeMap<String, String>,
}

/// Tasks with repeated and unique texts: enough for several pages, and for a dictionary that exceeds its limit.
fn large_tasks(path: &Path) {
    let mut text = String::new();
    let mut random = 7_u64;
    for number in 0..1_500 {
        let mut words = String::new();
        for _ in 0..120 {
            // A linear congruential generator, by Knuth's constants.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            write!(words, "{:x} ", random >> 24).unwrap();
        }
        let score = f64::from(number) / 7.0;
        writeln!(
            text,
            r#"{{"task_id":"task_{number}","status":"completed","created_at":"2026-01-02T03:04:05.{number:03}Z","metadata":{{"words":"{words}"}},"threads":[{{"id":"t{number}","turns":[{{"messages":[{{"role":"user","content":{{"text":"{words}","attachments":[{{"url":"https://x.test/{}"}}]}},"annotations":[{{"id":"a{number}","key":"k","value":{score}}},{{"key":"l","value":["a","{number}"]}}]}}]}}]}}]}}"#,
            number % 50
        )
        .unwrap();
    }
    fs::write(path, text).unwrap();
}

fn encoding() -> Recorded {
    let base = tempfile::tempdir().unwrap();
    let large = base.path().join("large.jsonl");
    large_tasks(&large);
    let mut sha256 = BTreeMap::new();
    let golden = root().join("tests/golden/tasks.jsonl");
    // The second ones are built in several ranges.
    for (name, tasks, range_tasks) in [
        ("golden", &golden, None),
        ("golden_ranges", &golden, Some("2")),
        ("large", &large, None),
        ("large_ranges", &large, Some("400")),
    ] {
        for format in FORMATS {
            let out = base.path().join(format!("{name}_{}", format.extension()));
            let mut command = program();
            command.arg("flatten").arg(tasks).arg("--out").arg(&out);
            command.args(["--format", format.extension()]);
            command.envs(range_tasks.map(|tasks| (RANGE_TASKS, tasks)));
            assert!(command.output().unwrap().status.success());
            for (file, content) in published(&out) {
                let key = format!("{name}/{}/{file}", format.extension());
                sha256.insert(key, hex(&Sha256::digest(content)));
            }
        }
    }
    Recorded {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        schema: SCHEMA_VERSION.to_owned(),
        encoding: ENCODING_VERSION,
        sha256,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A run without new tasks does not rewrite the files while all versions are the same. If other bytes had the same
/// versions, some directories would keep old files and others would get new ones.
#[test]
fn published_bytes_change_only_with_a_version() {
    let path = root().join("tests/golden/encoding.json");
    let found = encoding();
    let recorded: Option<Recorded> = fs::read(&path)
        .ok()
        .map(|text| serde_json::from_slice(&text).unwrap());
    if recorded.as_ref() == Some(&found) {
        return;
    }
    if let Some(recorded) = &recorded {
        let versions = |recorded: &Recorded| {
            let Recorded {
                tool,
                schema,
                encoding,
                ..
            } = recorded;
            (tool.clone(), schema.clone(), *encoding)
        };
        let files = found.sha256.iter();
        let changed: Vec<_> = files
            .filter(|(name, sha256)| {
                let known = recorded.sha256.get(*name);
                known.is_some_and(|known| known != *sha256)
            })
            .map(|(name, _)| name)
            .collect();
        assert!(
            changed.is_empty() || versions(recorded) != versions(&found),
            "other bytes in {changed:?}: raise ENCODING_VERSION in src/publish/manifest.rs, then run `make bless`"
        );
    }
    assert!(
        std::env::var_os("BLESS").is_some(),
        "a new version, or other files: run `make bless`"
    );
    fs::write(&path, format!("{:#}\n", serde_json::json!(found))).unwrap();
}

//! Tasks with real text, and an independent reader of exports, if the machine has them. They are not part of this
//! project and are optional.

use std::fs;
use std::path::PathBuf;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::{KEY, export, print_note, program, published, python, root, sandbox};

/// The environment variable with the directory of `corpus/` and `kit/`. By default, the directory is next to the
/// project.
const VARIABLE: &str = "SCALE_EXPORT_TEST_SHARED";

/// The file of tasks with real text, and their IDs.
pub(crate) fn shared_tasks() -> Option<(PathBuf, Vec<String>)> {
    let corpus = shared().join("corpus/real-small.jsonl.gz");
    let mut lines = flate2::read::MultiGzDecoder::new(fs::File::open(&corpus).ok()?);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut lines, &mut text).unwrap();
    let ids = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|task| task["task_id"].as_str().unwrap().to_owned());
    let ids = ids.collect();
    Some((corpus, ids))
}

fn shared() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| root().join("../shared"), PathBuf::from)
}

#[test]
fn an_independent_reader_finds_no_difference_in_tasks_with_real_text() {
    let reader = shared().join("kit/check_export.py");
    let Some((corpus, ids)) = shared_tasks().filter(|_| reader.exists()) else {
        print_note(&format!(
            "left out: tasks with real text and their reader are not on this machine ({VARIABLE})"
        ));
        return;
    };
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig {
        from: Some(corpus.clone()),
        ..SandboxConfig::default()
    });
    for format in ["parquet", "csv"] {
        let exports = ["1", "64"].map(|concurrency| {
            let options = ["--format", format, "--concurrency", concurrency];
            let name = format!("{format}_{concurrency}");
            let (out, output) = export(&server, base.path(), &name, &ids, &options);
            assert_eq!(output.status.code(), Some(0));
            out
        });
        assert!(published(&exports[0]) == published(&exports[1]));
        let ids_file = base.path().join(format!("{format}_1.ids"));
        let output = python()
            .arg(&reader)
            .arg(&corpus)
            .arg("--ids")
            .arg(ids_file)
            .arg("--out")
            .arg(&exports[0])
            .args(["--format", format, "--strict-times", "--secret", KEY])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        for out in &exports {
            let output = program().arg("verify").arg(out).output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let again = base.path().join(format!("{format}_again"));
        let mut flatten = program();
        flatten
            .arg("flatten")
            .arg(&corpus)
            .args(["--format", format, "--out"]);
        assert!(flatten.arg(&again).output().unwrap().status.success());
        assert!(published(&again) == published(&exports[0]));
        assert!(printed.contains(" 0 differences"), "{printed}");
    }
}

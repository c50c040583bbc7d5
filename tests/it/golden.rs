//! A few tasks written by hand, and all tables of them in readable form.

use std::fs;

use scale_export::sandbox::config::SandboxConfig;

use crate::support::{export, manifest, published, root, sandbox};

/// Set to regenerate the tables instead of comparing them.
const BLESS: &str = "BLESS";

#[test]
fn golden_tasks_give_the_golden_tables() {
    let base = tempfile::tempdir().unwrap();
    let golden = root().join("tests/golden");
    let server = sandbox(SandboxConfig {
        from: Some(golden.join("tasks.jsonl")),
        ..SandboxConfig::default()
    });
    let ids = [
        "drift", "plain", "expanded", "reported", "error", "values", "missing",
    ];
    let ids = ids.map(str::to_owned);
    let (out, output) = export(&server, base.path(), "out", &ids, &["--format", "csv"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut files = published(&out);
    let drift = format!("{:#}\n", manifest(&out)["drift"]);
    files.insert("drift.json".to_owned(), drift.into_bytes());
    for (name, content) in files {
        let path = golden.join("tables").join(&name);
        if std::env::var_os(BLESS).is_some() {
            fs::create_dir_all(golden.join("tables")).unwrap();
            fs::write(&path, &content).unwrap();
        }
        let expected = fs::read(&path).unwrap_or_default();
        let (expected, found) = (
            String::from_utf8_lossy(&expected),
            String::from_utf8_lossy(&content),
        );
        assert_eq!(
            expected, found,
            "{name}: if this is right, run `make bless`"
        );
    }
}

//! A low limit of open files: files that cannot be read are not reported as damaged.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::good_exports;
use crate::support::program;

/// Verifies with this limit of open files. Returns the exit code, the summary and stderr.
fn verified_with(files: u32, out: &Path, base: &Path) -> (Option<i32>, Value, String) {
    let summary = base.join("summary.json");
    let _ = fs::remove_file(&summary);
    let verify = program();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n \"$0\"; exec \"$@\""])
        .arg(files.to_string())
        .arg(verify.get_program())
        .args(["verify", "--summary"])
        .arg(&summary)
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = fs::read(&summary).unwrap_or_default();
    (
        output.status.code(),
        serde_json::from_slice(&text).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn too_few_open_files_for_signal_handlers_do_not_panic() {
    let base = tempfile::tempdir().unwrap();
    let (_, out) = good_exports(base.path()).into_iter().next().unwrap();
    for files in 5..8 {
        // Without signal handlers, the remaining file descriptors may be enough for a verification.
        let (code, _, printed) = verified_with(files, &out, base.path());
        let is_error = matches!(code, Some(1 | 2)) && printed.contains("error: could not");
        assert!(code == Some(0) || is_error, "{files}: {printed}");
        assert!(!printed.contains("panicked"), "{files}: {printed}");
    }
}

#[test]
fn few_open_files_are_not_reported_as_damage() {
    let base = tempfile::tempdir().unwrap();
    for (format, out) in good_exports(base.path()) {
        let (code, whole, printed) = verified_with(1_000, &out, base.path());
        assert_eq!(code, Some(0), "{printed}");
        let (mut verified, mut refused) = (0, 0);
        for files in 8..40 {
            let (code, summary, printed) = verified_with(files, &out, base.path());
            match code {
                Some(0) => {
                    verified += 1;
                    for counted in ["rows", "cells", "files", "rebuilt"] {
                        assert_eq!(summary[counted], whole[counted], "{files}: {printed}");
                    }
                }
                code => {
                    refused += 1;
                    assert!(
                        matches!(code, Some(1 | 2)),
                        "{format:?}, {files}: {printed}"
                    );
                    assert!(printed.contains("error: could not"), "{files}: {printed}");
                }
            }
            let allowed = [(16, "csv"), (26, "parquet")];
            if allowed.contains(&(files, format.extension())) {
                assert_eq!(code, Some(0), "{files} are enough: {printed}");
            }
        }
        assert!(verified > 20 && refused > 0, "{verified}, {refused}");
    }
}

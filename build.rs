//! Records the target and the commit of the build, for `scale-export --version -v`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Names the commit where neither Git nor Cargo knows it, as in a container image that is built without `.git`.
const COMMIT_VARIABLE: &str = "SCALE_EXPORT_BUILD_COMMIT";

/// What is recorded where the commit is not known.
const UNKNOWN: &str = "unknown";

/// Hexadecimal digits of a commit: those of SHA-1, and at most those of SHA-256.
const COMMIT_DIGITS: std::ops::RangeInclusive<usize> = 40..=64;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT_VARIABLE}");
    let given = std::env::var(COMMIT_VARIABLE).ok();
    let commit = given
        .or_else(commit_of_git)
        .or_else(commit_of_package)
        .filter(|commit| is_commit(commit));
    let commit = commit.as_deref().unwrap_or(UNKNOWN);
    let target = std::env::var("TARGET");
    let target = target.as_deref().unwrap_or(UNKNOWN);
    println!("cargo::rustc-env=SCALE_EXPORT_COMMIT={commit}");
    println!("cargo::rustc-env=SCALE_EXPORT_TARGET={target}");
}

fn is_commit(text: &str) -> bool {
    COMMIT_DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that is checked out, if this directory is the root of a repository.
fn commit_of_git() -> Option<String> {
    // A copy of the source inside another repository does not have its commit.
    if !Path::new(".git").exists() {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    // The log changes with every commit, also where `HEAD` names the same branch as before.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]);
        // Cargo runs this program every time if a file that it watches does not exist.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    Some(commit)
}

/// The output of Git without the line end, if Git is there and succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        // In a hook, these name the repository of the hook.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// The commit that `cargo package` recorded.
fn commit_of_package() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.trim_start_matches([':', ' ', '"']);
    commit.split('"').next().map(str::to_owned)
}

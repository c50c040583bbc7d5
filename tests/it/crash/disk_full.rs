//! A full disk: with a limit on the size of files, and on a small separate file system if the machine allows to mount
//! one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::server::Sandbox;

use super::{in_parallel, is_verified, run_unlocked};
use crate::support::table::copy;
use crate::support::{KEY, print_note, published, sandbox, task_ids};

/// Bytes of a block of `ulimit -f`.
const BLOCK: u64 = 512;

/// Runs the program in a shell after the commands `before`.
fn run_after(before: &str, server: &Sandbox, ids: usize, out: &Path, more: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_scale-export");
    let list: String = task_ids(ids)
        .iter()
        .map(|id| format!(" --id {id}"))
        .collect();
    let url = server.base_url();
    let out = out.display();
    let script = format!(
        "{before} && exec {program} --base-url {url} --rate max --concurrency 1 --out {out}{list} {more}"
    );
    let mut command = Command::new("sh");
    command
        .env_clear()
        .env("SCALE_API_KEY", KEY)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["-c", &script]);
    run_unlocked(&mut command)
}

fn assert_code(output: &Output, code: i32, what: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{what}: {stderr}");
    stderr
}

#[test]
fn a_file_size_limit_loses_nothing_and_the_run_resumes_without_it() {
    let base = tempfile::tempdir().unwrap();
    let server = sandbox(SandboxConfig::default());
    let before = base.path().join("before");
    let output = run_after("true", &server, 5, &before, "--format csv");
    assert_code(&output, 0, "before");
    let after = base.path().join("after");
    copy(&before, &after);
    let output = run_after("true", &server, 12, &after, "--refresh all");
    assert_code(&output, 0, "after");
    let expected = published(&after);
    let journal = fs::metadata(after.join(".scale-export/journal")).unwrap();
    let blocks = journal.len() / BLOCK + 2;
    let mut full = std::sync::atomic::AtomicU64::new(0);
    in_parallel((1..blocks).collect(), |limit| {
        let what = format!("files of {limit} blocks");
        let out = base.path().join(limit.to_string());
        copy(&before, &out);
        let output = run_after(
            &format!("ulimit -f {limit}"),
            &server,
            12,
            &out,
            "--refresh all",
        );
        if output.status.code() != Some(0) {
            let stderr = assert_code(&output, 6, &what);
            full.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(
                stderr.contains(&out.display().to_string()),
                "{what}: {stderr}"
            );
            assert!(stderr.contains("File too large"), "{what}: {stderr}");
            assert!(stderr.contains("hint: "), "{what}: {stderr}");
        }
        assert!(is_verified(&out), "{what}: the export before is harmed");
        let output = run_after("true", &server, 12, &out, "--refresh all");
        assert_code(&output, 0, &what);
        assert!(published(&out) == expected, "{what}");
        assert!(is_verified(&out), "{what}");
        fs::remove_dir_all(&out).unwrap();
    });
    let full = *full.get_mut();
    print_note(&format!("{full} runs of {} met the limit", blocks - 1));
    assert!(full >= blocks / 2, "{full} of {blocks}");
}

#[test]
fn a_full_file_system_loses_nothing_and_the_run_resumes_with_space() {
    // In a user namespace this needs no privileges. Some machines do not allow it.
    const ENTER: [&str; 3] = ["-rm", "sh", "-c"];
    let base = tempfile::tempdir().unwrap();
    let small = base.path().join("small");
    fs::create_dir(&small).unwrap();
    let mount = |size: &str| format!("mount -t tmpfs -o size={size} none {}", small.display());
    let can_mount = Command::new("unshare")
        .args(ENTER)
        .arg(mount("64k"))
        .output()
        .is_ok_and(|output| output.status.success());
    if !can_mount {
        print_note("left out: this machine does not allow mounts in a user namespace");
        return;
    }
    let server = sandbox(SandboxConfig::default());
    let calm = base.path().join("calm");
    assert_code(&run_after("true", &server, 40, &calm, ""), 0, "calm");
    let program = env!("CARGO_BIN_EXE_scale-export");
    let ids = |count| -> String {
        let ids = task_ids(count);
        ids.iter().map(|id| format!(" --id {id}")).collect()
    };
    let out = small.join("out").display().to_string();
    let export = |count| {
        format!(
            "{program} --base-url {} --rate max --progress never --refresh all --out {out}{}",
            server.base_url(),
            ids(count)
        )
    };
    // Fetches five tasks, then forty. With each size the disk fills at another step. Then space is freed.
    let sizes: Vec<u64> = (260..620).step_by(20).collect();
    let mut full = 0;
    for size in sizes {
        let what = format!("{size} kB");
        let kept = base.path().join(size.to_string());
        let script = format!(
            "set -e; {mount}; {five}; code=0; {forty} || code=$?; echo $code; {program} verify -q {out}; \
             mount -o remount,size=64m none {small}; {forty}; {program} verify -q {out}; cp -a {out} {kept}",
            mount = mount(&format!("{size}k")),
            five = export(5),
            forty = export(40),
            small = small.display(),
            kept = kept.display(),
        );
        let output = Command::new("unshare")
            .env("SCALE_API_KEY", KEY)
            .args(ENTER)
            .arg(script)
            .output()
            .unwrap();
        let stderr = assert_code(&output, 0, &what);
        match String::from_utf8_lossy(&output.stdout).trim() {
            "0" => {}
            "6" => {
                full += 1;
                assert!(
                    stderr.contains("No space left on device"),
                    "{what}: {stderr}"
                );
                assert!(stderr.contains("hint: free disk space"), "{what}: {stderr}");
            }
            other => panic!("{what}: {other}: {stderr}"),
        }
        assert!(published(&kept) == published(&calm), "{what}");
    }
    print_note(&format!("a small file system was full {full} times"));

    // A warning before the first request says that the space is too small.
    let script = format!(
        "set -e; {}; {program} --base-url http://127.0.0.1:9 --retry-timeout 100ms --out {out}{}",
        mount("512k"),
        ids(1_000)
    );
    let output = Command::new("unshare")
        .env("SCALE_API_KEY", KEY)
        .args(ENTER)
        .arg(script)
        .output()
        .unwrap();
    let stderr = assert_code(&output, 5, "1000 tasks on 512 kB");
    let expected = format!("warning: the export needs about 6.0 MB more space in `{out}`, and ");
    // A time stands before it, since stderr is not a terminal.
    let first = stderr.lines().next().unwrap_or_default();
    assert!(first.contains(&expected), "{stderr}");
    assert!(full >= 3, "the disk was full {full} times only");
}

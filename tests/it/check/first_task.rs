//! A first task that fails: where it decides how a run ends, `check` and `--dry-run` end with the same exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::{Response, StatusCode};

use crate::check::{Setup, WAYS, check, line, text};
use crate::support::server::{MockResponse, Server, task_response};

fn not_found() -> MockResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[test]
fn a_first_task_of_several_that_does_not_exist_is_a_warning() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|_| not_found());
    let setup = Setup::new(&format!("http://{}", server.address));
    let (code, report) = check(&setup, base.path());
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(line(&report, "key_accepted")["ok"], true);
    let first = line(&report, "first_task");
    assert_eq!(first["ok"], true);
    assert!(first["hint"].as_str().unwrap().contains("another account"));
}

#[test]
fn an_only_task_that_does_not_exist_is_an_error_with_the_cause() {
    let base = tempfile::tempdir().unwrap();
    let server = Server::start(|_| not_found());
    let setup = Setup {
        list: "task_1\n",
        ..Setup::new(&format!("http://{}", server.address))
    };
    let (code, report) = check(&setup, base.path());
    assert_eq!(code, Some(8), "{report:#}");
    let first = line(&report, "first_task");
    let detail = first["detail"].as_str().unwrap();
    assert!(detail.starts_with("could not fetch `task_1`: "), "{detail}");
    assert!(
        detail.ends_with("none of 1 ID was exported (1 not_found)"),
        "{detail}"
    );
    // A check writes no list of failures that a hint could name.
    let hint = first["hint"].as_str().unwrap();
    assert!(
        hint.starts_with("check the key") && !hint.contains("jsonl"),
        "{hint}"
    );
}

/// The export keeps its last response, so that it is published, and the run ends with exit code 3.
#[test]
fn an_only_task_that_is_gone_since_the_last_run_ends_all_three_with_the_same_code() {
    for (option, code) in [(None, 3), (Some("--drop-missing"), 8)] {
        let base = tempfile::tempdir().unwrap();
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&is_gone);
        let server = Server::start(move |request| {
            if gone.load(Ordering::SeqCst) {
                not_found()
            } else {
                task_response(request)
            }
        });
        let mut setup = Setup {
            list: "task_1\n",
            ..Setup::new(&format!("http://{}", server.address))
        };
        let first = setup.command(base.path(), &[]).output().unwrap();
        assert!(first.status.success(), "{}", text(&first));
        is_gone.store(true, Ordering::SeqCst);
        setup.options = vec!["--refresh".to_owned(), "all".to_owned()];
        setup.options.extend(option.map(str::to_owned));
        for way in WAYS {
            let output = setup.command(base.path(), way).output().unwrap();
            let printed = text(&output);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{option:?}, {way:?}: {printed}"
            );
        }
    }
}

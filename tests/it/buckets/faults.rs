//! Errors of a store and of its credentials.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::buckets::{Bucket, URL, assert_exit, named_objects, stderr};
use crate::support::fake_s3::StoreAction;

#[test]
fn a_store_that_recovers_is_retried() {
    for (status, code) in [(503, "SlowDown"), (409, "ConditionalRequestConflict")] {
        let left = AtomicUsize::new(2);
        let bucket = Bucket::with_rule(move |request| {
            let is_manifest = request.name.ends_with("manifest.json") && request.is_change();
            // S3 reports conflicts for conditions on an existing object.
            let is_chosen =
                is_manifest && (status == 503 || request.headers.contains_key("if-match"));
            let take = |left: usize| left.checked_sub(1);
            if is_chosen
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                    .is_ok()
            {
                StoreAction::Fail(status, code, "again")
            } else {
                StoreAction::Execute
            }
        });
        assert_exit(&bucket.export("state", 2, &[]), 0);
        assert_exit(&bucket.export("state", 3, &[]), 0);
        bucket.assert_stable_names();
    }
}

#[test]
fn an_error_that_stays_ends_with_6_and_the_next_run_continues() {
    for (status, code, text) in [
        (503, "SlowDown", "503"),
        (403, "ExpiredToken", "403 Forbidden: ExpiredToken, in vain"),
        (404, "NoSuchBucket", "NoSuchBucket"),
    ] {
        let failing = std::sync::Arc::new(AtomicUsize::new(0));
        let is_failing = std::sync::Arc::clone(&failing);
        let bucket = Bucket::with_rule(move |request| {
            let is_data = request.name.contains("data/messages") && request.is_change();
            if is_data && is_failing.load(Ordering::SeqCst) == 1 {
                StoreAction::Fail(status, code, "in vain")
            } else {
                StoreAction::Execute
            }
        });
        assert_exit(&bucket.export("state", 2, &[]), 0);
        let before = bucket.object("manifest.json");
        failing.store(1, Ordering::SeqCst);
        let output = bucket.export("state", 5, &["--max-retries", "1"]);
        assert_exit(&output, 6);
        let printed = stderr(&output);
        let place = format!("could not write `{URL}/data/messages-");
        for text in [place.as_str(), text, "hint: ", "attempt"] {
            assert!(printed.contains(text), "{text}: {printed}");
        }
        assert!(!printed.contains("very-secret"), "{printed}");
        assert_eq!(bucket.object("manifest.json"), before);
        let last_run = fs::read_to_string(bucket.path("state/out/.scale-export/last_run.json"));
        assert!(last_run.unwrap().contains("\"exit_code\": 6"));
        failing.store(0, Ordering::SeqCst);
        assert_exit(&bucket.export("state", 5, &["--refresh", "none"]), 0);
        assert_eq!(bucket.manifest().unwrap()["ids"]["exported"], 5);
        bucket.assert_stable_names();
    }
}

#[test]
fn a_lost_response_to_the_commit_does_not_fail_the_run() {
    let left = AtomicUsize::new(1);
    let bucket = Bucket::with_rule(move |request| {
        let is_manifest = request.name.ends_with("manifest.json") && request.is_change();
        let take = |left: usize| left.checked_sub(1);
        if is_manifest
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
        {
            StoreAction::Lose
        } else {
            StoreAction::Execute
        }
    });
    assert_exit(&bucket.export("state", 2, &[]), 0);
    bucket.assert_stable_names();
}

#[test]
fn a_damaged_object_is_a_mismatch() {
    let bucket = Bucket::new();
    assert_exit(&bucket.export("state", 2, &[]), 0);
    let (name, _) = named_objects(&bucket.manifest().unwrap()).remove(0);
    let mut bytes = bucket.object(&name).unwrap();
    bytes[0] ^= 1;
    bucket.store.put(&format!("exports/a/{name}"), &bytes);
    let output = bucket.read(&["verify"]);
    assert_exit(&output, 7);
    assert!(stderr(&output).contains("checksum"), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("delete this object"),
        "{}",
        stderr(&output)
    );
    // What the hint says.
    bucket.store.remove(&format!("exports/a/{name}"));
    let output = bucket.read(&["verify"]);
    assert_exit(&output, 7);
    assert!(
        stderr(&output).contains("it is missing"),
        "{}",
        stderr(&output)
    );
    assert_exit(&bucket.export("state", 2, &["--refresh", "none"]), 0);
    assert_exit(&bucket.read(&["verify"]), 0);
    bucket.store.remove("exports/a/manifest.json");
    assert_exit(&bucket.read(&["verify"]), 2);
}

#[test]
fn credentials_come_from_the_profile_where_the_environment_has_none() {
    let bucket = Bucket::new();
    let credentials = bucket.path("credentials");
    let text = "[other]\naws_access_key_id = profile-key\naws_secret_access_key = very-secret\n";
    fs::write(&credentials, text).unwrap();
    let run = |profile: &str| {
        let mut command = bucket.command("state", 1, &[]);
        command.env_remove("AWS_ACCESS_KEY_ID");
        command.env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials);
        command.env("AWS_PROFILE", profile).output().unwrap()
    };
    assert_exit(&run("other"), 0);
    let request = bucket.store.take_requests().remove(0);
    let signed = &request.headers["authorization"];
    assert!(signed.contains("Credential=profile-key/"), "{signed}");
    let output = run("missing");
    assert_exit(&output, 6);
    assert!(stderr(&output).contains("the profile `missing` is missing"));
}

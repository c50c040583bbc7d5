//! Digests that are missing, damaged, or older than the tool.

use std::fs;
use std::path::Path;

use super::{Api, Status, Version, counts, damage, digests, id, last, since, stderr};
use crate::support::program;
use crate::support::table::{copy, edit_manifest};

/// Makes an export look like one of a version without digests.
fn without_digests(out: &Path) {
    fs::remove_file(digests(out, &id(out))).unwrap();
    edit_manifest(out, |manifest| {
        manifest.as_object_mut().unwrap().remove("publication");
    });
}

/// The offset of the first digest: after the signature, the version, and the kind and length of a record.
const FIRST_DIGEST: usize = 15;

fn verify(out: &Path, code: i32) -> String {
    let output = program().arg("verify").arg(out).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn the_first_publication_of_this_version_knows_the_one_of_an_earlier_version() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    let ids = ["a", "b", "c", "failed"];
    for task in ["a", "b", "c"] {
        api.set(task, Version(1));
    }
    api.night(&out, &ids);
    let first = id(&out);
    without_digests(&out);
    let error = last(&out).unwrap_err().to_string();
    assert!(
        error.ends_with("its manifest does not name a publication"),
        "{error}"
    );
    verify(&out, 0);
    let older = base.path().join("older");
    copy(&out, &older);
    api.set("a", Status(500));
    api.set("b", Version(2));
    api.night(&out, &["a", "b", "failed"]);
    let report = last(&out).unwrap();
    assert_eq!(report.from.as_ref().unwrap().as_str(), first);
    assert_eq!(counts(&report), [0, 1, 1, 1, 0]);
    verify(&out, 0);
    // A run that changes nothing records the publication; the one before is not known.
    api.set("a", Version(1));
    api.set("b", Version(1));
    api.night(&older, &ids);
    assert_eq!(id(&older), first);
    let error = last(&older).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "the publication before {first} is not known"
                .replace("{first}", &first)
                .as_str()
        ),
        "{error}"
    );
    assert_eq!(counts(&since(&older, &first).unwrap()), [0, 0, 0, 3, 0]);
}

#[test]
fn an_export_whose_responses_are_gone_has_no_changes_until_the_publication_after_the_next() {
    let base = tempfile::tempdir().unwrap();
    let api = Api::start();
    for what in ["journal", "ids.txt", "../failures.jsonl"] {
        let out = base.path().join(what.replace('/', "_"));
        api.set("a", Version(1));
        api.night(&out, &["a"]);
        without_digests(&out);
        let path = out.join(".scale-export").join(what);
        fs::write(&path, fs::read(&path).unwrap().len().to_string()).unwrap();
        if what == "journal" {
            fs::remove_file(&path).unwrap();
        }
        api.set("a", Version(2));
        api.night(&out, &["a"]);
        let error = last(&out).unwrap_err().to_string();
        assert!(error.ends_with("is not known"), "{what}: {error}");
        api.set("a", Version(3));
        api.night(&out, &["a"]);
        assert_eq!(counts(&last(&out).unwrap()), [0, 1, 0, 0, 0], "{what}");
    }
}

#[test]
fn a_lost_manifest_costs_one_feed() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&out, &["a"]);
    let first = id(&out);
    fs::remove_file(out.join("manifest.json")).unwrap();
    api.night(&out, &["a"]);
    assert_eq!(id(&out), first);
    let error = last(&out).unwrap_err().to_string();
    assert!(error.ends_with("is not known"), "{error}");
    assert_eq!(counts(&since(&out, &first).unwrap()), [0, 0, 0, 1, 0]);
}

#[test]
fn digests_are_verified_and_written_again() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let api = Api::start();
    for task in ["a", "b"] {
        api.set(task, Version(1));
    }
    api.night(&out, &["a"]);
    api.night(&out, &["a", "b"]);
    let change = last(&out).unwrap();
    let path = digests(&out, &id(&out));
    verify(&out, 0);
    damage(&path, FIRST_DIGEST);
    let said = verify(&out, 7);
    assert!(said.contains(".scale-export/digests-"), "{said}");
    // In place, and without requests.
    let output = program()
        .arg("flatten")
        .arg(&out)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    verify(&out, 0);
    assert_eq!(last(&out).unwrap(), change);
    // A missing file is noticed by a run that has nothing to do.
    fs::remove_file(&path).unwrap();
    let said = verify(&out, 7);
    assert!(said.contains("expected a file, found none"), "{said}");
    let options = api
        .options(&out, &["a", "b"])
        .refresh(scale_export::Refresh::None);
    let report = super::run(options).unwrap();
    assert_eq!(report.requests, 0);
    verify(&out, 0);
    assert_eq!(last(&out).unwrap(), change);
    // The digests of the publication that a new one replaces follow from its responses.
    fs::remove_file(&path).unwrap();
    api.set("b", Version(2));
    api.night(&out, &["a", "b"]);
    let report = last(&out).unwrap();
    assert_eq!(report.from, Some(change.to));
    assert_eq!(counts(&report), [0, 1, 0, 1, 0]);
}

#[test]
fn digests_that_are_not_those_of_the_responses_are_a_mismatch() {
    let base = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| base.path().join(name));
    let api = Api::start();
    api.set("a", Version(1));
    api.night(&one, &["a"]);
    api.set("a", Version(2));
    api.night(&other, &["a"]);
    // Sound digests of another export, and a manifest that names them.
    let theirs = id(&other);
    fs::copy(digests(&other, &theirs), digests(&one, &theirs)).unwrap();
    edit_manifest(&one, |manifest| manifest["publication"] = theirs.into());
    let said = verify(&one, 7);
    assert!(
        said.contains("the digest of the raw response of `a`"),
        "{said}"
    );
}

#[test]
fn flattening_lines_records_its_publications_too() {
    let base = tempfile::tempdir().unwrap();
    let out = base.path().join("out");
    let flatten = |ids: &[&str], version| {
        let lines = ids.iter().map(|id| super::task(id, version) + "\n");
        let source = base.path().join("raw.jsonl");
        fs::write(&source, lines.collect::<String>()).unwrap();
        let output = program()
            .arg("flatten")
            .arg(&source)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    flatten(&["a", "b"], 1);
    assert_eq!(counts(&last(&out).unwrap()), [2, 0, 0, 0, 0]);
    flatten(&["b", "c"], 1);
    assert_eq!(counts(&last(&out).unwrap()), [1, 0, 1, 1, 0]);
    flatten(&["c", "b"], 2);
    assert_eq!(counts(&last(&out).unwrap()), [0, 2, 0, 0, 0]);
    verify(&out, 0);
}

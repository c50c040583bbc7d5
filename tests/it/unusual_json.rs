//! JSON that other parsers refuse. Each such task is exported, and does not affect others.

use std::ops::ControlFlow;

use scale_export::journal::format::RecordKind;
use scale_export::journal::reader::JournalReader;
use std::fs;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

use crate::support::server::{Server, requested_id, task_response};
use crate::support::{KEY, manifest, program};

/// The body of an ID. `None` for an ordinary task.
fn body(task_id: &str) -> Option<Vec<u8>> {
    let with = |members: &str| format!("{{\"task_id\":\"{task_id}\",{members}}}").into_bytes();
    Some(match task_id {
        "surrogate" => with(r#""status":"completed","threads":[{"id":"a\ud800"}]"#),
        "nested" => {
            let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
            with(&format!(r#""metadata":{deep},"unknown":{deep}"#))
        }
        "number" => with(r#""metadata":{"n":1e400},"unknown":123456789012345678901234567890"#),
        "bytes" => {
            let mut body = with(r#""status":"completed","threads":[{"id":"caf?"}]"#);
            let at = body.iter().position(|byte| *byte == b'?').unwrap();
            body[at] = 0xE9;
            body
        }
        "no_json" => b"{\"task_id\":\"no_json\",\xff}".to_vec(),
        _ => return None,
    })
}

#[test]
fn json_that_other_parsers_refuse_is_exported() {
    let server = Server::start(|request| {
        let task_id = requested_id(request);
        match body(task_id) {
            Some(body) => Response::new(Full::new(Bytes::from(body))),
            None => task_response(request),
        }
    });
    let base = tempfile::tempdir().unwrap();
    let ids = [
        "a",
        "surrogate",
        "b",
        "nested",
        "c",
        "number",
        "d",
        "bytes",
        "e",
        "no_json",
        "f",
    ];
    fs::write(base.path().join("ids"), ids.join("\n")).unwrap();
    for format in ["parquet", "csv"] {
        let out = base.path().join(format);
        let output = program()
            .env("SCALE_API_KEY", KEY)
            .args(["--base-url", &format!("http://{}", server.address)])
            .args([
                "--rate",
                "max",
                "--max-retries",
                "0",
                "--format",
                format,
                "--ids",
            ])
            .arg(base.path().join("ids"))
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{printed}");
        let failures = fs::read_to_string(out.join("failures.jsonl")).unwrap();
        assert_eq!(failures.lines().count(), 1, "{failures}");
        assert!(
            failures.contains("no_json") && failures.contains("not UTF-8"),
            "{failures}"
        );
        assert!(
            printed.contains("warning: task bytes: the body is not UTF-8, first at byte 61"),
            "{printed}"
        );
        let mut refused = None;
        let journal = out.join(".scale-export/journal");
        let (mut reader, ..) = JournalReader::open(&journal, None, |entry| {
            if entry.kind == RecordKind::Refused {
                refused = Some(entry.location);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut kept = Vec::new();
        let read = reader.read("no_json", refused.unwrap(), &mut kept);
        assert!(read.is_ok() && kept == body("no_json").unwrap());
        let drift = manifest(&out)["drift"].to_string();
        for task_id in ["surrogate", "nested"] {
            assert!(drift.contains(task_id), "{drift}");
        }
        let output = program().arg("verify").arg(&out).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert!(printed.contains("(10 tasks, "), "{printed}");
        if format == "csv" {
            let threads = fs::read_to_string(out.join("threads.csv")).unwrap();
            assert!(threads.contains(r#"{""id"":""a\ud800""}"#), "{threads}");
            assert!(threads.contains(r#"{""id"":""caf\udce9""}"#), "{threads}");
        }
    }
}

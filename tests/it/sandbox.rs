//! The sandbox over real connections: its limits, its list endpoints, and its special cases.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use scale_export::sandbox::config::SandboxConfig;
use scale_export::sandbox::limit_models::{Limit, LimitPlan, TimeSpan};
use scale_export::sandbox::responses::{QuotaHeaders, RetryAfter};
use scale_export::sandbox::server::Sandbox;
use serde_json::Value;

use crate::support::{KEY, sandbox};

/// Sends a request over a separate connection. Returns the status, the head in lower case, and the body.
fn get(server: &Sandbox, path: &str) -> (u16, String, String) {
    let address = server.base_url();
    let address = address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn json(server: &Sandbox, path: &str) -> Value {
    let (status, _, body) = get(server, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn limited(limit: &str) -> Sandbox {
    sandbox(SandboxConfig {
        limits: LimitPlan {
            limits: vec![limit.parse().unwrap()],
            ..LimitPlan::default()
        },
        ..SandboxConfig::default()
    })
}

#[test]
fn each_limit_allows_its_stated_rate() {
    for limit in [
        "token_bucket=1/m:5",
        "fixed_window=5/h",
        "sliding_window=5/m",
    ] {
        let server = limited(limit);
        let statuses: Vec<u16> = (0..8)
            .map(|_| get(&server, "/v2/task?task_id=task_1").0)
            .collect();
        assert_eq!(
            statuses,
            [200, 200, 200, 200, 200, 429, 429, 429],
            "{limit}"
        );
        assert_eq!((server.requests(), server.rejected()), (8, 3));
    }
}

#[test]
fn a_concurrency_limit_counts_requests_in_flight() {
    let server = sandbox(SandboxConfig {
        limits: LimitPlan {
            limits: vec!["concurrency=2".parse().unwrap()],
            ..LimitPlan::default()
        },
        latency: Duration::from_millis(500),
        ..SandboxConfig::default()
    });
    let statuses = || {
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| get(&server, "/v2/task?task_id=task_1").0))
                .collect();
            let mut statuses: Vec<u16> = asking
                .into_iter()
                .map(|asks| asks.join().unwrap())
                .collect();
            statuses.sort_unstable();
            statuses
        })
    };
    assert_eq!(statuses(), [200, 200, 429, 429]);
    assert_eq!(statuses(), [200, 200, 429, 429]);
    // A client that disconnects before its response frees its slot.
    for _ in 0..2 {
        let address = server.base_url();
        let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
        let request = format!(
            "GET /v2/task?task_id=task_1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(get(&server, "/v2/task?task_id=task_1").0, 200);
}

#[test]
fn a_queue_delays_requests() {
    let server = limited("queue=10/s");
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(get(&server, "/v2/task?task_id=task_1").0, 200));
        }
    });
    assert!(
        started.elapsed() >= Duration::from_millis(290),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_outage_begins_and_ends_on_time() {
    let server = sandbox(SandboxConfig {
        limits: LimitPlan {
            outages: vec![TimeSpan {
                from: Duration::ZERO,
                until: Duration::from_millis(400),
            }],
            ..LimitPlan::default()
        },
        ..SandboxConfig::default()
    });
    let (status, head, _) = get(&server, "/v2/task?task_id=task_1");
    assert_eq!(status, 503);
    assert!(head.contains("content-type: text/html"), "{head}");
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(get(&server, "/v2/task?task_id=task_1").0, 200);
}

#[test]
fn quota_headers_are_sent_when_enabled() {
    let head_of = |quota_headers, retry_after| {
        let server = sandbox(SandboxConfig {
            limits: LimitPlan {
                limits: vec![Limit::FixedWindow {
                    requests: 1.0,
                    window: Duration::from_hours(1),
                }],
                ..LimitPlan::default()
            },
            quota_headers,
            retry_after,
            ..SandboxConfig::default()
        });
        get(&server, "/v2/task?task_id=task_1");
        let (status, head, _) = get(&server, "/v2/task?task_id=task_1");
        assert_eq!(status, 429);
        head
    };
    let head = head_of(None, None);
    assert!(
        !head.contains("ratelimit") && !head.contains("retry-after"),
        "{head}"
    );
    let head = head_of(Some(QuotaHeaders::Plain), Some(RetryAfter::Seconds(7)));
    for line in [
        "\r\nratelimit-limit: 1\r\n",
        "\r\nratelimit-remaining: 0\r\n",
        "\r\nretry-after: 7\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let head = head_of(
        Some(QuotaHeaders::Structured),
        Some(RetryAfter::Date {
            seconds: 5,
            skew: 3_600,
        }),
    );
    for line in [
        "ratelimit-policy: \"default\";q=1;w=3600",
        "ratelimit: \"default\";r=0;t=3600",
        "retry-after: ",
        "gmt",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let head = head_of(Some(QuotaHeaders::Prefixed), None);
    assert!(head.contains("x-ratelimit-reset: 1"), "{head}");
}

#[test]
fn a_list_contains_the_same_tasks_as_single_requests() {
    let server = sandbox(SandboxConfig {
        tasks: Some(260),
        batch_size: Some(250),
        ..SandboxConfig::default()
    });
    let batches = json(&server, "/v2/batches");
    let names: Vec<&str> = batches["batches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|batch| batch["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Batch 0", "Batch 1"]);
    let id = batches["batches"][0]["id"].as_str().unwrap();
    let mut path = format!("/v2/tasks?batch_id={id}&expand=batch&opts=annotation_details");
    let mut seen = Vec::new();
    loop {
        let (_, _, body) = get(&server, &path);
        let page: Value = serde_json::from_str(&body).unwrap();
        for task in page["tasks"].as_array().unwrap() {
            seen.push(task["task_id"].as_str().unwrap().to_owned());
            assert_eq!(task["batch"]["id"], id);
        }
        let first = format!(
            "/v2/task?task_id={}&expand=batch&opts=annotation_details",
            seen.last().unwrap()
        );
        assert!(body.contains(&get(&server, &first).2), "{first}");
        let Some(token) = page["next_token"].as_str() else {
            break;
        };
        path = format!(
            "/v2/tasks?batch_id={id}&expand=batch&opts=annotation_details&next_token={token}"
        );
    }
    let expected: Vec<String> = (1..=250).map(|number| format!("task_{number}")).collect();
    assert_eq!(seen, expected);
    let by_name = json(&server, "/v2/tasks?batch_name=Batch%201&limit=3");
    assert_eq!(by_name["tasks"][2]["task_id"], "task_253");

    let projects = json(&server, "/v2/projects");
    let project = projects["projects"][0]["id"].as_str().unwrap();
    let pending = json(
        &server,
        &format!("/v2/tasks?project_id={project}&status=pending"),
    );
    assert!(
        pending["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|task| task["status"] == "pending")
    );
    let late = json(
        &server,
        &format!("/v2/tasks?project_id={project}&completed_after=2024-09-01T00:00:00Z"),
    );
    assert!(late["tasks"][0]["completed_at"].as_str().unwrap() > "2024-09-01T00:00:00Z");
    let deliveries = json(&server, "/v2/deliveries");
    let delivery = deliveries["deliveries"][0].clone();
    let page = json(
        &server,
        &format!(
            "/v2/delivery?delivery_id={}",
            delivery["id"].as_str().unwrap()
        ),
    );
    assert_eq!(page["delivery"], delivery);
    assert!(delivery["task_count"].as_u64().unwrap() > 150);
}

#[test]
fn unknown_parameters_are_refused() {
    let server = sandbox(SandboxConfig::default());
    for (path, status) in [
        ("/v2/tasks", 400),
        ("/v2/tasks?batch_id=a&project_id=b", 400),
        ("/v2/tasks?batch_id=a", 404),
        ("/v2/tasks?project_name=Unknown", 404),
        (
            "/v2/tasks?project_name=Preferences%2C%20part%201&limit=0",
            400,
        ),
        (
            "/v2/tasks?project_name=Preferences%2C%20part%201&limit=101",
            400,
        ),
        (
            "/v2/tasks?project_name=Preferences%2C%20part%201&next_token=x",
            400,
        ),
        ("/v2/delivery", 400),
        ("/v2/delivery?delivery_id=x", 404),
        ("/v2/task", 400),
        ("/v2/nothing", 404),
    ] {
        let (found, _, body) = get(&server, path);
        assert_eq!(found, status, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status_code"], status);
    }
}

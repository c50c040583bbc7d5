//! Faults in a response, or that cut one off.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Case;
use super::measure::{Effect, FAULTY_IDS, Fault, MOVED_PATH, ScriptedResponse};
use crate::support::raw_server::{JSON, RawRequest, Step, good, head, response, task};

/// Time to read the sent bytes before the connection is reset.
const READ_TIME: Duration = Duration::from_millis(30);

/// A timeout that a test can wait for, and long enough for a good response on a busy machine.
const SHORT_TIMEOUT: &[&str] = &["--timeout", "800ms"];

/// A pause between bytes that makes a task of fifty bytes or more exceed the timeout.
const TRICKLE: Duration = Duration::from_millis(50);

const PAGE: &[u8] =
    b"<!DOCTYPE html><html><head><title>Web server is down</title></head><body>\xe2\x80\xa6</body></html>";

fn each(
    responses: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
) -> Vec<ScriptedResponse> {
    vec![Arc::new(responses)]
}

/// A fault of a response that is retried.
fn retried(
    name: &'static str,
    kind: &'static str,
    says: &'static str,
    responses: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
) -> Fault {
    Fault {
        name,
        responses: each(responses),
        options: &[],
        effect: Effect::Retried(kind),
        all: 5,
        says,
        is_rate_limit: false,
    }
}

/// A fault of a response that fails its task at once.
fn fails(
    name: &'static str,
    kind: &'static str,
    says: &'static str,
    responses: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
) -> Fault {
    Fault {
        effect: Effect::Fails(kind),
        all: 8,
        ..retried(name, kind, says, responses)
    }
}

/// A fault that ends the run.
fn stops(
    name: &'static str,
    says: &'static str,
    responses: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
) -> Fault {
    Fault {
        effect: Effect::Stops,
        all: 4,
        ..retried(name, "", says, responses)
    }
}

/// An unusual but valid response.
fn harmless(
    name: &'static str,
    responses: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
) -> Fault {
    Fault {
        effect: Effect::None,
        all: 0,
        ..retried(name, "", "", responses)
    }
}

/// The same fault with a short timeout.
fn with_short_timeout(fault: Fault) -> Fault {
    Fault {
        options: SHORT_TIMEOUT,
        ..fault
    }
}

/// A complete response with one status.
fn status(status: &'static str, body: &'static [u8]) -> impl Fn(&RawRequest) -> Vec<Step> {
    move |_| vec![Step::Send(response(status, &[], body))]
}

/// The head of a response that announces `length` bytes.
fn promise(length: usize) -> Vec<u8> {
    let length = length.to_string();
    head("200 OK", &[JSON, &[("content-length", &length)]].concat())
}

/// A head and a part of the body that it announces.
fn half(request: &RawRequest) -> Vec<u8> {
    let body = task(&request.task_id);
    [promise(body.len()).as_slice(), &body[..body.len() / 2]].concat()
}

fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head(
        "200 OK",
        &[JSON, &[("transfer-encoding", "chunked")]].concat(),
    );
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn gzip(request: &RawRequest) -> Vec<u8> {
    member(&task(&request.task_id))
}

/// One member of a gzip file.
fn member(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn encoded(body: &[u8]) -> Vec<u8> {
    encoded_as("gzip", body)
}

fn encoded_as(encoding: &str, body: &[u8]) -> Vec<u8> {
    let headers = [JSON, &[("content-encoding", encoding)]].concat();
    response("200 OK", &headers, body)
}

fn redirect(to: &str) -> Vec<Step> {
    vec![Step::Send(response("302 Found", &[("location", to)], b""))]
}

/// Several statuses that share a row.
fn statuses(mut fault: Fault, statuses: &[u16], body: &'static [u8]) -> Fault {
    assert!(statuses.len() <= FAULTY_IDS);
    let responses = statuses.iter().map(|status| -> ScriptedResponse {
        let line = format!("{status} Whatever");
        Arc::new(move |_| vec![Step::Send(response(&line, &[], body))])
    });
    fault.responses = responses.collect();
    fault
}

fn broken() -> Vec<Fault> {
    vec![
        retried("reset before the response", "network", "reset", |_| {
            vec![Step::Reset]
        }),
        retried("closed before the response", "network", "closed", |_| {
            vec![Step::Close]
        }),
        retried("reset in the headers", "network", "reset", |_| {
            let begin = b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec();
            vec![Step::Send(begin), Step::Pause(READ_TIME), Step::Reset]
        }),
        retried("reset after the headers", "network", "reset", |request| {
            let head = promise(task(&request.task_id).len());
            vec![Step::Send(head), Step::Pause(READ_TIME), Step::Reset]
        }),
        retried("reset in the body", "network", "reset", |request| {
            vec![
                Step::Send(half(request)),
                Step::Pause(READ_TIME),
                Step::Reset,
            ]
        }),
        retried(
            "body cut off, or `Content-Length` too large",
            "network",
            "end of file",
            |request| vec![Step::Send(half(request)), Step::Close],
        ),
        with_short_timeout(retried(
            "`Content-Length` too large, connection kept open",
            "timeout",
            "timed out",
            |request| vec![Step::Send(half(request)), Step::Hang],
        )),
        retried(
            "`Content-Length` too small",
            "bad_body",
            "not JSON",
            |request| {
                let body = task(&request.task_id);
                let bytes = [promise(body.len() / 2).as_slice(), &body].concat();
                vec![Step::Send(bytes), Step::Close]
            },
        ),
        harmless("chunked", |request| {
            let body = task(&request.task_id);
            let (first, second) = body.split_at(body.len() / 2);
            vec![Step::Send(chunked(&[first, second, b""]))]
        }),
        retried("chunked, cut off", "network", "EOF", |request| {
            let body = task(&request.task_id);
            vec![Step::Send(chunked(&[&body[..10]])), Step::Close]
        }),
        retried(
            "chunked, with invalid sizes",
            "network",
            "chunk size",
            |_| {
                let bytes = [chunked(&[]).as_slice(), b"what\r\n"].concat();
                vec![Step::Send(bytes), Step::Close]
            },
        ),
        retried("a response that is not HTTP", "network", "HTTP", |_| {
            vec![
                Step::Send(b"220 mail.example ESMTP\r\n\r\n".to_vec()),
                Step::Close,
            ]
        }),
        with_short_timeout(retried(
            "a body that arrives too slowly",
            "timeout",
            "timed out",
            |request| {
                let body = task(&request.task_id);
                vec![
                    Step::Send(promise(body.len())),
                    Step::Trickle(body, TRICKLE),
                ]
            },
        )),
        with_short_timeout(retried("no response", "timeout", "timed out", |_| {
            vec![Step::Hang]
        })),
    ]
}

fn bodies() -> Vec<Fault> {
    vec![
        harmless("gzip", |request| vec![Step::Send(encoded(&gzip(request)))]),
        Fault {
            responses: ["GZIP", "x-gzip"]
                .map(|encoding| -> ScriptedResponse {
                    Arc::new(move |request| vec![Step::Send(encoded_as(encoding, &gzip(request)))])
                })
                .to_vec(),
            ..harmless("gzip with the name `GZIP` or `x-gzip`", |_| vec![])
        },
        harmless("gzip of several members", |request| {
            let body = task(&request.task_id);
            let (first, second) = body.split_at(body.len() / 2);
            vec![Step::Send(encoded(
                &[member(first), member(second)].concat(),
            ))]
        }),
        retried(
            "an unknown `Content-Encoding`",
            "bad_body",
            "its encoding is `snappy`",
            |request| vec![Step::Send(encoded_as("snappy", &task(&request.task_id)))],
        ),
        retried(
            "`gzip` that is not gzip",
            "network",
            "could not decompress the body: ",
            |request| vec![Step::Send(encoded(&task(&request.task_id)))],
        ),
        retried(
            "gzip, cut off",
            "network",
            "could not decompress the body: ",
            |request| {
                let body = gzip(request);
                vec![Step::Send(encoded(&body[..body.len() / 2]))]
            },
        ),
        retried(
            "gzip with a wrong checksum",
            "network",
            "could not decompress the body: corrupt gzip stream",
            |request| {
                let mut body = gzip(request);
                let at = body.len() - 5;
                body[at] ^= 1;
                vec![Step::Send(encoded(&body))]
            },
        ),
        retried(
            "200 with HTML",
            "bad_body",
            "not JSON",
            status("200 OK", PAGE),
        ),
        retried(
            "200 with an empty body",
            "bad_body",
            "not JSON",
            status("200 OK", b""),
        ),
        retried(
            "200 with half of the JSON",
            "bad_body",
            "not JSON",
            |request| {
                let body = task(&request.task_id);
                vec![Step::Send(response(
                    "200 OK",
                    JSON,
                    &body[..body.len() / 2],
                ))]
            },
        ),
        retried(
            "200 with JSON that is not a task",
            "bad_body",
            "no task_id",
            status("200 OK", b"{}"),
        ),
        retried(
            "200 with another task",
            "wrong_task",
            "another task",
            |_| good("task_of_somebody_else"),
        ),
        Fault {
            options: &["--max-body", "4KiB"],
            ..fails(
                "200 with a body over `--max-body`",
                "too_large",
                "over 4096 bytes",
                |request| {
                    let body = [task(&request.task_id), vec![b' '; 5_000]].concat();
                    vec![Step::Send(response("200 OK", JSON, &body))]
                },
            )
        },
        fails(
            "200 with gzip that becomes two million `[`",
            "too_large",
            "too large to parse: lists and objects are nested over 1,048,576 levels deep",
            |_| vec![Step::Send(encoded(&member(&[b'['; 2_000_000])))],
        ),
        harmless("200 with 150 headers", |request| {
            let names: Vec<String> = (0..150).map(|number| format!("x-{number}")).collect();
            let more: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
            let body = task(&request.task_id);
            vec![Step::Send(response(
                "200 OK",
                &[JSON, &more].concat(),
                &body,
            ))]
        }),
        fails("203", "http_error", "a proxy has changed", |request| {
            let body = task(&request.task_id);
            vec![Step::Send(response("203 Changed", JSON, &body))]
        }),
        retried("206", "http_error", "incomplete", |request| {
            let body = task(&request.task_id);
            let half = &body[..body.len() / 2];
            vec![Step::Send(response("206 Partial Content", JSON, half))]
        }),
        fails("204", "http_error", "status 204", |_| {
            vec![Step::Send(head("204 No Content", &[]))]
        }),
    ]
}

fn refusals() -> Vec<Fault> {
    vec![
        harmless("redirect within the origin", |request| {
            redirect(&format!("{MOVED_PATH}?task_id={}", request.task_id))
        }),
        fails(
            "redirect to another origin",
            "redirect",
            "redirect to https://elsewhere.invalid,",
            |request| {
                // Following the redirect would fail with another kind of failure, since the host does not exist.
                redirect(&format!(
                    "https://elsewhere.invalid{MOVED_PATH}?task_id={}",
                    request.task_id
                ))
            },
        ),
        fails(
            "redirects in a loop",
            "redirect",
            "more than 5 redirects",
            |request| redirect(&format!("/circle?task_id={}", request.task_id)),
        ),
        fails(
            "redirect without a target",
            "redirect",
            "a redirect without a valid location",
            |_| vec![Step::Send(response("302 Found", &[], b""))],
        ),
        fails(
            "400",
            "http_error",
            "status 400: no such option",
            status(
                "400 Bad Request",
                br#"{"status_code": 400, "error": "no such option"}"#,
            ),
        ),
        stops(
            "401",
            "check SCALE_API_KEY",
            status("401 Unauthorized", b""),
        ),
        stops(
            "402",
            "contact Scale to enable the API",
            status("402 Payment Required", b""),
        ),
        Fault {
            all: 4,
            ..fails(
                "403 (before anything succeeded: exit code 4)",
                "forbidden",
                "status 403",
                status("403 Forbidden", b""),
            )
        },
        fails(
            "404",
            "not_found",
            "status 404: task not found",
            status(
                "404 Not Found",
                br#"{"status_code": 404, "error": "task not found"}"#,
            ),
        ),
        statuses(
            retried("408, 425", "http_error", "status 4", |_| vec![]),
            &[408, 425],
            b"",
        ),
        statuses(
            retried(
                "500, 502, 503, 504",
                "http_error",
                ": Web server is down",
                |_| vec![],
            ),
            &[500, 502, 503, 504],
            PAGE,
        ),
        statuses(
            retried(
                "520 to 530, with HTML",
                "http_error",
                ": Web server is down",
                |_| vec![],
            ),
            &[520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530],
            PAGE,
        ),
        statuses(
            fails(
                "other statuses: 405, 410, 418, 501, 505",
                "http_error",
                "status ",
                |_| vec![],
            ),
            &[405, 410, 418, 501, 505],
            b"",
        ),
        Fault {
            is_rate_limit: true,
            ..retried(
                "429 with `Retry-After: 1`",
                "http_error",
                "status 429",
                |_| {
                    vec![Step::Send(response(
                        "429 Too Many Requests",
                        &[("retry-after", "1")],
                        b"",
                    ))]
                },
            )
        },
    ]
}

pub(super) fn faults() -> impl Iterator<Item = Fault> {
    broken().into_iter().chain(bodies()).chain(refusals())
}

pub(super) fn cases() -> Vec<Case> {
    faults()
        .map(|fault| -> Case { Box::new(move || fault.measure()) })
        .collect()
}

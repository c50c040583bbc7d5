//! The server: a thread with a runtime of its own, real connections, real HTTP.
//! Depends on `faults`, `generate` and `source`.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
    RETRY_AFTER,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::faults::{FaultKind, fault};
use super::generate::{Details, generate};
use super::{SandboxConfig, SandboxError, source};

type Body = BoxBody<Bytes, std::io::Error>;

/// Pieces of a trickling body, and the time between them.
const TRICKLE_BYTES: usize = 512;
const TRICKLE_INTERVAL: Duration = Duration::from_millis(20);

/// Requests whose times are kept.
pub(super) const KEPT_ARRIVALS: usize = 10_000;

/// A running sandbox; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    config: SandboxConfig,
    tasks: Option<HashMap<String, Bytes>>,
    requests: AtomicU64,
    rejected: AtomicU64,
    attempts: Mutex<HashMap<String, u32>>,
    bucket: Mutex<Bucket>,
    arrivals: Mutex<VecDeque<Duration>>,
    start: Instant,
}

/// The hidden limit: a token bucket.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sandbox {
    /// Starts to listen and to serve.
    pub fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Listen {
            port: config.port,
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let tasks = config.from.as_deref().map(source::read).transpose()?;
        let state = Arc::new(State {
            tasks,
            requests: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            attempts: Mutex::default(),
            bucket: Mutex::new(Bucket {
                tokens: config.burst,
                filled: Duration::ZERO,
            }),
            arrivals: Mutex::default(),
            start: Instant::now(),
            config,
        });
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            runtime.block_on(serve(listener, shared, stopped));
            runtime.shutdown_background();
        });
        Ok(Self {
            address,
            state,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it is.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key that it accepts.
    pub fn key(&self) -> &str {
        &self.state.config.key
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Of these, answered with 429 because of the rate limit.
    pub fn rejected(&self) -> u64 {
        self.state.rejected.load(Ordering::Relaxed)
    }

    /// When each of the last [`KEPT_ARRIVALS`] requests came, since the start.
    pub fn arrivals(&self) -> Vec<Duration> {
        lock(&self.state.arrivals).iter().copied().collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        // A connection that broke before it began, or too many of them: the next may be well.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        // A second handle on the socket, to reset it in the middle of things.
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
            continue;
        };
        let state = Arc::clone(&state);
        let handle = Arc::new(handle);
        tokio::spawn(async move {
            let service =
                service_fn(|request| answer(Arc::clone(&state), Arc::clone(&handle), request));
            // Faults end connections with errors on purpose.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset on purpose")]
struct ResetOnPurpose;

async fn answer(
    state: Arc<State>,
    handle: Arc<std::net::TcpStream>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ResetOnPurpose> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    let now = state.start.elapsed();
    state.note_arrival(now);
    if !state.config.latency.is_zero() {
        tokio::time::sleep(state.config.latency).await;
    }
    let gzip = request
        .headers()
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let task_id = match state.admit(&request, now) {
        Ok(task_id) => task_id,
        Err(refusal) => return Ok(*refusal),
    };
    let config = &state.config;
    // Only faults ask for the number of the attempt, and a map of all tasks is not for free.
    let attempt = if config.faults.is_empty() {
        1
    } else {
        let mut attempts = lock(&state.attempts);
        let attempt = attempts.entry(task_id.clone()).or_default();
        *attempt += 1;
        *attempt
    };
    let details = Details::of_query(request.uri().query().unwrap_or_default());
    let task = state.task(&task_id, details);
    match fault(
        &config.faults,
        &config.failed_ids,
        config.seed,
        &task_id,
        attempt,
    ) {
        None => Ok(match task {
            Some(task) => task_response(task, gzip),
            None => error(StatusCode::NOT_FOUND, "task not found"),
        }),
        Some(FaultKind::Reset) => {
            // With no time to linger, closing the socket sends a reset.
            let _ = socket2::SockRef::from(&*handle).set_linger(Some(Duration::ZERO));
            Err(ResetOnPurpose)
        }
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(kind) => Ok(faulty(kind, task.unwrap_or_default())),
    }
}

/// The answer of a fault that does answer.
fn faulty(kind: FaultKind, task: Bytes) -> Response<Body> {
    const PAGE: &str = "<!DOCTYPE html><html><head><title>The origin is unreachable</title></head><body>…</body></html>";
    let half = task.slice(..task.len() / 2);
    match kind {
        FaultKind::Status(status) => error(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            "this fault was asked for",
        ),
        FaultKind::HtmlStatus(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            response(status, "text/html", Bytes::from_static(PAGE.as_bytes()))
        }
        FaultKind::Html => response(
            StatusCode::OK,
            "text/html",
            Bytes::from_static(PAGE.as_bytes()),
        ),
        FaultKind::WrongTask => response(
            StatusCode::OK,
            JSON,
            Bytes::from_static(b"{\"task_id\":\"task_of_somebody_else\"}"),
        ),
        FaultKind::BadJson => response(StatusCode::OK, JSON, half),
        FaultKind::BadGzip => {
            let mut bad = response(StatusCode::OK, JSON, task);
            bad.headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            bad
        }
        FaultKind::Truncate => {
            let whole = task.len();
            let pieces = [
                Ok(Frame::data(half)),
                Err(std::io::Error::other("cut off on purpose")),
            ];
            let mut cut = Response::new(BodyExt::boxed(StreamBody::new(stream::iter(pieces))));
            cut.headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            cut.headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(whole));
            cut
        }
        FaultKind::Slow | FaultKind::Reset | FaultKind::Hang => {
            let pieces = stream::unfold(task, |mut rest| async move {
                if rest.is_empty() {
                    return None;
                }
                tokio::time::sleep(TRICKLE_INTERVAL).await;
                let piece = rest.split_to(rest.len().min(TRICKLE_BYTES));
                Some((Ok(Frame::data(piece)), rest))
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
    }
}

const JSON: &str = "application/json";

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn error(status: StatusCode, text: &str) -> Response<Body> {
    let body = serde_json::json!({"status_code": status.as_u16(), "error": text}).to_string();
    response(status, JSON, Bytes::from(body))
}

fn task_response(task: Bytes, gzip: bool) -> Response<Body> {
    if !gzip {
        return response(StatusCode::OK, JSON, task);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = encoder.write_all(&task).and_then(|()| encoder.finish());
    match compressed {
        Ok(compressed) => {
            let mut response = response(StatusCode::OK, JSON, Bytes::from(compressed));
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        Err(_) => response(StatusCode::OK, JSON, task),
    }
}

impl State {
    fn note_arrival(&self, now: Duration) {
        let mut arrivals = lock(&self.arrivals);
        if arrivals.len() == KEPT_ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back(now);
    }

    /// Checks a request as the API does: path, key, rate, and the ID that it asks for.
    fn admit(
        &self,
        request: &Request<Incoming>,
        now: Duration,
    ) -> Result<String, Box<Response<Body>>> {
        let authorized = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|key| key == self.config.key);
        if !authorized {
            return Err(Box::new(error(StatusCode::UNAUTHORIZED, "invalid API key")));
        }
        if request.uri().path() != "/v2/task" {
            return Err(Box::new(error(StatusCode::NOT_FOUND, "no such endpoint")));
        }
        if request.method() != Method::GET {
            return Err(Box::new(error(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET is allowed",
            )));
        }
        if !self.take_token(now) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            let mut refusal = error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            if let Some(seconds) = self.config.retry_after {
                refusal
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Err(Box::new(refusal));
        }
        let query = request.uri().query().unwrap_or_default();
        let id = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("task_id="));
        id.map(|id| percent_decode_str(id).decode_utf8_lossy().into_owned())
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Box::new(error(StatusCode::BAD_REQUEST, "task_id is required")))
    }

    fn take_token(&self, now: Duration) -> bool {
        let Some(rate) = self.config.rate_limit else {
            return true;
        };
        let mut bucket = lock(&self.bucket);
        let refill = now.saturating_sub(bucket.filled).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + refill).min(self.config.burst.max(1.0));
        bucket.filled = bucket.filled.max(now);
        let has_token = bucket.tokens >= 1.0;
        if has_token {
            bucket.tokens -= 1.0;
        }
        has_token
    }

    fn task(&self, task_id: &str, details: Details) -> Option<Bytes> {
        if let Some(tasks) = &self.tasks {
            return tasks.get(task_id).cloned();
        }
        let number: u64 = task_id.strip_prefix("task_")?.parse().ok()?;
        let exists = self.config.tasks.is_none_or(|last| number <= last);
        exists.then(|| {
            let task = generate(
                task_id,
                number,
                self.config.seed,
                details,
                self.config.drift,
            );
            Bytes::from(if self.config.lone_surrogates {
                task
            } else {
                task.replace(r"\ud800", "")
            })
        })
    }
}

//! The HTTP server: a thread with its own runtime. Connections and limits are real.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;

use crate::sandbox::config::SandboxConfig;
use crate::sandbox::error::SandboxError;
use crate::sandbox::faults::{FaultKind, fault};
use crate::sandbox::limit_models::{Admission, Limiter};
use crate::sandbox::random::Random;
use crate::sandbox::responses::{ResponseBody, error, faulty, json_response};
use crate::sandbox::routes::{RouteResult, Routes, SandboxRequest};
use crate::threads;

/// The number of last requests that are remembered.
pub(crate) const KEPT_ARRIVALS: usize = 10_000;

/// A running sandbox. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    state: Arc<SandboxState>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SandboxState {
    config: SandboxConfig,
    routes: Routes,
    requests: AtomicU64,
    rejected: AtomicU64,
    attempts: Mutex<HashMap<String, u32>>,
    limiter: Mutex<Limiter>,
    arrivals: Mutex<VecDeque<RequestArrival>>,
    start: Instant,
}

/// A request, and what the limits decided about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestArrival {
    /// The time since the start of the sandbox.
    pub at: Duration,
    /// The decision of the limits.
    pub admission: Admission,
}

impl Sandbox {
    /// Starts a sandbox.
    pub fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Listen {
            port: config.port,
            source,
        };
        // It is bound before the thread starts, so that a port in use is an error and the address is known.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).map_err(failed)?;
        // tokio requires this of sockets that the standard library opened.
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = threads::runtime().map_err(failed)?;
        let routes = Routes::new(&config)?;
        let state = Arc::new(SandboxState {
            routes,
            requests: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            attempts: Mutex::default(),
            limiter: Mutex::new(Limiter::new(config.limits.clone())),
            arrivals: Mutex::default(),
            start: Instant::now(),
            config,
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let shared = Arc::clone(&state);
        let serve = move || {
            runtime.block_on(serve(listener, shared, stopped));
            // Requests that hang on purpose would delay the end.
            runtime.shutdown_background();
        };
        let thread = threads::builder().spawn(serve);
        let thread = thread.map_err(SandboxError::Thread)?;
        Ok(Self {
            address,
            state,
            stop,
            thread: Some(thread),
        })
    }

    /// The base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The API key that it accepts.
    pub fn key(&self) -> &str {
        &self.state.config.key
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// The number of requests that were rejected with 429 because of a limit.
    pub fn rejected(&self) -> u64 {
        self.state.rejected.load(Ordering::Relaxed)
    }

    /// The last `KEPT_ARRIVALS` requests.
    pub fn arrivals(&self) -> Vec<RequestArrival> {
        threads::lock(&self.state.arrivals)
            .iter()
            .copied()
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already, and must not become a second one in `drop`.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<SandboxState>, stopped: CancellationToken) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped.cancelled() => return,
        };
        // The connection broke, or there are too many. The next one may work.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        // A second handle on the socket, for faults that reset the connection.
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
                service_fn(|request| respond(Arc::clone(&state), Arc::clone(&handle), request));
            // Faults end connections with errors.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Ends a connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("reset on purpose")]
struct ResetOnPurpose;

/// Reports to the limiter that an admitted request has ended, even if the client does not wait for the response.
struct Admitted<'s>(&'s SandboxState);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        threads::lock(&self.0.limiter).leave();
    }
}

async fn respond(
    state: Arc<SandboxState>,
    handle: Arc<std::net::TcpStream>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ResetOnPurpose> {
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let config = &state.config;
    if let Err(refusal) = state.authorize(&request) {
        return Ok(*refusal);
    }
    let (admission, quota) = {
        let mut limiter = threads::lock(&state.limiter);
        let now = state.start.elapsed();
        let admission = limiter.arrive(now);
        state.remember(RequestArrival { at: now, admission });
        (admission, limiter.quota(now))
    };
    let latency = config.latency + state.jitter(number);
    let wait = match admission {
        Admission::Admitted(wait) => wait + latency,
        Admission::Rejected | Admission::Away => latency,
    };
    let admitted = matches!(admission, Admission::Admitted(_)).then(|| Admitted(&state));
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let mut response = match admission {
        Admission::Admitted(_) => state.admitted(&request, &handle, number).await?,
        Admission::Rejected => {
            state.rejected.fetch_add(1, Ordering::Relaxed);
            let mut refusal = error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            if let Some(retry_after) = config.retry_after {
                retry_after.write(refusal.headers_mut());
            }
            refusal
        }
        Admission::Away => faulty(FaultKind::HtmlStatus(503), bytes::Bytes::new()),
    };
    drop(admitted);
    if let (Some(headers), Some(quota)) = (config.quota_headers, quota) {
        headers.write(quota, response.headers_mut());
    }
    Ok(response)
}

impl SandboxState {
    fn remember(&self, arrival: RequestArrival) {
        let mut arrivals = threads::lock(&self.arrivals);
        if arrivals.len() == KEPT_ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back(arrival);
    }

    /// The part of the latency that differs from request to request.
    fn jitter(&self, number: u64) -> Duration {
        if self.config.latency_jitter.is_zero() {
            return Duration::ZERO;
        }
        let share = Random::of(self.config.seed, &number.to_le_bytes()).share();
        self.config.latency_jitter.mul_f64(share)
    }

    /// Checks the API key and the method, which come before all limits.
    fn authorize(&self, request: &Request<Incoming>) -> Result<(), Box<Response<ResponseBody>>> {
        let key = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if key != Some(self.config.key.as_str()) {
            return Err(Box::new(error(StatusCode::UNAUTHORIZED, "invalid API key")));
        }
        if request.method() != Method::GET {
            let text = "only GET is allowed";
            return Err(Box::new(error(StatusCode::METHOD_NOT_ALLOWED, text)));
        }
        Ok(())
    }

    /// Responds to an admitted request.
    async fn admitted(
        &self,
        request: &Request<Incoming>,
        handle: &std::net::TcpStream,
        number: u64,
    ) -> Result<Response<ResponseBody>, ResetOnPurpose> {
        let gzip = request
            .headers()
            .get(ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("gzip"));
        let api_request = SandboxRequest::of(request.uri());
        let result = self.routes.respond(&api_request, number);
        let Some(task_id) = api_request.task_id() else {
            return Ok(match result {
                RouteResult::Body(body) => json_response(body, gzip),
                RouteResult::Error(status, text) => error(status, text),
            });
        };
        let config = &self.config;
        // Only faults need the number of the attempt, and a map of all tasks takes memory.
        let attempt = if config.faults.is_empty() {
            1
        } else {
            let mut attempts = threads::lock(&self.attempts);
            let attempt = attempts.entry(task_id.to_owned()).or_default();
            *attempt += 1;
            *attempt
        };
        let fault = fault(
            &config.faults,
            &config.failed_ids,
            config.seed,
            task_id,
            attempt,
        );
        match (fault, result) {
            (None, RouteResult::Body(body)) => Ok(json_response(body, gzip)),
            (None, RouteResult::Error(status, text)) => Ok(error(status, text)),
            (Some(FaultKind::Reset), _) => {
                // With a linger time of zero, closing the socket sends a reset.
                let _ = socket2::SockRef::from(handle).set_linger(Some(Duration::ZERO));
                Err(ResetOnPurpose)
            }
            (Some(FaultKind::Hang), _) => std::future::pending().await,
            (Some(kind), RouteResult::Body(body)) => Ok(faulty(kind, body)),
            (Some(kind), RouteResult::Error(..)) => Ok(faulty(kind, bytes::Bytes::new())),
        }
    }
}

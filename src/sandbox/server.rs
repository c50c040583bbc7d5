//! The server: a thread with a runtime of its own, real connections, real HTTP, limits in real time.
//! Depends on `answers`, `endpoints`, `faults` and `limit`.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
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

/// Requests whose times are kept.
pub(crate) const KEPT_ARRIVALS: usize = 10_000;

/// A running sandbox; it ends when this is dropped.
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

/// A request, as the limits saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestArrival {
    /// Since the start of the sandbox.
    pub at: Duration,
    /// What the limits made of it.
    pub admission: Admission,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    threads::lock(mutex)
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

    /// The last [`KEPT_ARRIVALS`] requests.
    pub fn arrivals(&self) -> Vec<RequestArrival> {
        lock(&self.state.arrivals).iter().copied().collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
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

/// Lets a request that was admitted leave when its answer is made, or nobody waits for it any more.
struct Admitted<'s>(&'s SandboxState);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        lock(&self.0.limiter).leave();
    }
}

async fn answer(
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
        let mut limiter = lock(&state.limiter);
        let now = state.start.elapsed();
        let admission = limiter.arrive(now);
        state.note(RequestArrival { at: now, admission });
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
    fn note(&self, arrival: RequestArrival) {
        let mut arrivals = lock(&self.arrivals);
        if arrivals.len() == KEPT_ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back(arrival);
    }

    /// A part of the latency that differs from request to request.
    fn jitter(&self, number: u64) -> Duration {
        if self.config.latency_jitter.is_zero() {
            return Duration::ZERO;
        }
        let share = Random::of(self.config.seed, &number.to_le_bytes()).share();
        self.config.latency_jitter.mul_f64(share)
    }

    /// Checks what comes before any limit: the key and the method.
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

    /// Answers a request that the limits let through.
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
        // Only faults ask for the number of the attempt, and a map of all tasks is not for free.
        let attempt = if config.faults.is_empty() {
            1
        } else {
            let mut attempts = lock(&self.attempts);
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
                // With no time to linger, closing the socket sends a reset.
                let _ = socket2::SockRef::from(handle).set_linger(Some(Duration::ZERO));
                Err(ResetOnPurpose)
            }
            (Some(FaultKind::Hang), _) => std::future::pending().await,
            (Some(kind), RouteResult::Body(body)) => Ok(faulty(kind, body)),
            (Some(kind), RouteResult::Error(..)) => Ok(faulty(kind, bytes::Bytes::new())),
        }
    }
}

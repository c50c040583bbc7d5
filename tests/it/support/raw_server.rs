//! A server on a plain socket, for faults that an HTTP library cannot produce: a script controls every byte, pause and
//! reset of a response. It records all requests.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// One step of a response. If the last step neither closes the connection nor waits for its end, the connection stays
/// open for the next request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends bytes one by one, with this pause between them.
    Trickle(Vec<u8>, Duration),
    /// Resets the connection instead of closing it.
    Reset,
    Close,
    /// Sends nothing more until the client disconnects.
    Hang,
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct RawRequest {
    /// The ID in the query, decoded.
    pub(crate) task_id: String,
    /// The path without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// The connection, counted from 0.
    pub(crate) connection: usize,
    /// The key in the header.
    pub(crate) key: String,
    /// Requests for this ID and path so far, this one included.
    pub(crate) attempt: usize,
    /// Requests so far, this one included.
    pub(crate) number: usize,
    pub(crate) at: Instant,
}

type Script = dyn Fn(&RawRequest) -> Vec<Step> + Send + Sync;

/// Connections that are queued before they are accepted.
const BACKLOG: i32 = 128;

/// Maximum bytes of the head of a request.
const MAX_HEAD: usize = 64 * 1024;

#[derive(Default)]
struct State {
    stopped: bool,
    requests: Vec<RawRequest>,
    attempts: HashMap<(String, String), usize>,
    /// Open connections, which the server closes when it stops.
    open: HashMap<usize, TcpStream>,
    connections: usize,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stopped: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits, but not after the server stops.
    fn pause(&self, time: Duration) {
        let state = self.state();
        let _ = self
            .stopped
            .wait_timeout_while(state, time, |state| !state.stopped);
    }
}

/// A running server. It stops with all its threads when this is dropped.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    /// Starts a server that responds as the script says.
    pub(crate) fn start(script: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_late(Duration::ZERO, script)
    }

    /// Starts a server that refuses connections for a while.
    pub(crate) fn start_late(
        delay: Duration,
        script: impl Fn(&RawRequest) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&SockAddr::from(any_port)).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        if delay.is_zero() {
            socket.listen(BACKLOG).unwrap();
        }
        let shared = Arc::new(Shared::default());
        let (own, script): (_, Arc<Script>) = (Arc::clone(&shared), Arc::new(script));
        let thread = std::thread::spawn(move || {
            if !delay.is_zero() {
                own.pause(delay);
                socket.listen(BACKLOG).unwrap();
            }
            accept(&TcpListener::from(socket), &own, &script);
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<RawRequest> {
        self.shared.state().requests.clone()
    }

    /// Requests for one ID so far.
    pub(crate) fn requests_for(&self, task_id: &str) -> usize {
        let state = self.shared.state();
        let requests = state.requests.iter();
        requests
            .filter(|request| request.task_id == task_id)
            .count()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopped = true;
            for stream in state.open.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.stopped.notify_all();
        // Wakes the accepting thread. A server that does not listen yet checks `stopped` when it does.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
        let threads = std::mem::take(&mut self.shared.state().threads);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    loop {
        if shared.state().stopped {
            return;
        }
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        let mut state = shared.state();
        if state.stopped {
            return;
        }
        let number = state.connections;
        state.connections += 1;
        state.open.insert(number, stream.try_clone().unwrap());
        let (shared, script) = (Arc::clone(shared), Arc::clone(script));
        state.threads.push(std::thread::spawn(move || {
            serve(number, stream, &shared, &script);
        }));
    }
}

/// Serves one connection.
fn serve(number: usize, mut stream: TcpStream, shared: &Shared, script: &Arc<Script>) {
    let _ = stream.set_nodelay(true);
    'connection: while let Some(head) = read_head(&mut stream) {
        let request = note(number, &head, shared);
        for step in script(&request) {
            let is_sent = match step {
                Step::Send(bytes) => stream.write_all(&bytes).is_ok(),
                Step::Pause(time) => {
                    shared.pause(time);
                    true
                }
                Step::Trickle(bytes, interval) => bytes.iter().all(|byte| {
                    shared.pause(interval);
                    stream.write_all(&[*byte]).is_ok()
                }),
                Step::Reset => {
                    // Without a linger time, closing the socket sends a reset.
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    false
                }
                Step::Close => false,
                Step::Hang => {
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    false
                }
            };
            if !is_sent {
                break 'connection;
            }
        }
    }
    // The socket closes with its last handle.
    shared.state().open.remove(&number);
}

/// Reads the head of a request. `None` if the connection ended or does not send HTTP.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&piece[..count]);
        if !head[0].is_ascii_uppercase() {
            // Servers without TLS respond so to a TLS handshake.
            let _ = stream.write_all(&response("400 Bad Request", &[], b"bad request"));
            return None;
        }
        assert!(head.len() < MAX_HEAD, "a head without an end");
    }
    Some(String::from_utf8(head).unwrap())
}

/// Records a request of a connection.
fn note(connection: usize, head: &str, shared: &Shared) -> RawRequest {
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let task_id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("task_id="));
    let task_id = percent_encoding::percent_decode_str(task_id.unwrap_or_default())
        .decode_utf8()
        .unwrap()
        .into_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_key = name.eq_ignore_ascii_case("authorization");
        is_key.then(|| value.trim_start_matches("Bearer ").to_owned())
    });
    let mut state = shared.state();
    let attempt = state
        .attempts
        .entry((path.to_owned(), task_id.clone()))
        .or_default();
    *attempt += 1;
    let request = RawRequest {
        attempt: *attempt,
        number: state.requests.len() + 1,
        path: path.to_owned(),
        query: query.to_owned(),
        connection,
        task_id,
        key: key.unwrap_or_default(),
        at: Instant::now(),
    };
    state.requests.push(request.clone());
    request
}

/// The bytes of a complete response.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut bytes = head(
        status,
        &[headers, &[("content-length", length.as_str())]].concat(),
    );
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of the head of a response.
pub(crate) fn head(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A small task.
pub(crate) fn task(task_id: &str) -> Vec<u8> {
    let task = serde_json::json!({"task_id": task_id, "status": "completed", "threads": []});
    task.to_string().into_bytes()
}

/// The response without a fault.
pub(crate) fn good(task_id: &str) -> Vec<Step> {
    let body = task(task_id);
    vec![Step::Send(response("200 OK", JSON, &body))]
}

/// Headers of a JSON body.
pub(crate) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
